// The network as rows: what each layer makes of the face, on one scale a layer or each map on its
// own; and one map large, with its numbers.

import { place, remember } from "./address.js";
import { encoded } from "./damage.js";
import { el, fill } from "./dom.js";
import { bar, paint, range } from "./heat.js";
import { context } from "./pictures.js";
import { ends, oneMap } from "./pixel.js";
import { greatest, track } from "./votes.js";
import { count, short } from "./words.js";

const MOST = 64; // maps of a layer that are drawn at first
const FEW = 12; // layers: all are offered open
const MOST_UNITS = 256;
const STAGES = {
  raw: "before its activation",
  activated: "after its activation",
  pooled: "pooled",
  normalised: "normalised",
};
const KINDS = {
  convolution: "convolution",
  depthwise: "convolution of each map by itself",
  dense: "dense units",
  input: "the face",
  concat: "maps laid side by side",
  add: "sum",
  mul: "product",
};
const SCALES = { shared: "One scale for all maps", unit: "Each map on its own" };

/** @param {any} view */
export function layers(view) {
  const { about, name, source } = view;
  const rows = about.layers.filter((layer) => layer.name !== "face" && layer.name !== "logit");
  const asked = place().query;
  const shared = {
    asked,
    large: el("div", { id: "large" }),
    firing: view.of.scan
      ? view.scored.then(() => source.firing(view.of.scan, name)).catch(() => null)
      : Promise.resolve(null),
    scale: asked.get("scale") === "unit" ? "unit" : "shared",
    repaint: [],
  };
  const made = rows.map((layer, i) =>
    layerRow(view, layer, shared, !asked.get("layer") && i === 0),
  );
  return el(
    "section",
    { class: "card", id: "layers" },
    el("h2", {}, "What the layers make of it"),
    el(
      "p",
      {},
      `${name} has ${count(rows.length, "layer")}. On one scale, a bright map says more than a `,
      "dark ",
      "one; on its own, a map that hardly says anything looks as bright as any. Choose a map " +
        "to see ",
      "it large.",
    ),
    scaleSwitch(shared),
    rows.length > FEW && el("p", { class: "soft" }, "Open a layer to fetch its maps."),
    made,
    shared.large,
  );
}

function scaleSwitch(shared) {
  const buttons = Object.entries(SCALES).map(([key, text]) => {
    const press = () => {
      shared.scale = key;
      buttons.forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
      remember({ scale: key === "unit" ? key : "" });
      for (const paintAgain of shared.repaint) paintAgain();
    };
    const pressed = String(shared.scale === key);
    const button = el("button", { type: "button", "aria-pressed": pressed, onclick: press }, text);
    return button;
  });
  return el("div", { class: "row", role: "group", "aria-label": "Scale of the maps" }, buttons);
}

/** One layer: its filters, its maps at one of its stages. */
function layerRow(view, layer, shared, first) {
  const { asked } = shared;
  const chosen = asked.get("layer") === layer.name;
  const holder = el("div", {}, el("p", { class: "soft" }, "Fetching."));
  const last = "activated" in layer.shapes ? "activated" : "raw";
  const wanted = asked.get("stage") || "";
  let stage = chosen && wanted in layer.shapes ? wanted : last;
  let done = false;
  const details = el(
    "details",
    { open: chosen || first, "data-layer": layer.name },
    el("summary", {}, `${layer.name}: ${title(layer)}`),
    holder,
  );
  const show = async () => {
    const query = { model: view.name, layers: [layer.name], stages: [stage] };
    const found = await view.source.predict(await encoded(view.crop), query);
    const array = found.arrays[`${layer.name}.${stage}`];
    const fired = await shared.firing;
    const open = (number, focus, /** @type {number[] | null} */ at = null) =>
      large(view, { layer, array, stage, number, at }, shared, focus);
    fill(
      holder,
      stageButtons(layer, stage, (next) => {
        stage = next;
        show().then(() => holder.querySelector("[aria-pressed=true]").focus());
      }),
      await filters(view, layer),
      array.shape.length === 3 ? tiles({ layer, array, stage }, fired, shared, open) : units(array),
    );
    const map = Number(asked.get("map"));
    if (!chosen || array.shape.length !== 3 || !(map >= 1 && map <= array.shape[0])) return;
    const [row, column] = (asked.get("at") || "").split(".").map(Number);
    const at = row >= 1 && column >= 1 ? [Math.floor(row) - 1, Math.floor(column) - 1] : null;
    open(map - 1, false, asked.has("at") ? at : null);
  };
  const load = async () => {
    if (!details.open || done) return;
    done = true;
    try {
      await show();
    } catch (error) {
      fill(holder, el("p", { role: "alert" }, /** @type {Error} */ (error).message));
    }
  };
  details.addEventListener("toggle", load);
  load();
  return details;
}

function stageButtons(layer, stage, choose) {
  const known = Object.keys(layer.shapes);
  if (known.length < 2) return null;
  return el(
    "div",
    {
      class: "row",
      role: "group",
      "aria-label": `Stage of ${layer.name}`,
      css: { margin: "6px 0" },
    },
    known.map((each) =>
      el(
        "button",
        { type: "button", "aria-pressed": String(each === stage), onclick: () => choose(each) },
        STAGES[each] || each,
      ),
    ),
  );
}

