// Pictures out of a file: the frames of a clip that are looked at, or the one of a picture.

import { planesOf, spanOf } from "./planes.js";

const PICTURES = [
  ".apng",
  ".avif",
  ".bmp",
  ".gif",
  ".jfif",
  ".jpe",
  ".jpeg",
  ".jpg",
  ".pjp",
  ".pjpeg",
  ".png",
  ".webp",
];
const VIDEOS = [".m4v", ".mkv", ".mov", ".mp4", ".ogg", ".ogv", ".webm"];
export const SUFFIXES = [...PICTURES, ...VIDEOS];
const MOST_PIXELS = 60e6; // of a picture: more than a page may hold
const PATIENCE = 20_000; // ms until a player that says nothing is given up
const PRESENTED = 150; // ms in which a player tells the time of a frame that it shows
const [SOON, LATE] = [2000, 5000]; // ms to wait for another frame after a seek, at most
const DRAWN =
  "This browser does not hand out the clip's frames as they were decoded, so they were taken as it draws them: colours may differ by some levels from those of mesovid scan, and single scores by more than 0.02.";
const SAME = 1e-4; // seconds between two frames at least

/** A refusal in one sentence. */
export class Unreadable extends Error {}

const suffixOf = (name) => (name.match(/\.[^.]+$/) || [""])[0].toLowerCase();

/** A file opened: {width, height, duration, warnings, frames, close}. `frames` gives {time, image},
 * image as a canvas gives it. @param {Blob} file @param {string} name */
export async function opened(file, name, settings) {
  if (!file.size) throw new Unreadable("The file is empty.");
  const suffix = suffixOf(name);
  if (PICTURES.includes(suffix)) return picture(file, suffix);
  if (VIDEOS.includes(suffix)) return clip(file, settings);
  throw new Unreadable(
    `This page reads no ${suffix || "files without a suffix"}; mesovid serve and ` +
      `mesovid scan read more kinds. Here: ${SUFFIXES.join(", ")}`,
  );
}

async function picture(file, suffix) {
  let bitmap;
  try {
    // in the colours of the screen's standard, sRGB, as the scan has them
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Unreadable("The file is no picture that this browser can read, or it is damaged.");
  }
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) {
    throw new Unreadable(
      `A picture of ${width} x ${height} px is too large for this page; ` +
        "mesovid scan takes it.",
    );
  }
  const warnings = [".gif", ".apng", ".webp", ".avif"].includes(suffix)
    ? ["Of a file that holds several pictures, this page looks at the first alone."]
    : [];
  return {
    width,
    height,
    duration: null,
    warnings,
    count: 1,
    frames: async function* () {
      yield { time: 0, image: pixelsOf(bitmap, width, height) };
    },
    close: () => bitmap.close(),
  };
}

