// One map large, down to the arithmetic of one of its numbers: what its filter read, the products,
// their sum, and what the stages behind it made of that. All of it adds up on the screen.

import { el, fill, say } from "./dom.js";
import { bar, paint, range } from "./heat.js";
import { context } from "./pictures.js";
import { greatest, track } from "./votes.js";
import { count, short, signed } from "./words.js";

const BETWEEN = 60; // ms between a choice and the question how its number came about
const MOST_TERMS = 16; // input maps that are shown one by one, the strongest first
const AROUND = [-2, -1, 0, 1, 2];
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const SAID = {
  Relu: "What is below 0 becomes 0",
  LeakyRelu: "What is below 0 is made small",
  MaxPool: "Of the numbers beside it, the largest is kept",
  AveragePool: "The mean of the numbers beside it",
  BatchNormalization: "Brought to the usual size",
};

/** One map with its numbers.
 * @param {any} view @param {{layer: any, array: import("./source.js").Numbers, stage: string,
 *   number: number, common: any, called: string, at?: number[] | null,
 *   chosen: (row: number, column: number) => void}} about */
export function oneMap(view, about) {
  const { layer, array, number, common, called } = about;
  const [, high, wide] = array.shape;
  const offset = number * high * wide;
  const value = (x, y) => array.values[offset + y * wide + x];
  const label = `Map ${number + 1} of ${layer.name}; arrow keys choose a pixel`;
  const canvas = el("canvas", {
    class: "large",
    tabindex: "0",
    role: "application",
    "aria-label": label,
  });
  const told = el("p", { class: "num", id: "pixel", role: "status" });
  const around = el("div", {
    class: "wide",
    tabindex: "0",
    role: "region",
    "aria-label": "Numbers around the pixel",
  });
  const sums = el("div", { id: "arithmetic" });
  const face = el("div");
  const [row, column] = about.at || [Math.floor(high / 2), Math.floor(wide / 2)];
  const spot = { x: Math.min(wide - 1, column), y: Math.min(high - 1, row) };
  let timer = 0;
  let turn = 0;

  const draw = () => {
    paint(canvas, array.values, high, wide, common, offset);
    const pen = context(canvas);
    pen.strokeStyle = "#fff";
    pen.lineWidth = Math.max(1, wide / 200);
    pen.strokeRect(spot.x - 0.5, spot.y - 0.5, 2, 2);
    told.textContent = `Row ${spot.y + 1}, column ${spot.x + 1}: ${short(value(spot.x, spot.y))}`;
    fill(around, neighbours(value, spot, wide, high));
    about.chosen(spot.y, spot.x);
    clearTimeout(timer);
    if (view.source.arithmetic && layer.kernel) timer = window.setTimeout(ask, BETWEEN);
  };
  const ask = async () => {
    const mine = ++turn;
    try {
      const found = await behind(view, about, spot);
      if (mine !== turn) return;
      fill(sums, arithmetic(found, layer));
      fill(face, reach(view.crop, found.reach));
    } catch (error) {
      if (mine === turn)
        fill(sums, el("p", { role: "alert" }, /** @type {Error} */ (error).message));
    }
  };
  view.leave.push(() => clearTimeout(timer));
  const point = (event) => {
    const bounds = canvas.getBoundingClientRect();
    const within = (share, side) => Math.max(0, Math.min(side - 1, Math.floor(share * side)));
    spot.x = within((event.clientX - bounds.left) / bounds.width, wide);
    spot.y = within((event.clientY - bounds.top) / bounds.height, high);
    draw();
  };
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons) point(event);
  });
  canvas.addEventListener("keydown", (event) => {
    const by = ARROWS[event.key];
    if (!by) return;
    event.preventDefault();
    spot.x = Math.max(0, Math.min(wide - 1, spot.x + by[0]));
    spot.y = Math.max(0, Math.min(high - 1, spot.y + by[1]));
    draw();
  });
  const heading = el("h3", { tabindex: "-1" }, `Map ${number + 1} of ${layer.name}, large`);
  const node = el(
    "div",
    {},
    heading,
    el(
      "div",
      { class: "cols" },
      el(
        "figure",
        {},
        canvas,
        bar(common),
        el(
          "figcaption",
          {},
          `${high} × ${wide}, ${called}. Choose a pixel by pointer or arrow keys.`,
        ),
      ),
      el("div", {}, facts(layer, array, number), told, around, face),
    ),
    sums,
  );
  draw();
  const focus = () => {
    heading.focus();
    heading.scrollIntoView({ block: "start" });
    say(`Map ${number + 1} of ${layer.name}`);
  };
  return { node, focus };
}

