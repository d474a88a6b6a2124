// What can be done to a face before it is judged again. Plain numbers on RGBA pixels; the order is fixed: shift, shrink, blur,
// light, cover, and JPEG last, as a file would go through them.

export const NONE = { dx: 0, dy: 0, shrink: 1, blur: 0, light: 1, jpeg: 100, covers: [] };
// of an aligned face; [left, top, right, bottom] as shares of its side
export const PARTS = {
  eyes: [0.1, 3 / 16, 0.9, 7 / 16],
  nose: [0.32, 7 / 16, 0.68, 10 / 16],
  mouth: [0.18, 10 / 16, 0.82, 15 / 16],
};

/** Whether anything is changed. */
export function touched(what) {
  return Object.keys(NONE).some((key) =>
    key === "covers" ? what.covers.length > 0 : Number(what[key]) !== NONE[key],
  );
}

/** A canvas with the changed face. @param {ImageBitmap | HTMLCanvasElement} face */
export function damaged(face, what) {
  const side = face.width;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const context = /** @type {CanvasRenderingContext2D} */ (
    canvas.getContext("2d", { willReadFrequently: true })
  );
  context.drawImage(face, 0, 0);
  if (what.dx || what.dy) shift(context, side, what.dx, what.dy);
  if (what.shrink > 1) shrink(context, canvas, side, what.shrink);
  const covered = what.covers.length ? mean(context.getImageData(0, 0, side, side).data) : null;
  if (what.blur > 0 || what.light !== 1) {
    const image = context.getImageData(0, 0, side, side);
    if (what.blur > 0) blur(image.data, side, what.blur);
    if (what.light !== 1)
      for (let i = 0; i < image.data.length; i += 4)
        for (let c = 0; c < 3; c += 1) image.data[i + c] *= what.light;
    context.putImageData(image, 0, 0);
  }
  if (covered) {
    context.fillStyle = covered;
    for (const [left, top, right, bottom] of what.covers) {
      const x = Math.round(left * side);
      const y = Math.round(top * side);
      context.fillRect(x, y, Math.round(right * side) - x, Math.round(bottom * side) - y);
    }
  }
  return canvas;
}

/** The picture that is sent: PNG, or JPEG where that is part of the question. @returns {Promise<Blob>} */
export function encoded(canvas, what) {
  return new Promise((resolve) => {
    if (what.jpeg < 100) canvas.toBlob(resolve, "image/jpeg", what.jpeg / 100);
    else canvas.toBlob(resolve, "image/png");
  });
}

/** Whether this browser gives back the pixels that were drawn. Some falsify them for privacy, and scores would be wrong. */
export function honest() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 16;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const image = context.createImageData(16, 16);
  for (let i = 0; i < image.data.length; i += 1) image.data[i] = i % 4 === 3 ? 255 : (i * 37) % 256;
  context.putImageData(image, 0, 0);
  return context.getImageData(0, 0, 16, 16).data.every((value, i) => value === image.data[i]);
}

function shift(context, side, dx, dy) {
  const from = context.getImageData(0, 0, side, side);
  const to = context.createImageData(side, side);
  const mirrored = (place) => {
    const k = ((place % (2 * side)) + 2 * side) % (2 * side);
    return k < side ? k : 2 * side - 1 - k;
  };
  for (let y = 0; y < side; y += 1) {
    for (let x = 0; x < side; x += 1) {
      const source = 4 * (mirrored(y - dy) * side + mirrored(x - dx));
      for (let c = 0; c < 4; c += 1) to.data[4 * (y * side + x) + c] = from.data[source + c];
    }
  }
  context.putImageData(to, 0, 0);
}

function shrink(context, canvas, side, factor) {
  const small = document.createElement("canvas");
  small.width = small.height = Math.max(1, Math.round(side / factor));
  const made = /** @type {CanvasRenderingContext2D} */ (small.getContext("2d"));
  for (const each of [made, context]) {
    each.imageSmoothingEnabled = true;
    each.imageSmoothingQuality = "high";
  }
  made.drawImage(canvas, 0, 0, small.width, small.width);
  context.drawImage(small, 0, 0, side, side);
}

function blur(data, side, sigma) {
  const reach = Math.ceil(3 * sigma);
  const weights = Array.from({ length: 2 * reach + 1 }, (_, i) =>
    Math.exp(-((i - reach) ** 2) / (2 * sigma * sigma)),
  );
  const sum = weights.reduce((a, b) => a + b);
  const mirrored = (k) => (k < 0 ? -k : k >= side ? 2 * side - 2 - k : k);
  const middle = new Float32Array(side * side * 3);
  for (let y = 0; y < side; y += 1)
    for (let x = 0; x < side; x += 1)
      for (let c = 0; c < 3; c += 1) {
        let total = 0;
        for (let k = -reach; k <= reach; k += 1)
          total += weights[k + reach] * data[4 * (y * side + mirrored(x + k)) + c];
        middle[3 * (y * side + x) + c] = total / sum;
      }
  for (let y = 0; y < side; y += 1)
    for (let x = 0; x < side; x += 1)
      for (let c = 0; c < 3; c += 1) {
        let total = 0;
        for (let k = -reach; k <= reach; k += 1)
          total += weights[k + reach] * middle[3 * (mirrored(y + k) * side + x) + c];
        data[4 * (y * side + x) + c] = Math.round(total / sum);
      }
}

function mean(data) {
  const sums = [0, 0, 0];
  for (let i = 0; i < data.length; i += 4) for (let c = 0; c < 3; c += 1) sums[c] += data[i + c];
  return `rgb(${sums.map((sum) => Math.round((4 * sum) / data.length)).join(",")})`;
}
