// Follows faces through the sampled frames of a clip: `mesovid.faces`, `mesovid.cuts` and
// `mesovid.people` in JavaScript. A frame is a picture of `pixels.js`.

import { ALL_ROLLS, CERTAIN, UPRIGHT, rollOf } from "./cascade.js";
import { averaged, rotated, sampled } from "./pixels.js";

const [SAME_FACE_OVERLAP, LOOKED_AROUND, AROUND_AGAIN] = [0.4, 2, 4];
const [ROLL_STEP, NEAR_ROLL] = [45, 30];
const [WIDTH, HEIGHT, LEVELS] = [64, 36, 8];
const [LEAST_SHARED_COLOURS, SAME_SHAPE, LEAST_CORRELATION] = [0.64, 1.02, 0.6];
const [MAX_DISTANCE, MAX_GROWTH, MIN_OVERLAP, PATIENCE] = [0.8, 1.8, 0.3, 4];

/** One clip on its way through the detector, a batch of frames at a time. */
export class Clip {
  constructor(cascade, redetect) {
    this.cascade = cascade;
    this.redetect = redetect;
    this.cuts = new CutDetector();
    /** @type {any[]} of the last frame of the batch before, turned */
    this.last = [];
    this.shape = ""; // of that frame
    this.turn = 0; // quarters anticlockwise that make most faces upright
    this.rolls = UPRIGHT; // to look for faces at, in the turned clip
    this.settled = false; // whether a face has been found
    this.batches = 0;
    this.nextAround = 0; // batch in which to look at every roll
  }

  /** Faces of the next frames, and which of these begin a new shot. */
  async follow(images) {
    const cuts = images.map((image) => this.cuts.isCut(image));
    const breaks = images.map((image, i) => {
      const before = this.shape;
      this.shape = `${image.width} ${image.height}`;
      return cuts[i] || before !== this.shape;
    });
    const found = await this.detectKeys(
      images,
      keyFrames(breaks, this.redetect),
      breaks.includes(true),
    );
    if (!breaks[0]) found.set(-1, this.last);
    await this.fill(images, found);
    this.last = found.get(images.length - 1);
    const faces = images.map((image, i) =>
      found.get(i).map((face) => turnedBack(face, this.turn, image.height, image.width)),
    );
    return { faces, cuts };
  }

  async detectKeys(images, keys, newShot) {
    this.batches += 1;
    const due = newShot || !this.settled || this.batches >= this.nextAround;
    const sights = [];
    for (const key of keys) {
      sights.push(await this.cascade.look(rotated(images[key], this.turn), this.rolls, due));
    }
    const faces = sights.map((sight) => this.cascade.faces(sight));
    if (due) {
      this.nextAround = this.batches * AROUND_AGAIN;
      const doubtful = mostDoubtful(sights.map((sight) => this.cascade.certainty(sight)));
      const around = [];
      for (const i of doubtful) {
        around.push(this.cascade.faces(await this.cascade.lookAround(sights[i], ALL_ROLLS)));
      }
      this.settled ||= around.some((each) => each.length);
      if (this.learnRolls(around.flat())) return this.detect(images, keys);
      doubtful.forEach((i, k) => {
        faces[i] = around[k];
      });
    }
    this.settled ||= faces.some((each) => each.length);
    return new Map(keys.map((key, i) => [key, faces[i]]));
  }

  /** Turn the clip as most faces are turned; whether that or the rolls to look at changed. */
  learnRolls(faces) {
    if (!faces.length) return false;
    const rolls = faces.map((each) => rollOf(each.landmarks));
    const counts = [0, 0, 0, 0];
    for (const roll of rolls) counts[modulo(Math.round(roll / 90), 4)] += 1;
    const most = counts.indexOf(Math.max(...counts));
    const known = new Set([0, ...this.rolls.map((roll) => modulo(roll - 90 * most, 360))]);
    for (const roll of rolls.map((each) => each - 90 * most)) {
      const nearest = Math.min(
        ...[...known].map((each) => Math.abs(modulo(roll - each + 180, 360) - 180)),
      );
      if (nearest > NEAR_ROLL) known.add(modulo(Math.round(roll / ROLL_STEP) * ROLL_STEP, 360));
    }
    const before = String(this.rolls);
    this.rolls = [...known].sort((a, b) => a - b);
    if (most) {
      this.turn = (this.turn + most) % 4;
      this.last = [];
    }
    return most !== 0 || String(this.rolls) !== before;
  }

