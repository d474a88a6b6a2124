// What can be done to a face before it is judged again. Plain numbers on RGBA pixels. The order is
// fixed and is that of CHANGES: how it is cut, then what is covered, then what befalls the file.

import { context } from "./pictures.js";

const px = (value) => (value ? `${value > 0 ? "+" : "−"}${Math.abs(value)} px` : "none");
const percent = (value) => (value === 1 ? "as it is" : `${Math.round(100 * value)} %`);
const degrees = (value) => (value ? `${value > 0 ? "+" : "−"}${Math.abs(value)}°` : "none");

/** One change: its slider, the amount that changes nothing, and up to where no viewer minds it.
 * @typedef {{text: string, from: number, to: number, step: number, usual: number,
 *   harmless: [number, number], shown: (value: number) => string}} Change */

/** @type {Record<string, Change>} */
export const CHANGES = {
  turn: {
    ...{ text: "Turn", from: -10, to: 10, step: 1, usual: 0, harmless: [-10, 10] },
    shown: degrees,
  },
  zoom: {
    ...{ text: "Zoom", from: 0.9, to: 1.1, step: 0.01, usual: 1, harmless: [0.9, 1.1] },
    shown: percent,
  },
  dx: {
    ...{ text: "Shift sideways", from: -12, to: 12, step: 1, usual: 0, harmless: [-8, 8] },
    shown: px,
  },
  dy: {
    ...{ text: "Shift up and down", from: -12, to: 12, step: 1, usual: 0, harmless: [-8, 8] },
    shown: px,
  },
  mirror: {
    ...{ text: "Mirror", from: 0, to: 1, step: 1, usual: 0, harmless: [0, 1] },
    shown: (value) => (value ? "mirrored" : "as it is"),
  },
  light: {
    ...{ text: "Light", from: 0.4, to: 1.6, step: 0.05, usual: 1, harmless: [0.8, 1.2] },
    shown: percent,
  },
  gamma: {
    ...{ text: "Gamma", from: 0.5, to: 2, step: 0.05, usual: 1, harmless: [0.8, 1.25] },
    shown: (value) => (value === 1 ? "as it is" : value.toFixed(2)),
  },
  grey: {
    ...{ text: "Grey", from: 0, to: 1, step: 0.05, usual: 0, harmless: [0, 1] },
    shown: (value) => (value ? `${Math.round(100 * value)} %` : "none"),
  },
  blur: {
    ...{ text: "Blur", from: 0, to: 3, step: 0.1, usual: 0, harmless: [0, 1] },
    shown: (value) => (value ? `${value.toFixed(1)} px` : "none"),
  },
  shrink: {
    ...{ text: "Smaller and back", from: 1, to: 4, step: 0.1, usual: 1, harmless: [1, 1.5] },
    shown: (value) => (value > 1 ? `1/${value.toFixed(1)} of its size` : "as it is"),
  },
  jpeg: {
    ...{ text: "JPEG quality", from: 10, to: 100, step: 1, usual: 100, harmless: [50, 100] },
    shown: (value) => (value < 100 ? `${value}` : "not compressed"),
  },
};

// of an aligned face; [left, top, right, bottom] as shares of its side
export const PARTS = {
  eyes: [0.1, 3 / 16, 0.9, 7 / 16],
  nose: [0.32, 7 / 16, 0.68, 10 / 16],
  mouth: [0.18, 10 / 16, 0.82, 15 / 16],
};
export const FILLS = { mean: "its mean colour", black: "black", blur: "a blur" };
const SQUARES = 60; // that an address holds
const GREY = [0.299, 0.587, 0.114]; // of red, green and blue

/** What is done to a face: an amount of each change, parts and squares that are covered.
 * @typedef {Record<string, any> & {parts: string[], squares: number[][], fill: string}} What */

/** Nothing done. @returns {What} */
export function untouched() {
  const amounts = Object.fromEntries(
    Object.entries(CHANGES).map(([key, { usual }]) => [key, usual]),
  );
  return { ...amounts, parts: [], squares: [], fill: "mean" };
}

/** The same, apart from what is changed later. @param {What} what @returns {What} */
export function copied(what) {
  return { ...what, parts: [...what.parts], squares: [...what.squares] };
}

/** Which changes are made. @param {What} what */
export function made(what) {
  return Object.keys(CHANGES).filter((key) => what[key] !== CHANGES[key].usual);
}

/** Whether a part of the face is covered. @param {What} what */
export function covers(what) {
  return what.parts.length + what.squares.length > 0;
}

/** Whether anything is changed. @param {What} what */
export function touched(what) {
  return covers(what) || made(what).length > 0;
}

