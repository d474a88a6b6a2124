// The face with tools that change it: cover, turn, zoom, shift, light, blur, compress; and how the
// score goes along one of them.

import { remember } from "./address.js";
import { chart } from "./charts.js";
import {
  CHANGES,
  FILLS,
  PARTS,
  copied,
  damaged,
  encoded,
  honest,
  untouched,
  written,
} from "./damage.js";
import { card, el, fill, say } from "./dom.js";

const GROUPS = {
  "How it is cut": ["turn", "zoom", "dx", "dy", "mirror"],
  "Its light": ["light", "gamma", "grey"],
  "The file": ["blur", "shrink", "jpeg"],
};
const RUNS = 11; // of a sweep
const STEP = 1 / 32; // of the face's side, that an arrow key moves the square
const BETWEEN = 30; // ms between a change and the question what it does

/** The bench with its tools, and the sweep.
 * @param {any} view @param {any} live what `scoreLine` gives */
export function whatIf(view, live) {
  const { what, crop, about } = view;
  const canvas = el("canvas", {
    width: crop.width,
    height: crop.height,
    role: "img",
    "aria-label": "The face as it is judged now",
  });
  let timer = 0;
  const change = () => {
    draw(canvas, crop, what);
    remember({ what: written(what) });
    clearTimeout(timer);
    timer = window.setTimeout(() => live.ask(copied(what)), BETWEEN);
  };
  view.leave.push(() => clearTimeout(timer));
  const tools = Object.fromEntries(
    Object.keys(CHANGES).map((key) => [key, tool(key, what, change)]),
  );
  const parts = partButtons(what, change);
  const brush = brushOf(canvas, what, change);
  const cover = el(
    "select",
    {
      id: "what-fill",
      onchange: () => {
        what.fill = cover.value;
        change();
      },
    },
    Object.entries(FILLS).map(([key, text]) => el("option", { value: key }, text)),
  );
  cover.value = what.fill;
  const reset = () => {
    Object.assign(what, untouched());
    for (const each of [...Object.values(tools), parts]) each.reset();
    cover.value = what.fill;
    change();
  };
  draw(canvas, crop, what);
  const bench = card(
    "What if",
    !honest() &&
      el(
        "p",
        { role: "alert" },
        "This browser falsifies the pixels that pages read back, so the scores below would be ",
        "wrong. Switch that protection off for this page, or use another browser.",
      ),
    el("p", { class: "soft" }, "Change the face, and watch the score."),
    el(
      "div",
      { class: "bench" },
      el(
        "div",
        { class: "tools" },
        el("div", { class: "crop" }, canvas, brush.cursor),
        el("h3", {}, "Cover"),
        el(
          "div",
          { class: "row", role: "group", "aria-label": "Cover" },
          parts.nodes,
          brush.toggle,
        ),
        brush.help,
        el("p", { class: "row" }, el("label", { for: "what-fill" }, "with"), cover),
      ),
      el(
        "div",
        {},
        Object.entries(GROUPS).map(([title, keys]) => [
          el("h3", {}, title),
          el(
            "div",
            { class: "sliders" },
            keys.map((key) => tools[key].node),
          ),
        ]),
        el("p", {}, el("button", { type: "button", id: "reset", onclick: reset }, "Undo all")),
      ),
    ),
  );
  const along = sweep(what, live, about, (key, value) => {
    tools[key].set(value);
    change();
  });
  return { bench, sweep: along };
}

/** Show the face as it is judged; compressed where that is part of it. */
function draw(canvas, crop, what) {
  const made = damaged(crop, what);
  canvas.getContext("2d").drawImage(made, 0, 0);
  if (what.jpeg < 100)
    encoded(made, what)
      .then(createImageBitmap)
      .then((bitmap) => canvas.getContext("2d").drawImage(bitmap, 0, 0));
}