  /** The whole cascade over some of the images. */
  async detect(images, numbers) {
    const found = new Map();
    for (const i of numbers) {
      found.set(i, await this.cascade.detect(rotated(images[i], this.turn), this.rolls));
    }
    return found;
  }

  /** Add the frames between those that are known. */
  async fill(images, found) {
    const guesses = new Map();
    let spans = pairs([...found.keys()].sort((a, b) => a - b)).filter(([a, b]) => b - a > 1);
    while (spans.length) {
      const unlike = [];
      for (const [first, last] of spans) {
        const same = sameFaces(found.get(first), found.get(last));
        if (!same) unlike.push([first, Math.floor((first + last) / 2), last]);
        else {
          for (let i = first + 1; i < last; i += 1) {
            const share = (i - first) / (last - first);
            guesses.set(
              i,
              same.map(([a, b]) => between(a, b, share)),
            );
          }
        }
      }
      const middles = await this.detect(
        images,
        unlike.map(([, middle]) => middle),
      );
      for (const [i, faces] of middles) found.set(i, faces);
      spans = unlike
        .flatMap(([a, middle, b]) => [
          [a, middle],
          [middle, b],
        ])
        .filter(([a, b]) => b - a > 1);
    }
    for (const [i, faces] of guesses) {
      const confirmed = faces.length
        ? await this.cascade.confirm(rotated(images[i], this.turn), faces)
        : [];
      const lost = confirmed.length < faces.length;
      found.set(i, lost ? (await this.detect(images, [i])).get(i) : confirmed);
    }
  }
}

const modulo = (value, by) => ((value % by) + by) % by;
const pairs = (list) => list.slice(1).map((each, i) => [list[i], each]);

function keyFrames(breaks, redetect) {
  const ends = new Set([breaks.length - 1]);
  breaks.forEach((cut, i) => {
    if (cut) {
      ends.add(i);
      if (i) ends.add(i - 1);
    }
  });
  const keys = new Set(ends);
  for (const [first, last] of pairs([-1, ...ends].sort((a, b) => a - b))) {
    for (let i = first + redetect; i < last; i += redetect) keys.add(i);
  }
  return [...keys].sort((a, b) => a - b);
}

function mostDoubtful(certainty) {
  const order = certainty.map((_, i) => i).sort((a, b) => certainty[a] - certainty[b]);
  return order.slice(0, LOOKED_AROUND).filter((i, place) => place === 0 || certainty[i] < CERTAIN);
}

/** Each face with itself in another frame; null when one has come, gone or moved far. */
function sameFaces(before, after) {
  if (before.length !== after.length) return null;
  const left = [...after];
  const found = [];
  for (const face of before) {
    const overlaps = left.map((each) => overlap(face.box, each.box));
    const best = overlaps.indexOf(Math.max(...overlaps));
    if (overlaps[best] < SAME_FACE_OVERLAP) return null;
    found.push([face, left.splice(best, 1)[0]]);
  }
  return found;
}

function between(a, b, share) {
  const mix = (x, y) => x.map((value, k) => value + (y[k] - value) * share);
  return {
    box: mix(a.box, b.box),
    confidence: Math.min(a.confidence, b.confidence),
    landmarks: mix(a.landmarks, b.landmarks),
  };
}

/** A face found in an image that was turned, in pixels of the image as it was. */
function turnedBack(face, turn, height, width) {
  if (!turn) return face;
  const back = ([x, y]) =>
    turn === 1
      ? [width - 1 - y, x]
      : turn === 2
        ? [width - 1 - x, height - 1 - y]
        : [y, height - 1 - x];
  const landmarks = face.landmarks.map(
    (_, k) => back(face.landmarks.slice(k - (k % 2), k - (k % 2) + 2))[k % 2],
  );
  const [left, top, right, bottom] = face.box;
  const box =
    turn === 1
      ? [width - bottom, left, width - top, right]
      : turn === 2
        ? [width - right, height - bottom, width - left, height - top]
        : [top, height - right, bottom, height - left];
  return { ...face, box, landmarks };
}

/** Tells where one shot ends and another begins, from thumbnails. */
export class CutDetector {
  constructor() {
    this.last = null;
    this.shape = 0;
  }

