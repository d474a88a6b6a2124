// One face: its score and how it came about, what it hangs on, what the layers make of it, and what would change it.

import { remember } from "./address.js";
import { card, el, fill, say } from "./dom.js";
import { NONE, PARTS, damaged, encoded, honest, touched } from "./damage.js";
import { bar, finding, paintCells } from "./heat.js";
import { layers } from "./layers.js";
import { picture } from "./pictures.js";
import { clock, scale, signed, updateScale, word, zone } from "./words.js";

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
  const crop = await picture(source.face(id, n));
  /** @type {any} */
  const view = { id, source, n, face, name, about, crop, what: read(query), leave: [] };
  const many = faces.length > 1;
  const link = (to, text) =>
    el("a", { href: `#/scan/${id}/face/${to}${query.get("model") ? `?model=${name}` : ""}` }, text);
  const choice = el(
    "select",
    {
      id: "model",
      onchange: () => {
        location.hash = `#/scan/${id}/face/${n}?model=${encodeURIComponent(choice.value)}`;
      },
    },
    single.map((each) => el("option", { value: each }, each)),
  );
  choice.value = name;
  const size = Math.max(face.box[2] - face.box[0], face.box[3] - face.box[1]);
  const small = about.smallest_face && size < about.smallest_face;
  const votes = el("div");
  const still = job.result.video.duration === null;
  const live = scoreLine(view, votes);
  view.scored = live.first; // what takes longer comes after the score
  const node = el(
    "div",
    { "data-all": "" },
    el(
      "nav",
      { class: "crumbs", "aria-label": "Faces" },
      el("a", { href: `#/scan/${id}?t=${face.time}` }, "‹ Back to the verdict"),
      many && n > 0 && link(n - 1, "Face before"),
      many && n < faces.length - 1 && link(n + 1, "Next face"),
      many &&
        el(
          "a",
          {
            href: `#/compare?a=${id}.${n}&b=${id}.${n > faces.length / 2 ? 0 : faces.length - 1}&model=${encodeURIComponent(name)}`,
          },
          "Compare with another",
        ),
    ),
    el(
      "div",
      { class: "row between" },
      el(
        "h1",
        {},
        still
          ? `Face ${n + 1}, seen from inside`
          : `The face at ${clock(face.time)}, seen from inside`,
      ),
      el("div", { class: "row" }, el("label", { for: "model" }, "Look inside"), choice),
    ),
    el(
      "p",
      { class: "soft" },
      `Face ${n + 1} of ${faces.length}, person ${face.person}, ${Math.round(size)} px in its frame. A single face is no verdict, and what a network looks at is no proof.`,
    ),
    small &&
      el(
        "p",
        {},
        el("b", {}, `Smaller than the ${about.smallest_face} px that this model can judge.`),
      ),
    live.node,
    el("div", { class: "cols third" }, whatIf(view, live), votes),
    maps(view),
    layers(view),
  );
  live.ask();
  return { node, title: `Face ${n + 1}`, leave: () => view.leave.forEach((each) => each()) };
}

/** What the address says of changes: `what=blur:2,jpeg:40,cover:mouth`. */
function read(query) {
  /** @type {any} */
  const what = { ...NONE, covers: [], parts: [] };
  for (const each of (query.get("what") || "").split(",").filter(Boolean)) {
    const [key, value] = each.split(":");
    if (key === "cover" && PARTS[value]) {
      what.parts.push(value);
      what.covers.push(PARTS[value]);
    } else if (key in NONE && key !== "covers" && Number.isFinite(Number(value)))
      what[key] = Number(value);
  }
  return what;
}

function written(what) {
  const words = Object.keys(NONE)
    .filter((key) => key !== "covers" && what[key] !== NONE[key])
    .map((key) => `${key}:${what[key]}`);
  return [...words, ...what.parts.map((part) => `cover:${part}`)].join(",");
}

