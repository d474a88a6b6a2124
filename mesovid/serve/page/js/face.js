// One face: its score and how it came about, what it hangs on, what the layers make of it, and what
// would change it.

import { link } from "./address.js";
import { copied, read, written } from "./damage.js";
import { el, fill } from "./dom.js";
import { layers } from "./layers.js";
import { maps } from "./maps.js";
import { picture } from "./pictures.js";
import { scoreLine } from "./score.js";
import { placed, subjectOf } from "./subject.js";
import { voteCard } from "./votes.js";
import { whatIf } from "./whatif.js";

export async function page({ words, query, source, about: site }) {
  const [subject, all] = await Promise.all([subjectOf(source, placed(words)), source.models()]);
  const single = all
    .filter((each) => !(each.members && each.members.length))
    .map((each) => each.name);
  const wanted = [query.get("model"), subject.judged, site.default_model];
  const name = wanted.find((each) => single.includes(each)) || single[0];
  const about = await source.model(name);
  const { of, address } = subject;
  const crop = await picture(address);
  const votes = el("div");
  /** @type {any} */
  const view = { source, of, address, name, about, crop, leave: [] };
  view.what = read(query.get("what"));
  const live = scoreLine(view, (answer) => fill(votes, voteCard(answer)));
  view.scored = live.first; // what takes longer comes after the score
  const tools = whatIf(view, live);
  const small = about.smallest_face && subject.size !== null && subject.size < about.smallest_face;
  const node = el(
    "div",
    { "data-all": "" },
    crumbs(subject, view, query.get("model") ? name : ""),
    heading(subject, view, single),
    el(
      "p",
      { class: "soft" },
      `${subject.said} A single face is no verdict, and what a network looks at is no proof.`,
    ),
    small &&
      el(
        "p",
        {},
        el("b", {}, `Smaller than the ${about.smallest_face} px that this model can judge.`),
      ),
    live.node,
    tools.bench,
    el("div", { class: "cols" }, votes, tools.sweep),
    maps(view),
    layers(view),
  );
  live.ask(copied(view.what));
  return { node, title: subject.title, leave: () => view.leave.forEach((each) => each()) };
}

/** @param {import("./subject.js").Subject} subject @param {any} view @param {string} model */
function crumbs(subject, view, model) {
  const { n, faces, words, key, back, of, pair } = subject;
  const to = (other, text) =>
    el("a", { href: link([...words.slice(0, 3), other], { model }) }, text);
  const compare = (more, text) => {
    const href = () => link(["compare"], { a: key, model: view.name, ...more() });
    const anew = (event) => {
      event.currentTarget.href = href(); // with the changes made meanwhile
    };
    return el("a", { href: href(), onclick: anew, onfocus: anew }, text);
  };
  const last = faces ? faces.length - 1 : 0;
  const other = n > last / 2 ? 0 : last;
  return el(
    "nav",
    { class: "crumbs", "aria-label": "Faces" },
    el("a", { href: back.href }, back.text),
    faces && n > 0 && to(n - 1, "Face before"),
    faces && n < last && to(n + 1, "Next face"),
    last > 0 && compare(() => ({ b: `${of.scan}.${other}` }), "Compare with another"),
    pair !== null && compare(() => ({ b: `set:${of.set}.${pair}` }), "Compare with its original"),
    compare(() => ({ what: written(view.what) || "blur:1" }), "Before and after a change"),
    compare(() => ({ models: "all" }), "In all models"),
  );
}

function heading({ title, words }, view, single) {
  const go = () => {
    location.hash = link(words, { model: choice.value, what: written(view.what) });
  };
  const options = single.map((each) => el("option", { value: each }, each));
  const choice = el("select", { id: "model", onchange: go }, options);
  choice.value = view.name;
  return el(
    "div",
    { class: "row between" },
    el("h1", {}, `${title}, seen from inside`),
    el("div", { class: "row" }, el("label", { for: "model" }, "Look inside"), choice),
  );
}