/** Whether no viewer would mind what is changed. @param {What} what */
export function harmless(what) {
  const mild = ([low, high], value) => value >= low && value <= high;
  return !covers(what) && made(what).every((key) => mild(CHANGES[key].harmless, what[key]));
}

/** What is changed, in words. @param {What} what */
export function told(what) {
  const said = made(what).map((key) =>
    key === "mirror"
      ? "mirrored"
      : `${CHANGES[key].text.toLowerCase()} ${CHANGES[key].shown(what[key])}`,
  );
  if (what.parts.length) said.push(`${what.parts.join(" and ")} covered`);
  if (what.squares.length) said.push("painted over");
  return said.join(", ");
}

/** What an address says of changes: `blur:2,jpeg:40,cover:mouth`. @param {string | null} text */
export function read(text) {
  const what = untouched();
  for (const each of (text || "").split(",").filter(Boolean)) {
    const [key, value = ""] = each.split(":");
    if (key === "cover" && value in PARTS) what.parts.push(value);
    else if (key === "fill" && value in FILLS) what.fill = value;
    else if (key === "square")
      what.squares.push(value.split("-").map((side) => Number(side) / 1000));
    else if (key in CHANGES && Number.isFinite(Number(value))) {
      what[key] = Math.min(CHANGES[key].to, Math.max(CHANGES[key].from, Number(value)));
    }
  }
  what.squares = what.squares.filter((each) => each.length === 4 && each.every(Number.isFinite));
  what.squares = what.squares.slice(0, SQUARES);
  return what;
}

/** The same as text. @param {What} what */
export function written(what) {
  const words = made(what).map((key) => `${key}:${what[key]}`);
  words.push(...what.parts.map((part) => `cover:${part}`));
  const squares = what.squares.map((each) => each.map((side) => Math.round(1000 * side)).join("-"));
  if (squares.length <= SQUARES) words.push(...squares.map((each) => `square:${each}`));
  if (covers(what) && what.fill !== "mean") words.push(`fill:${what.fill}`);
  return words.join(",");
}

/** A canvas with the changed face; JPEG is left to `encoded`.
 * @param {HTMLCanvasElement} face @param {What} what */
export function damaged(face, what) {
  const side = face.width;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const pen = context(canvas);
  pen.drawImage(face, 0, 0);
  if (what.turn || what.zoom !== 1 || what.dx || what.dy || what.mirror) recut(pen, side, what);
  if (covers(what)) cover(pen, canvas, what);
  if (what.light !== 1 || what.gamma !== 1 || what.grey || what.blur) {
    const image = pen.getImageData(0, 0, side, side);
    tone(image.data, what);
    if (what.blur) blur(image.data, side, what.blur);
    pen.putImageData(image, 0, 0);
  }
  if (what.shrink > 1) shrink(pen, canvas, side, what.shrink);
  return canvas;
}

/** The picture that is judged: PNG, or JPEG where that is part of the question.
 * @param {HTMLCanvasElement} canvas @param {What} [what] @returns {Promise<Blob>} */
export function encoded(canvas, what) {
  const jpeg = what && what.jpeg < 100;
  return new Promise((resolve, reject) => {
    const got = (blob) => (blob ? resolve(blob) : reject(new Error("The face has no pixels.")));
    if (jpeg) canvas.toBlob(got, "image/jpeg", what.jpeg / 100);
    else canvas.toBlob(got, "image/png");
  });
}

/** Whether this browser gives back the pixels that were drawn. Some falsify them for privacy, and
 * scores would be wrong. */
export function honest() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 16;
  const pen = context(canvas);
  const image = pen.createImageData(16, 16);
  for (let i = 0; i < image.data.length; i += 1) image.data[i] = i % 4 === 3 ? 255 : (i * 37) % 256;
  pen.putImageData(image, 0, 0);
  return pen.getImageData(0, 0, 16, 16).data.every((value, i) => value === image.data[i]);
}

/** A place beyond the edge, mirrored into the picture. */
function mirrored(place, side) {
  const k = ((place % (2 * side)) + 2 * side) % (2 * side);
  return k < side ? k : 2 * side - 1 - k;
}

/** Turn, zoom, shift and mirror in one step, so that pixels are mixed once.
 * @param {CanvasRenderingContext2D} pen @param {number} side @param {What} what */
