// Pictures as plain bytes: {data, width, height}, three bytes a pixel, red green blue. What OpenCV
// does to them in the Python package is done here the same way, to within a level of 255.

/** Without the fourth byte that a canvas gives. */
export function rgbOf({ data, width, height }) {
  const made = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    made[to] = data[from];
    made[to + 1] = data[from + 1];
    made[to + 2] = data[from + 2];
  }
  return { data: made, width, height };
}

/** With a fourth byte, as a canvas takes it. */
export function rgbaOf({ data, width, height }) {
  const made = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let from = 0, to = 0; from < data.length; from += 3, to += 4) {
    made[to] = data[from];
    made[to + 1] = data[from + 1];
    made[to + 2] = data[from + 2];
  }
  return { data: made, width, height };
}

/** Turned by quarters anticlockwise. */
export function rotated(image, quarters) {
  if (!quarters) return image;
  const { data, width, height } = image;
  const [wide, high] = quarters % 2 ? [height, width] : [width, height];
  const made = new Uint8Array(data.length);
  for (let y = 0, to = 0; y < high; y += 1) {
    for (let x = 0; x < wide; x += 1, to += 3) {
      const [u, v] =
        quarters === 1
          ? [width - 1 - y, x]
          : quarters === 2
            ? [width - 1 - x, height - 1 - y]
            : [y, height - 1 - x];
      const from = 3 * (v * width + u);
      made[to] = data[from];
      made[to + 1] = data[from + 1];
      made[to + 2] = data[from + 2];
    }
  }
  return { data: made, width: wide, height: high };
}

/** Rounded, halves to the even number. */
function even(value) {
  const near = Math.round(value);
  return near - value === 0.5 && near % 2 ? near - 1 : near;
}

/** For each new pixel along one side, the old ones that it covers and how much of each. */
function shares(from, to) {
  const step = from / to;
  return Array.from({ length: to }, (_, i) => {
    const end = Math.min(from, (i + 1) * step);
    const first = Math.floor(i * step + 1e-9);
    const last = Math.min(from - 1, Math.ceil(end - 1e-9) - 1);
    const weights = [];
    for (let k = first; k <= last; k += 1) {
      weights.push((Math.min(end, k + 1) - Math.max(i * step, k)) / step);
    }
    return { first, weights };
  });
}

/** Smaller: each new pixel is the mean of those that it covers. `channels` bytes a pixel. */
export function averaged({ data, width, height }, wide, high, channels = 3) {
  const [across, down] = [shares(width, wide), shares(height, high)];
  const made = new Uint8Array(wide * high * channels);
  const row = new Float32Array(width * channels);
  // OpenCV has a way of its own for halves
  const round = width === 2 * wide && height === 2 * high ? Math.round : even;
  for (let y = 0, to = 0; y < high; y += 1) {
    row.fill(0);
    down[y].weights.forEach((weight, k) => {
      const start = (down[y].first + k) * width * channels;
      for (let i = 0; i < row.length; i += 1) row[i] += weight * data[start + i];
    });
    for (let x = 0; x < wide; x += 1) {
      const { first, weights } = across[x];
      for (let c = 0; c < channels; c += 1, to += 1) {
        let sum = 0;
        for (let k = 0; k < weights.length; k += 1) {
          sum += weights[k] * row[(first + k) * channels + c];
        }
        made[to] = round(sum);
      }
    }
  }
  return { data: made, width: wide, height: high };
}

