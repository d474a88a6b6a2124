// The network as rows: what each layer makes of the face, on one scale a layer; and one map large, with its numbers.

import { place, remember } from "./address.js";
import { el, fill, say } from "./dom.js";
import { encoded } from "./damage.js";
import { bar, paint, range } from "./heat.js";
import { count, short } from "./words.js";

const MOST = 64; // maps of a layer that are drawn at first
const FEW = 12; // layers: all are offered open
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

export function layers(view) {
  const { about, crop, name, source } = view;
  const rows = about.layers.filter((layer) => layer.name !== "face" && layer.name !== "logit");
  const node = el(
    "section",
    { class: "card", id: "layers" },
    el("h2", {}, "What the layers make of it"),
    el(
      "p",
      {},
      `${name} has ${count(rows.length, "layer")}. All maps of a layer share one scale, so that a bright map says more than a dark one; choose a map to see it large.`,
    ),
  );
  const large = el("div");
  const firing = view.scored.then(() => source.firing(view.id, name)).catch(() => null);
  const asked = place().query;
  for (const layer of rows) node.append(row(layer));
  node.append(large);
  if (rows.length > FEW) node.append(el("p", { class: "soft" }, "Open a layer to fetch its maps."));
  return node;

  function row(layer) {
    const chosen = asked.get("layer") === layer.name;
    const holder = el("div", {}, el("p", { class: "soft" }, "Fetching."));
    const last = Object.keys(layer.shapes).includes("activated") ? "activated" : "raw";
    const wanted = asked.get("stage") || "";
    let stage = chosen && wanted in layer.shapes ? wanted : last;
    let done = false;
    const details = el(
      "details",
      { open: chosen || (!asked.get("layer") && layer === rows[0]), "data-layer": layer.name },
      el("summary", {}, `${layer.name}: ${title(layer)}`),
      holder,
    );
    const load = async () => {
      if (!details.open || done) return;
      done = true;
      try {
        await show();
      } catch (error) {
        fill(holder, el("p", { role: "alert" }, /** @type {Error} */ (error).message));
      }
    };
    const show = async () => {
      const found = await source.predict(await encoded(crop), {
        model: name,
        layers: [layer.name],
        stages: [stage],
      });
      const array = found.arrays[`${layer.name}.${stage}`];
      const fired = await firing;
      fill(
        holder,
        stages(),
        await filters(layer),
        array.shape.length === 3 ? tiles(layer, array, stage, fired) : units(array),
      );
      const map = Number(asked.get("map"));
      if (
        chosen &&
        asked.has("map") &&
        array.shape.length === 3 &&
        map >= 1 &&
        map <= array.shape[0]
      )
        open(layer, array, stage, map - 1, false);
    };
    const stages = () => {
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
            {
              type: "button",
              "aria-pressed": String(each === stage),
              onclick: () => {
                stage = each;
                show().then(() => holder.querySelector("[aria-pressed=true]").focus());
              },
            },
            STAGES[each] || each,
          ),
        ),
      );
    };
    details.addEventListener("toggle", load);
    load();
    return details;
  }

  /** What a first layer learned: its kernels as colours, 0 is grey. */
  async function filters(layer) {
    if (layer.inputs !== 3 || layer.kind !== "convolution" || !layer.kernel) return null;
    const {
      shape: [filterCount, inputs, high, wide],
      values,
    } = await source.filters(name, layer.name);
    const end = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
    const tile = (number) => {
      const canvas = el("canvas", {
        role: "img",
        "aria-label": `Filter ${number + 1} of ${layer.name}`,
      });
      canvas.width = wide;
      canvas.height = high;
      const image = canvas.getContext("2d").createImageData(wide, high);
      for (let place_ = 0; place_ < high * wide; place_ += 1) {
        for (let c = 0; c < 3; c += 1)
          image.data[4 * place_ + c] =
            127.5 + (127.5 * values[(number * inputs + c) * high * wide + place_]) / end;
        image.data[4 * place_ + 3] = 255;
      }
      canvas.getContext("2d").putImageData(image, 0, 0);
      return el("div", { class: "tile" }, canvas, el("span", {}, `filter ${number + 1}`));
    };
    return [
      el(
        "h3",
        {},
        `The ${filterCount} filters that it learned, ${high} × ${wide} px of red, green and blue`,
      ),
      el(
        "p",
        { class: "soft" },
        "Grey is 0; a colour is what the filter looks for, its opposite what it looks away from. One scale for all.",
      ),
      el(
        "div",
        { class: "tiles" },
        Array.from({ length: Math.min(filterCount, MOST) }, (_, number) => tile(number)),
      ),
      el("h3", {}, "What they find in this face"),
    ];
  }

  function state(layer, number, fired) {
    const known = fired && fired.layers[layer.name];
    if (!known) return "";
    if (known.dead.includes(number))
      return fired.faces > 1 ? `dead: the same on all ${fired.faces} faces` : "";
    return known.share[number] === 0
      ? `fires on none of ${count(fired.faces, "face")}`
      : known.share[number] < 1
        ? `fires on ${Math.round(100 * known.share[number])} % of faces`
        : "";
  }

  function tiles(layer, array, stage, fired) {
    const [maps, high, wide] = array.shape;
    const common = range(array.values);
    const tile = (number) => {
      const canvas = el("canvas", { "aria-hidden": "true" });
      paint(canvas, array.values, high, wide, common, number * high * wide);
      const { low, top } = ends(array, number);
      const text = low === top ? "one number everywhere" : `${short(low)} to ${short(top)}`;
      return el(
        "button",
        {
          type: "button",
          class: "tile",
          "aria-label": `Map ${number + 1} of ${layer.name}, ${text}${state(layer, number, fired) && `, ${state(layer, number, fired)}`}`,
          onclick: () => open(layer, array, stage, number, true),
        },
        canvas,
        el("span", {}, el("b", {}, `${number + 1}`), ` ${text}`),
        state(layer, number, fired) && el("span", {}, state(layer, number, fired)),
      );
    };
    const grid = el(
      "div",
      { class: "tiles" },
      Array.from({ length: Math.min(maps, MOST) }, (_, number) => tile(number)),
    );
    const dead = fired && fired.layers[layer.name] ? fired.layers[layer.name].dead : [];
    const more =
      maps > MOST &&
      el(
        "button",
        {
          type: "button",
          onclick: (event) => {
            for (let number = MOST; number < maps; number += 1) grid.append(tile(number));
            event.currentTarget.remove();
          },
        },
        `Show all ${maps}`,
      );
    return [
      el(
        "p",
        { class: "soft" },
        `${count(maps, "map")} of ${high} × ${wide}, ${STAGES[stage] || stage}. `,
        !fired
          ? ""
          : dead.length
            ? fired.faces > 1
              ? `Dead filters, which give the same number on all ${fired.faces} faces looked at: ${dead.map((each) => each + 1).join(", ")}.`
              : `On this one face these give the same number everywhere: ${dead.map((each) => each + 1).join(", ")}; whether they are dead, more faces would tell.`
            : `No filter is dead on the ${count(fired.faces, "face")} looked at.`,
      ),
      el("div", { css: { "max-width": "360px" } }, bar(common)),
      grid,
      more,
    ];
  }

  function units(array) {
    const values = [...array.values];
    const most = Math.max(...values.map(Math.abs)) || 1;
    return el(
      "table",
      { class: "votes" },
      el("caption", {}, `${count(values.length, "number")}, on one scale`),
      el(
        "tbody",
        {},
        values.slice(0, 256).map((value, number) =>
          el(
            "tr",
            {},
            el("th", { scope: "row" }, `unit ${number + 1}`),
            el(
              "td",
              {},
              el(
                "span",
                { class: "track", "aria-hidden": "true" },
                el("i", {
                  class: value > 0 ? "for" : "against",
                  css: { width: `${(50 * Math.abs(value)) / most}%` },
                }),
              ),
            ),
            el("td", { class: "n" }, short(value)),
          ),
        ),
      ),
    );
  }

  function ends(array, number) {
    const size = array.shape[1] * array.shape[2];
    let [low, top, sum, above] = [Infinity, -Infinity, 0, 0];
    for (let i = number * size; i < (number + 1) * size; i += 1) {
      const value = array.values[i];
      if (value < low) low = value;
      if (value > top) top = value;
      sum += value;
      if (value > 0) above += 1;
    }
    return { low, top, mean: sum / size, above: above / size };
  }

  /** One map large: a pixel chosen by pointer or arrow keys, with the numbers around it. */
  function open(layer, array, stage, number, focus) {
    const [, high, wide] = array.shape;
    const common = range(array.values);
    const canvas = el("canvas", {
      class: "large",
      tabindex: "0",
      role: "application",
      "aria-label": `Map ${number + 1} of ${layer.name}; arrow keys choose a pixel`,
    });
    const offset = number * high * wide;
    const { low, top, mean, above } = ends(array, number);
    const told = el("p", { class: "num", id: "pixel", role: "status" });
    const around = el("div", {
      class: "wide",
      tabindex: "0",
      role: "region",
      "aria-label": "Numbers around the pixel",
    });
    const at_ = { x: Math.floor(wide / 2), y: Math.floor(high / 2) };
    const draw = () => {
      paint(canvas, array.values, high, wide, common, offset);
      const context = canvas.getContext("2d");
      context.strokeStyle = "#fff";
      context.lineWidth = Math.max(1, wide / 200);
      context.strokeRect(at_.x - 0.5, at_.y - 0.5, 2, 2);
      told.textContent = `Row ${at_.y + 1}, column ${at_.x + 1}: ${short(array.values[offset + at_.y * wide + at_.x])}`;
      const span = [-2, -1, 0, 1, 2];
      fill(
        around,
        el(
          "table",
          {},
          el("caption", {}, "The numbers around it"),
          el(
            "tbody",
            {},
            span.map((dy) =>
              el(
                "tr",
                {},
                span.map((dx) => {
                  const [x, y] = [at_.x + dx, at_.y + dy];
                  const inside = x >= 0 && y >= 0 && x < wide && y < high;
                  const text = inside ? short(array.values[offset + y * wide + x]) : "–";
                  return el("td", { class: "n" }, dx === 0 && dy === 0 ? el("b", {}, text) : text);
                }),
              ),
            ),
          ),
        ),
      );
    };
    const point = (event) => {
      const bounds = canvas.getBoundingClientRect();
      at_.x = Math.max(
        0,
        Math.min(wide - 1, Math.floor(((event.clientX - bounds.left) / bounds.width) * wide)),
      );
      at_.y = Math.max(
        0,
        Math.min(high - 1, Math.floor(((event.clientY - bounds.top) / bounds.height) * high)),
      );
      draw();
    };
    canvas.addEventListener("pointerdown", point);
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons) point(event);
    });
    canvas.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[
        event.key
      ];
      if (!by) return;
      event.preventDefault();
      at_.x = Math.max(0, Math.min(wide - 1, at_.x + by[0]));
      at_.y = Math.max(0, Math.min(high - 1, at_.y + by[1]));
      draw();
    });
    const heading = el("h3", { tabindex: "-1" }, `Map ${number + 1} of ${layer.name}, large`);
    fill(
      large,
      heading,
      el(
        "div",
        { class: "cols" },
        el(
          "figure",
          {},
          canvas,
          bar(common),
          el(
            "figcaption",
            {},
            `${high} × ${wide}, ${STAGES[stage] || stage}, on the scale of its layer.`,
          ),
        ),
        el(
          "div",
          {},
          el(
            "dl",
            {},
            el("dt", {}, "least"),
            el("dd", {}, short(low)),
            el("dt", {}, "most"),
            el("dd", {}, short(top)),
            el("dt", {}, "mean"),
            el("dd", {}, short(mean)),
            el("dt", {}, "above 0"),
            el("dd", {}, `${(100 * above).toFixed(1)} % of its pixels`),
            layer.kernel && [
              el("dt", {}, "reads"),
              el(
                "dd",
                {},
                `${layer.kernel[0]} × ${layer.kernel[1]} px of ${count(layer.inputs, "map")}${layer.dilation > 1 ? `, ${layer.dilation} px apart` : ""}: ${layer.sources.join(", ")}`,
              ),
            ],
          ),
          told,
          around,
        ),
      ),
    );
    draw();
    remember({ layer: layer.name, stage, map: number + 1 });
    if (focus) {
      heading.focus();
      heading.scrollIntoView({ block: "start" });
      say(`Map ${number + 1} of ${layer.name}`);
    }
  }
}

function title(layer) {
  const shape = Object.values(layer.shapes)[0];
  const size =
    shape.length === 3 ? `${shape[0]} maps of ${shape[1]} × ${shape[2]}` : `${shape[0] || 1} units`;
  return `${KINDS[layer.kind] || layer.kind}, ${size}`;
}
