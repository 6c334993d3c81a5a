// Calibration, and the inputs that were least familiar.
import { axisStyle, Chart } from "./chart.js";
import { empty, h, panel, say, scroller, show, table } from "./dom.js";
import { finite, number, percent, plural, score, time, utc } from "./format.js";
import { ask } from "./live.js";

function calibration(chart, note, guard) {
  const store = guard.parts.store;
  const bins = (store?.bins ?? []).filter((bin) => bin.count > 0 && finite(bin.confidence) !== null && finite(bin.accuracy) !== null);
  if (!store || !(store.labelled > 0) || bins.length === 0) {
    say(note, "");
    chart.draw(null, store
      ? `No labels yet. Post them when they are known, with the request's id and the row: POST /v2/models/${guard.name}/labels.`
      : "Calibration needs the event store: leave out --store none, and post labels when they are known.");
    return;
  }
  const most = Math.max(...bins.map((bin) => bin.count));
  say(note, `${plural(store.labelled, "labelled row")}: accuracy ${percent(store.accuracy)}, calibration error (ECE) ${percent(store.ece)}. Above the line it is too modest, below too sure.`);
  chart.setLegend([["dotmark", "accuracy at that confidence; larger, more rows"], ["ref", "right on average"]]);
  chart.draw({
    summary: `Of ${plural(store.labelled, "labelled row")} ${percent(store.accuracy)} were right; the expected calibration error is ${percent(store.ece)}.`,
    option: (c) => ({
      tooltip: { trigger: "item", formatter: (p) => (p.seriesType === "scatter" ? `confidence ${percent(p.value[0])}\naccuracy ${percent(p.value[1])}\n${plural(p.value[2], "row")}` : "") },
      grid: { right: 26 },
      xAxis: { type: "value", min: 0, max: 1, interval: 0.25, ...axisStyle(c), axisLabel: { color: c.soft, formatter: (v) => percent(v, 0) } },
      yAxis: { type: "value", min: 0, max: 1, interval: 0.25, ...axisStyle(c), axisLine: { show: false }, axisLabel: { color: c.soft, formatter: (v) => percent(v, 0) } },
      series: [
        { type: "line", data: [[0, 0], [1, 1]], silent: true, showSymbol: false, lineStyle: { color: c.reference, width: 1.5 } },
        { name: "accuracy", type: "scatter", data: bins.map((bin) => [bin.confidence, bin.accuracy, bin.count]), symbolSize: (v) => 7 + 15 * Math.sqrt(v[2] / most), itemStyle: { color: c.live, opacity: 0.85, borderColor: c.card, borderWidth: 1 }, emphasis: { disabled: true } },
      ],
    }),
    rows: () => ({ head: ["Confidence", "rows", "mean confidence", "accuracy"], rows: bins.map((bin) => [`${percent(bin.from, 0)} to ${percent(bin.to, 0)}`, String(bin.count), percent(bin.confidence), percent(bin.accuracy)]) }),
  });
}

const kept = new Map();

/** What an input was; asked for once. */
function input(guard, key) {
  const name = `${guard}/${key}`;
  if (!kept.has(name)) {
    if (kept.size > 300) kept.delete(kept.keys().next().value);
    kept.set(name, ask(`api/dashboard/inputs/${encodeURIComponent(guard)}/${key}`).then((response) => (response.ok ? response.json() : null)).catch(() => null));
  }
  return kept.get(name);
}

function picture(guard, row, index) {
  const canvas = h("canvas", { class: "picture", width: "1", height: "1", role: "img", "aria-label": `Unknown input ${index + 1}, taken for ${row.label}` });
  input(guard, row.key).then((found) => {
    if (!found?.pixels) return;
    const bytes = Uint8Array.from(atob(found.pixels), (letter) => letter.charCodeAt(0));
    canvas.width = found.width;
    canvas.height = found.height;
    const image = new ImageData(found.width, found.height);
    for (let i = 0; i < found.width * found.height; i++) {
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = bytes[i * found.channels + (found.channels === 3 ? c : 0)];
      image.data[4 * i + 3] = 255;
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  });
  return canvas;
}

function values(guard, row) {
  const cell = h("span", { class: "values" }, "…");
  input(guard, row.key).then((found) => {
    cell.replaceChildren(...(found?.values ?? []).map((v) => h("span", {}, h("span", { class: "soft" }, `${v.name} `), number(v.value))));
  });
  return cell;
}

function gallery(guard, rows) {
  return h("ul", { class: "gallery", tabindex: "0", "aria-label": "Unknown inputs, the least familiar first" }, rows.map((row, i) => h("li", {}, picture(guard, row, i),
    h("p", { class: "gallery-score" }, score(row.score)), h("p", { class: "gallery-label", title: row.label }, row.label),
    h("p", { class: "soft gallery-id", title: `request ${row.id}, row ${row.row}${row.stream ? `, stream ${row.stream}` : ""}, ${utc(row.at)}` }, time(row.at)))));
}

function rowsTable(guard, rows) {
  const withValues = rows.some((row) => row.kept === "values");
  const streams = rows.some((row) => row.stream !== "");
  return scroller("Unknown inputs", table({
    caption: "Unknown inputs of the last hour, the least familiar first",
    head: ["Request, row", ...(streams ? ["Stream"] : []), "Time", "Taken for", "Probability", "Score", ...(withValues ? ["Values"] : [])],
    numeric: streams ? [4, 5] : [3, 4],
    rows: rows.map((row) => [h("span", { class: "id", title: row.id }, `${row.id}, ${row.row}`), ...(streams ? [h("span", { class: "id", title: row.stream }, row.stream)] : []), h("time", { datetime: row.at, title: utc(row.at) }, time(row.at)), row.label, percent(row.probability), score(row.score), ...(withValues ? [values(guard, row)] : [])]),
  }));
}

export function qualityPanels() {
  const reliability = panel("calibration", "Calibration", "third");
  const top = panel("top", "Top unknown inputs", "two-thirds");
  const chart = new Chart(reliability, { label: "Reliability diagram", height: 220 });
  const room = h("div", { class: "top" });
  let asTable = false;
  const button = h("button", { type: "button", class: "quiet", "aria-pressed": "false", "aria-label": "Unknown inputs as a table", hidden: true, onclick: () => {
    asTable = !asTable;
    button.setAttribute("aria-pressed", String(asTable));
    last();
  } }, "Table");
  top.tools.append(button);
  top.body.append(room);
  let last = () => {};
  return {
    elements: [reliability.element, top.element],
    update({ snapshot, guard }) {
      calibration(chart, reliability.note, guard);
      const rows = guard.top;
      const pictures = rows.some((row) => row.kept === "picture");
      button.hidden = !pictures;
      last = () => show(room, [guard.name, rows, asTable], () => (rows.length === 0 ? empty("No unknown inputs in the last hour.")
        : pictures && !asTable ? gallery(guard.name, rows) : rowsTable(guard.name, rows)));
      say(top.note, rows.length === 0 ? "" : `Of the last hour, by score; above ${number(guard.info.threshold)} is unknown.${snapshot.server.inputs ? "" : " Inputs are not kept; --dashboard-inputs shows them."}`);
      last();
    },
  };
}