function recut(pen, side, { turn, zoom, dx, dy, mirror }) {
  const from = pen.getImageData(0, 0, side, side).data;
  const to = pen.createImageData(side, side);
  const angle = (-turn * Math.PI) / 180;
  const [cos, sin, middle] = [Math.cos(angle) / zoom, Math.sin(angle) / zoom, (side - 1) / 2];
  const flip = mirror ? -1 : 1;
  for (let y = 0; y < side; y += 1) {
    for (let x = 0; x < side; x += 1) {
      const [u, v] = [flip * (x - middle - dx), y - middle - dy];
      const [sx, sy] = [middle + cos * u - sin * v, middle + sin * u + cos * v];
      const [left, top] = [Math.floor(sx + 1e-9), Math.floor(sy + 1e-9)];
      const [fx, fy] = [Math.max(0, sx - left), Math.max(0, sy - top)];
      const columns = [mirrored(left, side), mirrored(left + 1, side)];
      const rows = [mirrored(top, side) * side, mirrored(top + 1, side) * side];
      for (let c = 0; c < 4; c += 1) {
        const at = (row, column) => from[4 * (rows[row] + columns[column]) + c];
        const above = at(0, 0) + fx * (at(0, 1) - at(0, 0));
        const below = at(1, 0) + fx * (at(1, 1) - at(1, 0));
        to.data[4 * (y * side + x) + c] = Math.round(above + fy * (below - above));
      }
    }
  }
  pen.putImageData(to, 0, 0);
}

function cover(pen, canvas, what) {
  const side = canvas.width;
  const image = pen.getImageData(0, 0, side, side);
  const under = document.createElement("canvas");
  under.width = under.height = side;
  if (what.fill === "blur") {
    const soft = new ImageData(new Uint8ClampedArray(image.data), side);
    blur(soft.data, side, side / 16);
    context(under).putImageData(soft, 0, 0);
  } else {
    const colour = what.fill === "black" ? "black" : mean(image.data);
    Object.assign(context(under), { fillStyle: colour }).fillRect(0, 0, side, side);
  }
  for (const [left, top, right, bottom] of [
    ...what.parts.map((part) => PARTS[part]),
    ...what.squares,
  ]) {
    const [x, y] = [Math.round(left * side), Math.round(top * side)];
    const [wide, high] = [Math.round(right * side) - x, Math.round(bottom * side) - y];
    if (wide > 0 && high > 0) pen.drawImage(under, x, y, wide, high, x, y, wide, high);
  }
}

/** Light, gamma and grey of each pixel by itself.
 * @param {Uint8ClampedArray} data @param {What} what */
function tone(data, { light, gamma, grey }) {
  const table = Float32Array.from({ length: 256 }, (_, value) =>
    Math.min(255, light * 255 * (value / 255) ** gamma),
  );
  for (let i = 0; i < data.length; i += 4) {
    const colours = [0, 1, 2].map((c) => table[data[i + c]]);
    const luma = grey ? colours.reduce((sum, value, c) => sum + GREY[c] * value, 0) : 0;
    for (let c = 0; c < 3; c += 1)
      data[i + c] = Math.round(colours[c] + grey * (luma - colours[c]));
  }
}

function shrink(pen, canvas, side, factor) {
  const small = document.createElement("canvas");
  small.width = small.height = Math.max(1, Math.round(side / factor));
  const away = context(small);
  for (const each of [away, pen]) each.imageSmoothingQuality = "high";
  away.drawImage(canvas, 0, 0, small.width, small.width);
  pen.drawImage(small, 0, 0, side, side);
}

function blur(data, side, sigma) {
  const reach = Math.ceil(3 * sigma);
  const weights = Float64Array.from({ length: 2 * reach + 1 }, (_, i) =>
    Math.exp(-((i - reach) ** 2) / (2 * sigma * sigma)),
  );
  const sum = weights.reduce((a, b) => a + b);
  const inside = Int32Array.from({ length: side + 2 * reach }, (_, i) => {
    const k = Math.abs(i - reach);
    return k < side ? k : Math.max(0, 2 * side - 2 - k);
  });
  const across = new Float32Array(side * side * 3);
  for (let y = 0; y < side; y += 1) {
    for (let x = 0; x < side; x += 1) {
      for (let c = 0; c < 3; c += 1) {
        let total = 0;
        for (let k = 0; k < weights.length; k += 1)
          total += weights[k] * data[4 * (y * side + inside[x + k]) + c];
        across[3 * (y * side + x) + c] = total / sum;
      }
    }
  }
  for (let y = 0; y < side; y += 1) {
    for (let x = 0; x < side; x += 1) {
      for (let c = 0; c < 3; c += 1) {
        let total = 0;
        for (let k = 0; k < weights.length; k += 1)
          total += weights[k] * across[3 * (inside[y + k] * side + x) + c];
        data[4 * (y * side + x) + c] = Math.round(total / sum);
      }
    }
  }
}

function mean(data) {
  const sums = [0, 0, 0];
  for (let i = 0; i < data.length; i += 4) for (let c = 0; c < 3; c += 1) sums[c] += data[i + c];
  return `rgb(${sums.map((sum) => Math.round((4 * sum) / data.length)).join(",")})`;
}