/** The arithmetic that leads to a place; of a pooled map, that of the number that won there. */
async function behind({ source, of, name }, { layer, array, number }, spot) {
  const [, high, wide] = Object.values(layer.shapes)[0];
  const [, rows, columns] = array.shape;
  const asked = { model: name, layer: layer.name, map: number };
  const [row, column] = [Math.floor((spot.y * high) / rows), Math.floor((spot.x * wide) / columns)];
  const found = await source.arithmetic(of, { ...asked, row, column });
  const pooled = found.steps.find((step) => "winner_row" in step.numbers);
  if (!pooled || (rows === high && columns === wide)) return found;
  const { winner_row: top, winner_column: left } = pooled.numbers;
  if (top === row && left === column) return found;
  return source.arithmetic(of, { ...asked, row: top, column: left });
}

function facts(layer, array, number) {
  const { low, top, mean, above } = ends(array, number);
  const pair = (term, text) => [el("dt", {}, term), el("dd", {}, text)];
  const [rows, columns] = layer.kernel || [];
  const apart = layer.dilation > 1 ? `, ${layer.dilation} px apart` : "";
  return el(
    "dl",
    {},
    pair("least", short(low)),
    pair("most", short(top)),
    pair("mean", short(mean)),
    pair("above 0", `${(100 * above).toFixed(1)} % of its pixels`),
    layer.kernel &&
      pair(
        "reads",
        `${rows} × ${columns} px of ${count(layer.inputs, "map")}${apart}: ` +
          layer.sources.join(", "),
      ),
  );
}

/** Least, most and mean of a map, and the share of it that is above 0.
 * @param {import("./source.js").Numbers} array @param {number} number */
export function ends(array, number) {
  const size = array.shape[1] * array.shape[2];
  let [low, top, sum, above] = [Infinity, -Infinity, 0, 0];
  for (let i = number * size; i < (number + 1) * size; i += 1) {
    const value = array.values[i];
    if (value < low) low = value;
    if (value > top) top = value;
    sum += value;
    if (value > 0) above += 1;
  }
  return { low, top, mean: sum / size, above: above / size };
}

function neighbours(value, spot, wide, high) {
  const cell = (dx, dy) => {
    const [x, y] = [spot.x + dx, spot.y + dy];
    const text = x >= 0 && y >= 0 && x < wide && y < high ? short(value(x, y)) : "–";
    return el("td", { class: "n" }, dx === 0 && dy === 0 ? el("b", {}, text) : text);
  };
  const rows = AROUND.map((dy) =>
    el(
      "tr",
      {},
      AROUND.map((dx) => cell(dx, dy)),
    ),
  );
  return el("table", {}, el("caption", {}, "The numbers around it"), el("tbody", {}, rows));
}

/** The part of the face that a number depends on. */
function reach(crop, { left, top, right, bottom }) {
  const canvas = el("canvas", { width: crop.width, height: crop.height, role: "img" });
  const [wide, high] = [right - left, bottom - top];
  const said =
    wide >= crop.width && high >= crop.height
      ? "It depends on the whole face."
      : `It depends on ${wide} × ${high} px of the face: columns ${left + 1} to ${right}, ` +
        `rows ${top + 1} to ${bottom}.`;
  canvas.setAttribute("aria-label", said);
  const pen = context(canvas);
  pen.drawImage(crop, 0, 0);
  for (const [colour, width] of [
    ["#000", 4],
    ["#fff", 2],
  ]) {
    pen.strokeStyle = String(colour);
    pen.lineWidth = Number(width);
    pen.strokeRect(left, top, Math.max(1, wide), Math.max(1, high));
  }
  return el(
    "figure",
    { class: "reach" },
    el("div", { class: "crop" }, canvas),
    el("figcaption", {}, said),
  );
}

// --- the sum ------------------------------------------------------------------------------------

