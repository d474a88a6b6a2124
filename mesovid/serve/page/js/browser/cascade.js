// The MTCNN cascade: `mesovid.cascade` in JavaScript, on the same three networks and with the same
// numbers; what each is for stands there. A box is [left, top, right, bottom], landmarks are ten
// numbers (x and y of five points), rolls are degrees clockwise.

import { averaged, resampled, warped } from "./pixels.js";

const [CELL, STRIDE, LARGEST_FACE, PYRAMID_STEP] = [12, 2, 1.1, 0.6];
const [PROPOSAL_CONFIDENCE, REFINEMENT_CONFIDENCE] = [0.85, 0.8];
const TURNED_PROPOSAL_CONFIDENCE = 0.7;
const [LEVEL_OVERLAP, PROPOSAL_OVERLAP, REFINEMENT_OVERLAP, OUTPUT_OVERLAP] = [0.5, 0.7, 0.7, 0.7];
const [SPANNED_SIDE, SPANNED_ABOVE] = [4.07, 0.37];
const [SETTLING, LEVEL, AT_REST] = [6, 20, 0.002];
const [REFINEMENT_SIDE, OUTPUT_SIDE, PATCHES_AT_ONCE] = [24, 48, 16];
const [MOST_TURNED, TURNED_CONFIDENCE, LEAST_SETTLED] = [16, 0.95, 0.3];
const [PREFERENCE, TURNED_OVERLAP, STRAYED] = [0.5, 0.5, 30];
const [GREY, SIZE_TOLERANCE] = [128, 0.9];
export const CERTAIN = 0.995;
export const UPRIGHT = [0];
export const ALL_ROLLS = [0, 90, 180, 270];

/** P-Net proposes boxes, R-Net and O-Net sort them out. `run(network, dims, bytes)` gives arrays. */
export class Cascade {
  constructor(run, { min_face, confidence }) {
    this.run = run;
    this.minFace = min_face;
    this.confidence = confidence;
  }

  /** The faces of an image, most confident first: {box, confidence, landmarks}. */
  async detect(image, rolls = UPRIGHT) {
    return this.faces(await this.look(image, rolls));
  }

  /** The cascade over an image; `around` proposes enough for `lookAround`. */
  async look(image, rolls = UPRIGHT, around = false) {
    const proposals = await this.propose(image, around || rolls.length > 1);
    const upright = proposals.filter((each) => each.confidence > PROPOSAL_CONFIDENCE);
    const sight = { image, proposals, readings: await this.read(image, upright) };
    return rolls.length > 1 ? this.lookAround(sight, rolls) : sight;
  }

  /** What is seen at other rolls as well: of two readings of one place, the more certain one. */
  async lookAround({ image, proposals, readings }, rolls = ALL_ROLLS) {
    const certain = readings.filter(
      (each) => each.settled >= CERTAIN && apart(rollOf(each.landmarks), 0) < STRAYED,
    );
    let left = ordered(
      proposals.filter(
        (each) => !certain.some((face) => ofSmaller(each.box, face.box) > TURNED_OVERLAP),
      ),
    );
    if (certain.length) left = left.slice(0, MOST_TURNED);
    const read = [...readings];
    for (const roll of rolls.filter((each) => each !== 0)) {
      const turned = left.map((each) => ({ ...each, roll }));
      const found = await this.read(image, turned);
      read.push(...found.filter((each) => each.settled >= TURNED_CONFIDENCE));
    }
    return { image, proposals, readings: mostCertain(read) };
  }

  faces({ image, readings }) {
    const [wide, high] = [image.width, image.height];
    const least = this.minFace * SIZE_TOLERANCE;
    return ordered(readings)
      .filter(({ box }) => Math.max(...sides(box)) >= least)
      .map(({ box, confidence, landmarks }) => face(box, confidence, landmarks, wide, high));
  }

  /** The confidence in the most doubtful face; 0 where there is none. */
  certainty({ readings }) {
    return readings.length ? Math.min(...readings.map((each) => each.settled)) : 0;
  }

  /** Those of some guessed faces that are there, most confident first. */
  async confirm(image, guesses) {
    const guessed = guesses.map((each) => each.landmarks);
    const settled = await this.settle(image, guessed);
    const found = settled
      .map(({ confidence, landmarks }, i) => {
        const moved = [0, 1].map((axis) =>
          mean(
            landmarks
              .filter((_, k) => k % 2 === axis)
              .map((value, k) => value - guessed[i][2 * k + axis]),
          ),
        );
        const box = guesses[i].box.map((value, k) => value + moved[k % 2]);
        return { box, confidence, landmarks };
      })
      .filter((each) => each.confidence >= this.confidence);
    return without(found, OUTPUT_OVERLAP, ofSmaller).map((each) =>
      face(each.box, each.confidence, each.landmarks, image.width, image.height),
    );
  }

