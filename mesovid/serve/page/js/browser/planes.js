// A player's frame as the decoder made it, in planes of brightness and colour, turned to red, green
// and blue as swscale does for the Python package: browsers' own canvases round otherwise, by a
// level or two, which the networks feel.

// weights of red and blue in brightness (ITU-T H.273)
const WEIGHTS = {
  bt709: [0.2126, 0.0722],
  smpte170m: [0.299, 0.114],
  bt470bg: [0.299, 0.114],
  "bt2020-ncl": [0.2627, 0.0593],
};
const LEVELS = 256;
const HDR = ["pq", "hlg"];
// bits by which a colour plane is smaller, and bytes from one of its values to the next
const LAYOUTS = { I420: [1, 1], NV12: [1, 2], I444: [0, 1] };

/** When the frame that a player shows begins and ends, in seconds; null where it is not told.
 * @param {HTMLVideoElement} video */
export function spanOf(video) {
  if (typeof VideoFrame !== "function") return null;
  try {
    const frame = new VideoFrame(video);
    const { timestamp, duration } = frame;
    frame.close();
    return { begin: timestamp / 1e6, end: (timestamp + (duration || 0)) / 1e6 };
  } catch {
    return null;
  }
}

/** What a player shows: {time, image}; null where its planes cannot be had, or are turned or
 * stretched before they are shown. Time is in seconds.
 * @param {HTMLVideoElement} video */
export async function planesOf(video) {
  if (typeof VideoFrame !== "function") return null;
  /** @type {any} */
  let frame = null;
  try {
    frame = new VideoFrame(video);
    const { width, height } = frame.visibleRect;
    // what says nothing of its colours is taken as swscale takes it
    const weights = WEIGHTS[frame.colorSpace.matrix || "smpte170m"];
    const hdr = HDR.includes(frame.colorSpace.transfer);
    const same = width === video.videoWidth && height === video.videoHeight && !frame.rotation;
    if (!same || !weights || !LAYOUTS[frame.format] || hdr) return null;
    const bytes = new Uint8Array(frame.allocationSize());
    const layout = await frame.copyTo(bytes);
    const given = { bytes, layout, width, height, format: frame.format };
    const image = converted(given, weights, Boolean(frame.colorSpace.fullRange));
    return { time: frame.timestamp / 1e6, image };
  } catch {
    return null;
  } finally {
    if (frame) frame.close();
  }
}

/** Planes to four bytes a pixel. Where colour has half the resolution, swscale repeats it and drops
 * fractions; where it has all of it, it rounds. */
export function converted({ bytes, layout, width, height, format }, [red, blue], fullRange) {
  const [half, step] = LAYOUTS[format];
  const green = 1 - red - blue;
  const [low, bright, colour] = fullRange ? [0, 1, 1] : [16, 255 / 219, 255 / 224];
  const cut = half ? Math.floor : (value) => value;
  const table = (factor, from) =>
    Float32Array.from({ length: LEVELS }, (_, i) => cut(factor * (i - from)));
  const [ofY, redOfV, blueOfU, greenOfU, greenOfV] = [
    table(bright, low),
    table(2 * (1 - red) * colour, 128),
    table(2 * (1 - blue) * colour, 128),
    table((-2 * (1 - blue) * blue * colour) / green, 128),
    table((-2 * (1 - red) * red * colour) / green, 128),
  ];
  const data = new Uint8ClampedArray(width * height * 4);
  const [y0, u0] = layout;
  const v0 = step === 2 ? { offset: u0.offset + 1, stride: u0.stride } : layout[2];
  for (let row = 0, to = 0; row < height; row += 1) {
    const y = y0.offset + row * y0.stride;
    const u = u0.offset + (row >> half) * u0.stride;
    const v = v0.offset + (row >> half) * v0.stride;
    for (let column = 0; column < width; column += 1, to += 4) {
      const light = ofY[bytes[y + column]];
      const at = (column >> half) * step;
      const [cb, cr] = [bytes[u + at], bytes[v + at]];
      data[to] = light + redOfV[cr];
      data[to + 1] = light + greenOfU[cb] + greenOfV[cr];
      data[to + 2] = light + blueOfU[cb];
      data[to + 3] = 255;
    }
  }
  return { data, width, height };
}
