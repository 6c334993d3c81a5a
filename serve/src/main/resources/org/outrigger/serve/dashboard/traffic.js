// Traffic, latency, unknown rate over time.
import { axisStyle, Chart } from "./chart.js";
import { panel, say } from "./dom.js";
import { count, lastRange, list, millis, number, percent, plural, rate, shortTime, time } from "./format.js";

const line = (name, data, colour, more = {}) => ({
  name, type: "line", data, showSymbol: false, symbol: "circle", symbolSize: 5, lineStyle: { width: 1.75, color: colour, ...more.lineStyle },
  itemStyle: { color: colour }, emphasis: { disabled: true }, connectNulls: false, ...more, ...(more.lineStyle ? { lineStyle: { width: 1.75, color: colour, ...more.lineStyle } } : {}),
});

/** Points that stand alone would not be seen as a line. */
function lonely(data) {
  return data.map((v, i) => v !== null && (data[i - 1] ?? null) === null && (data[i + 1] ?? null) === null)
    .some(Boolean);
}

function overTime(series, c, unit, lines, max) {
  // A ceiling of our own has its ticks at quarters of it.
  const { times } = series;
  return {
    tooltip: {
      formatter: (points) => [
        `${time(times[points[0].dataIndex])}`,
        ...points.filter((p) => p.value !== null && p.value !== undefined).map((p) => `${p.seriesName}  ${unit(p.value)}`),
      ].join("\n"),
    },
    xAxis: { type: "category", data: times.map((t) => shortTime(t)), boundaryGap: false, ...axisStyle(c), splitLine: { show: false }, axisLabel: { ...axisStyle(c).axisLabel, interval: Math.ceil(times.length / 5) - 1 } },
    yAxis: { type: "value", min: 0, ...(max ? { max, interval: max / 4 } : { splitNumber: 3 }), ...axisStyle(c), axisLine: { show: false }, axisLabel: { color: c.soft, fontSize: 11, formatter: (v) => unit(v) } },
    series: lines.map((l) => (lonely(l.data) ? { ...l, showSymbol: true } : l)),
  };
}

function rowsOf(series, columns, formats) {
  return {
    head: ["Time", ...columns.map(([text]) => text)],
    rows: series.times.map((t, i) => [time(t), ...columns.map(([, data], j) => formats[j](data[i]))])
      .filter((_, i) => columns.some(([, data]) => data[i] !== null)).reverse(),
  };
}

export function trafficPanels() {
  const traffic = panel("traffic", "Traffic", "third");
  const latency = panel("latency", "Latency", "third");
  const unknown = panel("unknown", "Unknown rate", "third");
  const charts = {
    traffic: new Chart(traffic, { label: "Rows and requests a second over time", height: 190 }),
    latency: new Chart(latency, { label: "Latency percentiles over time", height: 190, legend: [["p99", "p99"], ["p95", "p95"], ["p50", "p50"]] }),
    unknown: new Chart(unknown, { label: "Unknown rate over time", height: 190 }),
  };
  return {
    elements: [traffic.element, latency.element, unknown.element],
    update({ guard, range }) {
      const s = guard.series;
      const total = guard.total;
      const any = s.rows.some((v) => v !== null && v > 0) || total.rows > 0;
      const nothing = `No rows in the ${lastRange(range)}.`;
      const shadow = s.shadowRows !== undefined;
      const errors = Object.entries(total.statuses).filter(([status]) => status >= 400);
      say(traffic.note, any || errors.length > 0
        ? `${plural(total.rows, "row")} in ${plural(total.requests, "request")}${errors.length > 0 ? `; refused: ${list(errors.map(([status, n]) => `${count(n)} × ${status}`))}` : "; none refused"}.`
        : "");
      charts.traffic.setLegend([["live", "rows/s"], ["live2", "requests/s"], ...(errors.length > 0 ? [["alertline", "refused/s"]] : [])]);
      charts.traffic.draw(any ? {
        summary: `${rate(guard.now.rowsPerSecond, "rows")} in the last minute; ${plural(total.rows, "row")} in the ${lastRange(range)}.`,
        option: (c) => overTime(s, c, (v) => number(v), [
          line("rows/s", s.rows, c.live, { areaStyle: { color: c.live, opacity: 0.12 } }),
          line("requests/s", s.requests, c["live-2"]),
          ...(errors.length > 0 ? [line("refused/s", s.errors, c.alert, { lineStyle: { type: "dashed" } })] : []),
        ]),
        rows: () => rowsOf(s, [["rows/s", s.rows], ["requests/s", s.requests], ["refused/s", s.errors], ["most waiting rows", s.queue]], [number, number, number, count]),
      } : null, nothing);
      say(latency.note, any ? `Answers took ${millis(total.p50)} in the middle and ${millis(total.p99)} at p99.` : "");
      charts.latency.draw(any ? {
        summary: `In the ${lastRange(range)}: p50 ${millis(total.p50)}, p95 ${millis(total.p95)}, p99 ${millis(total.p99)}.`,
        option: (c) => overTime(s, c, millis, [
          line("p99", s.p99, c.live),
          line("p95", s.p95, c["live-2"], { lineStyle: { type: [6, 3] } }),
          line("p50", s.p50, c["live-3"], { lineStyle: { type: [2, 3] } }),
        ]),
        rows: () => rowsOf(s, [["p50", s.p50], ["p95", s.p95], ["p99", s.p99]], [millis, millis, millis]),
      } : null, nothing);
      const expected = 1 - guard.info.accept;
      charts.unknown.setLegend([["live", "unknown"], ["expected", `expected ${percent(expected)}`], ...(shadow ? [["shadowline", "shadow"]] : [])]);
      say(unknown.note, any ? `${percent(total.unknown)} of rows; ${percent(expected)} of known inputs are expected to be.` : "");
      charts.unknown.draw(any ? {
        summary: `${percent(total.unknown)} of rows were unknown in the ${lastRange(range)}; ${percent(expected)} are expected of known inputs.`,
        option: (c) => overTime(s, c, (v) => percent(v, v > 0 && v < 0.1 ? 1 : 0), [
          line("unknown", s.unknown, c.live, {
            areaStyle: { color: c.live, opacity: 0.12 },
            markLine: { silent: true, symbol: "none", label: { show: false }, lineStyle: { color: c.alert, type: "dashed", width: 1.5 }, data: [{ yAxis: expected }] },
          }),
          ...(shadow ? [line("shadow", s.shadowUnknown, c.shadow, { lineStyle: { type: [2, 3] } })] : []),
        ], Math.min(1, Math.ceil(Math.max(...s.unknown.map((v) => v ?? 0), expected * 1.5) * 25) / 25)),
        rows: () => rowsOf(s, [["unknown", s.unknown], ["mean score", s.score], ...(shadow ? [["shadow", s.shadowUnknown]] : [])], [percent, number, percent]),
      } : null, nothing);
    },
  };
}