function arithmetic(found, layer) {
  const { terms, bias, total, steps } = found;
  const [raw, ...later] = steps;
  const ordered = [...terms].sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const [shown, rest] = [ordered.slice(0, MOST_TERMS), ordered.slice(MOST_TERMS)];
  shown.sort((a, b) => a.map - b.map);
  const others = rest.reduce((sum, term) => sum + term.value, 0);
  const most = greatest([...terms.map((term) => term.value), bias, others]);
  const scales = {
    patch: range(shown.flatMap((term) => term.patch.flat())),
    filter: range(shown.flatMap((term) => term.filter.flat())),
  };
  const line = (name, patch, filter, value) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, name),
      el("td", {}, patch),
      el("td", {}, filter),
      el("td", { class: "n" }, signed(value, 4)),
      el("td", { class: "minor" }, track(value, most)),
    );
  const input = (term) => {
    const name = inputName(layer, term.map);
    return line(
      name,
      grid(term.patch, scales.patch, `What lies under the filter in ${name}`),
      grid(term.filter, scales.filter, `Its weights for ${name}`),
      term.value,
    );
  };
  const heads = ["Input", "Patch", "Filter", "Products, added up"];
  return [
    el("h3", {}, `How the number in row ${found.row + 1}, column ${found.column + 1} came about`),
    el(
      "p",
      { class: "soft" },
      "Under the filter lies a patch of each input map. Each number of the patch is multiplied by ",
      "the filter's; all products and a bias are added up.",
    ),
    el(
      "div",
      { class: "wide", tabindex: "0", role: "region", "aria-label": "The sum, input by input" },
      el(
        "table",
        { class: "terms-table" },
        el("caption", { class: "unseen" }, "The sum, input by input"),
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            heads.map((head, i) => el("th", { scope: "col", class: i === 3 ? "n" : null }, head)),
            el("th", { scope: "col", class: "minor" }, el("span", { class: "unseen" }, "Bar")),
          ),
        ),
        el(
          "tbody",
          {},
          shown.map(input),
          rest.length > 0 && line(`the other ${rest.length}`, "", "", others),
          line("bias", "", "", bias),
        ),
      ),
    ),
    el(
      "ol",
      { class: "chain num" },
      el(
        "li",
        {},
        `Sum of ${count(terms.length, "input")} and the bias: `,
        el("b", { id: "total" }, signed(total, 4)),
        `. The network itself gives ${signed(raw.value, 4)}.`,
      ),
      later.map((step) => el("li", {}, stepText(step))),
    ),
    el("details", {}, el("summary", {}, "All products"), products(shown, layer)),
  ];
}

function inputName(layer, map) {
  if (layer.sources.length === 1 && layer.sources[0] === "face" && layer.inputs === 3)
    return ["red", "green", "blue"][map];
  return `map ${map + 1}`;
}

/** A small grid of numbers as colours. */
function grid(rows, scale, label) {
  const canvas = el("canvas", { class: "kernel", role: "img", "aria-label": label });
  paint(canvas, rows.flat(), rows.length, rows[0].length, scale);
  return canvas;
}

function stepText({ stage, operator, value, place, numbers }) {
  if (value === null) return `${stage}: no window covers this place, which lies at the edge.`;
  const where = place ? `, row ${place[0] + 1}, column ${place[1] + 1}` : "";
  const said = SAID[operator] || operator;
  if ("winner_row" in numbers) {
    const [row, column] = [numbers.winner_row + 1, numbers.winner_column + 1];
    return `${stage}${where}: ${said}. Row ${row}, column ${column} won: ${short(value)}.`;
  }
  if ("mean" in numbers) {
    const { scale = 1, shift = 0, mean, variance, epsilon } = numbers;
    return (
      `${stage}${where}: ${said}, (number − ${short(mean)}) / √(${short(variance)} + ` +
      `${short(epsilon)}) × ${short(scale)} ${plus(shift)}: ${short(value)}.`
    );
  }
  return `${stage}: ${said}: ${short(value)}.`;
}

/** A number that is added, with its sign apart. */
const plus = (value) => `${value < 0 ? "−" : "+"} ${short(Math.abs(value))}`;

function products(terms, layer) {
  const table = (term) =>
    el(
      "div",
      { class: "wide", tabindex: "0", role: "region", "aria-label": inputName(layer, term.map) },
      el(
        "table",
        {},
        el("caption", {}, `${inputName(layer, term.map)}: ${signed(term.value, 4)}`),
        el(
          "tbody",
          {},
          term.patch.map((row, y) =>
            el(
              "tr",
              {},
              row.map((value, x) =>
                el("td", { class: "n" }, `${short(value)} × ${short(term.filter[y][x])}`),
              ),
            ),
          ),
        ),
      ),
    );
  return el("div", {}, terms.map(table));
}
