// Whether the browser can be relied on: some falsify the pixels that pages read back, for privacy,
// and scores would be wrong without a word.

import { decoded, encoded } from "./frames.js";

const TOLERANCE = 1e-3; // of a logit

export const FALSIFIED =
  "This browser falsifies the pixels that pages read back, to protect your " +
  "privacy, so scores would be wrong and none are given. Switch that protection off for this page, " +
  "use another browser, or install mesovid.";

/** Noise that every program makes alike. */
export function pattern(side) {
  const data = new Uint8ClampedArray(side * side * 4);
  let state = 1;
  for (let i = 0; i < data.length; i += 1) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    data[i] = i % 4 === 3 ? 255 : (state >> 16) & 255;
  }
  return { data, width: side, height: side };
}

/** Throw unless pixels come back as they were drawn. @param {number} [side] */
export async function checkedCanvas(side = 256) {
  const drawn = pattern(side);
  const back = await decoded(await encoded(drawn));
  if (!back.data.every((value, i) => value === drawn.data[i])) throw new Error(FALSIFIED);
  return back;
}

/** The same, and a network must say of them what it said in Python.
 * @param {(image: any) => Promise<number>} logit @param {{side: number, logit: number}} probe */
export async function checked(logit, probe) {
  const found = await logit(await checkedCanvas(probe.side));
  if (Math.abs(found - probe.logit) <= TOLERANCE) return;
  const [told, wanted] = [found.toFixed(4), probe.logit.toFixed(4)];
  throw new Error(
    "The network does not compute in this browser what it should, so no scores are given (a test " +
      `pattern has logit ${told}, and should have ${wanted}).`,
  );
}
