// What an operator handles: adapters, guards and versions, events.
import { byId, empty, h, panel, say, scroller, show, table } from "./dom.js";
import { count, percent, plural, time, utc } from "./format.js";
import { ask, reason } from "./live.js";

const when = (at) => (at ? h("time", { datetime: at, title: utc(at) }, time(at)) : "–");

function adapters(room, note, guard) {
  const state = guard.parts.adaptation;
  if (!state || state.enabled === false) {
    say(note, "");
    show(room, "off", () => empty("No adapter follows this guard's streams: switch it on with --adapt."));
    return;
  }
  const streams = Array.isArray(state.streams) ? state.streams : [];
  const back = streams.reduce((sum, each) => sum + (each.rollbacks ?? 0), 0);
  say(note, `${state.stack ?? "An adapter"} follows ${plural(streams.length, "stream")}; ${plural(back, "roll-back")}.`);
  show(room, streams, () => (streams.length === 0 ? empty("No stream has sent rows yet.") : scroller("Table of adapters", table({
    caption: "Adapter of each stream",
    head: ["Stream", "State", "Rows", "Roll-backs", "Agreement", "Confidence", "Last rows", "Checkpoint"],
    numeric: [2, 3, 4, 5],
    rows: streams.map((s) => [h("span", { class: "id", title: s.stream }, s.stream === "" ? "(no name)" : String(s.stream)), h("span", { class: s.resting ? "badge warn" : "badge" }, s.resting ? "rests" : "adapts"), count(s.rows), count(s.rollbacks), percent(s.agreement), percent(s.confidence), when(s.lastSeen), typeof s.checkpoint === "string" && !Number.isNaN(Date.parse(s.checkpoint)) ? when(s.checkpoint) : String(s.checkpoint ?? "–")]),
  }))));
}

/** Asks before it does something. */
function confirmed(title, text, yes, action) {
  const dialog = byId("confirm");
  say(byId("confirm-title"), title);
  say(byId("confirm-text"), text);
  const button = byId("confirm-yes");
  say(button, yes);
  byId("confirm-no").onclick = () => dialog.close();
  button.onclick = async () => {
    dialog.close();
    await action();
  };
  dialog.showModal();
  byId("confirm-no").focus();
}

async function exchange(name, what, told) {
  try {
    const response = await ask(`v2/repository/models/${encodeURIComponent(name)}/${what}`, { method: "POST" });
    say(told, response.ok ? `${name}: version ${(await response.json()).version} answers now.` : `${name}: ${await reason(response)}`);
  } catch {
    say(told, `${name}: the server did not answer.`);
  }
}

function guards(room, told, note, snapshot) {
  const all = snapshot.guards;
  const admin = snapshot.server.admin;
  say(note, admin ? "" : "Exchanging guards takes a token of the role admin.");
  show(room, [all, admin], () => scroller("Table of guards", table({
    caption: "Guards and their versions",
    head: ["Guard", "Version", "Before", "Shadow", "Bundle", "Waiting", ...(admin ? ["Exchange"] : [])],
    numeric: [5],
    rows: all.map((g) => [g.name, h("strong", {}, g.version), g.before ?? "–", g.shadow ?? "–", h("span", { class: "id", title: g.bundle }, g.bundle), `${count(g.waitingRows)} rows`, ...(admin ? [h("span", { class: "actions" },
      h("button", { type: "button", class: "quiet", "data-key": `load ${g.name}`, "aria-label": `Reload ${g.name}`, onclick: () => confirmed(`Reload ${g.name}?`, `The bundle ${g.bundle} is read again and takes over without a dropped request. Version ${g.version} stays ready to go back to.`, "Reload", () => exchange(g.name, "load", told)) }, "Reload"),
      h("button", { type: "button", class: "quiet", "data-key": `back ${g.name}`, "aria-label": `Roll back ${g.name}`, disabled: g.before === null, onclick: () => confirmed(`Roll ${g.name} back?`, `Version ${g.before} answers again, and version ${g.version} is closed.`, "Roll back", () => exchange(g.name, "rollback", told)) }, "Roll back"))] : [])]),
  })));
}

const KINDS = { LOADED: "loaded", ROLLED_BACK: "rolled back", SHADOWED: "shadow", UNLOADED: "unloaded", DRIFT: "drift", ADAPTER_ROLLED_BACK: "adapter rolled back", TROUBLE: "trouble" };
const WARN = new Set(["DRIFT", "ADAPTER_ROLLED_BACK", "TROUBLE"]);

function log(room, note, events) {
  const most = events.slice(0, 60);
  say(note, events.length > 0 ? `The newest ${count(most.length)}.` : "");
  show(room, most, () => (most.length === 0 ? empty("Nothing happened yet.") : h("ol", { class: "log", tabindex: "0", "aria-label": "Events, the newest first" }, most.map((e) => h("li", {}, when(e.at), h("span", { class: WARN.has(e.kind) ? "badge warn" : "badge" }, KINDS[e.kind] ?? e.kind), h("span", { class: "log-text" }, e.message))))));
}

export function operatePanels() {
  const adapter = panel("adapters", "Adapters", "half");
  const versions = panel("guards", "Guards and versions", "half");
  const events = panel("events", "Events", "full");
  const rooms = [adapter, versions, events].map((each) => {
    const room = h("div", {});
    each.body.append(room);
    return room;
  });
  const told = h("p", { class: "told", role: "status" });
  versions.body.append(told);
  return {
    elements: [adapter.element, versions.element, events.element],
    update({ snapshot, guard }) {
      adapters(rooms[0], adapter.note, guard);
      this.always(snapshot);
    },
    /** What is shown also while nothing is served. */
    always(snapshot) {
      guards(rooms[1], told, versions.note, snapshot);
      log(rooms[2], events.note, snapshot.events);
    },
  };
}
