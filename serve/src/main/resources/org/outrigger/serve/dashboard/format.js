// Numbers with units and times for people. The page's language is English, times are local.

const group = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const none = "–";

const missing = (value) => typeof value !== "number" || !Number.isFinite(value);

/** Three significant digits, thousands grouped. */
export function number(value, digits = 3) {
  if (missing(value)) return none;
  const size = Math.abs(value);
  const text = size >= 10 ** (digits - 1) ? group.format(size)
    : size !== 0 && size < 1e-4 ? size.toExponential(1) : String(Number(size.toPrecision(digits)));
  return value < 0 && text !== "0" ? `−${text}` : text;
}

/** A score: always as many digits, so that a column of them can be compared. */
export function score(value) {
  if (missing(value)) return none;
  const size = Math.abs(value);
  return `${value < 0 ? "−" : ""}${size >= 1e4 ? group.format(size) : size >= 1e-3 ? size.toPrecision(4) : size.toExponential(2)}`;
}

export const count = (value) => (missing(value) ? none : group.format(value));

export function percent(share, digits = 1) {
  return missing(share) ? none : `${(100 * share).toFixed(Math.abs(share) >= 0.9995 ? 0 : digits)} %`;
}

/** Milliseconds, or seconds from one on. */
export function millis(value) {
  if (missing(value)) return none;
  return value >= 1000 ? `${number(value / 1000)} s` : `${number(value)} ms`;
}

export const rate = (value, unit) => (missing(value) ? none : `${number(value)} ${unit}/s`);

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minute = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

const date = (value) => new Date(value);
const today = (value) => date(value).toDateString() === new Date().toDateString();

/** The time of day, with the date if it is not today's. */
export function time(value) {
  const at = date(value);
  if (Number.isNaN(at.getTime())) return none;
  return today(value) ? clock.format(at) : `${day.format(at)} ${minute.format(at)}`;
}

export const shortTime = (value) => minute.format(date(value));

/** The same moment in UTC, for titles. */
export function utc(value) {
  const at = date(value);
  return Number.isNaN(at.getTime()) ? "" : at.toISOString().replace("T", " ").replace(/\.\d+Z/, " UTC");
}

const RANGES = { "15m": "15 minutes", "1h": "hour", "6h": "6 hours", "48h": "48 hours" };

export const lastRange = (range) => `last ${RANGES[range] ?? range}`;

/** "a, b and c" */
export function list(words) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** JSON of the server writes what is no number as text. */
export const finite = (value) => (missing(value) ? null : value);
