// Two sides next to each other: two faces, a face before and after a change, or one face in all
// models. The same scales for all.

import { link } from "./address.js";
import { covers, damaged, encoded, made, read, told, touched, written } from "./damage.js";
import { card, el, fill, table } from "./dom.js";
import { bar, paint, range } from "./heat.js";
import { cellFigure } from "./maps.js";
import { opened, picture } from "./pictures.js";
import { named, subjectOf } from "./subject.js";
import { greatest, pairedVotes } from "./votes.js";
import { clock, scale, short, signed, word, zone } from "./words.js";

const HOW =
  "Open a face and follow “Compare with another”, “Before and after a change” or “In all models”.";

export async function page({ query, source }) {
  const sides = ["a", "b"].map((key) => named(query.get(key)));
  if (!sides[0]) throw new Error(`Nothing to compare is named. ${HOW}`);
  const all = await source.models();
  const single = all
    .filter((each) => !(each.members && each.members.length))
    .map((each) => each.name);
  const wanted = query.get("model");
  const name = single.includes(wanted) ? wanted : single[0];
  if (query.has("models")) return inModels(source, sides[0], single);
  const about = await source.model(name);
  if (query.has("what")) return beforeAfter({ source, about, single, at: sides[0], query });
  if (!sides[1]) throw new Error(`Only one face is named. ${HOW}`);
  return twoFaces({ source, about, single, sides, query });
}

/** One side: a face's pixels and what a model says of them; `of` is null where it is changed.
 * @typedef {{letter: string, title: string, crop: HTMLCanvasElement, answer: any,
 *   subject: import("./subject.js").Subject, of: any, picture: Blob}} Side */

/** @returns {Promise<Side>} */
async function sideOf(source, of, name, letter) {
  const subject = await subjectOf(source, of);
  const crop = await picture(subject.address);
  const file = await encoded(crop);
  const answer = name && (await source.predict(file, { model: name, split: true }));
  const truth = subject.truth ? `, ${subject.truth}` : "";
  const title = `${letter}: ${subject.title[0].toLowerCase()}${subject.title.slice(1)}${truth}`;
  return { letter, title, crop, subject, of, picture: file, answer };
}

// --- two faces -------------------------------------------------------------------------------

async function twoFaces({ source, about, single, sides, query }) {
  const [a, b] = await Promise.all(sides.map((at, i) => sideOf(source, at, about.name, "AB"[i])));
  const to = (change) =>
    link(["compare"], { ...Object.fromEntries(query), model: about.name, ...change });
  const other = (side, key) => {
    if (!side.subject.faces) return null;
    const options = side.subject.faces.map((face) =>
      el(
        "option",
        { value: face.n },
        `${clock(face.time)}, person ${face.person}, P(fake) ${face.fake_probability.toFixed(2)}`,
      ),
    );
    const go = () => {
      location.hash = to({ [key]: `${side.of.scan}.${choice.value}` });
    };
    const choice = el("select", { id: `other-${key}`, onchange: go }, options);
    choice.value = side.of.n;
    return el("div", { class: "field" }, el("label", { for: choice.id }, "Another face"), choice);
  };
  const node = el(
    "div",
    {},
    head("Two faces, one model", single, about.name, (model) => to({ model })),
    el(
      "p",
      { class: "row" },
      el(
        "a",
        { class: "button", href: to({ a: query.get("b"), b: query.get("a") }) },
        "Swap A and B",
      ),
    ),
    el("div", { class: "cols" }, column(a, about, other(a, "a")), column(b, about, other(b, "b"))),
    pairedVotes(a.answer, b.answer, ["A", "B"]),
    differ(source, about, [a, b], query),
    facts([a, b], about),
  );
  return { node, title: "Compare" };
}

function head(title, models, name, to) {
  const go = () => {
    location.hash = to(choice.value);
  };
  const options = models.map((each) => el("option", { value: each }, each));
  const choice = el("select", { id: "model", onchange: go }, options);
  choice.value = name;
  return el(
    "div",
    { class: "row between" },
    el("h1", {}, title),
    el("div", { class: "row" }, el("label", { for: "model" }, "Model"), choice),
  );
}

