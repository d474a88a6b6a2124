// Cuts an aligned square face out of a frame, from its landmarks: `mesovid.align` in JavaScript.
// Landmarks are ten numbers, x and y of eye, eye, nose, mouth corner, mouth corner.

import { averaged, warped } from "./pixels.js";

const DETAIL_SQUARE = 1.44; // side of the square that `detail` looks at, in the unit of the scale
const DETAIL_SIDE = 80; // px to which it is brought

/** The face upright and to scale. */
export function align(image, landmarks, geometry) {
  const { border, interpolation } = geometry;
  if (interpolation === "cubic") {
    throw new Error("Faces cut by cubic interpolation are not known to this page.");
  }
  let [a, b, c, d, e, f] = back(landmarks, geometry);
  let from = image;
  const factor = Math.floor(Math.hypot(a, d));
  if (interpolation === "area" && factor > 1 && image.width >= factor && image.height >= factor) {
    from = shrunk(image, factor);
    [a, b, c, d, e, f] = [a, b, c - (factor - 1) / 2, d, e, f - (factor - 1) / 2].map(
      (value) => value / factor,
    );
  }
  return warped(from, [a, b, c, d, e, f], geometry.size, border === "black" ? 0 : border);
}

/** From a crop's pixels to the frame's: the inverse of `mesovid.align.transform`. */
function back([lx, ly, rx, ry, nx, ny, ax, ay, bx, by], geometry) {
  const [ex, ey, mx, my] = [(lx + rx) / 2, (ly + ry) / 2, (ax + bx) / 2, (ay + by) / 2];
  const [acrossX, acrossY, downX, downY] = [rx - lx, ry - ly, mx - ex, my - ey];
  const unit = Math.max(Math.hypot(acrossX, acrossY), Math.hypot(downX, downY));
  const side = Math.max(geometry.scale * unit, 1);
  const [cx, cy] = [ex + geometry.centre * (nx - ex), ey + geometry.centre * (ny - ey)];
  const [hx, hy] = geometry.remove_roll ? [acrossX + downY, acrossY - downX] : [1, 0];
  const length = Math.hypot(hx, hy);
  const [cos, sin] = length > 0 ? [hx / length, hy / length] : [1, 0];
  const [step, middle] = [side / geometry.size, (geometry.size - 1) / 2];
  return [
    step * cos,
    -step * sin,
    cx - step * middle * (cos - sin),
    step * sin,
    step * cos,
    cy - step * middle * (sin + cos),
  ];
}

function shrunk(image, factor) {
  const [wide, high] = [Math.floor(image.width / factor), Math.floor(image.height / factor)];
  const data = new Uint8Array(wide * factor * high * factor * 3);
  for (let y = 0; y < high * factor; y += 1) {
    const start = 3 * y * image.width;
    data.set(image.data.subarray(start, start + 3 * wide * factor), 3 * y * wide * factor);
  }
  return averaged({ data, width: wide * factor, height: high * factor }, wide, high);
}

/** How sharp an aligned face is, as in `mesovid.align.detail`; null of crops too coarse to tell. */
export function detail(crop, geometry) {
  const part = Math.round(crop.width * Math.min(DETAIL_SQUARE / geometry.scale, 1));
  if (part < DETAIL_SIDE) return null;
  const first = Math.floor((crop.width - part) / 2);
  const data = new Uint8Array(part * part);
  for (let y = 0, to = 0; y < part; y += 1) {
    for (let x = 0; x < part; x += 1, to += 1) {
      const at = 3 * ((first + y) * crop.width + first + x);
      const [r, g, b] = [crop.data[at], crop.data[at + 1], crop.data[at + 2]];
      data[to] = Math.round(0.299 * r + 0.587 * g + 0.114 * b);
    }
  }
  const grey = { data, width: part, height: part };
  let level = Float32Array.from(averaged(grey, DETAIL_SIDE, DETAIL_SIDE, 1).data);
  let side = DETAIL_SIDE;
  const contrast = [];
  for (let k = 0; k < 4; k += 1) {
    const half = smaller(level, side);
    const wide = larger(half, side / 2, side);
    contrast.push(deviation(level.map((value, i) => value - wide[i])));
    [level, side] = [half, side / 2];
  }
  return contrast[0] / Math.max(Math.hypot(contrast[2], contrast[3]), 1e-6);
}

function deviation(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}

const fold = (place, side) => (place < 0 ? -place : place >= side ? 2 * (side - 1) - place : place);

/** A level of a Gaussian pyramid to the next: 1 4 6 4 1, then every other pixel. */
function smaller(level, side) {
  const half = side / 2;
  const rows = new Float32Array(side * half);
  for (let y = 0; y < side; y += 1)
    for (let x = 0; x < half; x += 1) {
      const at = (k) => level[y * side + fold(2 * x + k, side)];
      rows[y * half + x] = (at(-2) + 4 * at(-1) + 6 * at(0) + 4 * at(1) + at(2)) / 16;
    }
  const made = new Float32Array(half * half);
  for (let y = 0; y < half; y += 1)
    for (let x = 0; x < half; x += 1) {
      const at = (k) => rows[fold(2 * y + k, side) * half + x];
      made[y * half + x] = (at(-2) + 4 * at(-1) + 6 * at(0) + 4 * at(1) + at(2)) / 16;
    }
  return made;
}

/** And back: between the pixels, what lies beside them. OpenCV mirrors the first, repeats the last. */
function larger(half, side, wide) {
  const near = (place) => (place < 0 ? Math.min(1, side - 1) : Math.min(place, side - 1));
  const along = (at, i) => {
    const k = i >> 1;
    return i % 2
      ? (at(k) + at(near(k + 1))) / 2
      : (at(near(k - 1)) + 6 * at(k) + at(near(k + 1))) / 8;
  };
  const rows = new Float32Array(side * wide);
  for (let y = 0; y < side; y += 1)
    for (let x = 0; x < wide; x += 1) {
      rows[y * wide + x] = along((k) => half[y * side + k], x);
    }
  const made = new Float32Array(wide * wide);
  for (let y = 0; y < wide; y += 1)
    for (let x = 0; x < wide; x += 1) {
      made[y * wide + x] = along((k) => rows[k * wide + x], y);
    }
  return made;
}
