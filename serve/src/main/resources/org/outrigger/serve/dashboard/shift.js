// What shifted: scores and classes against the reference, drift over time, what changed.
import { axisStyle, Chart, plain } from "./chart.js";
import { empty, h, panel, say, show } from "./dom.js";
import { count, finite, lastRange, number, percent, plural, shortTime, time, utc } from "./format.js";

function scores(chart, note, guard, range) {
  const s = guard.scores;
  if (!s || s.rows === 0) {
    say(note, "");
    chart.draw(null, guard.total.rows > 0 ? "Bins are chosen from the first 64 rows." : `No rows in the ${lastRange(range)}.`);
    return;
  }
  const middle = s.edges.slice(1).map((edge, i) => (edge + s.edges[i]) / 2);
  const width = s.edges[1] - s.edges[0];
  const places = [s.edges[0] - width / 2, ...middle, s.edges.at(-1) + width / 2];
  const points = (shares) => shares.map((share, i) => [places[i], share]);
  chart.setLegend([["column", "now"], ...(s.reference ? [["ref", "reference"]] : []), ...(s.shadow ? [["shadowline", "shadow"]] : []), ["expected", "threshold"]]);
  say(note, `${plural(s.rows, "row")}${s.referenceRows ? ` against ${plural(s.referenceRows, "held-out row")}` : "; this guard has no reference"}. Right of the threshold is unknown.`);
  const steps = (name, shares, colour, dash) => ({ name, type: "line", step: "middle", data: points(shares), showSymbol: false, lineStyle: { width: 1.75, color: colour, type: dash }, itemStyle: { color: colour }, emphasis: { disabled: true } });
  const name = (i) => (i === 0 ? `below ${number(s.edges[0])}` : i === places.length - 1 ? `${number(s.edges.at(-1))} and above` : `${number(s.edges[i - 1])} to ${number(s.edges[i])}`);
  chart.draw({
    summary: `The mean score of the ${lastRange(range)} is ${number(guard.total.score)}; the threshold is ${number(s.threshold)}, and ${percent(guard.total.unknown)} of rows are above it.`,
    option: (c) => ({
      tooltip: { formatter: (p) => [`score ${name(p[0].dataIndex)}`, ...p.map((e) => `${e.seriesName}  ${percent(e.value[1])}`)].join("\n") },
      xAxis: { type: "value", min: s.edges[0] - width, max: s.edges.at(-1) + width, splitNumber: 5, ...axisStyle(c), splitLine: { show: false }, axisLabel: { ...axisStyle(c).axisLabel, showMinLabel: false, showMaxLabel: false, formatter: (v) => number(v) } },
      yAxis: { type: "value", splitNumber: 3, ...axisStyle(c), axisLine: { show: false }, axisLabel: { color: c.soft, fontSize: 11, formatter: (v) => percent(v, 0) } },
      series: [
        { name: "now", type: "bar", data: points(s.live), barWidth: "86%", barMaxWidth: 14, itemStyle: { color: c["live-3"], borderRadius: [2, 2, 0, 0] }, emphasis: { disabled: true },
          markLine: { silent: true, symbol: "none", label: { show: false }, lineStyle: { color: c.alert, type: "dashed", width: 1.5 }, data: [{ xAxis: s.threshold }] } },
        ...(s.reference ? [steps("reference", s.reference, c.reference, "solid")] : []),
        ...(s.shadow ? [steps("shadow", s.shadow, c.shadow, [2, 3])] : []),
      ],
    }),
    rows: () => ({ head: ["Score", "now", ...(s.reference ? ["reference"] : []), ...(s.shadow ? ["shadow"] : [])], rows: places.map((_, i) => [name(i), percent(s.live[i]), ...(s.reference ? [percent(s.reference[i])] : []), ...(s.shadow ? [percent(s.shadow[i])] : [])]) }),
  });
}

const SHOWN = 14;