/** Resampled linearly between the four nearest pixels' middles, in OpenCV's whole numbers. */
export function resampled({ data, width, height }, wide, high) {
  const along = (from, to) =>
    Array.from({ length: to }, (_, i) => {
      const place = Math.fround((i + 0.5) * (from / to) - 0.5);
      const low = Math.max(0, Math.min(from - 1, Math.floor(place)));
      const share = place < 0 || low === from - 1 ? 0 : Math.fround(place - low);
      const next = Math.min(from - 1, low + 1);
      return [low, next, even(Math.fround(1 - share) * 2048), even(share * 2048)];
    });
  const [across, down] = [along(width, wide), along(height, high)];
  const made = new Uint8Array(wide * high * 3);
  for (let y = 0, to = 0; y < high; y += 1) {
    const [top, bottom, above, below] = down[y];
    for (let x = 0; x < wide; x += 1) {
      const [left, right, near, far] = across[x];
      const [a, b] = [3 * (top * width + left), 3 * (top * width + right)];
      const [c, d] = [3 * (bottom * width + left), 3 * (bottom * width + right)];
      for (let k = 0; k < 3; k += 1, to += 1) {
        const upper = (data[a + k] * near + data[b + k] * far) >> 4;
        const lower = (data[c + k] * near + data[d + k] * far) >> 4;
        made[to] = (((above * upper) >> 16) + ((below * lower) >> 16) + 2) >> 2;
      }
    }
  }
  return { data: made, width: wide, height: high };
}

/** A part as large as asked, from the nearest pixels. */
export function sampled({ data, width, height }, wide, high) {
  const made = new Uint8Array(wide * high * 3);
  for (let y = 0, to = 0; y < high; y += 1) {
    const row = Math.min(height - 1, Math.floor((y * height) / high));
    for (let x = 0; x < wide; x += 1, to += 3) {
      const from = 3 * (row * width + Math.min(width - 1, Math.floor((x * width) / wide)));
      made[to] = data[from];
      made[to + 1] = data[from + 1];
      made[to + 2] = data[from + 2];
    }
  }
  return { data: made, width: wide, height: high };
}

/** What lies at a place outside: mirrored about the last pixel. */
function mirrored(place, size) {
  if (size === 1) return 0;
  const round = 2 * (size - 1);
  const k = ((place % round) + round) % round;
  return k < size ? k : round - k;
}

const inside = (place, size) => Math.max(0, Math.min(size - 1, place));

/** A square of `side` px: pixel (x, y) shows what lies at a x + b y + c, d x + e y + f.
 * `border` is what lies outside: "reflect", "replicate", or a level.
 * @param {any} image @param {number[]} matrix @param {number} side @param {string | number} border */
export function warped(image, [a, b, c, d, e, f], side, border) {
  const { data, width, height } = image;
  const made = new Uint8Array(side * side * 3);
  const level = typeof border === "number" ? border : 0;
  const fold = border === "reflect" ? mirrored : border === "replicate" ? inside : null;
  const at = (x, y, k) => {
    if (x >= 0 && y >= 0 && x < width && y < height) return data[3 * (y * width + x) + k];
    return fold ? data[3 * (fold(y, height) * width + fold(x, width)) + k] : level;
  };
  for (let y = 0, to = 0; y < side; y += 1) {
    for (let x = 0; x < side; x += 1) {
      const [u, v] = [a * x + b * y + c, d * x + e * y + f];
      const [left, top] = [Math.floor(u), Math.floor(v)];
      const [aside, below] = [u - left, v - top];
      if (left >= 0 && top >= 0 && left + 1 < width && top + 1 < height) {
        const first = 3 * (top * width + left);
        const under = first + 3 * width;
        for (let k = 0; k < 3; k += 1, to += 1) {
          const upper = data[first + k] + aside * (data[first + 3 + k] - data[first + k]);
          const lower = data[under + k] + aside * (data[under + 3 + k] - data[under + k]);
          made[to] = Math.round(upper + below * (lower - upper));
        }
      } else {
        for (let k = 0; k < 3; k += 1, to += 1) {
          const upper = (1 - aside) * at(left, top, k) + aside * at(left + 1, top, k);
          const lower = (1 - aside) * at(left, top + 1, k) + aside * at(left + 1, top + 1, k);
          made[to] = Math.round((1 - below) * upper + below * lower);
        }
      }
    }
  }
  return { data: made, width: side, height: side };
}