  /** R-Net and O-Net over proposals, all taken to be turned by their rolls. */
  async read(image, proposals) {
    const found = await this.decide(image, await this.refine(image, proposals));
    const settled = await this.settle(
      image,
      found.map((each) => each.landmarks),
    );
    const readings = found.map((each, i) => {
      const { confidence, landmarks, box } = settled[i];
      const sure = confidence >= this.confidence;
      const reading = {
        ...each,
        settled: confidence,
        landmarks: sure ? landmarks : each.landmarks,
      };
      const strayed = sure && apart(rollOf(reading.landmarks), each.roll) > STRAYED;
      return strayed ? { ...reading, box } : reading;
    });
    return readings.filter((each) => each.settled > LEAST_SETTLED);
  }

  /** Confidence, landmarks and box of O-Net, shown again and again what landmarks span. */
  async settle(image, begun) {
    const found = begun.map((landmarks) => ({ confidence: 0, landmarks, box: [0, 0, 0, 0] }));
    let moving = begun.map((landmarks, i) => ({ i, landmarks }));
    for (let round = 0; round < SETTLING && moving.length; round += 1) {
      const shown = moving.map(({ landmarks }) => ({
        box: spanned(landmarks),
        roll: level(landmarks),
      }));
      const read = await this.output(image, shown);
      const still = [];
      moving.forEach(({ i, landmarks }, k) => {
        const { box, roll } = shown[k];
        const end = landmarksOf(box, read[k].points, roll);
        found[i].confidence = read[k].confidence;
        found[i].box = shifted(box, read[k].offsets, roll);
        found[i].landmarks = landmarks.map((value, j) => (value + end[j]) / 2);
        const far = Math.max(...end.map((value, j) => Math.abs(value - landmarks[j])));
        if (far > AT_REST * (box[2] - box[0])) still.push({ i, landmarks: end });
      });
      moving = still;
    }
    return found;
  }

  /** O-Net: those square candidates that are faces, one for each place. */
  async decide(image, candidates) {
    const read = await this.output(image, candidates);
    const found = candidates.map(({ box, roll }, i) => ({
      box: shifted(box, read[i].offsets, roll),
      confidence: read[i].confidence,
      roll,
      landmarks: landmarksOf(box, read[i].points, roll),
    }));
    return without(
      found.filter((each) => each.confidence >= this.confidence),
      OUTPUT_OVERLAP,
      ofSmaller,
    );
  }

  async output(image, candidates) {
    return this.patches("onet", image, candidates, OUTPUT_SIDE);
  }

  /** R-Net: better boxes, squared again, for those candidates that it takes for faces. */
  async refine(image, candidates) {
    const read = await this.patches("rnet", image, candidates, REFINEMENT_SIDE);
    const found = candidates.map(({ box, roll }, i) => ({
      box: shifted(box, read[i].offsets, roll),
      confidence: read[i].confidence,
      roll,
    }));
    const sure = found.filter((each) => each.confidence > REFINEMENT_CONFIDENCE);
    return without(sure, REFINEMENT_OVERLAP, ofUnion).map((each) => ({
      ...each,
      box: square(each.box),
    }));
  }

  /** A network over candidates cut out and turned upright. */
  async patches(network, image, candidates, side) {
    const read = [];
    for (let i = 0; i < candidates.length; i += PATCHES_AT_ONCE) {
      const few = candidates.slice(i, i + PATCHES_AT_ONCE);
      const data = new Uint8Array(few.length * side * side * 3);
      few.forEach(({ box, roll }, k) =>
        data.set(patch(image, box, roll, side), k * side * side * 3),
      );
      const found = await this.run(network, [few.length, side, side, 3], data);
      few.forEach((_, k) =>
        read.push({
          confidence: found.probability.data[k],
          offsets: found.offsets.data.slice(4 * k, 4 * k + 4),
          points: found.landmarks && found.landmarks.data.slice(10 * k, 10 * k + 10),
        }),
      );
    }
    return read;
  }

