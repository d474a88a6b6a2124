// Draws numbers as colours: signed ones from blue (real, or less) over grey to yellow (fake, or
// more), others from dark to yellow.

import { el } from "./dom.js";
import { sentence, short, signed } from "./words.js";

const SIGNED = [
  [-1, 10, 50, 110],
  [-0.5, 40, 108, 170],
  [0, 150, 150, 150],
  [0.5, 236, 168, 60],
  [1, 255, 230, 100],
];
const RISING = [
  [0, 0, 34, 78],
  [0.25, 64, 75, 108],
  [0.5, 124, 123, 120],
  [0.75, 187, 173, 108],
  [1, 254, 232, 56],
];
const STRONGEST = 0.85; // how much of the face the strongest cell hides

function table(anchors, from) {
  const made = new Uint8Array(256 * 3);
  for (let i = 0; i < 256; i += 1) {
    const value = from + ((1 - from) * i) / 255;
    let k = 1;
    while (k < anchors.length - 1 && value > anchors[k][0]) k += 1;
    const [a, b] = [anchors[k - 1], anchors[k]];
    const share = (value - a[0]) / (b[0] - a[0]);
    for (let c = 0; c < 3; c += 1)
      made[3 * i + c] = Math.round(a[c + 1] + share * (b[c + 1] - a[c + 1]));
  }
  return made;
}
const TABLES = { signed: table(SIGNED, -1), rising: table(RISING, 0) };

/** The common scale of many numbers: from 0, or from -end where some are below. */
export function range(values) {
  let low = 0;
  let high = 0;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const end = Math.max(high, -low);
  return low < 0 ? { kind: "signed", low: -end, high: end } : { kind: "rising", low: 0, high };
}

function place(value, scale) {
  const span = scale.high - scale.low;
  return span > 0
    ? Math.max(0, Math.min(255, Math.round((255 * (value - scale.low)) / span)))
    : scale.kind === "signed"
      ? 128
      : 0;
}

/** Paint one map; a pixel each number. */
export function paint(canvas, values, rows, columns, scale, offset = 0) {
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const colours = TABLES[scale.kind];
  for (let i = 0; i < rows * columns; i += 1) {
    const at = 3 * place(values[offset + i], scale);
    image.data[4 * i] = colours[at];
    image.data[4 * i + 1] = colours[at + 1];
    image.data[4 * i + 2] = colours[at + 2];
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** Signed cells over a grey face; those of half the scale and more bear their sign. */
export function paintCells(canvas, crop, cells, end) {
  const side = 512;
  canvas.width = side;
  canvas.height = side;
  const context = canvas.getContext("2d");
  context.drawImage(crop, 0, 0, side, side);
  const image = context.getImageData(0, 0, side, side);
  for (let i = 0; i < image.data.length; i += 4) {
    const grey = 0.299 * image.data[i] + 0.587 * image.data[i + 1] + 0.114 * image.data[i + 2];
    image.data[i] = image.data[i + 1] = image.data[i + 2] = grey;
  }
  context.putImageData(image, 0, 0);
  const rows = cells.length;
  const columns = cells[0].length;
  const [high, wide] = [side / rows, side / columns];
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.font = `700 ${Math.round(Math.min(high, wide) * 0.55)}px system-ui, sans-serif`;
  cells.forEach((row, y) =>
    row.forEach((value, x) => {
      const share = end > 0 ? value / end : 0;
      const at = 3 * place(share, { low: -1, high: 1 });
      const [r, g, b] = TABLES.signed.slice(at, at + 3);
      context.globalAlpha = STRONGEST * Math.min(1, Math.abs(share) * 1.15);
      context.fillStyle = `rgb(${r},${g},${b})`;
      context.fillRect(x * wide, y * high, wide + 0.5, high + 0.5);
      if (Math.abs(share) >= 0.5) {
        context.globalAlpha = 1;
        context.fillStyle = share > 0 ? "#221500" : "#ffffff";
        context.fillText(share > 0 ? "+" : "−", (x + 0.5) * wide, (y + 0.5) * high);
      }
    }),
  );
  context.globalAlpha = 1;
}

/** A colour bar with its ends and zero. */
export function bar(scale, ends = ["", ""]) {
  const canvas = el("canvas", { class: "bar", "aria-hidden": "true" });
  paint(
    canvas,
    Float32Array.from({ length: 256 }, (_, i) => scale.low + ((scale.high - scale.low) * i) / 255),
    1,
    256,
    scale,
  );
  const middle = scale.kind === "signed" ? el("span", {}, "0") : null;
  const low = scale.kind === "signed" ? short(scale.low) : "0";
  return el(
    "div",
    {},
    canvas,
    el(
      "div",
      { class: "ends num soft" },
      el("span", {}, `${low}${ends[0]}`),
      middle,
      el("span", {}, `${scale.kind === "signed" ? "+" : ""}${short(scale.high)}${ends[1]}`),
    ),
  );
}

/** Where a cell lies, as one sees it. */
export function where(row, rows, column, columns) {
  const down = ["top", "middle", "bottom"][Math.min(2, Math.floor((3 * row) / rows))];
  const across = ["left", "centre", "right"][Math.min(2, Math.floor((3 * column) / columns))];
  return `${down} ${across} (row ${row + 1}, column ${column + 1})`;
}

/** What a map of cells says, in a sentence. */
export function finding(cells) {
  let most = { value: 0, text: "" };
  let least = { value: 0, text: "" };
  cells.forEach((row, y) =>
    row.forEach((value, x) => {
      const text = `${where(y, cells.length, x, row.length)}, ${signed(value)}`;
      if (value > most.value) most = { value, text };
      if (value < least.value) least = { value, text };
    }),
  );
  const said = [
    most.text && `Most for fake: ${most.text}`,
    least.text && `most for real: ${least.text}`,
  ]
    .filter(Boolean)
    .join("; ");
  return sentence(said) || "No cell says anything.";
}