/** What a first layer learned: its kernels as colours, 0 is grey. */
async function filters({ source, name }, layer) {
  if (layer.inputs !== 3 || layer.kind !== "convolution" || !layer.kernel) return null;
  const { shape, values } = await source.filters(name, layer.name);
  const [number, inputs, high, wide] = shape;
  const end = greatest(values);
  const tile = (filter) => {
    const label = `Filter ${filter + 1} of ${layer.name}`;
    const canvas = el("canvas", { role: "img", "aria-label": label, width: wide, height: high });
    const pen = context(canvas);
    const image = pen.createImageData(wide, high);
    for (let at = 0; at < high * wide; at += 1) {
      for (let c = 0; c < 3; c += 1) {
        const value = values[(filter * inputs + c) * high * wide + at];
        image.data[4 * at + c] = 127.5 + (127.5 * value) / end;
      }
      image.data[4 * at + 3] = 255;
    }
    pen.putImageData(image, 0, 0);
    return el("div", { class: "tile" }, canvas, el("span", {}, `filter ${filter + 1}`));
  };
  return [
    el(
      "h3",
      {},
      `The ${number} filters that it learned, ${high} × ${wide} px of red, green and blue`,
    ),
    el(
      "p",
      { class: "soft" },
      "Grey is 0; a colour is what the filter looks for, its opposite what it looks away from. ",
      "One scale for all.",
    ),
    el(
      "div",
      { class: "tiles" },
      Array.from({ length: Math.min(number, MOST) }, (_, filter) => tile(filter)),
    ),
    el("h3", {}, "What they find in this face"),
  ];
}

/** What is known of a filter from more faces than this one. */
function stateOf(layer, number, fired) {
  const known = fired && fired.layers[layer.name];
  if (!known) return "";
  const never = known.share[number] === 0;
  if (known.dead.includes(number) && fired.faces > 1)
    return `${never ? "never fires, " : ""}dead: the same on all ${fired.faces} faces`;
  if (never) return `fires on none of ${count(fired.faces, "face")}`;
  if (known.share[number] < 1)
    return `fires on ${Math.round(100 * known.share[number])} % of faces`;
  return "";
}

function deadSaid(layer, fired) {
  if (!fired || !fired.layers[layer.name]) return "";
  const { dead } = fired.layers[layer.name];
  const names = dead.map((each) => each + 1).join(", ");
  if (!dead.length) return `No filter is dead on the ${count(fired.faces, "face")} looked at.`;
  if (fired.faces > 1)
    return `Dead filters, the same on all ${fired.faces} faces looked at: ${names}.`;
  return (
    `On this one face these give the same number everywhere: ${names}; ` +
    "whether they are dead, more faces would tell."
  );
}

function tiles({ layer, array, stage }, fired, shared, open) {
  const [maps, high, wide] = array.shape;
  const common = range(array.values);
  const size = high * wide;
  const own = (number) => range(array.values.slice(number * size, (number + 1) * size));
  const scaleOf = (number) => (shared.scale === "unit" ? own(number) : common);
  const tile = (number) => {
    const canvas = el("canvas", { "aria-hidden": "true" });
    const draw = () => paint(canvas, array.values, high, wide, scaleOf(number), number * size);
    draw();
    shared.repaint.push(draw);
    const { low, top } = ends(array, number);
    const text = low === top ? "one number everywhere" : `${short(low)} to ${short(top)}`;
    const state = stateOf(layer, number, fired);
    const label = [`Map ${number + 1} of ${layer.name}`, text, state].filter(Boolean).join(", ");
    return el(
      "button",
      { type: "button", class: "tile", "aria-label": label, onclick: () => open(number, true) },
      canvas,
      el("span", {}, el("b", {}, `${number + 1}`), ` ${text}`),
      state && el("span", {}, state),
    );
  };
  const numbers = (from, to) => Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
  const grid = el("div", { class: "tiles" }, numbers(0, Math.min(maps, MOST)).map(tile));
  const rest = (event) => {
    grid.append(...numbers(MOST, maps).map(tile));
    event.currentTarget.remove();
  };
  const legend = el("div", { css: { "max-width": "360px" } });
  const drawLegend = () =>
    fill(
      legend,
      shared.scale === "unit"
        ? el("p", { class: "soft" }, "Each map from 0 to its own strongest number.")
        : bar(common),
    );
  drawLegend();
  shared.repaint.push(drawLegend);
  return [
    el(
      "p",
      { class: "soft" },
      `${count(maps, "map")} of ${high} × ${wide}, ${STAGES[stage] || stage}. `,
      deadSaid(layer, fired),
    ),
    legend,
    grid,
    maps > MOST && el("button", { type: "button", onclick: rest }, `Show all ${maps}`),
  ];
}

function units(array) {
  const values = [...array.values];
  const most = greatest(values);
  const row = (value, number) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, `unit ${number + 1}`),
      el("td", {}, track(value, most)),
      el("td", { class: "n" }, short(value)),
    );
  return el(
    "table",
    { class: "votes" },
    el("caption", {}, `${count(values.length, "number")}, on one scale`),
    el("tbody", {}, values.slice(0, MOST_UNITS).map(row)),
  );
}

/** Show one map large. */
function large(view, { layer, array, stage, number, at }, shared, focus) {
  const size = array.shape[1] * array.shape[2];
  const slice = array.values.slice(number * size, (number + 1) * size);
  const common = shared.scale === "unit" ? range(slice) : range(array.values);
  const scale = shared.scale === "unit" ? "a scale of its own" : "the scale of its layer";
  const shown = oneMap(view, {
    ...{ layer, array, stage, number, common, at },
    called: `${STAGES[stage] || stage}, on ${scale}`,
    chosen: (row, column) => {
      const query = { layer: layer.name, stage, map: number + 1, at: `${row + 1}.${column + 1}` };
      remember(query);
    },
  });
  fill(shared.large, shown.node);
  if (focus) shown.focus();
}

function title(layer) {
  const shape = Object.values(layer.shapes)[0];
  const size =
    shape.length === 3 ? `${shape[0]} maps of ${shape[1]} × ${shape[2]}` : `${shape[0] || 1} units`;
  return `${KINDS[layer.kind] || layer.kind}, ${size}`;
}
