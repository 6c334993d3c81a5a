// Charts that draw themselves in the page's colours, say what they show, and can be tables.
import { h, say, scroller, show, table } from "./dom.js";

const charts = new Set();
let tables = false;

/** The page's colours, read from its style sheet. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const get = (name) => style.getPropertyValue(`--${name}`).trim();
  return Object.fromEntries(
    ["ink", "soft", "line", "card", "live", "live-2", "live-3", "reference", "alert", "shadow", "ground", "heat-0", "heat-1", "heat-2", "heat-3"].map((name) => [name, get(name)]));
}

const calm = matchMedia("(prefers-reduced-motion: reduce)");

function base(c) {
  return {
    animation: false,
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 11, color: c.soft },
    grid: { left: 8, right: 12, top: 12, bottom: 4, containLabel: true },
    // Tool tips are drawn on the canvas: names that clients chose are never HTML.
    tooltip: {
      trigger: "axis", renderMode: "richText", confine: true, backgroundColor: c.card, borderColor: c.line,
      borderWidth: 1, padding: [8, 10], textStyle: { color: c.ink, fontSize: 12 },
      axisPointer: { type: "line", lineStyle: { color: c.soft, width: 1, type: "solid" } },
    },
  };
}

export const axisStyle = (c) => ({
  axisLine: { lineStyle: { color: c.line } },
  axisTick: { show: false },
  axisLabel: { color: c.soft, fontSize: 11, hideOverlap: true },
  splitLine: { lineStyle: { color: c.line, width: 1 } },
});

/** Names in tool tips, kept short and free of the marks of rich text. */
export const plain = (text) => {
  const clean = String(text).replace(/[{}|\n\r]/g, " ");
  return clean.length > 40 ? `${clean.slice(0, 39)}…` : clean;
};

export class Chart {
  /**
   * @param panel where it goes
   * @param height in pixels
   * @param label what it is called
   */
  constructor(panel, { height = 200, label, legend = [] }) {
    this.summary = h("p", { class: "hidden", id: `${panel.element.id}-summary` });
    this.canvas = h("div", { class: "chart", "data-height": height, role: "img", "aria-label": label, "aria-describedby": this.summary.id });
    this.canvas.style.height = `${height}px`;
    this.table = h("div", { class: "as-table", hidden: true });
    this.table.style.maxHeight = `${height + 40}px`;
    this.button = h("button", { type: "button", class: "quiet", "aria-pressed": "false", "aria-label": `${label} as a table`, onclick: () => this.flip(this.table.hidden) }, "Table");
    this.legend = h("ul", { class: "legend", "aria-hidden": "true" });
    this.label = label;
    panel.tools.append(this.button);
    this.nothing = h("p", { class: "empty", hidden: true });
    panel.body.append(this.legend, this.canvas, this.nothing, this.table, this.summary);
    this.setLegend(legend);
    charts.add(this);
    new ResizeObserver(() => this.instance?.resize()).observe(this.canvas);
  }

  setLegend(entries) {
    show(this.legend, entries, () => entries.map(([mark, text]) => h("li", {}, h("span", { class: `mark ${mark}` }), text)));
    this.legend.hidden = entries.length === 0;
  }

  flip(on) {
    this.table.hidden = !on;
    this.canvas.hidden = on || !this.last;
    this.button.setAttribute("aria-pressed", String(on));
    if (on) this.drawTable();
    else this.instance?.resize();
  }

  /** @param drawn {option(colours), summary, rows() → {head, rows}, onclick}; null with a reason if there is nothing */
  draw(drawn, reason = "") {
    this.last = drawn;
    this.nothing.hidden = Boolean(drawn);
    this.legend.classList.toggle("off", !drawn);
    this.button.hidden = !drawn;
    this.canvas.hidden = !drawn || !this.table.hidden;
    if (!drawn) {
      say(this.nothing, reason);
      say(this.summary, reason);
      return;
    }
    say(this.summary, drawn.summary);
    if (!this.table.hidden) this.drawTable();
    this.paint();
  }

  drawTable() {
    if (!this.last) return;
    const { head, rows, numeric } = this.last.rows();
    show(this.table, rows, () => scroller(`${this.label} as a table`, table({ caption: this.label, head, rows, numeric: numeric ?? head.map((_, i) => i).slice(1) })));
  }

  paint() {
    if (!this.last || this.canvas.hidden) return;
    if (!this.instance) {
      this.instance = window.echarts.init(this.canvas, null, { renderer: "canvas" });
      this.instance.on("click", (event) => this.last?.onclick?.(event));
    }
    const c = colours();
    const own = this.last.option(c);
    const common = base(c);
    this.instance.setOption({ ...common, ...own, tooltip: { ...common.tooltip, ...own.tooltip }, grid: { ...common.grid, ...own.grid } }, { notMerge: true, lazyUpdate: calm.matches });
  }
}

export function repaint() {
  charts.forEach((chart) => chart.paint());
}

export function flipAll() {
  tables = !tables;
  charts.forEach((chart) => chart.last && chart.flip(tables));
}