/** The score, and what it was before something was changed. It stays in sight. */
function scoreLine(view, votes) {
  const { about, name, crop } = view;
  const bandOf = about.uncertain || null;
  const now = el("p", { class: "num", id: "now", css: { margin: 0 } }, "Scoring.");
  const drawn = scale(null, about.threshold, bandOf, "this face");
  const node = el("div", { class: "score sticky" }, now, drawn);
  /** @type {any} */
  let before = null;
  let scored = () => {};
  const first = new Promise((resolve) => {
    scored = () => resolve(true);
  });
  let busy = false;
  let next = null;
  const canvas = () => damaged(crop, view.what);
  const run = async () => {
    busy = true;
    while (next) {
      const what = next;
      next = null;
      try {
        const judge = async (face, how) =>
          view.source.predict(await encoded(face, how), { model: name, split: true });
        const answer = await judge(canvas(), what);
        if (!touched(what)) before = answer;
        if (!before) before = await judge(crop, NONE);
        show(answer, what);
      } catch (error) {
        fill(now, /** @type {any} */ (error).message);
      }
      scored();
    }
    busy = false;
  };
  const show = (answer, what) => {
    const label = zone(answer.fake_probability, about.threshold, bandOf);
    const was = before.fake_probability;
    const changed = touched(what);
    fill(
      now,
      el("b", {}, `P(fake) ${answer.fake_probability.toFixed(3)} `),
      word(label, { fake: "called fake", real: "called real", uncertain: "cannot tell" }[label]),
      el(
        "span",
        { class: "soft" },
        ` by ${name} alone`,
        changed
          ? `; untouched it was ${was.toFixed(3)}, so ${signed(answer.fake_probability - was, 3)}`
          : "",
      ),
      changed &&
        !what.covers.length &&
        label !== zone(was, about.threshold, bandOf) &&
        el("b", {}, " A harmless change moves the answer: it is fragile."),
    );
    updateScale(drawn, answer.fake_probability, about.threshold, bandOf, "this face");
    fill(votes, voteCard(view, answer));
    say(`P(fake) ${answer.fake_probability.toFixed(2)}`);
  };
  /** Ask for the score as things are now; what was asked before and is not begun is dropped. */
  const ask = () => {
    next = { ...view.what, covers: [...view.what.covers] };
    if (!busy) run();
  };
  return { node, ask, canvas, first };
}

function voteCard(view, answer) {
  const { split } = answer;
  const calibration = view.about.calibration;
  if (!split)
    return card(
      "How the sum came about",
      el("p", {}, "The head of this network does not split into summands."),
    );
  const shares = [...split.shares, { name: "bias", value: split.bias }];
  const most = Math.max(...shares.map((each) => Math.abs(each.value))) || 1;
  const sum = (sign) =>
    shares.filter((each) => each.value * sign > 0).reduce((total, each) => total + each.value, 0);
  const units = split.shares[0].name.startsWith("unit");
  const row = (each) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, each.name),
      el(
        "td",
        {},
        el(
          "span",
          { class: "track", "aria-hidden": "true" },
          el("i", {
            class: each.value > 0 ? "for" : "against",
            css: { width: `${(50 * Math.abs(each.value)) / most}%` },
          }),
        ),
      ),
      el("td", { class: "n" }, signed(each.value, 3)),
    );
  return card(
    units ? `${split.shares.length} votes, and their sum` : "What each part adds",
    el(
      "p",
      { class: "soft" },
      units
        ? "The last hidden units vote: to the right for fake, to the left for real. The votes add up to the logit."
        : "What the network reads in each part of the face: to the right for fake, to the left for real. They add up to the logit.",
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
          el("th", { scope: "col" }, "who"),
          el("th", { scope: "col" }, "bar"),
          el("th", { scope: "col" }, "vote"),
        ),
      ),
      el("tbody", {}, shares.map(row)),
    ),
    el(
      "p",
      { class: "num", css: { "margin-top": "12px" } },
      `For fake ${signed(sum(1))}, for real ${signed(sum(-1))}: logit ${signed(split.adds_up_to, 3)}`,
      calibration && calibration.scale !== undefined
        ? `, calibrated P(fake) ${answer.fake_probability.toFixed(3)}.`
        : `, P(fake) ${answer.fake_probability.toFixed(3)}.`,
    ),
  );
}

