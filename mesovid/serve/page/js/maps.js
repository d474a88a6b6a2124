// Both maps over the face: what the score hangs on, and how the sum came about.

import { card, el, fill } from "./dom.js";
import { bar, finding, paintCells } from "./heat.js";
import { signed } from "./words.js";

/** Signed cells over a face, with their numbers under the pointer and in a table.
 * @param {{title: string, text?: string, crop: HTMLCanvasElement, cells: number[][],
 *   end?: number}} about */
export function cellFigure({ title, text = "", crop, cells, end }) {
  const most = end || Math.max(...cells.flat().map(Math.abs)) || 1;
  const said = finding(cells);
  const canvas = el("canvas", { class: "heat", role: "img", "aria-label": `${title}. ${said}` });
  paintCells(canvas, crop, cells, most);
  const hint = "Point at a cell for its number.";
  const under = el("p", { class: "num soft", "aria-hidden": "true" }, hint);
  canvas.addEventListener("pointermove", (event) => {
    const bounds = canvas.getBoundingClientRect();
    const y = Math.floor(((event.clientY - bounds.top) / bounds.height) * cells.length);
    const x = Math.floor(((event.clientX - bounds.left) / bounds.width) * cells[0].length);
    if (cells[y] && cells[y][x] !== undefined)
      under.textContent = `Row ${y + 1}, column ${x + 1}: ${signed(cells[y][x], 3)}`;
  });
  const row = (values) =>
    el(
      "tr",
      {},
      values.map((value) => el("td", { class: "n" }, signed(value))),
    );
  return el(
    "figure",
    {},
    canvas,
    bar({ kind: "signed", low: -most, high: most }, [" for real", " for fake"]),
    el("figcaption", {}, el("b", {}, `${title}. `), text, " ", said),
    under,
    el(
      "details",
      {},
      el("summary", {}, "Numbers"),
      el(
        "div",
        { class: "wide", tabindex: "0", role: "region", "aria-label": `Numbers: ${title}` },
        el("table", {}, el("tbody", {}, cells.map(row))),
      ),
    ),
  );
}

/** The maps of a face as it is, not of what was changed. @param {any} view */
export function maps(view) {
  const { source, crop, name, of, address } = view;
  const holder = el(
    "div",
    { class: "maps3" },
    el("p", { class: "soft" }, "Covering 64 places and scoring each."),
  );
  const show = (found) => {
    const { occlusion, split } = found;
    fill(
      holder,
      el(
        "figure",
        {},
        el("img", {
          class: "heat",
          src: address,
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
      cellFigure({
        title: "What the score hangs on",
        text:
          "Each of 64 cells was covered with the mean colour and the face scored again: " +
          "what the cell had added.",
        crop,
        cells: occlusion.cells,
      }),
      split
        ? cellFigure({
            title: "How the sum came about",
            text:
              `The logit is a sum over the cells of the last maps (${split.layer}) and a constant ` +
              `of ${signed(split.constant)}; a cell has seen more than the patch it lies on.`,
            crop,
            cells: split.cells,
          })
        : el("p", {}, "The head of this network does not split into cells."),
    );
  };
  view.scored
    .then(() => source.explain(of, { model: name, cells: 8 }))
    .then(show)
    .catch((error) => fill(holder, el("p", { role: "alert" }, error.message)));
  return card(
    "Where in the face",
    el(
      "p",
      {},
      "Yellow with a plus speaks for fake, dark blue with a minus for real; where the grey face ",
      "shows through, little is said. Numbers are logits: +1 takes a P(fake) of 0.50 to 0.73. ",
      "Both speak of the face as it is, without the changes above.",
    ),
    holder,
  );
}