function column(side, about, ...more) {
  const band = about.uncertain || null;
  const { fake_probability: probability } = side.answer;
  const canvas = el("canvas", {
    role: "img",
    "aria-label": side.title,
    width: side.crop.width,
    height: side.crop.height,
  });
  canvas.getContext("2d").drawImage(side.crop, 0, 0);
  const inside = side.of && link(side.subject.words, { model: about.name });
  return el(
    "section",
    { class: "card" },
    el("h2", {}, side.title),
    more,
    el("div", { class: "crop", css: { "margin-top": "12px" } }, canvas),
    el(
      "p",
      { class: "num" },
      el("b", {}, `P(fake) ${probability.toFixed(3)} `),
      word(zone(probability, about.threshold, band)),
    ),
    scale(probability, about.threshold, band, `face ${side.letter}`),
    inside && el("p", {}, el("a", { href: inside }, "Look inside")),
  );
}

function facts([a, b], about) {
  const band = about.uncertain || null;
  const label = (side) => word(zone(side.answer.fake_probability, about.threshold, band));
  const row = (name, of, digits) => [
    name,
    of(a).toFixed(digits),
    of(b).toFixed(digits),
    signed(of(b) - of(a), digits),
  ];
  const brightness = new Map([a, b].map((side) => [side, meanOf(side.crop)]));
  /** @type {any[]} */
  const rows = [
    row("P(fake)", (side) => side.answer.fake_probability, 3),
    row("logit", (side) => side.answer.logit, 3),
    ["called", label(a), label(b), ""],
    row("mean brightness", (side) => brightness.get(side) ?? 0, 1),
  ];
  if (a.of && b.of && a.subject.size && b.subject.size)
    rows.push(row("px in its frame", ({ subject }) => subject.size, 0));
  return card(
    "Both in numbers",
    table("Both sides", ["What", "A", "B", "B less A"], rows, [false, true, true, true]),
  );
}

function meanOf(canvas) {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let sum = 0;
  for (let i = 0; i < data.length; i += 4)
    sum += 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
  return (4 * sum) / data.length;
}

// --- where they differ -----------------------------------------------------------------------

/** What the score hangs on, how the sums came about, and one map of a layer: A, B, and B less A. */
function differ(source, about, [a, b], query) {
  const holder = el("div", {});
  const cells = (title, x, y) => {
    const difference = y.map((row, i) => row.map((value, j) => value - x[i][j]));
    const end = greatest([x, y, difference].flat(2));
    return el(
      "div",
      { class: "maps3" },
      cellFigure({ title: `${title}: A`, crop: a.crop, cells: x, end }),
      cellFigure({ title: `${title}: B`, crop: b.crop, cells: y, end }),
      cellFigure({ title: "B less A", crop: b.crop, cells: difference, end }),
    );
  };
  if (a.answer.split && b.answer.split && a.answer.split.cells) {
    holder.append(
      el("h3", {}, "How the sums came about"),
      cells("The sum", a.answer.split.cells, b.answer.split.cells),
    );
  }
  if (a.of && b.of) {
    const waiting = el("p", { class: "soft" }, "Covering 64 places of each face.");
    const places = el("div", {}, waiting);
    holder.prepend(el("h3", {}, "What the scores hang on"), places);
    hangs(source, about, [a, b])
      .then(([x, y]) => fill(places, cells("The score", x, y)))
      .catch((error) => fill(places, el("p", { role: "alert" }, error.message)));
  }
  return [
    card(
      "Where they differ",
      el(
        "p",
        { class: "soft" },
        "What each cell adds to the logit, all on one scale; yellow with a plus speaks for fake, ",
        "dark blue with a minus for real.",
      ),
      holder,
    ),
    oneLayer(source, about, [a, b], query),
  ];
}

async function hangs(source, about, sides) {
  const found = [];
  for (const side of sides) {
    const asked = { model: about.name, cells: 8, methods: ["occlusion"] };
    found.push((await source.explain(side.of, asked)).occlusion.cells);
  }
  return found;
}

