// What things are called, and how numbers are written.

import { el, fill } from "./dom.js";

export const WORDS = {
  fake: "Looks faked",
  real: "No sign of a fake found",
  uncertain: "Cannot tell",
  none: "No verdict",
};
export const MARKS = { fake: "▲", real: "●", uncertain: "◆", none: "–" };
const SHORT = { fake: "fake", real: "real", uncertain: "unclear", none: "none" };
export const MEANING = {
  fake: "To this model, a face in this clip looks faked.",
  real:
    "In the faces that it looked at, this model found no sign of a fake. That does not make the" +
    " clip genuine.",
  uncertain: "This model cannot tell whether a face in this clip is faked.",
  none: "There is no verdict on this clip.",
};
export const NEVER = [
  "It looks at faces alone: not at sound, not at what is said, not at bodies or background, " +
    "and not at whether the clip shows what its caption says.",
  "No detector can show that a clip is genuine: a fake of a kind that the model never saw may" +
    " look real to it.",
];

/** A verdict in a few words, and what it means.
 * @param {{verdict: string | null, cleared?: string[]}} result @returns {[string, string]} */
export function answer({ verdict, cleared }) {
  const label = verdict || "none";
  if (label !== "uncertain" || !cleared?.length) return [WORDS[label], MEANING[label]];
  const what = cleared.join(" or ");
  return [
    `${WORDS[label]}; no sign of ${what}`,
    `No sign of ${what} was found in this clip. Whether a face in it was faked in another way, such as` +
      " generated as a whole, this model cannot tell.",
  ];
}

/** Where a score lies: fake, real or uncertain.
 * @param {number} probability @param {number} threshold @param {number[] | null} band */
export function zone(probability, threshold, band) {
  if (band && probability >= band[0] && probability <= band[1]) return "uncertain";
  return probability >= threshold ? "fake" : "real";
}

/** A word with its sign. */
export function word(label, text = SHORT[label]) {
  return el(
    "span",
    { class: `word t-${label}` },
    el("span", { "aria-hidden": "true" }, `${MARKS[label]} `),
    text,
  );
}

/** Seconds as a clock shows them. */
export function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const whole = Math.floor(tenths / 10);
  const two = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const rest = `${two(whole % 60)}.${tenths % 10}`;
  return hours ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}

/** Words as a sentence; nothing of none. @param {string | null | undefined} text */
export const sentence = (text) => (text ? `${text[0].toUpperCase()}${text.slice(1)}.` : "");

export function count(number, noun, several = `${noun}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? noun : several}`;
}

export function bytes(size) {
  for (const [unit, factor] of [
    ["GB", 2 ** 30],
    ["MB", 2 ** 20],
    ["kB", 2 ** 10],
  ]) {
    if (size >= /** @type {number} */ (factor))
      return `${(size / /** @type {number} */ (factor)).toFixed(size >= 10 * /** @type {number} */ (factor) ? 0 : 1)} ${unit}`;
  }
  return `${size} bytes`;
}

export function signed(value, digits = 2) {
  const text = Math.abs(value).toFixed(digits);
  return Number(text) === 0 ? text : `${value < 0 ? "−" : "+"}${text}`;
}

/** A number in few figures. */
export function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return (size >= 1000 || size < 0.001 ? value.toExponential(1) : value.toPrecision(3)).replace(
    "-",
    "−",
  );
}

/** What a model sees no sign of, and below which P(fake) within its band: null where it does not
 * say so. A panel says what its one deciding model says. @param {any} card
 * @returns {{below: number, finds: string} | null} */
export function clearing(card) {
  const deciding = (card.members || []).filter((each) => each.decides);
  const [sees] = deciding.length ? deciding : [card];
  const [low, high] = card.uncertain || [0, 0];
  if (deciding.length > 1 || !(sees.clears_below > low && sees.clears_below < high)) return null;
  return { below: sees.clears_below, finds: sees.finds };
}

/** The scale from real to fake with the band in which the model cannot tell, and a place on it.
 * @param {number | null} probability @param {number} threshold @param {number[] | null} band
 * @param {string} [what] @param {number} [clears] the band is paler below */
export function scale(probability, threshold, band, what = "this clip", clears = 0) {
  return updateScale(el("div", { class: "scale" }), probability, threshold, band, what, clears);
}

export function updateScale(node, probability, threshold, band, what = "this clip", clears = 0) {
  const [low, high] = band || [threshold, threshold];
  const pale = band && clears ? clears : low;
  const known = probability !== null && probability !== undefined;
  const where = known ? `${what} at ${probability.toFixed(2)}` : "no score";
  const said = band
    ? `from ${low.toFixed(2)} to ${high.toFixed(2)} the model cannot tell`
    : `the threshold is ${threshold.toFixed(2)}`;
  const part = (kind, share, text) =>
    share > 0 &&
    el(
      "span",
      { class: kind, css: { width: `${100 * share}%` } },
      share > 0.12 && text && (kind === "z-mid" ? el("b", {}, text) : text),
    );
  const edge = !known ? "" : probability < 0.12 ? " first" : probability > 0.88 ? " last" : "";
  return fill(
    node,
    el(
      "div",
      { role: "img", "aria-label": `Scale of P(fake) from 0, real, to 1, fake: ${where}; ${said}` },
      known &&
        el(
          "div",
          { class: "pinrow" },
          el(
            "div",
            { class: `pin${edge}`, css: { left: `${100 * probability}%` } },
            el("span", {}, `P(fake) ${probability.toFixed(2)}`),
          ),
        ),
      el(
        "div",
        { class: "zones" },
        part("z-real", low, "real"),
        part("z-mid z-pale", pale - low, ""),
        part("z-mid", high - pale, "cannot tell"),
        part("z-fake", 1 - high, "fake"),
      ),
      el(
        "div",
        { class: "under" },
        low > 0.04 &&
          low < 0.96 &&
          high - low > 0.1 &&
          el("span", { css: { left: `${100 * low}%` } }, low.toFixed(2)),
        pale > low &&
          high - pale > 0.1 &&
          el("span", { css: { left: `${100 * pale}%` } }, pale.toFixed(2)),
        high > 0.06 &&
          high < 0.94 &&
          el("span", { css: { left: `${100 * high}%` } }, high.toFixed(2)),
        el("span", { css: { left: "0.6ch" } }, "0"),
        el("span", { css: { left: "calc(100% - 0.6ch)" } }, "1"),
      ),
    ),
  );
}

/** The areas under the curve of a card in words, a data set each; the validation's where no other
 * is known. */
export function auc(card) {
  const all = (card.figures || []).filter(
    (each) =>
      each.metric === "video AUC" && each.subset === "all" && !each.data.includes(", videos "),
  );
  const found = all.filter((each) => each.data !== "validation");
  const told = (found.length ? found : all).map((each) => {
    const interval =
      each.low !== null && each.low !== undefined
        ? ` (${each.low.toFixed(2)} to ${each.high.toFixed(2)})`
        : "";
    return `${each.value.toFixed(2)}${interval} on ${each.data}`;
  });
  return told.length ? `Video AUC ${told.join(", ")}` : "Not measured";
}

/** What a model is made of, in a few words. */
export function makeup(card) {
  const members = (card.members || []).map((each) => each.name);
  if (members.length) return `a panel of ${members.join(", ")}`;
  return card.parameters ? count(card.parameters, "parameter") : "of unknown size";
}
