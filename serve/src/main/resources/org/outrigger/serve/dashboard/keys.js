// Shortcuts. They rest while something is typed or a dialog is open.
import { byId, h } from "./dom.js";

const SHORTCUTS = [
  ["1 – 4", "15 minutes, 1, 6 or 48 hours"],
  ["g", "go to the choice of guard"],
  ["p", "pause or go on"],
  ["d", "dark, light or as the system"],
  ["t", "show all charts as tables, or as charts"],
  ["n, b", "next panel, panel before"],
  ["?", "this list"],
  ["Esc", "close"],
];

function move(step) {
  const panels = [...document.querySelectorAll(".panel")];
  const at = panels.findIndex((panel) => panel.contains(document.activeElement));
  const next = panels[(at + step + panels.length) % panels.length] ?? panels[0];
  next.tabIndex = -1;
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

export function startKeys(actions) {
  const dialog = byId("keys");
  byId("keys-list").append(...SHORTCUTS.flatMap(([key, text]) => [
    h("dt", {}, ...key.split(" ").map((word) => (word === "–" ? " – " : h("kbd", {}, word.replace(",", ""))))),
    h("dd", {}, text),
  ]));
  const open = () => dialog.showModal();
  byId("help").addEventListener("click", open);
  byId("keys-close").addEventListener("click", () => dialog.close());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]") || event.target.closest("input:not([type=radio]), select, textarea")) return;
    const ranges = { 1: "15m", 2: "1h", 3: "6h", 4: "48h" };
    const known = {
      g: () => byId("guard").focus(),
      p: actions.pause,
      d: actions.theme,
      t: actions.tables,
      n: () => move(1),
      b: () => move(-1),
      "?": open,
    };
    const action = event.key in ranges ? () => actions.range(ranges[event.key]) : known[event.key];
    if (action) {
      event.preventDefault();
      action();
    }
  });
}