function classes(chart, note, guard, range) {
  const s = guard.classes;
  if (!s || s.rows === 0) {
    say(note, "");
    chart.draw(null, `No rows in the ${lastRange(range)}.`);
    return;
  }
  let order = s.names.map((_, i) => i).filter((i) => i < s.names.length - 1 || s.live[i] > 0);
  const all = order;
  if (order.length > SHOWN) {
    const gap = (i) => (s.reference ? Math.abs(s.live[i] - s.reference[i]) : s.live[i]);
    order = [...order].sort((a, b) => gap(b) - gap(a)).slice(0, SHOWN).sort((a, b) => a - b);
  }
  const most = order.reduce((a, b) => (s.live[b] > s.live[a] ? b : a), order[0]);
  const cut = order.length < all.length;
  say(note, `${cut ? `The ${SHOWN} of ${plural(all.length, "class", "classes")} that ${s.reference ? "moved most" : "are most frequent"}` : "Predicted classes"}${s.reference ? " against the reference" : ""}.`);
  chart.setLegend([["column", "now"], ...(s.reference ? [["tick", "reference"]] : []), ...(s.shadow ? [["shadowtick", "shadow"]] : [])]);
  const marks = (name, shares, colour) => ({ name, type: "scatter", data: order.map((i) => shares[i]), symbol: "rect", symbolSize: [15, 2.5], itemStyle: { color: colour }, emphasis: { disabled: true }, z: 5 });
  chart.draw({
    summary: `${plain(s.names[most])} is predicted most, for ${percent(s.live[most])} of rows${s.reference ? `, against ${percent(s.reference[most])} in the reference` : ""}.`,
    option: (c) => ({
      tooltip: { formatter: (p) => [plain(s.names[order[p[0].dataIndex]]), ...p.map((e) => `${e.seriesName}  ${percent(e.value)}`)].join("\n") },
      xAxis: { type: "category", data: order.map((i) => plain(s.names[i])), ...axisStyle(c), axisLabel: { ...axisStyle(c).axisLabel, interval: 0, hideOverlap: false, rotate: order.some((i) => s.names[i].length > 4) ? 38 : 0, width: 74, overflow: "truncate" } },
      yAxis: { type: "value", splitNumber: 3, ...axisStyle(c), axisLine: { show: false }, axisLabel: { color: c.soft, fontSize: 11, formatter: (v) => percent(v, 0) } },
      series: [
        { name: "now", type: "bar", data: order.map((i) => s.live[i]), barMaxWidth: 22, barCategoryGap: "36%", itemStyle: { color: c["live-3"], borderRadius: [2, 2, 0, 0] }, emphasis: { disabled: true } },
        ...(s.reference ? [marks("reference", s.reference, c.reference)] : []),
        ...(s.shadow ? [marks("shadow", s.shadow, c.shadow)] : []),
      ],
    }),
    rows: () => ({ head: ["Class", "now", ...(s.reference ? ["reference"] : []), ...(s.shadow ? ["shadow"] : [])], rows: all.map((i) => [s.names[i], percent(s.live[i]), ...(s.reference ? [percent(s.reference[i])] : []), ...(s.shadow ? [percent(s.shadow[i])] : [])]) }),
  });
}

/** The effect that is further from none, with its sign. */
function larger(a, b) {
  return Math.abs(b) > Math.abs(a) ? b : a;
}

/** What the monitor tells of a guard: its windows, and its alerts as events. */
export function driftOf(guard, events) {
  const monitor = guard.parts.monitor;
  const own = events.filter((e) => e.kind === "DRIFT" && e.guard === guard.name);
  const windows = Array.isArray(monitor?.timeline) ? monitor.timeline : [];
  return { monitor, own, windows };
}

function timeline(chart, note, guard, events, range, onclick) {
  const { monitor, own, windows } = driftOf(guard, events);
  const since = guard.series.times[0];
  const marks = own.map((e) => ({ at: Date.parse(e.at), channel: String(e.details.channel ?? "all"), effect: finite(e.details.effect), drift: true }))
    .concat(windows.flatMap((w) => Object.entries(w.effects ?? {}).map(([channel, effect]) => ({ at: Date.parse(w.at), channel, effect: finite(effect), drift: Array.isArray(w.drifting) && w.drifting.includes(channel) }))))
    .filter((m) => m.at >= since);
  if (!monitor && own.length === 0) {
    say(note, "");
    chart.draw(null, "No drift monitor runs: leave out --no-monitor, and drift of inputs, scores and predictions shows here.");
    return;
  }
  if (monitor?.monitoring === false && own.length === 0) {
    say(note, "");
    chart.draw(null, `This guard is not monitored${monitor.why ? `: ${monitor.why}` : "."}`);
    return;
  }
  if (marks.length === 0) {
    say(note, "");
    chart.draw(null, `No window was compared in the ${lastRange(range)}; the first takes a few hundred rows.`);
    return;
  }
  const channels = [...new Set(marks.map((m) => m.channel))].sort();
  const step = guard.series.step;
  const times = guard.series.times;
  const cells = new Map();
  for (const m of marks) {
    const i = Math.min(times.length - 1, Math.floor((m.at - since) / step));
    const key = `${i},${m.channel}`;
    const old = cells.get(key);
    cells.set(key, { i, channel: m.channel, effect: larger(old?.effect ?? 0, m.effect ?? (m.drift ? 1 : 0)), drift: old?.drift || m.drift });
  }
  const all = [...cells.values()];
  // From one standard deviation on a change is large, however far it goes.
  const top = Math.min(1, Math.max(0.3, ...all.map((cell) => Math.abs(cell.effect))));
  say(note, `Size of the change in each window, by channel. A framed cell raised an alert: choose one to read what changed.`);
  chart.setLegend([["heat0", "none"], ["heat1", "small"], ["heat2", "medium"], ["heat3", "large"], ["framed", "alert"]]);
  chart.draw({
    onclick: (event) => onclick(channels[event.value[1]], times[event.value[0]], step),
    summary: `${plural(own.length, "drift alert")}; channels watched: ${channels.map(plain).join(", ")}.`,
    option: (c) => ({
      grid: { top: 8 },
      tooltip: { trigger: "item", formatter: (p) => `${time(times[p.value[0]])}\n${plain(channels[p.value[1]])}  effect ${number(p.value[2])}${all[p.dataIndex].drift ? "\nalert" : ""}` },
      visualMap: { show: false, min: 0, max: top, dimension: 3, inRange: { color: [c["heat-0"], c["heat-1"], c["heat-2"], c["heat-3"]] } },
      xAxis: { type: "category", data: times.map(shortTime), ...axisStyle(c), axisLabel: { ...axisStyle(c).axisLabel, interval: Math.ceil(times.length / 7) - 1 }, splitArea: { show: false } },
      yAxis: { type: "category", data: channels.map(plain), ...axisStyle(c), axisLine: { show: false }, inverse: true },
      series: [{ type: "heatmap", data: all.map((cell) => ({ value: [cell.i, channels.indexOf(cell.channel), cell.effect, Math.abs(cell.effect)], itemStyle: cell.drift ? { borderColor: c.ink, borderWidth: 1.5 } : { borderColor: c.card, borderWidth: 1 } })), emphasis: { disabled: true } }],
    }),
    rows: () => ({ head: ["Time", "Channel", "effect", "alert"], numeric: [2], rows: [...all].reverse().map((cell) => [time(times[cell.i]), cell.channel, number(cell.effect), cell.drift ? "yes" : "no"]) }),
  });
}

