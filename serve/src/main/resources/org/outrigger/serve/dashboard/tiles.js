// Headline figures, each with what it was over the range.
import { byId, h, say, svg } from "./dom.js";
import { count, lastRange, millis, number, percent, plural } from "./format.js";

function spark(all) {
  const data = all.slice(Math.max(0, Math.min(all.findIndex((v) => v !== null), all.length - 20)));
  const known = data.filter((v) => v !== null);
  const image = svg("svg", { viewBox: "0 0 100 28", preserveAspectRatio: "none", "aria-hidden": "true", class: "spark" });
  if (known.length < 2) return image;
  const max = Math.max(...known) || 1;
  const step = 100 / (data.length - 1);
  let d = "";
  let pen = false;
  data.forEach((v, i) => {
    if (v === null) pen = false;
    else {
      d += `${pen ? "L" : "M"}${(i * step).toFixed(1)} ${(26 - 24 * (v / max)).toFixed(1)}`;
      pen = true;
    }
  });
  image.append(svg("path", { d, "vector-effect": "non-scaling-stroke" }));
  return image;
}

const TILES = ["rows", "latency", "unknown", "accuracy", "drift", "problems"];
const TITLES = { rows: "Rows a second", latency: "Latency p99", unknown: "Unknown rate", accuracy: "Accuracy", drift: "Drift alerts", problems: "Problems" };

export function tiles() {
  const made = {};
  for (const name of TILES) {
    const value = h("p", { class: "value" }, "–");
    const small = h("p", { class: "small" });
    const room = h("div", { class: "room" });
    const element = h("div", { class: "tile", id: `tile-${name}` }, h("h2", {}, TITLES[name]), value, small, room);
    made[name] = { element, value, small, room };
    byId("tiles").append(element);
  }
  const set = (name, value, small, data, alarm = false) => {
    const tile = made[name];
    say(tile.value, value);
    say(tile.small, small);
    tile.element.classList.toggle("alarm", alarm);
    tile.room.replaceChildren(...(data ? [spark(data)] : []));
  };
  return {
    update({ snapshot, guard, range, drifting, store }) {
      const s = guard.series;
      const expected = 1 - guard.info.accept;
      const wide = guard.now.rows > 0 ? 3 * Math.sqrt(expected * (1 - expected) / guard.now.rows) : 1;
      const high = guard.now.unknown !== null && guard.now.unknown > Math.max(guard.info.unknownUpper ?? 0, expected) + wide;
      set("rows", number(guard.now.rowsPerSecond), `${number(guard.now.requestsPerSecond)} requests/s, last minute`, s.rows);
      set("latency", millis(guard.now.p99), `p50 ${millis(guard.now.p50)}, last minute`, s.p99);
      set("unknown", percent(guard.now.unknown), `${percent(expected)} expected${high ? "; well above it" : ""}`, s.unknown, high);
      set("accuracy", percent(store?.accuracy), store?.labelled > 0 ? `of ${plural(store.labelled, "labelled row")}` : "no labels yet", null);
      set("drift", count(drifting.length), drifting.length > 0 ? drifting.slice(0, 3).join(", ") : `none in the ${lastRange(range)}`, null, drifting.length > 0);
      const problems = Object.keys(snapshot.server.problems);
      set("problems", count(problems.length), problems.length > 0 ? problems.join(", ") : "all parts are well", null, problems.length > 0);
    },
  };
}