  /** Whether this frame begins a new shot, as the first of all does. */
  isCut(image) {
    const [shape, before, last] = [image.width / image.height, this.shape, this.last];
    this.shape = shape;
    const thumbnail = averaged(sampled(image, 4 * WIDTH, 4 * HEIGHT), WIDTH, HEIGHT).data;
    this.last = { colours: colours(thumbnail), brightness: brightness(thumbnail) };
    if (!last || shape / before > SAME_SHAPE || shape / before < 1 / SAME_SHAPE) return true;
    const now = this.last;
    const shared = now.colours.reduce((sum, count, i) => sum + Math.min(count, last.colours[i]), 0);
    const alike = now.brightness.reduce((sum, value, i) => sum + value * last.brightness[i], 0);
    return shared / (WIDTH * HEIGHT) < LEAST_SHARED_COLOURS && alike < LEAST_CORRELATION;
  }
}

const STEP = Uint8Array.from({ length: 256 }, (_, i) =>
  Math.min(Math.sqrt(i / 256) * LEVELS, LEVELS - 1),
);

function colours(thumbnail) {
  const counts = new Int32Array(4 * LEVELS ** 3);
  for (let i = 0; i < WIDTH * HEIGHT; i += 1) {
    const [r, g, b] = [0, 1, 2].map((k) => STEP[thumbnail[3 * i + k]]);
    const quarter =
      (Math.floor(i / WIDTH) >= HEIGHT / 2 ? 2 : 0) + (i % WIDTH >= WIDTH / 2 ? 1 : 0);
    counts[quarter * LEVELS ** 3 + (r * LEVELS + g) * LEVELS + b] += 1;
  }
  return counts;
}

function brightness(thumbnail) {
  const grey = Float64Array.from(
    { length: WIDTH * HEIGHT },
    (_, i) => (thumbnail[3 * i] + thumbnail[3 * i + 1] + thumbnail[3 * i + 2]) / 3,
  );
  const mean = grey.reduce((sum, value) => sum + value, 0) / grey.length;
  const contrast = grey.map((value) => value - mean);
  const length = Math.sqrt(contrast.reduce((sum, value) => sum + value * value, 0));
  return contrast.map((value) => value / Math.max(length, 1e-6));
}

/** Gives each face of a clip the number of its person, frame by frame. */
export class PeopleLinker {
  constructor() {
    this.people = [];
    this.count = 0;
    this.size = null;
  }

  /** The people of a frame's faces, in their order. */
  link(faces, cut, { width, height }) {
    if (cut) this.people = [];
    if (this.size && (this.size.width !== width || this.size.height !== height)) {
      const by = [width / this.size.width, height / this.size.height];
      for (const track of this.people) track.box = track.box.map((value, k) => value * by[k % 2]);
    }
    this.size = { width, height };
    const near = this.people
      .flatMap((track) =>
        faces.map((face, column) => ({
          track,
          column,
          apart: distance(track.box, face.box),
          box: face.box,
        })),
      )
      .filter(({ track, box }) => linkable(track.box, box))
      .sort((a, b) => a.apart - b.apart);
    const tracks = new Map();
    const taken = new Set();
    for (const { track, column } of near) {
      if (!taken.has(track) && !tracks.has(column)) {
        taken.add(track);
        tracks.set(column, track);
      }
    }
    const ids = faces.map((face, column) => {
      const track = tracks.get(column) || this.appeared();
      track.box = face.box;
      return track.id;
    });
    for (const track of this.people) track.missed = ids.includes(track.id) ? 0 : track.missed + 1;
    this.people = this.people.filter((track) => track.missed <= PATIENCE);
    return ids;
  }

  appeared() {
    const track = { id: this.count, box: [0, 0, 0, 0], missed: 0 };
    this.count += 1;
    this.people.push(track);
    return track;
  }
}

/** The longer side of a box: the size of a face. */
export const side = (box) => Math.max(box[2] - box[0], box[3] - box[1]);

function linkable(before, after) {
  const [small, large] = [side(before), side(after)].sort((a, b) => a - b);
  if (large > MAX_GROWTH * small) return false;
  return overlap(before, after) >= MIN_OVERLAP || distance(before, after) <= MAX_DISTANCE;
}

function distance(a, b) {
  const [dx, dy] = [(a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2];
  return Math.hypot(dx, dy) / Math.max(side(a), side(b), 1e-9);
}

function overlap(a, b) {
  const across = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const down = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (across <= 0 || down <= 0) return 0;
  const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
  return (across * down) / (area(a) + area(b) - across * down);
}
