// Curves as SVG, told apart by their dashes, each with a sentence and a table of its numbers.

import { el, svg, table } from "./dom.js";
import { short } from "./words.js";

const [WIDE, HIGH] = [420, 262];
const [LEFT, RIGHT, TOP, BOTTOM] = [46, 12, 26, 42];

/** Points from left to right.
 * @typedef {{name: string, points: number[][], dots?: boolean}} Series */

/** An axis; `shown` writes its numbers.
 * @typedef {{label: string, from: number, to: number, shown?: (value: number) => string}} Axis */

/** What is drawn: series over axes, a hatched `band` and dashed `line` of y, a `diagonal` from
 * corner to corner, a `mark` at an x.
 * @typedef {{title: string, finding: string, series: Series[], x: Axis, y: Axis,
 *   band?: number[] | null, line?: {at: number, text: string} | null, diagonal?: string,
 *   mark?: number | null}} Chart */

/** A figure of a chart. @param {Chart} about */
export function chart(about) {
  const { title, finding, series, diagonal, line } = about;
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${WIDE} ${HIGH}`, class: "chart", role: "img", "aria-label": title },
    ground(about),
    series.map((each, number) => curve(each, number, about)),
  );
  const key = (number, name) =>
    el(
      "li",
      {},
      svg(
        "svg",
        { viewBox: "0 0 26 10", "aria-hidden": "true" },
        svg("line", { class: `line l${number}`, x1: 0, x2: 26, y1: 5, y2: 5 }),
      ),
      name,
    );
  const keys = [
    series.length > 1 && series.map((each, number) => key(number, each.name)),
    line && key("t", line.text),
    diagonal && key("d", diagonal),
  ].flat();
  return el(
    "figure",
    { class: "plot" },
    el("figcaption", {}, el("b", {}, `${title}. `), finding),
    drawing,
    keys.some(Boolean) && el("ul", { class: "keys" }, keys),
    el("details", {}, el("summary", {}, "Numbers"), numbers(about)),
  );
}

/** @param {Chart} about */
function numbers({ title, series, x, y }) {
  const [showX, showY] = [x.shown || short, y.shown || short];
  const places = [...new Set(series.flatMap((each) => each.points.map(([at]) => at)))];
  const cell = (each, at) => {
    const found = each.points.filter(([place]) => place === at);
    return found.length ? found.map(([, value]) => showY(value)).join(", ") : "–";
  };
  return table(
    `${title}: numbers`,
    [x.label, ...series.map((each) => each.name)],
    places.sort((a, b) => a - b).map((at) => [showX(at), ...series.map((each) => cell(each, at))]),
    [false, ...series.map(() => true)],
  );
}

const place = (axis, value) => (value - axis.from) / (axis.to - axis.from || 1);
const across = (axis, value) => LEFT + place(axis, value) * (WIDE - LEFT - RIGHT);
const down = (axis, value) => HIGH - BOTTOM - place(axis, value) * (HIGH - TOP - BOTTOM);

/** @param {Chart} about */
function ground({ x, y, band, line, diagonal, mark }) {
  const [right, bottom] = [WIDE - RIGHT, HIGH - BOTTOM];
  const inside = (value) => value >= y.from && value <= y.to;
  return [
    svg("rect", { class: "ground", x: LEFT, y: TOP, width: right - LEFT, height: bottom - TOP }),
    band && hatched(y, band, right),
    ticks(y).map((value) => [
      svg("line", { class: "grid", x1: LEFT, x2: right, y1: down(y, value), y2: down(y, value) }),
      svg("text", { x: LEFT - 6, y: down(y, value) + 4, "text-anchor": "end" }, text(y, value)),
    ]),
    ticks(x).map((value) => [
      svg("line", {
        class: "grid",
        x1: across(x, value),
        x2: across(x, value),
        y1: bottom,
        y2: bottom + 4,
      }),
      svg("text", { x: across(x, value), y: bottom + 18, "text-anchor": "middle" }, text(x, value)),
    ]),
    svg("text", { class: "axis", x: right, y: HIGH - 5, "text-anchor": "end" }, x.label),
    svg("text", { class: "axis", x: LEFT, y: 15 }, y.label),
    diagonal && svg("line", { class: "line ld", x1: LEFT, y1: bottom, x2: right, y2: TOP }),
    line &&
      inside(line.at) &&
      svg("line", {
        class: "line lt",
        x1: LEFT,
        x2: right,
        y1: down(y, line.at),
        y2: down(y, line.at),
      }),
    mark !== undefined &&
      mark !== null &&
      svg("line", {
        class: "mark-now",
        x1: across(x, mark),
        x2: across(x, mark),
        y1: TOP,
        y2: bottom,
      }),
  ];
}

/** Slanted lines across the band in which the model cannot tell.
 * @param {Axis} y @param {number[]} band @param {number} right */
function hatched(y, [low, high], right) {
  const [top, bottom] = [down(y, Math.min(high, y.to)), down(y, Math.max(low, y.from))];
  const lines = [];
  for (let at = LEFT - (bottom - top); at < right; at += 9) {
    const [from, to] = [Math.max(at, LEFT), Math.min(at + bottom - top, right)];
    if (to > from) lines.push(`M${from} ${bottom - (from - at)}L${to} ${bottom - (to - at)}`);
  }
  return svg("path", { class: "hatched", d: lines.join("") });
}

function text(axis, value) {
  return axis.shown ? axis.shown(value) : `${Number(value.toPrecision(4))}`.replace("-", "−");
}

/** Round numbers within an axis. */
function ticks({ from, to }) {
  const span = to - from || 1;
  const size = 10 ** Math.floor(Math.log10(span / 4));
  const step = [1, 2, 5, 10].map((each) => each * size).find((each) => span / each <= 5) || span;
  const first = Math.ceil(from / step - 1e-9);
  const last = Math.floor(to / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) =>
    Number(((first + i) * step).toPrecision(6)),
  );
}

/** @param {Series} series @param {number} number @param {Chart} about */
function curve({ points, dots }, number, { x, y }) {
  const at = (/** @type {number[]} */ [u, v]) =>
    `${across(x, u).toFixed(1)} ${down(y, v).toFixed(1)}`;
  return [
    svg("path", { class: `line l${number}`, d: `M${points.map(at).join("L")}` }),
    dots &&
      points.map(([u, v]) =>
        svg("circle", { class: "point", cx: across(x, u), cy: down(y, v), r: 3 }),
      ),
  ];
}