function change(event) {
  const d = event.details;
  const features = Array.isArray(d.features) ? d.features : [];
  return h("li", { class: "change", "data-at": event.at, "data-channel": d.channel ?? "" },
    h("p", { class: "change-head" }, h("time", { datetime: event.at, title: utc(event.at) }, time(event.at)), h("strong", {}, String(d.channel ?? "drift")),
      h("span", { class: "soft" }, [typeof d.method === "string" ? d.method : null, finite(d.statistic) !== null ? `${number(d.statistic)}${finite(d.threshold) !== null ? ` over ${number(d.threshold)}` : ""}` : null].filter(Boolean).join(" "))),
    features.length === 0 ? h("p", { class: "soft" }, event.message)
      : h("table", { class: "features" }, h("caption", { class: "hidden" }, "What changed"),
        h("thead", { class: "hidden" }, h("tr", {}, ["Feature", "Before", "After"].map((t) => h("th", { scope: "col" }, t)))),
        h("tbody", {}, features.slice(0, 5).map((f) => h("tr", {}, h("th", { scope: "row" }, String(f.name)), h("td", { class: "n" }, value(f.before)), h("td", { class: "arrow", "aria-hidden": "true" }, "→"), h("td", { class: "n" }, value(f.after)))))));
}

const value = (v) => (typeof v === "number" ? number(v) : String(v ?? "–"));

export function shiftPanels() {
  const score = panel("scores", "Scores", "half");
  const mix = panel("classes", "Class mix", "half");
  const drift = panel("drift", "Drift", "wide");
  const changes = panel("changes", "What changed", "narrow");
  const charts = {
    score: new Chart(score, { label: "Distribution of scores", height: 210 }),
    mix: new Chart(mix, { label: "Predicted classes", height: 210 }),
    drift: new Chart(drift, { label: "Drift over time by channel", height: 200 }),
  };
  const listOf = h("ol", { class: "changes", tabindex: "0", "aria-label": "Drift alerts, the newest first" });
  changes.body.append(listOf);
  const choose = (channel, from, step) => {
    const items = [...listOf.querySelectorAll(".change")];
    const hit = items.find((item) => item.dataset.channel === channel && Date.parse(item.dataset.at) >= from && Date.parse(item.dataset.at) < from + step)
      ?? items.find((item) => item.dataset.channel === channel);
    items.forEach((item) => item.classList.toggle("chosen", item === hit));
    hit?.scrollIntoView({ block: "nearest" });
  };
  return {
    elements: [score.element, mix.element, drift.element, changes.element],
    update({ snapshot, guard, range }) {
      scores(charts.score, score.note, guard, range);
      classes(charts.mix, mix.note, guard, range);
      timeline(charts.drift, drift.note, guard, snapshot.events, range, choose);
      const own = driftOf(guard, snapshot.events).own.slice(0, 30);
      say(changes.note, own.length > 0 ? `${count(own.length)} newest alerts, before → after.` : "");
      listOf.tabIndex = own.length > 0 ? 0 : -1;
      show(listOf, own, () => (own.length > 0 ? own.map(change) : h("li", {}, empty("Nothing changed that a monitor noticed."))));
    },
  };
}
