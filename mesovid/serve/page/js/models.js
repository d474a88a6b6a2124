// The models: what each is, how it was measured, where it stops, and what it is made of.

import { card, el, table } from "./dom.js";
import { auc, makeup, scale, short } from "./words.js";

export async function page({ words, source }) {
  return words[1] ? one(words[1], source) : everyone(source);
}

const percent = (value) => `${Math.round(100 * value)} %`;
const interval = (figure, write) =>
  figure.low === null || figure.low === undefined
    ? null
    : el("small", {}, `${write(figure.low)} to ${write(figure.high)}`);
const written = (figure) => (/share/.test(figure.metric) ? percent : (value) => value.toFixed(2));

function figure(card_, data, metric, subsets) {
  return (card_.figures || []).find(
    (each) => each.data === data && each.metric === metric && subsets.includes(each.subset),
  );
}

async function everyone(source) {
  const all = await source.models();
  const data = [
    ...new Set(
      all.flatMap((each) =>
        (each.figures || [])
          .filter((f) => f.metric === "video AUC" && f.subset === "all")
          .map((f) => f.data),
      ),
    ),
  ].filter((each) => !each.includes(", videos "));
  const cell = (each, name) => {
    const found = figure(each, name, "video AUC", ["all"]);
    return found ? [found.value.toFixed(2), interval(found, (value) => value.toFixed(2))] : "–";
  };
  const node = el(
    "div",
    {},
    el("h1", {}, "Models"),
    el(
      "p",
      { class: "lead" },
      "None of them is good enough to be used alone. Each says how often it is wrong, and where it cannot tell.",
    ),
    all.map((each) =>
      el(
        "section",
        { class: "card" },
        el("h2", {}, el("a", { href: `#/models/${encodeURIComponent(each.name)}` }, each.name)),
        el("p", {}, `${each.summary[0].toUpperCase()}${each.summary.slice(1)}.`),
        el("p", { class: "soft" }, `${auc(each)}; ${makeup(each)}.`),
        scale(null, each.threshold, each.uncertain || null),
      ),
    ),
    card(
      "Side by side",
      table(
        "Video AUC, in small print its 95 % interval: of a fake and a real video, how often the fake scores higher; 0.5 is chance",
        ["Videos", ...all.map((each) => each.name)],
        data.map((name) => [name, ...all.map((each) => cell(each, name))]),
        [false, ...all.map(() => true)],
      ),
    ),
  );
  return { node, title: "Models" };
}

async function one(name, source) {
  const about = await source.model(name);
  const data = [...new Set((about.figures || []).map((each) => each.data))];
  const plain = data.filter((each) => !each.includes(", videos "));
  const worse = data.filter((each) => each.includes(", videos "));
  const rate = (set, metric, subsets) => {
    const found = figure(about, set, metric, subsets);
    return found ? [percent(found.value), interval(found, percent)] : "–";
  };
  const fakes = ["all fakes", "fake"];
  const answers = (list) =>
    list
      .filter((set) => figure(about, set, "share called fake", ["real", ...fakes]))
      .map((set) => [
        set,
        rate(set, "share called fake", ["real"]),
        rate(set, "share uncertain", ["real"]),
        rate(set, "share called fake", fakes),
        rate(set, "share uncertain", fakes),
      ]);
  const report = (caption, list) =>
    table(
      caption,
      ["Videos", "Real: called fake", "Real: undecided", "Fake: called fake", "Fake: undecided"],
      answers(list),
      [false, true, true, true, true],
    );
  const figures = (list) =>
    table(
      "All figures",
      ["Videos", "Figure", "Of", "Value", "95 % interval"],
      (about.figures || [])
        .filter((each) => list.includes(each.data))
        .map((each) => [
          each.data,
          each.metric,
          each.subset,
          written(each)(each.value),
          each.low === null || each.low === undefined
            ? "–"
            : `${written(each)(each.low)} to ${written(each)(each.high)}`,
        ]),
      [false, false, false, true, true],
    );
  const training = about.training || {};
  const node = el(
    "div",
    {},
    el(
      "nav",
      { class: "crumbs", "aria-label": "Up" },
      el("a", { href: "#/models" }, "‹ All models"),
    ),
    el("h1", {}, about.name),
    el("p", { class: "lead" }, `${about.summary[0].toUpperCase()}${about.summary.slice(1)}.`),
    card(
      "How it decides",
      scale(null, about.threshold, about.uncertain || null),
      el("p", {}, `Threshold and band were chosen ${about.rule}.`),
      about.smallest_face &&
        el("p", {}, `It does not judge faces smaller than ${about.smallest_face} px.`),
    ),
    card(
      "How often it is wrong",
      el(
        "p",
        { class: "soft" },
        "Counted on videos of which the truth is known. Other kinds of fakes and other cameras may give worse numbers.",
      ),
      report("Answers, in small print their 95 % interval", plain),
      worse.length > 0 &&
        el(
          "details",
          {},
          el("summary", {}, "The same videos made worse"),
          report("Answers to videos made worse", worse),
        ),
      el(
        "details",
        {},
        el("summary", {}, "All figures, by data set and method"),
        figures(plain),
        worse.length > 0 && figures(worse),
      ),
    ),
    about.limits && card("Where it stops", el("p", {}, about.limits)),
    about.layers.length > 0
      ? card(
          "What it is made of",
          table(
            makeup(about),
            ["Layer", "Kind", "Maps", "Kernel", "Size", "Fed by"],
            about.layers.map((layer) => [
              layer.name,
              layer.kind,
              layer.filters,
              layer.kernel
                ? `${layer.kernel.join(" × ")}${layer.dilation > 1 ? `, ${layer.dilation} apart` : ""}`
                : "–",
              Object.values(layer.shapes)
                .map((shape) =>
                  shape.length === 3 ? `${shape[1]} × ${shape[2]}` : `${shape[0] || 1}`,
                )
                .filter((text, i, all) => all.indexOf(text) === i)
                .join(" → "),
              layer.sources.join(", ") || "–",
            ]),
            [false, false, true, true, true, false],
          ),
        )
      : card(
          "What it is made of",
          el(
            "p",
            {},
            `A panel of ${(about.members || []).map((each) => each.name).join(", ")}: each face is scored by all of them.`,
          ),
        ),
    card(
      "Where it comes from",
      el(
        "dl",
        {},
        el("dt", {}, "licence"),
        el("dd", {}, about.licence),
        training.datasets && [
          el("dt", {}, "learned from"),
          el(
            "dd",
            {},
            training.datasets.map((each) => each.name).join(", "),
            training.crops &&
              `: ${training.crops.train.toLocaleString("en")} faces, ${training.crops.valid.toLocaleString("en")} for validation`,
          ),
        ],
        training.train && [
          el("dt", {}, "trained"),
          el(
            "dd",
            {},
            `${training.train.epochs} epochs of ${training.train.steps} steps, learning rate ${short(training.train.learning_rate)}`,
          ),
        ],
        Object.entries(about.sha256 || {}).map(([kind, hash]) => [
          el("dt", {}, `sha256 of .${kind}`),
          el("dd", {}, el("code", {}, hash)),
        ]),
      ),
    ),
  );
  return { node, title: about.name };
}