  /** P-Net over a pyramid: square candidates; with `turned` also those that it is less sure of. */
  async propose(image, turned) {
    const least = turned ? TURNED_PROPOSAL_CONFIDENCE : PROPOSAL_CONFIDENCE;
    const found = [];
    let shown = image;
    for (const [number, scale] of pyramid(image.height, image.width, this.minFace).entries()) {
      const [wide, high] = [Math.floor(image.width * scale), Math.floor(image.height * scale)];
      shown = reduced(shown, wide, high);
      const answer = await this.run("pnet", [1, high, wide, 3], shown.data);
      const [, rows, columns] = answer.probability.dims;
      const [sure, offsets] = [answer.probability.data, answer.offsets.data];
      for (let at = 0; at < rows * columns; at += 1) {
        if (sure[at] > least) {
          const [x, y] = [(at % columns) * STRIDE, Math.floor(at / columns) * STRIDE];
          const box = [x, y, x + CELL, y + CELL].map(
            (value, k) => (value + offsets[k * rows * columns + at] * CELL) / scale,
          );
          found.push({ box, confidence: sure[at], roll: 0, level: number });
        }
      }
    }
    const best = ordered(found);
    const first = kept(
      best,
      (a, b) => a.level === b.level && ofUnion(a.box, b.box) > LEVEL_OVERLAP,
    );
    return kept(first, (a, b) => ofUnion(a.box, b.box) > PROPOSAL_OVERLAP).map(
      ({ box, confidence, roll }) => ({ box: square(box), confidence, roll }),
    );
  }
}

/** Scales at which P-Net looks at an image. */
export function pyramid(height, width, minFace) {
  const scales = [];
  let scale = Math.min(CELL / (minFace * LARGEST_FACE), 1);
  while (Math.floor(Math.min(height, width) * scale) >= CELL) {
    scales.push(scale);
    scale *= PYRAMID_STEP;
  }
  return scales;
}

/** Degrees clockwise by which a face is turned. */
export function rollOf([lx, ly, rx, ry, , , ax, ay, bx, by]) {
  const [downX, downY] = [(ax + bx - lx - rx) / 2, (ay + by - ly - ry) / 2];
  return (Math.atan2(ry - ly - downX, rx - lx + downY) * 180) / Math.PI;
}