/** The face with tools: cover, shift, shrink, blur, light, JPEG. */
function whatIf(view, live) {
  const { what, crop } = view;
  const canvas = el("canvas", {
    width: crop.width,
    height: crop.height,
    role: "img",
    "aria-label": "The face as it is judged now",
  });
  const cursor = el("div", { class: "cursor", hidden: true });
  const frame = el("div", { class: "crop" }, canvas, cursor);
  const square = { x: 0.5, y: 0.5, side: 0.16 };
  let brush = false;
  const draw = () => {
    const made = live.canvas();
    canvas.getContext("2d").drawImage(made, 0, 0);
    remember({ what: written(what) });
    if (what.jpeg < 100)
      encoded(made, what)
        .then(createImageBitmap)
        .then((bitmap) => canvas.getContext("2d").drawImage(bitmap, 0, 0));
  };
  let timer = 0;
  const change = () => {
    draw();
    clearTimeout(timer);
    timer = window.setTimeout(live.ask, 30);
  };
  view.leave.push(() => clearTimeout(timer));
  const sliders = [
    slider("blur", "Blur", 0, 3, 0.1, (v) => (v ? `${v.toFixed(1)} px` : "none")),
    slider("jpeg", "JPEG quality", 10, 100, 1, (v) => (v < 100 ? `${v}` : "not compressed")),
    slider("shrink", "Smaller and back", 1, 4, 0.1, (v) =>
      v > 1 ? `1/${v.toFixed(1)} of its size` : "as it is",
    ),
    slider("light", "Light", 0.4, 1.6, 0.05, (v) =>
      v === 1 ? "as it is" : `${Math.round(100 * v)} %`,
    ),
    slider("dx", "Shift sideways", -12, 12, 1, (v) => (v ? `${signed(v, 0)} px` : "none")),
    slider("dy", "Shift up and down", -12, 12, 1, (v) => (v ? `${signed(v, 0)} px` : "none")),
  ];
  function slider(key, text, min, max, step, shown) {
    const id = `what-${key}`;
    const input = el("input", { type: "range", id, min, max, step });
    input.value = what[key];
    const told = el("output", { for: id }, shown(what[key]));
    input.addEventListener("input", () => {
      what[key] = Number(input.value);
      told.textContent = shown(what[key]);
      change();
    });
    const node = el(
      "div",
      { class: "field" },
      el("label", { for: id, class: "row between" }, text, told),
      input,
    );
    return {
      node,
      reset: () => {
        input.value = NONE[key];
        told.textContent = shown(NONE[key]);
      },
    };
  }
  const parts = Object.keys(PARTS).map((part) => {
    const button = el(
      "button",
      {
        type: "button",
        "aria-pressed": String(what.parts.includes(part)),
        onclick: () => {
          const on = button.getAttribute("aria-pressed") !== "true";
          button.setAttribute("aria-pressed", String(on));
          what.parts = on ? [...what.parts, part] : what.parts.filter((each) => each !== part);
          what.covers = on
            ? [...what.covers, PARTS[part]]
            : what.covers.filter((each) => each !== PARTS[part]);
          change();
        },
      },
      part[0].toUpperCase() + part.slice(1),
    );
    return button;
  });
  const place = () => {
    const percent = (share) => `${100 * share}%`;
    cursor.style.left = percent(square.x - square.side / 2);
    cursor.style.top = percent(square.y - square.side / 2);
    cursor.style.width = cursor.style.height = percent(square.side);
  };
  const stamp = () => {
    const half = square.side / 2;
    what.covers = [
      ...what.covers,
      [square.x - half, square.y - half, square.x + half, square.y + half].map((share) =>
        Math.max(0, Math.min(1, share)),
      ),
    ];
    change();
  };
  const move = (event) => {
    const bounds = canvas.getBoundingClientRect();
    square.x = (event.clientX - bounds.left) / bounds.width;
    square.y = (event.clientY - bounds.top) / bounds.height;
    place();
  };
  canvas.addEventListener("pointermove", (event) => {
    if (brush) {
      move(event);
      if (event.buttons) stamp();
    }
  });
  canvas.addEventListener("pointerdown", (event) => {
    if (brush) {
      move(event);
      stamp();
    }
  });
  canvas.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[
      event.key
    ];
    if (!brush) return;
    if (by) {
      square.x = Math.max(0, Math.min(1, square.x + by[0] / 32));
      square.y = Math.max(0, Math.min(1, square.y + by[1] / 32));
    } else if (event.key === "+" || event.key === "=")
      square.side = Math.min(0.5, square.side + 0.03);
    else if (event.key === "-") square.side = Math.max(0.04, square.side - 0.03);
    else if (event.key === " " || event.key === "Enter") stamp();
    else return;
    event.preventDefault();
    place();
  });
  const toggle = el(
    "button",
    {
      type: "button",
      "aria-pressed": "false",
      onclick: () => {
        brush = !brush;
        toggle.setAttribute("aria-pressed", String(brush));
        cursor.hidden = !brush;
        canvas.style.touchAction = brush ? "none" : "";
        if (brush) {
          canvas.setAttribute("tabindex", "0");
          place();
          canvas.focus();
        } else canvas.removeAttribute("tabindex");
        help.hidden = !brush;
      },
    },
    "Brush",
  );
  const help = el(
    "p",
    { class: "soft", hidden: true },
    "Paint over the face; or move the square with the arrow keys, + and − change its size, space covers.",
  );
  const reset = el(
    "button",
    {
      type: "button",
      id: "reset",
      onclick: () => {
        Object.assign(what, NONE, { covers: [], parts: [] });
        for (const each of sliders) each.reset();
        for (const each of parts) each.setAttribute("aria-pressed", "false");
        change();
      },
    },
    "Undo all",
  );
  draw();
  return card(
    "What if",
    !honest() &&
      el(
        "p",
        { role: "alert" },
        "This browser falsifies the pixels that pages read back, so the scores below would be wrong. Switch that protection off for this page, or use another browser.",
      ),
    el("p", { class: "soft" }, "Change the face, and watch the score."),
    frame,
    el(
      "div",
      { class: "tools", css: { "margin-top": "14px" } },
      el(
        "div",
        { class: "row", role: "group", "aria-label": "Cover" },
        el("span", {}, "Cover"),
        parts,
        toggle,
      ),
      help,
      sliders.map((each) => each.node),
      el("div", {}, reset),
    ),
  );
}