/** One layer of both on one scale: its maps side by side, those that differ most first. */
function oneLayer(source, about, [a, b], query) {
  const layers = about.layers.filter((layer) => Object.values(layer.shapes)[0].length === 3);
  const names = layers.map((layer) => layer.name).filter((name) => name !== "face");
  const wanted = query.get("layer");
  const choice = el(
    "select",
    { id: "layer" },
    names.map((each) => el("option", { value: each }, each)),
  );
  choice.value = names.includes(wanted) ? wanted : names.at(-1);
  const holder = el("div", { id: "differences" }, el("p", { class: "soft" }, "Fetching."));
  let turn = 0;
  const show = async () => {
    const mine = ++turn;
    const layer = layers.find((each) => each.name === choice.value);
    const stage = "activated" in layer.shapes ? "activated" : "raw";
    const asked = { model: about.name, layers: [layer.name], stages: [stage] };
    try {
      const found = [];
      for (const side of [a, b]) found.push((await source.predict(side.picture, asked)).arrays);
      if (mine !== turn) return;
      fill(holder, layerRows(layer, ...found.map((each) => each[`${layer.name}.${stage}`])));
    } catch (error) {
      fill(holder, el("p", { role: "alert" }, /** @type {Error} */ (error).message));
    }
  };
  choice.addEventListener("change", show);
  show();
  return card(
    "The same layer of both",
    el("div", { class: "row" }, el("label", { for: "layer" }, "Layer"), choice),
    holder,
  );
}

const ROWS = 6; // maps of a layer that are compared

function layerRows(layer, a, b) {
  const [maps, high, wide] = a.shape;
  const size = high * wide;
  const difference = Float32Array.from(a.values, (value, i) => b.values[i] - value);
  const scores = Array.from({ length: maps }, (_, map) => {
    let sum = 0;
    for (let i = map * size; i < (map + 1) * size; i += 1) sum += Math.abs(difference[i]);
    return { map, mean: sum / size };
  });
  const chosen = scores.sort((x, y) => y.mean - x.mean).slice(0, ROWS);
  const common = range([...both(a.values, b.values)]);
  const end = greatest(difference);
  const signs = { kind: "signed", low: -end, high: end };
  const tile = (values, map, scale_, text) => {
    const canvas = el("canvas", {
      role: "img",
      "aria-label": `${text}, map ${map + 1} of ${layer.name}`,
    });
    paint(canvas, values, high, wide, scale_, map * size);
    return el("div", { class: "tile" }, canvas, el("span", {}, text));
  };
  return [
    el(
      "p",
      { class: "soft" },
      `The ${chosen.length} of ${maps} maps of ${layer.name} that differ most, `,
      `${high} × ${wide}. A `,
      "and B on one scale, B less A on its own.",
    ),
    el(
      "div",
      { class: "row legends" },
      el("div", {}, bar(common), el("span", { class: "soft" }, "A and B")),
      el("div", {}, bar(signs), el("span", { class: "soft" }, "B less A")),
    ),
    el(
      "div",
      { class: "cols" },
      chosen.map(({ map, mean }) =>
        el(
          "div",
          {},
          el("h3", {}, `Map ${map + 1}: differs by ${short(mean)} on average`),
          el(
            "div",
            { class: "tiles three" },
            tile(a.values, map, common, "A"),
            tile(b.values, map, common, "B"),
            tile(difference, map, signs, "B less A"),
          ),
        ),
      ),
    ),
  ];
}

function* both(a, b) {
  yield* a;
  yield* b;
}

// --- before and after a change ---------------------------------------------------------------

async function beforeAfter({ source, about, single, at, query }) {
  const what = read(query.get("what"));
  const a = await sideOf(source, at, about.name, "A");
  const after = await opened(await encoded(damaged(a.crop, what), what));
  const picture_ = await encoded(after);
  const answer = await source.predict(picture_, { model: about.name, split: true });
  const before = { ...a, title: "A: before" };
  /** @type {any} */
  const b = {
    letter: "B",
    title: `B: ${told(what) || "nothing changed"}`,
    crop: after,
    answer,
    of: null,
    picture: picture_,
  };
  const to = (change) =>
    link(["compare"], { ...Object.fromEntries(query), model: about.name, ...change });
  const face = link(a.subject.words, { model: about.name, what: written(what) });
  const steps = made(what).length + Number(covers(what));
  const node = el(
    "div",
    {},
    head("Before and after", single, about.name, (model) => to({ model })),
    el(
      "p",
      { class: "row" },
      presets(to, what),
      el("a", { class: "button", href: face }, "Change it further"),
    ),
    !touched(what) && el("p", {}, "Nothing is changed yet."),
    el("div", { class: "cols" }, column(before, about), column(b, about)),
    pairedVotes(a.answer, answer, ["A", "B"]),
    pixels(a.crop, after),
    differ(source, about, [{ ...before, of: null }, b], query),
    facts([before, b], about),
  );
  return {
    node,
    title: steps > 1 ? "Before and after changes" : "Before and after",
    changed: () => {},
  };
}

