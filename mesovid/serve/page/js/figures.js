// What was measured of a model: figures with their intervals, curves, and the report by class.

import { chart } from "./charts.js";
import { el, table } from "./dom.js";
import { count } from "./words.js";

const share = (value) => `${Math.round(100 * value)} %`;
const two = (value) => value.toFixed(2);
const known = (value) => value !== null && value !== undefined;

/** How the values of a figure are written. */
export const written = (figure) => (/share/.test(figure.metric) ? share : two);

/** A figure's value, its interval beneath. @param {any} figure */
export function cell(figure) {
  if (!figure) return "–";
  const write = written(figure);
  const interval =
    known(figure.low) && el("small", {}, `${write(figure.low)} to ${write(figure.high)}`);
  return [write(figure.value), interval];
}

/** The figure of a card with this data, metric and one of these subsets. */
export function figureOf(card, data, metric, subsets) {
  return (card.figures || []).find(
    (each) => each.data === data && each.metric === metric && subsets.includes(each.subset),
  );
}

/** The data sets of some cards' figures: as they are, and made worse. @param {any[]} cards */
export function dataOf(cards) {
  const all = cards.flatMap((card) => (card.figures || []).map((each) => each.data));
  const data = [...new Set(all)];
  return {
    plain: data.filter((each) => !each.includes(", videos ")),
    worse: data.filter((each) => each.includes(", videos ")),
  };
}

/** How a model's training went, epoch by epoch. @param {any} curves @returns {any[]} */
export function training(curves) {
  const { epochs, best_epoch: best } = curves;
  if (epochs.length < 2) return [];
  const series = (name, key) => ({
    name,
    points: epochs.filter((each) => known(each[key])).map((each) => [each.epoch, each[key]]),
    dots: epochs.length <= 30,
  });
  const x = { label: "epoch", from: epochs[0].epoch, to: epochs.at(-1).epoch, shown: String };
  const plot = (title, finding, found, y) => {
    const drawn = found.filter((each) => each.points.length > 1);
    return drawn.length && chart({ title, finding, series: drawn, x, y, mark: best });
  };
  const losses = [series("training", "loss"), series("validation", "val_loss")];
  const aucs = [series("videos", "val_auc"), series("faces", "val_frame_auc")];
  const ends = (list) => {
    const values = list.flatMap((each) => each.points.map(([, value]) => value));
    return { from: Math.min(0, ...values), to: Math.max(...values, 0.1) };
  };
  const kept = known(best) ? ` The weights are those of epoch ${best}, the dotted line.` : "";
  const lowest = (list) => Math.min(...list.points.map(([, value]) => value)).toFixed(3);
  return [
    plot("Loss", `At best ${lowest(losses[0])} in training.${kept}`, losses, {
      label: "loss",
      ...ends(losses),
    }),
    plot("Area under the curve, validation", `On data that it did not learn from.${kept}`, aucs, {
      label: "AUC",
      from: 0.5,
      to: 1,
    }),
  ].filter(Boolean);
}

/** ROC and reliability of one or two models on one set, and the report by class.
 * @param {{name: string, measured: any}[]} models that were measured on it
 * @param {string} [set] its name, where others are shown beside it */
export function measured(models, set) {
  const rocs = models.filter((each) => each.measured.roc);
  const reliable = models.filter((each) => each.measured.reliability);
  const points = ({ false_alarms: x, recall: y }) => x.map((value, i) => [value, y[i]]);
  return el(
    "div",
    { class: "cols" },
    rocs.length > 0 &&
      chart({
        title: "ROC",
        finding: rocs.map((each) => `${each.name}: ${caught(each.measured.roc)}`).join(" "),
        series: rocs.map(({ name, measured: { roc } }) => ({ name, points: points(roc) })),
        x: { label: "of reals, called fake", from: 0, to: 1 },
        y: { label: "of fakes, called fake", from: 0, to: 1 },
        diagonal: "chance",
      }),
    reliable.length > 0 &&
      chart({
        title: "Reliability",
        finding: "Of videos with one P(fake), how many are fake: on the diagonal, as many as said.",
        series: reliable.map(({ name, measured: { reliability } }) => ({
          name,
          points: reliability.map(({ mean, fakes }) => [mean, fakes]),
          dots: true,
        })),
        x: { label: "P(fake)", from: 0, to: 1 },
        y: { label: "of these, fake", from: 0, to: 1 },
        diagonal: "as many as said",
      }),
    models.map(
      ({ name, measured: { report } }) =>
        report && byClass(set ? `${name} on ${set}` : name, report),
    ),
  );
}

function caught({ false_alarms: alarms, recall }) {
  const within = alarms.map((value, i) => (value <= 0.1 ? recall[i] : 0));
  return `with 10 % of reals called fake, it finds ${share(Math.max(...within))} of the fakes.`;
}

/** The classification report. */
function byClass(whose, report) {
  const write = (value) => (known(value) ? two(value) : "–");
  return table(
    `${whose}, at the model's threshold, by class`,
    ["Class", "Precision", "Recall", "F1", "Videos"],
    Object.entries(report).map(([label, { precision, recall, f1, videos }]) => [
      label,
      write(precision),
      write(recall),
      write(f1),
      videos.toLocaleString("en"),
    ]),
    [false, true, true, true, true],
  );
}

/** The answers of a model to some data sets, as shares. @param {any} card @param {string[]} list */
export function answers(card, caption, list) {
  const fakes = ["all fakes", "fake"];
  const rate = (set, metric, subsets) => cell(figureOf(card, set, metric, subsets));
  const counted = list.filter((set) =>
    figureOf(card, set, "share called fake", ["real", ...fakes]),
  );
  return table(
    caption,
    ["Videos", "Real: called fake", "Real: undecided", "Fake: called fake", "Fake: undecided"],
    counted.map((set) => [
      set,
      rate(set, "share called fake", ["real"]),
      rate(set, "share uncertain", ["real"]),
      rate(set, "share called fake", fakes),
      rate(set, "share uncertain", fakes),
    ]),
    [false, true, true, true, true],
  );
}

/** Every figure of a card on some data sets. @param {any} card @param {string[]} list */
export function everyFigure(card, list) {
  const found = (card.figures || []).filter((each) => list.includes(each.data));
  const interval = (each) =>
    known(each.low) ? `${written(each)(each.low)} to ${written(each)(each.high)}` : "–";
  return table(
    `${count(found.length, "figure")} of ${card.name}`,
    ["Videos", "Figure", "Of", "Value", "95 % interval"],
    found.map((each) => [
      each.data,
      each.metric,
      each.subset,
      written(each)(each.value),
      interval(each),
    ]),
    [false, false, false, true, true],
  );
}
