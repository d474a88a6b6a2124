// The models: what each is, how it was measured, where it stops, what it is made of; and two of
// them side by side.

import { link } from "./address.js";
import { card, el, table } from "./dom.js";
import { answers, cell, dataOf, everyFigure, figureOf, measured, training } from "./figures.js";
import { auc, makeup, scale, sentence, short } from "./words.js";

const AUC = "video AUC";

export async function page({ words, query, source }) {
  if (words[1]) return one(words[1], source);
  return query.get("a") ? two([query.get("a"), query.get("b")], source) : everyone(source);
}

const up = () =>
  el(
    "nav",
    { class: "crumbs", "aria-label": "Up" },
    el("a", { href: link(["models"]) }, "‹ All models"),
  );

async function curvesOf(name, source) {
  const nothing = { epochs: [], best_epoch: null, measured: [] };
  return source.curves ? source.curves(name).catch(() => nothing) : nothing;
}

// --- all ---------------------------------------------------------------------------------------

async function everyone(source) {
  const all = await source.models();
  const { plain } = dataOf(all);
  const sets = plain.filter((set) => all.some((each) => figureOf(each, set, AUC, ["all"])));
  const node = el(
    "div",
    {},
    el("h1", {}, "Models"),
    el(
      "p",
      { class: "lead" },
      "None of them is good enough to be used alone. Each says how often it is wrong, and " +
        "where it ",
      "cannot tell.",
    ),
    all.map((each) =>
      el(
        "section",
        { class: "card" },
        el("h2", {}, el("a", { href: link(["models", each.name]) }, each.name)),
        el("p", {}, sentence(each.summary)),
        el("p", { class: "soft" }, `${auc(each)}; ${makeup(each)}.`),
        scale(null, each.threshold, each.uncertain || null),
      ),
    ),
    card(
      "Side by side",
      all.length > 1 && chooseTwo(all),
      table(
        "Video AUC, in small print its 95 % interval: of a fake and a real video, how often the " +
          "fake scores higher; 0.5 is chance",
        ["Videos", ...all.map((each) => each.name)],
        sets.map((set) => [set, ...all.map((each) => cell(figureOf(each, set, AUC, ["all"])))]),
        [false, ...all.map(() => true)],
      ),
    ),
  );
  return { node, title: "Models" };
}

/** Which two to lay side by side. */
function chooseTwo(all, [a, b] = [all[0].name, all[1].name]) {
  const choice = (id, value) => {
    const options = all.map((each) => el("option", { value: each.name }, each.name));
    const made = el(
      "select",
      { id, "aria-label": id === "first" ? "First model" : "Second model" },
      options,
    );
    made.value = value;
    return made;
  };
  const [first, second] = [choice("first", a), choice("second", b)];
  const go = (event) => {
    event.preventDefault();
    location.hash = link(["models"], { a: first.value, b: second.value });
  };
  return el(
    "form",
    { class: "row", onsubmit: go, css: { "margin-bottom": "14px" } },
    first,
    "and",
    second,
    el("button", {}, "Lay side by side"),
  );
}

// --- one ---------------------------------------------------------------------------------------

async function one(name, source) {
  const [about, curves] = await Promise.all([source.model(name), curvesOf(name, source)]);
  const { plain, worse } = dataOf([about]);
  const node = el(
    "div",
    {},
    up(),
    el("h1", {}, about.name),
    el("p", { class: "lead" }, sentence(about.summary)),
    card(
      "How it decides",
      scale(null, about.threshold, about.uncertain || null),
      about.rule && el("p", {}, `Threshold and band were chosen ${about.rule}.`),
      about.smallest_face &&
        el("p", {}, `It does not judge faces smaller than ${about.smallest_face} px.`),
      [about, ...(about.members || [])]
        .filter((each) => each.clears_below)
        .map(({ clears_below, finds }) =>
          el("p", {}, `Below ${clears_below.toFixed(2)} it says: no sign of ${finds}.`),
        ),
    ),
    card(
      "How often it is wrong",
      el(
        "p",
        { class: "soft" },
        "Counted on videos of which the truth is known. Other kinds of fakes and other " +
          "cameras may ",
        "give worse numbers.",
      ),
      answers(about, "Answers, in small print their 95 % interval", plain),
      worse.length > 0 &&
        el(
          "details",
          {},
          el("summary", {}, "The same videos made worse"),
          answers(about, "Answers to videos made worse", worse),
        ),
      el(
        "details",
        {},
        el("summary", {}, "All figures, by data set and method"),
        everyFigure(about, plain),
        worse.length > 0 && everyFigure(about, worse),
      ),
    ),
    card("ROC, reliability and report by class", measuredOf([{ name, curves }])),
    card("How its training went", trainingOf(curves, about.training || {})),
    about.limits && card("Where it stops", el("p", {}, about.limits)),
    made(about),
    origin(about),
  );
  return { node, title: about.name };
}

/** The measured curves of some models, set by set. */
function measuredOf(models) {
  const sets = [
    ...new Set(models.flatMap(({ curves }) => curves.measured.map((each) => each.set))),
  ];
  if (!sets.length)
    return el(
      "p",
      {},
      "No curves are recorded beside this model. ",
      el("code", {}, "mesovid evaluate"),
      " measures it on videos of your own and draws them.",
    );
  const of = ({ name, curves }, set) => ({
    name,
    measured: curves.measured.find((each) => each.set === set),
  });
  const several = sets.length > 1;
  return sets.map((set) => [
    several && el("h3", {}, set),
    measured(
      models.map((each) => of(each, set)).filter((each) => each.measured),
      several ? set : undefined,
    ),
  ]);
}

