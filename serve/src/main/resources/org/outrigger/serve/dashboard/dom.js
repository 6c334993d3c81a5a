// Elements from text. Nothing here ever reads HTML: what clients sent is only ever text.

/** An element: `h("td", { class: "n", onclick: f }, "text", child)`. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** An SVG element. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

export const byId = (id) => document.getElementById(id);

/**
 * Puts rows into a table's body. If nothing changed nothing is touched, so that a screen reader or
 * a selection is not disturbed and the focus stays where it is.
 */
export function table({ caption, head, rows, numeric = [] }) {
  return h("table", {},
    h("caption", { class: "hidden" }, caption),
    h("thead", {}, h("tr", {}, head.map((text, i) =>
      h("th", { scope: "col", class: numeric.includes(i) ? "n" : null }, text)))),
    h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell, i) =>
      i === 0
        ? h("th", { scope: "row", class: numeric.includes(i) ? "n" : null }, cell)
        : h("td", { class: numeric.includes(i) ? "n" : null }, cell))))));
}

/** A region that scrolls sideways and can be reached by keyboard. */
export function scroller(label, content) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, content);
}

const drawn = new WeakMap();

/** Replaces an element's content if what it shows (`value`) is other than before. */
export function show(element, value, make) {
  const text = JSON.stringify(value);
  if (drawn.get(element) === text) return;
  drawn.set(element, text);
  const focus = element.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  element.replaceChildren(...[make()].flat());
  if (focus) element.querySelector(`[data-key="${CSS.escape(focus)}"]`)?.focus();
}

/** A panel of the page: a heading, a line of explanation, room for content. */
export function panel(id, title, size) {
  const note = h("p", { class: "note", id: `${id}-note` });
  const tools = h("div", { class: "tools" });
  const body = h("div", { class: "body" });
  const element = h("section", { class: `panel ${size}`, id, "aria-labelledby": `${id}-title` },
    h("div", { class: "panel-head" }, h("h2", { id: `${id}-title` }, title), tools), note, body);
  return { element, note, tools, body };
}

export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** One line where there is nothing to show. */
export const empty = (...text) => h("p", { class: "empty" }, ...text);
