// The page: what is shown, where it comes from, and what the controls do.
import { flipAll, repaint } from "./chart.js";
import { byId, h, say, show } from "./dom.js";
import { percent, plural, time, utc } from "./format.js";
import { startKeys } from "./keys.js";
import { Live, setToken } from "./live.js";
import { operatePanels } from "./operate.js";
import { qualityPanels } from "./quality.js";
import { driftOf, shiftPanels } from "./shift.js";
import { tiles } from "./tiles.js";
import { trafficPanels } from "./traffic.js";

const view = { guard: new URLSearchParams(location.search).get("guard"), range: new URLSearchParams(location.search).get("range") ?? "15m" };
let paused = false;
let shown = null;

const headline = tiles();
const operate = operatePanels();
const panels = [trafficPanels(), shiftPanels(), qualityPanels(), operate];
byId("panels").append(...panels.flatMap((each) => each.elements));

function query() {
  const wanted = new URLSearchParams({ range: view.range });
  if (view.guard) wanted.set("guard", view.guard);
  return wanted.toString();
}

function state(name, text) {
  if (paused) return;
  byId("state").dataset.state = name;
  say(byId("state-text"), text);
}

/** Channels of the chosen guard that drift now. */
function drifting(guard, snapshot) {
  const { monitor, own } = driftOf(guard, snapshot.events);
  if (monitor?.active && typeof monitor.active === "object") {
    return Array.isArray(monitor.active) ? monitor.active.map(String) : Object.keys(monitor.active);
  }
  const from = guard.series.times[0];
  return [...new Set(own.filter((e) => Date.parse(e.at) >= from).map((e) => String(e.details.channel ?? "drift")))];
}

function alerts(snapshot, channels) {
  const lines = Object.entries(snapshot.server.problems).map(([part, text]) => `${part}: ${text}`);
  if (channels.length > 0) lines.push(`${snapshot.guard.name} drifts in ${channels.join(", ")}.`);
  show(byId("alerts"), lines, () => lines.map((text) => h("p", { class: "alert" }, h("span", { class: "alert-mark", "aria-hidden": "true" }, "!"), text)));
}

function choose(snapshot) {
  const select = byId("guard");
  const names = snapshot.guards.map((guard) => guard.name);
  show(select, names, () => names.map((name) => h("option", { value: name }, name)));
  if (snapshot.guard && document.activeElement !== select) select.value = snapshot.guard.name;
  select.disabled = names.length < 2;
}

function draw(snapshot) {
  shown = snapshot;
  choose(snapshot);
  const updated = byId("updated");
  updated.dateTime = snapshot.at;
  updated.title = utc(snapshot.at);
  say(updated, time(snapshot.at));
  const guard = snapshot.guard;
  byId("panels").classList.toggle("bare", !guard);
  byId("tiles").hidden = !guard;
  if (guard) {
    const channels = drifting(guard, snapshot);
    const all = { snapshot, guard, range: snapshot.range, drifting: channels, store: guard.parts.store };
    headline.update(all);
    panels.forEach((each) => each.update(all));
    alerts(snapshot, channels);
    document.title = `${channels.length > 0 ? "! " : ""}${guard.name} – Outrigger`;
    const info = guard.info;
    say(byId("foot"), `${guard.name} version ${info.version}: ${info.model}, ${plural(info.classes, "class", "classes")}, detector ${info.detector}${info.calibrator ? `, calibrator ${info.calibrator}` : ""}, accepts ${percent(info.accept, 0)} of known inputs. Counting since ${time(snapshot.server.since)}. Outrigger ${snapshot.server.version}.`);
  } else {
    alerts(snapshot, []);
    operate.always(snapshot);
    say(byId("foot"), "No guard is served.");
  }
}

function askForToken(message) {
  state("lost", "A token is needed");
  say(byId("token-error"), message);
  const dialog = byId("token");
  if (!dialog.open) dialog.showModal();
  byId("token-value").focus();
}

const live = new Live({ snapshot: (value) => !paused && draw(value), state, unauthorized: askForToken });

function restart() {
  const address = new URL(location.href);
  address.search = query();
  history.replaceState(null, "", address);
  if (!paused) {
    state("connecting", "Connecting");
    live.open(query());
  } else pause();
}

function pause() {
  paused = !paused;
  const button = byId("pause");
  button.setAttribute("aria-pressed", String(paused));
  say(button, paused ? "Go on" : "Pause");
  if (paused) {
    live.close();
    byId("state").dataset.state = "paused";
    say(byId("state-text"), "Paused at");
  } else restart();
}

function setRange(value) {
  view.range = value;
  const radio = document.querySelector(`#range input[value="${CSS.escape(value)}"]`);
  if (radio) radio.checked = true;
  else view.range = "15m";
  restart();
}

const THEMES = ["auto", "light", "dark"];

function showTheme(name) {
  const text = { auto: "as the system", light: "light", dark: "dark" }[name];
  say(byId("theme"), name[0].toUpperCase() + name.slice(1));
  byId("theme").setAttribute("aria-label", `${name[0].toUpperCase() + name.slice(1)}: colours ${text}`);
}

function nextTheme() {
  const name = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "auto") + 1) % 3];
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  try {
    localStorage.setItem("outrigger-theme", name);
  } catch {
    // It then lasts as long as the page.
  }
  showTheme(name);
  repaint();
}

showTheme(document.documentElement.dataset.theme ?? "auto");
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
byId("guard").addEventListener("change", (event) => {
  view.guard = event.target.value;
  restart();
});
byId("range").addEventListener("change", (event) => setRange(event.target.value));
byId("pause").addEventListener("click", pause);
byId("theme").addEventListener("click", nextTheme);
byId("token").addEventListener("cancel", (event) => event.preventDefault());
byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = byId("token-value");
  setToken(field.value.trim());
  field.value = "";
  byId("token").close();
  restart();
});
document.addEventListener("visibilitychange", () => {
  // Tabs that nobody sees take no place among the subscribers.
  if (paused) return;
  if (document.hidden) live.close();
  else restart();
});
addEventListener("pagehide", () => live.close());
startKeys({ pause, theme: nextTheme, tables: flipAll, range: setRange });
window.outriggerShown = () => shown?.at ?? null;
setRange(view.range);