function trainingOf(curves, { train }) {
  const plots = training(curves);
  const said =
    train &&
    `${train.epochs} epochs of ${train.steps} steps, learning rate ${short(train.learning_rate)}.`;
  if (plots.length)
    return [said && el("p", { class: "soft" }, said), el("div", { class: "cols" }, plots)];
  return el("p", {}, said ? `${said} ` : "", "Its course was not recorded beside the model.");
}

function made(about) {
  if (!about.layers.length) {
    const members = (about.members || []).map((each) => each.name).join(", ");
    const text = `A panel of ${members}: each face is scored by all of them.`;
    return card("What it is made of", el("p", {}, text));
  }
  const sides = (layer) => {
    const shapes = Object.values(layer.shapes);
    const texts = shapes.map((shape) =>
      shape.length === 3 ? `${shape[1]} × ${shape[2]}` : `${shape[0] || 1}`,
    );
    return [...new Set(texts)].join(" → ");
  };
  const kernel = ({ kernel: size, dilation }) =>
    size ? `${size.join(" × ")}${dilation > 1 ? `, ${dilation} apart` : ""}` : "–";
  return card(
    "What it is made of",
    table(
      makeup(about),
      ["Layer", "Kind", "Maps", "Kernel", "Size", "Fed by"],
      about.layers.map((layer) => [
        layer.name,
        layer.kind,
        layer.filters,
        kernel(layer),
        sides(layer),
        layer.sources.join(", ") || "–",
      ]),
      [false, false, true, true, true, false],
    ),
  );
}

function origin(about) {
  const { datasets, crops } = about.training || {};
  const faces = (number) => number.toLocaleString("en");
  return card(
    "Where it comes from",
    el(
      "dl",
      {},
      el("dt", {}, "licence"),
      el("dd", {}, about.licence || "not told"),
      datasets && [
        el("dt", {}, "learned from"),
        el(
          "dd",
          {},
          datasets.map((each) => each.name).join(", "),
          crops && `: ${faces(crops.train)} faces, ${faces(crops.valid)} for validation`,
        ),
      ],
      Object.entries(about.sha256 || {}).map(([kind, hash]) => [
        el("dt", {}, `sha256 of .${kind}`),
        el("dd", {}, el("code", {}, hash)),
      ]),
    ),
  );
}

// --- two ---------------------------------------------------------------------------------------

async function two(names, source) {
  const all = await source.models();
  const chosen = names.map((name) => name || all[0].name);
  const cards = await Promise.all(chosen.map((name) => source.model(name)));
  const curves = await Promise.all(chosen.map((name) => curvesOf(name, source)));
  const { plain, worse } = dataOf(cards);
  const both = (of) => cards.map(of);
  const band = (each) =>
    each.uncertain ? each.uncertain.map((edge) => edge.toFixed(2)).join(" to ") : "–";
  const figures = (caption, sets) => {
    const kinds = new Map();
    for (const each of cards.flatMap((about) => about.figures || []))
      if (sets.includes(each.data)) kinds.set(`${each.data}|${each.metric}|${each.subset}`, each);
    return table(
      caption,
      ["Videos", "Figure", "Of", ...chosen],
      [...kinds.values()].map(({ data, metric, subset }) => [
        data,
        metric,
        subset,
        ...both((about) => cell(figureOf(about, data, metric, [subset]))),
      ]),
      [false, false, false, true, true],
    );
  };
  const hash = (each) => (each.sha256 || {}).onnx || "–";
  const facts = [
    ["made of", ...both(makeup)],
    ["layers", ...both((each) => String(each.layers.length || "–"))],
    ["threshold", ...both((each) => each.threshold.toFixed(2))],
    ["cannot tell", ...both(band)],
    ["smallest face, px", ...both((each) => String(each.smallest_face || "–"))],
    ["licence", ...both((each) => each.licence || "–")],
    ["sha256 begins", ...both((each) => el("code", {}, hash(each).slice(0, 16)))],
  ];
  const node = el(
    "div",
    {},
    up(),
    el("h1", {}, `${chosen[0]} and ${chosen[1]}`),
    chooseTwo(all, /** @type {[string, string]} */ (chosen)),
    el(
      "div",
      { class: "cols" },
      cards.map((about) =>
        el(
          "section",
          { class: "card" },
          el("h2", {}, el("a", { href: link(["models", about.name]) }, about.name)),
          el("p", {}, sentence(about.summary)),
          scale(null, about.threshold, about.uncertain || null),
        ),
      ),
    ),
    card("What they are", table("Both models", ["What", ...chosen], facts)),
    card(
      "How often they are wrong",
      figures("Figures with their 95 % intervals", plain),
      worse.length > 0 &&
        el(
          "details",
          {},
          el("summary", {}, "The same videos made worse"),
          figures("Made worse", worse),
        ),
    ),
    card(
      "ROC, reliability and report by class",
      measuredOf(chosen.map((name, i) => ({ name, curves: curves[i] }))),
    ),
    el(
      "div",
      { class: "cols" },
      cards.map((about) =>
        card(`Where ${about.name} stops`, el("p", {}, about.limits || "Not told.")),
      ),
    ),
  );
  return { node, title: `${chosen[0]} and ${chosen[1]}` };
}
