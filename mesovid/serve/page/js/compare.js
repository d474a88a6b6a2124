// Two faces side by side: the same model, the same scales.

import { card, el, fill, table } from "./dom.js";
import { encoded, NONE } from "./damage.js";
import { picture } from "./pictures.js";
import { bar, finding, paintCells } from "./heat.js";
import { clock, scale, signed, word, zone } from "./words.js";

export async function page({ query, source }) {
  const sides = ["a", "b"]
    .map((key) => (query.get(key) || "").split("."))
    .filter((words) => words.length === 2);
  if (sides.length < 2)
    throw new Error("Choose two faces to compare: open one and follow “Compare with another”.");
  const all = (await source.models())
    .filter((each) => !(each.members && each.members.length))
    .map((each) => each.name);
  const name = all.includes(query.get("model")) ? query.get("model") : all[0];
  const about = await source.model(name);
  const both = await Promise.all(sides.map(([id, n]) => looked(source, id, Number(n), name)));
  const link = (change) =>
    `#/compare?${new URLSearchParams({ a: sides[0].join("."), b: sides[1].join("."), model: name, ...change })}`;
  const choice = el(
    "select",
    {
      id: "model",
      onchange: () => {
        location.hash = link({ model: choice.value });
      },
    },
    all.map((each) => el("option", { value: each }, each)),
  );
  choice.value = name;
  const band = about.uncertain || null;
  const [a, b] = both;
  const column = (side, letter, key) => {
    const options = side.faces.map((face) =>
      el(
        "option",
        { value: face.n },
        `${clock(face.time)}, person ${face.person}, P(fake) ${face.fake_probability.toFixed(2)}`,
      ),
    );
    const other = el(
      "select",
      {
        id: `other-${key}`,
        onchange: () => {
          location.hash = link({ [key]: `${side.id}.${other.value}` });
        },
      },
      options,
    );
    other.value = side.n;
    return el(
      "section",
      { class: "card" },
      el("h2", {}, `${letter}: the face at ${clock(side.face.time)}`),
      el("div", { class: "field" }, el("label", { for: other.id }, "Another face"), other),
      el(
        "p",
        { class: "crop", css: { "margin-top": "12px" } },
        el(
          "a",
          { href: `#/scan/${side.id}/face/${side.n}?model=${encodeURIComponent(name)}` },
          el("img", {
            src: source.face(side.id, side.n),
            width: 256,
            height: 256,
            alt: `Face ${letter}; look inside`,
          }),
        ),
      ),
      el("p", {}, word(zone(side.answer.fake_probability, about.threshold, band))),
      scale(side.answer.fake_probability, about.threshold, band, `face ${letter}`),
    );
  };
  const maps = el(
    "div",
    { class: "maps3" },
    el("p", { class: "soft" }, "Covering 64 places of each face."),
  );
  const node = el(
    "div",
    {},
    el(
      "div",
      { class: "row between" },
      el("h1", {}, "Two faces, one model"),
      el("div", { class: "row" }, el("label", { for: "model" }, "Model"), choice),
    ),
    el("div", { class: "cols" }, column(a, "A", "a"), column(b, "B", "b")),
    votes(a, b),
    card(
      "Where they differ",
      el(
        "p",
        { class: "soft" },
        "What each cell adds to the logit, both on one scale; yellow with a plus speaks for fake, dark blue with a minus for real.",
      ),
      maps,
    ),
  );
  explained(source, a, b, name, maps);
  return { node, title: "Compare" };
}

async function looked(source, id, n, name) {
  const faces = await source.faces(id);
  if (!faces[n]) throw new Error(`There is no face ${n}; the scan has ${faces.length}, from 0 on.`);
  const crop = await picture(source.face(id, n));
  const answer = await source.predict(await encoded(crop, NONE), { model: name, split: true });
  return { id, n, faces, face: faces[n], crop, answer };
}

function votes(a, b) {
  if (!a.answer.split || !b.answer.split)
    return card("Votes", el("p", {}, "The head of this network does not split into votes."));
  const rows = a.answer.split.shares.map((share, i) => [
    share.name,
    share.value,
    b.answer.split.shares[i].value,
  ]);
  const most = Math.max(...rows.flatMap(([, x, y]) => [Math.abs(x), Math.abs(y)])) || 1;
  const track = (value) =>
    el(
      "span",
      { class: "track", "aria-hidden": "true" },
      el("i", {
        class: value > 0 ? "for" : "against",
        css: { width: `${(50 * Math.abs(value)) / most}%` },
      }),
    );
  rows.push(["logit", a.answer.logit, b.answer.logit]);
  const node = table(
    "Votes of A (above) and B (below), on one scale: to the right for fake, to the left for real",
    ["Who", "Bars", "A", "B", "B less A"],
    rows.map(([who, x, y], i) => [
      who,
      i < rows.length - 1 ? [track(x), track(y)] : "",
      signed(x),
      signed(y),
      signed(y - x),
    ]),
    [false, false, true, true, true],
  );
  node.querySelector("table").className = "votes full";
  return card("Their votes", node);
}

async function explained(source, a, b, name, holder) {
  try {
    const found = [];
    for (const side of [a, b])
      found.push(
        await source.explain(
          { scan: side.id, n: side.n },
          { model: name, cells: 8, methods: ["occlusion"] },
        ),
      );
    const [x, y] = found.map((each) => each.occlusion.cells);
    const difference = y.map((row, i) => row.map((value, j) => value - x[i][j]));
    const end = Math.max(...[x, y, difference].flat(2).map(Math.abs)) || 1;
    const figure = (title, crop, cells) => {
      const canvas = el("canvas", {
        class: "heat",
        role: "img",
        "aria-label": `${title}. ${finding(cells)}`,
      });
      paintCells(canvas, crop, cells, end);
      return el(
        "figure",
        {},
        canvas,
        bar({ kind: "signed", low: -end, high: end }, [" for real", " for fake"]),
        el("figcaption", {}, el("b", {}, `${title}. `), finding(cells)),
      );
    };
    fill(
      holder,
      figure("What A hangs on", a.crop, x),
      figure("What B hangs on", b.crop, y),
      figure("B less A", b.crop, difference),
    );
  } catch (error) {
    fill(holder, el("p", { role: "alert" }, /** @type {any} */ (error).message));
  }
}