function face(box, confidence, landmarks, wide, high) {
  const inside = box.map((value, k) => Math.max(0, Math.min(k % 2 ? high : wide, value)));
  return { box: inside, confidence, landmarks };
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const sides = ([left, top, right, bottom]) => [right - left, bottom - top];
const ordered = (list) => [...list].sort((a, b) => b.confidence - a.confidence);
const modulo = (value, by) => ((value % by) + by) % by;
/** Degrees between two directions. */
const apart = (a, b) => Math.abs(modulo(a - b + 180, 360) - 180);

/** Those that clash with none before them; nor with one that has gone itself. */
function kept(list, clash) {
  return list.filter((each, j) => {
    for (let i = 0; i < j; i += 1) if (clash(list[i], each)) return false;
    return true;
  });
}

/** Best first, less those that a better one overlaps. */
function without(list, threshold, overlap) {
  return kept(ordered(list), (a, b) => overlap(a.box, b.box) > threshold);
}

function shared(a, b) {
  const across = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const down = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  return across > 0 && down > 0 ? across * down : 0;
}
const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
function ofUnion(a, b) {
  const both = shared(a, b);
  return both && both / Math.max(area(a) + area(b) - both, 1e-6);
}
function ofSmaller(a, b) {
  const both = shared(a, b);
  return both && both / Math.max(Math.min(area(a), area(b)), 1e-6);
}

function mostCertain(read) {
  const logit = (p) => {
    const q = Math.max(1e-6, Math.min(1 - 1e-6, p));
    return Math.log(q / (1 - q));
  };
  const weighed = read.map((each, number) => ({
    each,
    number,
    confidence: logit(each.settled) + (each.roll === 0 ? PREFERENCE : 0),
  }));
  const stay = kept(
    ordered(weighed),
    (a, b) => a.each.roll !== b.each.roll && ofSmaller(a.each.box, b.each.box) > TURNED_OVERLAP,
  );
  return stay.sort((a, b) => a.number - b.number).map(({ each }) => each);
}

function square([left, top, right, bottom]) {
  const [x, y, half] = [
    (left + right) / 2,
    (top + bottom) / 2,
    Math.max(right - left, bottom - top) / 2,
  ];
  return [x - half, y - half, x + half, y + half];
}

/** An image made smaller: halved while it can be, then resampled linearly. */
function reduced(image, wide, high) {
  let shown = image;
  while (shown.width >= 2 * wide && shown.height >= 2 * high) {
    shown = averaged(shown, Math.floor(shown.width / 2), Math.floor(shown.height / 2));
  }
  return shown.width === wide && shown.height === high ? shown : resampled(shown, wide, high);
}

/** Cosine and sine, exact for quarter turns. */
function direction(roll) {
  const angle = (roll * Math.PI) / 180;
  return [Math.cos(angle), Math.sin(angle)].map((value) => Math.round(value * 1e12) / 1e12);
}

/** A box cut out, turned about its centre by its roll; corners on corners. */
function patch(image, [left, top, right, bottom], roll, side) {
  const [c, s] = direction(roll);
  const [across, down] = [1 - 1 / image.width, 1 - 1 / image.height];
  const [x, y] = [(right - left) / 2, (bottom - top) / 2];
  const [stepX, stepY] = [(2 * x) / (side - 1), (2 * y) / (side - 1)];
  const matrix = [
    c * stepX * across,
    -s * stepY * across,
    ((left + right) / 2 - c * x + s * y) * across,
    s * stepX * down,
    c * stepY * down,
    ((top + bottom) / 2 - s * x - c * y) * down,
  ];
  return warped(image, matrix, side, GREY).data;
}

/** Points (x and y in turn) turned clockwise about a centre.
 * @param {number[]} points @param {number[]} centre @param {number} roll */
function turned(points, [cx, cy], roll) {
  if (roll === 0) return points;
  const [c, s] = direction(roll);
  return points.map((_, k) => {
    const [x, y] = [points[k - (k % 2)] - cx, points[k - (k % 2) + 1] - cy];
    return k % 2 ? s * x + c * y + cy : c * x - s * y + cx;
  });
}

const centreOf = ([left, top, right, bottom]) => [(left + right) / 2, (top + bottom) / 2];

/** A box with each side moved by its offset, in units of its size. */
function shifted(box, offsets, roll) {
  const size = [box[2] - box[0] + 1, box[3] - box[1] + 1];
  const moved = box.map((value, k) => value + offsets[k] * size[k % 2]);
  if (roll === 0) return moved;
  const [x, y] = turned(centreOf(moved), centreOf(box), roll);
  const [c, s] = direction(roll).map((value) => value ** 2);
  const [across, down] = [((moved[2] - moved[0]) / 2) ** 2, ((moved[3] - moved[1]) / 2) ** 2];
  const [a, d] = [Math.sqrt(c * across + s * down), Math.sqrt(s * across + c * down)];
  return [x - a, y - d, x + a, y + d];
}

/** Landmarks in px from O-Net's five x and five y, which are in units of its input. */
function landmarksOf(box, points, roll) {
  const size = [box[2] - box[0] + 1, box[3] - box[1] + 1];
  const found = Array.from(
    { length: 10 },
    (_, k) => points[(k % 2) * 5 + (k >> 1)] * size[k % 2] + box[k % 2] - 1,
  );
  return turned(found, centreOf(box), roll);
}

/** The roll at which O-Net is shown a face. */
function level(landmarks) {
  const roll = rollOf(landmarks);
  const quarter = Math.round(roll / 90) * 90;
  return Math.abs(roll - quarter) > LEVEL ? roll : quarter;
}

/** The square about a face's landmarks, as O-Net likes it. */
function spanned(landmarks) {
  const [lx, ly, rx, ry, , , ax, ay, bx, by] = landmarks;
  const [ex, ey, mx, my] = [(lx + rx) / 2, (ly + ry) / 2, (ax + bx) / 2, (ay + by) / 2];
  const far = Math.max(Math.hypot(ex - mx, ey - my), 1e-6);
  const variance = [0, 1].map((axis) => {
    const values = landmarks.filter((_, k) => k % 2 === axis);
    const middle = mean(values);
    return mean(values.map((value) => (value - middle) ** 2));
  });
  const spread = Math.sqrt(variance[0] + variance[1]);
  const x = (ex + mx) / 2 + (SPANNED_ABOVE * spread * (ex - mx)) / far;
  const y = (ey + my) / 2 + (SPANNED_ABOVE * spread * (ey - my)) / far;
  const half = (SPANNED_SIDE / 2) * spread;
  return [x - half, y - half, x + half, y + half];
}
