// One face: its score and how it came about, what it hangs on, what the layers make of it, and what
// would change it.

import { link } from "./address.js";
import { copied, read, written } from "./damage.js";
import { el, fill } from "./dom.js";
import { layers } from "./layers.js";
import { maps } from "./maps.js";
import { picture } from "./pictures.js";
import { scoreLine } from "./score.js";
import { voteCard } from "./votes.js";
import { whatIf } from "./whatif.js";
import { clock } from "./words.js";

export async function page({ words, query, source }) {
  const [, id, , number] = words;
  const [job, faces, all] = await Promise.all([source.scan(id), source.faces(id), source.models()]);
  const n = Number(number);
  const face = faces[n];
  if (!face)
    throw new Error(`There is no face ${number}; the scan has ${faces.length}, from 0 on.`);
  const single = all
    .filter((each) => !(each.members && each.members.length))
    .map((each) => each.name);
  const wanted = query.get("model") || job.result.model.name;
  const name = single.includes(wanted) ? wanted : single[0];
  const about = await source.model(name);
  const address = source.face(id, n);
  const crop = await picture(address);
  const votes = el("div");
  /** @type {any} */
  const view = { source, id, of: { scan: id, n }, address, name, about, crop, leave: [] };
  view.what = read(query.get("what"));
  const live = scoreLine(view, (answer) => fill(votes, voteCard(answer)));
  view.scored = live.first; // what takes longer comes after the score
  const tools = whatIf(view, live);
  const node = el(
    "div",
    { "data-all": "" },
    crumbs({ id, n, face, faces, query, view, name }),
    heading({ job, faces, n, face, name, single, id, view }),
    about_(face, n, faces, about),
    live.node,
    tools.bench,
    el("div", { class: "cols" }, votes, tools.sweep),
    maps(view),
    layers(view),
  );
  live.ask(copied(view.what));
  return { node, title: `Face ${n + 1}`, leave: () => view.leave.forEach((each) => each()) };
}

function crumbs({ id, n, face, faces, query, view, name }) {
  const model = query.get("model") ? name : "";
  const to = (other, text) => el("a", { href: link(["scan", id, "face", other], { model }) }, text);
  const a = `${id}.${n}`;
  const compare = (more, text) => {
    const open = (event) => {
      event.currentTarget.href = link(["compare"], { a, model: name, ...more() });
    };
    const href = link(["compare"], { a, model: name, ...more() });
    return el("a", { href, onclick: open, onfocus: open }, text);
  };
  const other = n > faces.length / 2 ? 0 : faces.length - 1;
  return el(
    "nav",
    { class: "crumbs", "aria-label": "Faces" },
    el("a", { href: link(["scan", id], { t: face.time }) }, "‹ Back to the verdict"),
    n > 0 && to(n - 1, "Face before"),
    n < faces.length - 1 && to(n + 1, "Next face"),
    faces.length > 1 && compare(() => ({ b: `${id}.${other}` }), "Compare with another"),
    compare(() => ({ what: written(view.what) || "blur:1" }), "Before and after a change"),
    compare(() => ({ models: "all" }), "In all models"),
  );
}

function heading({ job, faces, n, face, name, single, id, view }) {
  const still = job.result.video.duration === null;
  const go = () => {
    location.hash = link(["scan", id, "face", n], {
      model: choice.value,
      what: written(view.what),
    });
  };
  const options = single.map((each) => el("option", { value: each }, each));
  const choice = el("select", { id: "model", onchange: go }, options);
  choice.value = name;
  const title =
    still && faces.length === 1
      ? "The face"
      : still
        ? `Face ${n + 1}`
        : `The face at ${clock(face.time)}`;
  return el(
    "div",
    { class: "row between" },
    el("h1", {}, `${title}, seen from inside`),
    el("div", { class: "row" }, el("label", { for: "model" }, "Look inside"), choice),
  );
}

function about_(face, n, faces, about) {
  const size = Math.max(face.box[2] - face.box[0], face.box[3] - face.box[1]);
  const small = about.smallest_face && size < about.smallest_face;
  return [
    el(
      "p",
      { class: "soft" },
      `Face ${n + 1} of ${faces.length}, person ${face.person}, ${Math.round(size)} px in its `,
      "frame. A single face is no verdict, and what a network looks at is no proof.",
    ),
    small &&
      el(
        "p",
        {},
        el("b", {}, `Smaller than the ${about.smallest_face} px that this model can judge.`),
      ),
  ];
}