/** The tool of one change: a switch, or a slider with a field for the number. */
function tool(key, what, change) {
  const { text, from, to, step, usual, shown } = CHANGES[key];
  const id = `what-${key}`;
  if (to - from === step) {
    const box = el("input", { type: "checkbox", id, checked: Boolean(what[key]) });
    box.addEventListener("change", () => {
      what[key] = Number(box.checked);
      change();
    });
    const set = (value) => {
      what[key] = value;
      box.checked = Boolean(value);
    };
    const node = el("div", { class: "switch" }, box, el("label", { for: id }, text));
    return { node, set, reset: () => set(usual) };
  }
  const range = { min: from, max: to, step };
  const slider = el("input", { type: "range", id, ...range });
  const field = el("input", { type: "number", ...range, "aria-label": `${text}, as a number` });
  const told = el("output", { for: id });
  const set = (value) => {
    what[key] = value;
    slider.value = field.value = String(value);
    told.textContent = shown(value);
    slider.setAttribute("aria-valuetext", shown(value));
  };
  slider.addEventListener("input", () => {
    set(Number(slider.value));
    change();
  });
  field.addEventListener("change", () => {
    const given = field.value === "" ? usual : Number(field.value);
    set(Math.min(to, Math.max(from, Number.isFinite(given) ? given : usual)));
    change();
  });
  set(what[key]);
  const node = el(
    "div",
    { class: "field" },
    el("label", { for: id, class: "row between" }, text, told),
    el("div", { class: "pair" }, slider, field),
  );
  return { node, set, reset: () => set(usual) };
}

function partButtons(what, change) {
  const nodes = Object.keys(PARTS).map((part) => {
    const press = () => {
      const on = !what.parts.includes(part);
      what.parts = on ? [...what.parts, part] : what.parts.filter((each) => each !== part);
      button.setAttribute("aria-pressed", String(on));
      change();
    };
    const pressed = String(what.parts.includes(part));
    const label = part[0].toUpperCase() + part.slice(1);
    const button = el("button", { type: "button", "aria-pressed": pressed, onclick: press }, label);
    return button;
  });
  return {
    nodes,
    reset: () => nodes.forEach((each) => each.setAttribute("aria-pressed", "false")),
  };
}

/** Paints over the face: by pointer, or by arrow keys that move a square which space sets down. */
function brushOf(canvas, what, change) {
  const cursor = el("div", { class: "cursor", hidden: true });
  const help = el(
    "p",
    { class: "soft", hidden: true },
    "Paint over the face; or move the square with the arrow keys, + and − change its size, ",
    "space covers.",
  );
  const square = { x: 0.5, y: 0.5, side: 0.16 };
  let on = false;
  const within = (share) => Math.max(0, Math.min(1, share));
  const place = () => {
    const percent = (share) => `${100 * share}%`;
    cursor.style.left = percent(square.x - square.side / 2);
    cursor.style.top = percent(square.y - square.side / 2);
    cursor.style.width = cursor.style.height = percent(square.side);
  };
  const stamp = () => {
    const half = square.side / 2;
    const { x, y } = square;
    const made = [x - half, y - half, x + half, y + half].map(within);
    const last = what.squares.at(-1);
    if (last && made.every((side, i) => Math.abs(side - last[i]) < STEP / 2)) return;
    what.squares = [...what.squares, made];
    change();
  };
  const move = (event) => {
    const bounds = canvas.getBoundingClientRect();
    square.x = within((event.clientX - bounds.left) / bounds.width);
    square.y = within((event.clientY - bounds.top) / bounds.height);
    place();
  };
  canvas.addEventListener("pointermove", (event) => {
    if (!on) return;
    move(event);
    if (event.buttons) stamp();
  });
  canvas.addEventListener("pointerdown", (event) => {
    if (!on) return;
    move(event);
    stamp();
  });
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    if (!on) return;
    const by = arrows[event.key];
    if (by) {
      square.x = within(square.x + by[0] * STEP);
      square.y = within(square.y + by[1] * STEP);
    } else if (event.key === "+" || event.key === "=")
      square.side = Math.min(0.5, square.side + 0.03);
    else if (event.key === "-") square.side = Math.max(0.04, square.side - 0.03);
    else if (event.key === " " || event.key === "Enter") stamp();
    else return;
    event.preventDefault();
    place();
  });
  const press = () => {
    on = !on;
    toggle.setAttribute("aria-pressed", String(on));
    cursor.hidden = help.hidden = !on;
    canvas.style.touchAction = on ? "none" : "";
    if (!on) {
      canvas.removeAttribute("tabindex");
      return;
    }
    canvas.setAttribute("tabindex", "0");
    place();
    canvas.focus();
  };
  const toggle = el("button", { type: "button", "aria-pressed": "false", onclick: press }, "Brush");
  return { cursor, help, toggle };
}