/** Some changes to choose from. */
function presets(to, what) {
  const known = {
    "blur:1": "Blur of 1 px",
    "jpeg:40": "JPEG quality 40",
    "mirror:1": "Mirrored",
    "light:0.7": "70 % of its light",
  };
  const choice = el(
    "select",
    {
      id: "preset",
      onchange: () => {
        if (choice.value) location.hash = to({ what: choice.value });
      },
    },
    el("option", { value: "" }, written(what) in known ? "as chosen" : told(what) || "nothing"),
    Object.entries(known).map(([value, text]) => el("option", { value }, text)),
  );
  if (written(what) in known) choice.value = written(what);
  return [el("label", { for: "preset" }, "Change"), choice];
}

/** What the change did to the pixels. */
function pixels(before, after) {
  const side = before.width;
  const [x, y] = [before, after].map(
    (each) => each.getContext("2d").getImageData(0, 0, side, side).data,
  );
  const grey = (data, i) => 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
  const difference = Float32Array.from(
    { length: side * side },
    (_, i) => grey(y, 4 * i) - grey(x, 4 * i),
  );
  const end = greatest(difference);
  const mean = difference.reduce((sum, value) => sum + Math.abs(value), 0) / difference.length;
  const scale_ = { kind: "signed", low: -end, high: end };
  const canvas = el("canvas", {
    class: "heat",
    role: "img",
    "aria-label": "Brightness after less before",
  });
  paint(canvas, difference, side, side, scale_);
  return card(
    "What changed in the picture",
    el(
      "figure",
      { class: "narrow" },
      canvas,
      bar(scale_, [" darker", " brighter"]),
      el(
        "figcaption",
        {},
        `Brightness, of 255: ${mean.toFixed(1)} on average, ${end.toFixed(0)} at most.`,
      ),
    ),
  );
}

// --- one face in all models ------------------------------------------------------------------

async function inModels(source, at, single) {
  const side = await sideOf(source, at, null, "A");
  const { subject } = side;
  const cards = await Promise.all(single.map((name) => source.model(name)));
  const answers = [];
  for (const name of single)
    answers.push(await source.predict(side.picture, { model: name, split: true }));
  const found = cards.map((about, i) => ({ about, answer: answers[i] }));
  const called = ({ about, answer }) =>
    zone(answer.fake_probability, about.threshold, about.uncertain || null);
  const words = new Set(found.map(called));
  const node = el(
    "div",
    {},
    el(
      "nav",
      { class: "crumbs", "aria-label": "Up" },
      el("a", { href: link(subject.words) }, "‹ Back to the face"),
    ),
    el("h1", {}, `${subject.title} in ${found.length} models`),
    el(
      "p",
      { class: "lead" },
      words.size === 1
        ? "All call it the same. That proves little: they learned from much the same videos."
        : "They do not agree. Each has its own threshold and band.",
    ),
    el(
      "div",
      { class: "maps3" },
      el(
        "figure",
        {},
        el("img", {
          class: "heat",
          src: subject.address,
          alt: "The face",
          width: 256,
          height: 256,
        }),
      ),
      found
        .filter(({ answer }) => answer.split)
        .map(({ about, answer }) =>
          cellFigure({
            title: `${about.name}: how its sum came about`,
            crop: side.crop,
            cells: answer.split.cells,
          }),
        ),
    ),
    card(
      "What each says",
      found.map(({ about, answer }) => [
        el(
          "h3",
          {},
          el("a", { href: link(subject.words, { model: about.name }) }, about.name),
          " ",
          word(called({ about, answer })),
        ),
        scale(answer.fake_probability, about.threshold, about.uncertain || null, about.name),
      ]),
      table(
        "All in numbers; each map above has a scale of its own",
        ["Model", "P(fake)", "Logit", "Threshold", "Cannot tell", "Parameters"],
        found.map(({ about, answer }) => [
          about.name,
          answer.fake_probability.toFixed(3),
          signed(answer.logit),
          about.threshold.toFixed(2),
          about.uncertain ? about.uncertain.map((each) => each.toFixed(2)).join(" to ") : "–",
          about.parameters ? about.parameters.toLocaleString("en") : "–",
        ]),
        [false, true, true, true, true, true],
      ),
    ),
  );
  return { node, title: "In all models" };
}
