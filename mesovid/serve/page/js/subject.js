// The face that a place is about: of a scan, or of a set of samples on the user's disk.

import { link } from "./address.js";
import { clock, count } from "./words.js";

/** A face, with what is known of it.
 * @typedef {{of: import("./source.js").FaceOf, n: number, words: (string | number)[], key: string,
 *   address: string, title: string, said: string, size: number | null, judged: string | null,
 *   back: {href: string, text: string}, faces: any[] | null, pair: number | null,
 *   truth: string | null}} Subject */

/** As an address names it: `scan.n`, or `set:name.n`. @param {string | null} text */
export function named(text) {
  const [, set, id, n] = (text || "").match(/^(set:)?(.+)\.(\d+)$/) || [];
  if (!id) return null;
  return set ? { set: id, n: Number(n) } : { scan: id, n: Number(n) };
}

/** Of the words of a face's page. @param {string[]} words */
export function placed([kind, id, , number]) {
  return kind === "set" ? { set: id, n: Number(number) } : { scan: id, n: Number(number) };
}

/** @param {import("./source.js").Source} source @param {import("./source.js").FaceOf} of
 * @returns {Promise<Subject>} */
export async function subjectOf(source, of) {
  return of.set ? ofSet(source, of) : ofScan(source, of);
}

async function ofScan(source, { scan, n }) {
  const [job, faces] = await Promise.all([source.scan(scan), source.faces(scan)]);
  const face = faces[n];
  if (!face)
    throw new Error(
      `There is no face ${n}; the scan has ${count(faces.length, "face")}, from 0 on.`,
    );
  const [left, top, right, bottom] = face.box;
  const size = Math.max(right - left, bottom - top);
  const still = job.result.video.duration === null;
  const alone = still && faces.length === 1;
  return {
    of: { scan, n },
    ...{ n, faces, size, pair: null, truth: null },
    words: ["scan", scan, "face", n],
    key: `${scan}.${n}`,
    address: source.face(scan, n),
    title: alone ? "The face" : still ? `Face ${n + 1}` : `The face at ${clock(face.time)}`,
    said:
      `Face ${n + 1} of ${faces.length}, person ${face.person}, ` +
      `${Math.round(size)} px in its frame.`,
    judged: job.result.model.name,
    back: { href: link(["scan", scan], { t: face.time }), text: "‹ Back to the verdict" },
  };
}

async function ofSet(source, { set, n }) {
  const { faces } = await source.drawn(set, { offset: n, limit: 1 });
  const face = faces[0];
  if (!face) throw new Error(`There is no face ${n} in ${set}.`);
  const truth = face.method ? `${face.label}, ${face.method}` : face.label;
  const when = face.time === null ? "" : ` at ${clock(face.time)}`;
  return {
    of: { set, n },
    ...{ n, truth, faces: null, size: null, judged: null, pair: face.pair },
    words: ["set", set, "face", n],
    key: `set:${set}.${n}`,
    address: source.drawnFace(set, n),
    title: `Face ${n + 1} of ${set}`,
    said: `${truth[0].toUpperCase()}${truth.slice(1)}; of ${face.video}${when}.`,
    back: { href: link([]), text: "‹ Back to the start" },
  };
}