async function clip(file, settings) {
  const video = document.createElement("video");
  const address = URL.createObjectURL(file);
  const close = () => {
    video.removeAttribute("src");
    video.load();
    URL.revokeObjectURL(address);
  };
  try {
    Object.assign(video, { muted: true, playsInline: true, preload: "auto" });
    const ready = happened(video, "loadeddata");
    video.src = address;
    await ready;
    if (!video.videoWidth) throw new Unreadable("This browser finds no pictures in the file.");
    const first = spanOf(video);
    const duration = await durationOf(video);
    /** @type {string[]} */
    const warnings = [];
    const span = await shownFrom(video, first, duration);
    const times = wanted(span, settings);
    return {
      width: video.videoWidth,
      height: video.videoHeight,
      duration,
      close,
      count: times.length,
      warnings,
      frames: () => shown(video, times, span[0], warnings),
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** The frames on display at some times, each once. The first of the clip begins at `origin`. */
async function* shown(video, times, origin, warnings) {
  let before = -1;
  for (const time of times) {
    const told = await sought(video, time, origin);
    const raw = await planesOf(video);
    const own = raw ? raw.time : (told ?? time);
    if (!raw && !warnings.includes(DRAWN)) warnings.push(DRAWN);
    if (own > before + SAME || before < 0) {
      before = own;
      yield {
        time: own,
        image: raw ? raw.image : pixelsOf(video, video.videoWidth, video.videoHeight),
      };
    }
  }
}

/** Go to a time. A player may say that it is there while it still shows the frame from before,
 * be it an earlier or a later one; then this waits for another. Gives the frame's own time, or
 * null. @param {number} origin when the clip's first frame begins, which shows before it, too */
async function sought(video, time, origin) {
  const before = spanOf(video);
  let told = presented(video);
  const seeked = happened(video, "seeked");
  video.currentTime = time;
  await seeked;
  const began = performance.now();
  for (;;) {
    const span = spanOf(video);
    if (!span) return told;
    const still = before !== null && Math.abs(span.begin - before.begin) <= SAME;
    const begun = span.begin <= Math.max(time, origin) + SAME;
    if (begun && (!still || time < span.end)) return span.begin;
    // how long a frame stays is not always told; then it may be the one that was sought
    const patience = span.end > span.begin ? LATE : SOON;
    if (performance.now() - began > patience) return span.begin;
    await told;
    told = presented(video);
  }
}

/** From when to when a clip shows pictures: sound may begin before and end after. `first` is the
 * span of its first frame. @returns {Promise<[number, number]>} */
async function shownFrom(video, first, duration) {
  if (!first) return [0, duration];
  if (video.currentTime < duration) await sought(video, duration, first.begin);
  const last = spanOf(video);
  return [first.begin, last && last.begin > first.begin ? last.end : duration];
}

/** The time of the frame that a seek brings, as the file says it; null of a browser that tells none. */
function presented(video) {
  if (!video.requestVideoFrameCallback) return Promise.resolve(null);
  return new Promise((resolve) => {
    const handle = video.requestVideoFrameCallback((_, { mediaTime }) => {
      clearTimeout(timer);
      resolve(mediaTime);
    });
    const timer = setTimeout(() => {
      video.cancelVideoFrameCallback(handle);
      resolve(null);
    }, PRESENTED);
  });
}

/** Seconds of a clip; of a recording that does not say, found by going to its end. */
async function durationOf(video) {
  if (!Number.isFinite(video.duration)) {
    const known = happened(video, "durationchange");
    video.currentTime = 1e9;
    await known;
  }
  if (!(Number.isFinite(video.duration) && video.duration > 0)) {
    throw new Unreadable("This browser cannot tell how long the clip is; mesovid scan can.");
  }
  return video.duration;
}

/** The times to look at: in the middle of equal parts, or so many a second.
 * @param {[number, number]} shownFor @param {any} settings */
export function wanted([begin, until], { frames, fps = null, start = null, end = null }) {
  const first = start ?? (fps === null ? begin : 0);
  const last = Math.min(end ?? until, until);
  if (last <= first)
    throw new Unreadable(`The clip ends at ${until.toFixed(2)} s, before ${first} s.`);
  const count = fps === null ? frames : Math.max(1, Math.ceil((last - first) * fps));
  const step = fps === null ? (last - first) / frames : 1 / fps;
  const shift = fps === null ? 0.5 : 0;
  return Array.from({ length: count }, (_, k) => first + (k + shift) * step);
}

/** An event of the player, or what went wrong. */
function happened(video, kind) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      video.removeEventListener(kind, done);
      video.removeEventListener("error", failed);
    };
    const done = () => {
      stop();
      resolve(null);
    };
    const failed = () => {
      stop();
      reject(
        new Unreadable(
          "This browser cannot play the file: it is damaged, or of a kind that only " +
            "mesovid serve and mesovid scan can decode.",
        ),
      );
    };
    const timer = setTimeout(failed, PATIENCE);
    video.addEventListener(kind, done);
    video.addEventListener("error", failed);
  });
}

/** @type {any} */
let board = null;

/** What a picture or player shows, as {data, width, height} with four bytes a pixel. */
export function pixelsOf(shown_, width, height) {
  board ||= document
    .createElement("canvas")
    .getContext("2d", { willReadFrequently: true, alpha: true });
  Object.assign(board.canvas, { width, height });
  // what shines through is black, as it is for OpenCV
  board.fillStyle = "#000";
  board.fillRect(0, 0, width, height);
  board.drawImage(shown_, 0, 0, width, height);
  const { data } = board.getImageData(0, 0, width, height);
  return { data, width, height };
}

/** A picture of pixels, as a file. @returns {Promise<Blob>} */
export function encoded({ data, width, height }, kind = "image/png", most = Infinity) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  /** @type {any} */ (canvas.getContext("2d")).putImageData(
    new ImageData(data, width, height),
    0,
    0,
  );
  const share = Math.min(1, most / Math.max(width, height));
  let drawn = canvas;
  if (share < 1) {
    drawn = document.createElement("canvas");
    Object.assign(drawn, { width: Math.round(width * share), height: Math.round(height * share) });
    /** @type {any} */ (drawn.getContext("2d")).drawImage(canvas, 0, 0, drawn.width, drawn.height);
  }
  return new Promise((resolve, reject) => {
    drawn.toBlob(
      (blob) => (blob ? resolve(blob) : reject(new Error("The browser made no picture."))),
      kind,
      0.9,
    );
  });
}

/** The pixels of a picture file, as they lie in it. @param {Blob} blob */
export async function decoded(blob) {
  const bitmap = await createImageBitmap(blob, {
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  });
  const found = pixelsOf(bitmap, bitmap.width, bitmap.height);
  bitmap.close();
  return found;
}
