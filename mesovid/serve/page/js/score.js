// The score of a face while it is changed: untouched, now, and the change, always in sight.

import { covers, damaged, encoded, harmless, told, touched, untouched } from "./damage.js";
import { el, fill, say } from "./dom.js";
import { scale, signed, updateScale, word, zone } from "./words.js";

const CALLED = { fake: "called fake", real: "called real", uncertain: "cannot tell" };

/** Asks for scores, one at a time; of what is asked meanwhile, the newest is asked next.
 * @param {any} view @param {(answer: any) => void} scored is called with each answer */
export function scoreLine(view, scored) {
  const { about, name, crop, source } = view;
  const band = about.uncertain || null;
  const zoneOf = (probability) => zone(probability, about.threshold, band);
  const now = el("p", { class: "num", id: "now" }, "Scoring.");
  const fragile = el("p", { id: "fragile", hidden: true });
  const drawn = scale(null, about.threshold, band, "this face");
  const node = el("div", { class: "score sticky" }, now, fragile, drawn);
  let begun = () => {};
  const first = new Promise((resolve) => {
    begun = () => resolve(true);
  });
  /** @type {Promise<any> | null} */
  let before = null;
  /** @type {import("./damage.js").What | null} */
  let next = null;
  let busy = false;

  /** What the model says of the face with changes made to it.
   * @param {import("./damage.js").What} what */
  const judge = async (what) =>
    source.predict(await encoded(damaged(crop, what), what), { model: name, split: true });
  /** What it says of the face as it is; asked once. */
  const baseline = () => (before = before || judge(untouched()));

  const run = async () => {
    busy = true;
    while (next) {
      const what = next;
      next = null;
      try {
        const was = await baseline();
        show(touched(what) ? await judge(what) : was, was, what);
      } catch (error) {
        before = null;
        fill(now, /** @type {Error} */ (error).message);
      }
      begun();
    }
    busy = false;
  };
  const show = (answer, was, what) => {
    const label = zoneOf(answer.fake_probability);
    const [old, change] = [was.fake_probability, answer.fake_probability - was.fake_probability];
    fill(
      now,
      el("b", {}, `P(fake) ${answer.fake_probability.toFixed(3)}`),
      word(label, CALLED[label]),
      el("span", { class: "soft" }, ` by ${name} alone`),
      el("span", {}, `untouched ${old.toFixed(3)}`),
      el("span", {}, `change ${touched(what) ? signed(change, 3) : "0"}`),
    );
    const moved = label !== zoneOf(old);
    fragile.hidden = !moved;
    if (moved && harmless(what))
      fill(
        fragile,
        el("b", {}, "This answer is fragile: "),
        `${told(what)}, which hardly anybody would mind, `,
        `turns “${CALLED[zoneOf(old)]}” into “${CALLED[label]}”.`,
      );
    else if (moved) {
      const strong = covers(what) ? "Covering" : "So strong a change";
      fill(fragile, `${strong} turns “${CALLED[zoneOf(old)]}” into “${CALLED[label]}”.`);
    }
    updateScale(drawn, answer.fake_probability, about.threshold, band, "this face");
    scored(answer);
    say(`P(fake) ${answer.fake_probability.toFixed(2)}`);
  };
  /** Ask for the score with these changes. @param {import("./damage.js").What} what */
  const ask = (what) => {
    next = what;
    if (!busy) run();
  };
  return { node, ask, judge, baseline, first, zoneOf };
}
