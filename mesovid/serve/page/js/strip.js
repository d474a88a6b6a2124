// Faces of a set of samples on the user's disk: some at random, by label and method, or fakes
// beside their originals.

import { link, remember } from "./address.js";
import { card, el, fill, say } from "./dom.js";
import { count, word } from "./words.js";

const SHOWN = 12;
const LABELS = { "": "real and fake", real: "real", fake: "fake" };

/** @param {import("./source.js").Source} source @param {string[]} names of the sets
 * @param {URLSearchParams} query */
export function strip(source, names, query) {
  const holder = el("div", {}, el("p", { class: "soft" }, "Reading the faces."));
  const wanted = query.get("set") || "";
  const asked = {
    set: names.includes(wanted) ? wanted : names[0],
    label: query.get("label") || "",
    method: query.get("method") || "",
    pairs: query.get("pairs") === "yes" ? "yes" : "",
    seed: query.get("seed") || "",
  };
  let turn = 0;
  const show = async (change = {}) => {
    const mine = ++turn;
    Object.assign(asked, { seed: "" }, change);
    try {
      const found = await drawn(source, asked);
      if (mine !== turn) return;
      asked.seed = found.seed === null ? "" : String(found.seed);
      remember(asked);
      fill(holder, faces(source, asked, found));
      if (Object.keys(change).length) say(`${count(found.faces.length, "face")} shown`);
    } catch (error) {
      fill(holder, el("p", { role: "alert" }, /** @type {Error} */ (error).message));
    }
  };
  const tools = el("div", { class: "row", role: "group", "aria-label": "Which faces" });
  begin(source, names, asked, tools, show).catch((error) =>
    fill(holder, el("p", { role: "alert" }, error.message)),
  );
  return card(
    "Faces of your own samples",
    el("p", { class: "soft" }, "Cut and labelled beforehand. Choose one to look inside."),
    tools,
    holder,
  );
}

async function begin(source, names, asked, tools, show) {
  const sets = await /** @type {any} */ (source.sets)();
  const field = (key, text, options) => {
    const id = `strip-${key}`;
    const choice = el(
      "select",
      { id, onchange: () => show({ [key]: choice.value }) },
      Object.entries(options).map(([value, shown]) => el("option", { value }, shown)),
    );
    choice.value = asked[key];
    return [el("label", { for: id }, text), choice];
  };
  const set = sets.find((each) => each.name === asked.set);
  const methods = {
    "": "any method",
    ...Object.fromEntries(set.methods.map((each) => [each, each])),
  };
  const another = el(
    "button",
    { type: "button", id: "another", onclick: () => show({ seed: "" }) },
    `Another ${SHOWN}`,
  );
  const pairs = el("input", {
    type: "checkbox",
    id: "strip-pairs",
    checked: asked.pairs === "yes",
    onchange: () => show({ pairs: pairs.checked ? "yes" : "" }),
  });
  const choose = el(
    "select",
    {
      id: "strip-set",
      onchange: () => {
        Object.assign(asked, { set: choose.value, method: "" });
        begin(source, names, asked, tools, show);
      },
    },
    names.map((each) => el("option", { value: each }, each)),
  );
  choose.value = asked.set;
  fill(
    tools,
    names.length > 1 && [el("label", { for: "strip-set" }, "Set"), choose],
    field("label", "Label", LABELS),
    set.methods.length > 1 && field("method", "Method", methods),
    set.pairs > 0 &&
      el(
        "div",
        { class: "switch" },
        pairs,
        el("label", { for: "strip-pairs" }, "beside their originals"),
      ),
    another,
  );
  await show({ seed: asked.seed });
}

/** Some faces: all where they are few, else at random. */
async function drawn(source, { set, label, method, pairs, seed }) {
  const query = { label, method, paired: pairs === "yes" ? true : "" };
  const first = await source.drawn(set, { ...query, limit: SHOWN });
  if (first.matching <= SHOWN) return first;
  return source.drawn(set, { ...query, random: SHOWN, seed });
}

function faces(source, { set, pairs }, found) {
  if (!found.faces.length) return el("p", {}, "No face is like that.");
  const picture = (n, alt) =>
    el("img", { src: source.drawnFace(set, n), alt, width: 256, height: 256, loading: "lazy" });
  const one = (face) => {
    const said = face.method ? `${face.label}, ${face.method}` : face.label;
    return el(
      "li",
      {},
      el(
        "a",
        { href: link(["set", set, "face", face.n]) },
        picture(face.n, `Face ${face.n + 1}`),
        el("span", { class: "cap" }, word(face.label, said)),
      ),
    );
  };
  const two = (face) => {
    const [a, b] = [`set:${set}.${face.n}`, `set:${set}.${face.pair}`];
    return el(
      "li",
      { class: "paired" },
      el(
        "a",
        { href: link(["compare"], { a, b }) },
        el(
          "span",
          { class: "both" },
          picture(face.n, `Fake ${face.n + 1}`),
          picture(face.pair, "its original"),
        ),
        el("span", { class: "cap" }, word("fake", face.method || "fake"), " and its original"),
      ),
    );
  };
  const paired = pairs === "yes";
  return [
    el(
      "p",
      { class: "soft num" },
      `${count(found.faces.length, "face")} of ${found.matching.toLocaleString("en")} `,
      "that are like that.",
    ),
    el("ul", { class: paired ? "faces pairs" : "faces" }, found.faces.map(paired ? two : one)),
  ];
}
