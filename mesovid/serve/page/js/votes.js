// How a logit came about: its summands as bars that add up.

import { card, el, table } from "./dom.js";
import { signed } from "./words.js";

/** A bar to the right for fake, to the left for real. @param {number} value @param {number} most */
export function track(value, most) {
  const width = `${(50 * Math.min(1, Math.abs(value) / (most || 1))).toFixed(2)}%`;
  return el(
    "span",
    { class: "track", "aria-hidden": "true" },
    el("i", { class: value > 0 ? "for" : "against", css: { width } }),
  );
}

/** The greatest size among some numbers, for a common scale. @param {Iterable<number>} values */
export function greatest(values) {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most || 1;
}

/** The votes of one face. @param {import("./source.js").Prediction} answer */
export function voteCard({ split, fake_probability: probability }) {
  if (!split) {
    const words = "The head of this network does not split into summands.";
    return card("How the sum came about", el("p", {}, words));
  }
  const shares = [...split.shares, { name: "bias", value: split.bias }];
  const most = greatest(shares.map((each) => each.value));
  const sum = (sign) =>
    shares.reduce((total, { value }) => total + (value * sign > 0 ? value : 0), 0);
  const units = split.shares[0].name.startsWith("unit");
  const row = (each) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, each.name),
      el("td", {}, track(each.value, most)),
      el("td", { class: "n" }, signed(each.value, 3)),
    );
  return card(
    units ? `${split.shares.length} votes, and their sum` : "What each part adds",
    el(
      "p",
      { class: "soft" },
      units
        ? "The last hidden units vote: to the right for fake, to the left for real. "
        : "What the network reads in each part of the face: right for fake, left for real. ",
      "They add up to the logit.",
    ),
    el(
      "table",
      { class: "votes" },
      el("caption", { class: "unseen" }, "Votes"),
      el(
        "thead",
        { class: "unseen" },
        el(
          "tr",
          {},
          ["who", "bar", "vote"].map((head) => el("th", { scope: "col" }, head)),
        ),
      ),
      el("tbody", {}, shares.map(row)),
    ),
    el(
      "p",
      { class: "num sum" },
      `For fake ${signed(sum(1))}, for real ${signed(sum(-1))}: logit `,
      `${signed(split.adds_up_to, 3)}, calibrated P(fake) ${probability.toFixed(3)}.`,
    ),
  );
}

/** The votes of two faces of one model as paired bars.
 * @param {import("./source.js").Prediction} a @param {import("./source.js").Prediction} b
 * @param {string[]} names of both */
export function pairedVotes(a, b, names) {
  if (!a.split || !b.split)
    return card("Their votes", el("p", {}, "The head of this network does not split into votes."));
  const other = new Map(b.split.shares.map((share) => [share.name, share.value]));
  const rows = a.split.shares.map(({ name, value }) => [name, value, other.get(name) ?? 0]);
  rows.push(["bias", a.split.bias, b.split.bias]);
  const most = greatest(rows.flatMap(([, x, y]) => [x, y]));
  const shown = [...rows, ["logit", a.logit, b.logit]].map(([who, x, y], i) => [
    who,
    i < rows.length ? [track(x, most), track(y, most)] : "",
    ...[signed(x), signed(y), signed(y - x)],
  ]);
  const caption =
    `Votes of ${names[0]} (above) and ${names[1]} (below), on one scale: ` +
    "to the right for fake, to the left for real";
  const node = table(
    caption,
    ["Who", "Bars", names[0], names[1], `${names[1]} less ${names[0]}`],
    shown,
    [false, false, true, true, true],
  );
  node.querySelector("table").classList.add("votes");
  return card("Their votes", node);
}