/** Both maps over the face. They speak of the face as it is, not of what was changed. */
function maps(view) {
  const holder = el(
    "div",
    { class: "maps3" },
    el("p", { class: "soft" }, "Covering 64 places and scoring each."),
  );
  const node = card(
    "Where in the face",
    el(
      "p",
      {},
      "Yellow with a plus speaks for fake, dark blue with a minus for real; where the grey face shows through, little is said. Numbers are logits: +1 takes a P(fake) of 0.50 to 0.73.",
    ),
    holder,
  );
  view.scored
    .then(() => view.source.explain({ scan: view.id, n: view.n }, { model: view.name, cells: 8 }))
    .then((found) => {
      const figure = (title, text, cells) => {
        const end = Math.max(...cells.flat().map(Math.abs)) || 1;
        const canvas = el("canvas", {
          class: "heat",
          role: "img",
          "aria-label": `${title}. ${finding(cells)}`,
        });
        paintCells(canvas, view.crop, cells, end);
        const under = el(
          "p",
          { class: "num soft", "aria-hidden": "true" },
          "Point at a cell for its number.",
        );
        canvas.addEventListener("pointermove", (event) => {
          const bounds = canvas.getBoundingClientRect();
          const y = Math.floor(((event.clientY - bounds.top) / bounds.height) * cells.length);
          const x = Math.floor(((event.clientX - bounds.left) / bounds.width) * cells[0].length);
          if (cells[y] && cells[y][x] !== undefined)
            under.textContent = `Row ${y + 1}, column ${x + 1}: ${signed(cells[y][x], 3)}`;
        });
        return el(
          "figure",
          {},
          canvas,
          bar({ kind: "signed", low: -end, high: end }, [" for real", " for fake"]),
          el("figcaption", {}, el("b", {}, `${title}. `), text, " ", finding(cells)),
          under,
          el(
            "details",
            {},
            el("summary", {}, "Numbers"),
            el(
              "div",
              { class: "wide", tabindex: "0", role: "region", "aria-label": `Numbers: ${title}` },
              el(
                "table",
                {},
                el(
                  "tbody",
                  {},
                  cells.map((row) =>
                    el(
                      "tr",
                      {},
                      row.map((value) => el("td", { class: "n" }, signed(value))),
                    ),
                  ),
                ),
              ),
            ),
          ),
        );
      };
      fill(
        holder,
        el(
          "figure",
          {},
          el("img", {
            class: "heat",
            src: view.source.face(view.id, view.n),
            alt: "The face as the network gets it",
            width: 256,
            height: 256,
          }),
          el(
            "figcaption",
            {},
            el("b", {}, "The face "),
            "as the network gets it: cut and upright, 256 px a side.",
          ),
        ),
        figure(
          "What the score hangs on",
          "Each of 64 cells was covered with the mean colour and the face scored again: what the cell had added.",
          found.occlusion.cells,
        ),
        found.split
          ? figure(
              "How the sum came about",
              `The logit is a sum over the cells of the last maps (${found.split.layer}) and a constant of ${signed(found.split.constant)}; a cell has seen more than the patch it lies on.`,
              found.split.cells,
            )
          : el("p", {}, "The head of this network does not split into cells."),
      );
    })
    .catch((error) => fill(holder, el("p", { role: "alert" }, error.message)));
  return node;
}