/** The score along one change, the others as they are. A point that is chosen is set. */
function sweep(what, live, about, choose) {
  const holder = el("div", { id: "swept" });
  const keys = Object.keys(CHANGES).filter((key) => key !== "mirror");
  const choice = el(
    "select",
    { id: "sweep" },
    keys.map((key) => el("option", { value: key }, CHANGES[key].text)),
  );
  choice.value = "blur";
  let turn = 0;
  const run = async () => {
    const mine = ++turn;
    const key = choice.value;
    const values = valuesOf(key);
    const points = [];
    fill(holder, el("progress", { max: RUNS, value: 0, "aria-label": "Sweeping" }));
    try {
      for (const value of values) {
        const answer = await live.judge({ ...copied(what), [key]: value });
        if (mine !== turn) return;
        points.push([value, answer.fake_probability]);
        holder.firstChild.value = points.length;
      }
    } catch (error) {
      fill(holder, el("p", { role: "alert" }, /** @type {Error} */ (error).message));
      return;
    }
    const finding = foundBy(key, points, live.zoneOf);
    const { text, from, to, shown } = CHANGES[key];
    const plot = chart({
      title: `${text}: ${RUNS} runs`,
      finding,
      series: [{ name: "P(fake)", points, dots: true }],
      x: { label: text, from, to },
      y: { label: "P(fake)", from: 0, to: 1, shown: (value) => value.toFixed(2) },
      band: about.uncertain || null,
      line: { at: about.threshold, text: "threshold" },
      mark: what[key],
    });
    const set = el(
      "div",
      { class: "row", role: "group", "aria-label": `Set ${text.toLowerCase()} to` },
      values.map((value) =>
        el(
          "button",
          { type: "button", class: "small", onclick: () => choose(key, value) },
          shown(value),
        ),
      ),
    );
    fill(holder, plot, el("details", {}, el("summary", {}, "Set it to one of these"), set));
    say(finding);
  };
  return card(
    "Sweep",
    el("p", { class: "soft" }, "The score along one of the changes, all others as they are."),
    el(
      "div",
      { class: "row" },
      el("label", { for: "sweep" }, "Along"),
      choice,
      el("button", { type: "button", id: "run-sweep", onclick: run }, `Run ${RUNS} times`),
    ),
    holder,
  );
}

/** Evenly spread amounts of a change, on its steps. */
function valuesOf(key) {
  const { from, to, step } = CHANGES[key];
  const on = (value) => Number((from + Math.round((value - from) / step) * step).toFixed(4));
  return Array.from({ length: RUNS }, (_, i) => on(from + ((to - from) * i) / (RUNS - 1)));
}

/** What a sweep found, in a sentence; which harmless amounts move the answer. */
function foundBy(key, points, zoneOf) {
  const { usual, shown, harmless } = CHANGES[key];
  const nearest = points.reduce((a, b) =>
    Math.abs(b[0] - usual) < Math.abs(a[0] - usual) ? b : a,
  );
  const scores = points.map(([, score]) => score);
  const [least, most] = [Math.min(...scores), Math.max(...scores)];
  const moved = points.filter(([, score]) => zoneOf(score) !== zoneOf(nearest[1]));
  const mild = moved.filter(([value]) => value >= harmless[0] && value <= harmless[1]);
  const range = `P(fake) goes from ${least.toFixed(2)} to ${most.toFixed(2)}`;
  if (!moved.length) return `${range}; the answer stays the same.`;
  const strongest = (list) =>
    list.reduce((a, b) => (Math.abs(b[0] - usual) < Math.abs(a[0] - usual) ? b : a));
  if (mild.length)
    return (
      `${range}. The answer is fragile: it changes at ${shown(strongest(mild)[0])}, ` +
      "which hardly anybody would mind."
    );
  return `${range}; the answer changes at ${shown(strongest(moved)[0])} and beyond.`;
}
