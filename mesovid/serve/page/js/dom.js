// Makes elements. All text goes in as text: nothing in this page is ever read as markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes, handlers (keys that begin with "on") and children.
 * @param {string} tag @param {Record<string, any>} [attributes] @param {...any} children
 * @returns {any} */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same of SVG.
 * @param {string} tag @param {Record<string, any>} [attributes] @param {...any} children
 * @returns {any} */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "css")
      for (const [name, each] of Object.entries(value)) node.style.setProperty(name, each);
    else if (key in PROPERTIES) node[key] = value;
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  add(node, children);
  return node;
}

const PROPERTIES = { value: 1, checked: 1, disabled: 1, open: 1, hidden: 1, indeterminate: 1 };

/** Append what is given, lists flattened and nothing left out. */
export function add(node, children) {
  for (const child of [children].flat(9)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
}

/** Put other children into a node. */
export function fill(node, ...children) {
  node.replaceChildren();
  add(node, children);
  return node;
}

/** A name from outside, in whichever direction its letters run. */
export function name(text) {
  return el("bdi", { dir: "auto" }, text);
}

/** A card with a heading. */
export function card(title, ...children) {
  return el("section", { class: "card" }, title && el("h2", {}, title), children);
}

/** A table that scrolls by itself where the page is narrow. Cells that begin rows are heads.
 * @param {string} caption @param {any[]} head @param {any[][]} rows @param {boolean[]} [numeric] */
export function table(caption, head, rows, numeric = []) {
  const kind = (column) => (numeric[column] ? { class: "n" } : {});
  return el(
    "div",
    { class: "wide", role: "region", tabindex: "0", "aria-label": caption },
    el(
      "table",
      { class: "full" },
      el("caption", {}, caption),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          head.map((cell, i) => el("th", { scope: "col", ...kind(i) }, cell)),
        ),
      ),
      el(
        "tbody",
        {},
        rows.map((row) =>
          el(
            "tr",
            {},
            row.map((cell, i) => (i ? el("td", kind(i), cell) : el("th", { scope: "row" }, cell))),
          ),
        ),
      ),
    ),
  );
}

let waiting = 0;
/** Say something to a screen reader, at most once a second; the last word counts. */
export function say(text) {
  clearTimeout(waiting);
  waiting = window.setTimeout(() => {
    /** @type {any} */ (document.getElementById("live")).textContent = text;
  }, 700);
}
