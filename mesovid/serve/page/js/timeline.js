// One person's scores over time: a lane that is clicked and stepped through by keys.

import { el, svg } from "./dom.js";
import { clock, zone } from "./words.js";

const HEIGHT = 104;
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
const y = (probability) => 5 + (1 - probability) * (HEIGHT - 10);

/** @param {{label: string, faces: any[], segments: any[], mean: number | null, threshold: number,
 *   band: number[] | null, end: number, seek: (face: any) => void}} about */
export function lane({ label, faces, segments, mean, threshold, band, end, seek }) {
  const span = Math.max(end, 0.001);
  const x = (time) => `${(100 * time) / span}%`;
  const drawing = svg("svg", { height: HEIGHT + 22, "aria-hidden": "true" });
  drawing.append(svg("rect", { class: "ground", width: "100%", height: HEIGHT, rx: 6 }));
  if (band)
    drawing.append(
      svg("rect", { class: "band", width: "100%", y: y(band[1]), height: y(band[0]) - y(band[1]) }),
    );
  for (const segment of segments) {
    drawing.append(
      svg("rect", {
        class: "segment",
        x: x(segment.start),
        width: `${Math.max(0.5, (100 * (segment.end - segment.start)) / span)}%`,
        height: HEIGHT,
      }),
    );
  }
  drawing.append(
    svg("line", { class: "threshold", x2: "100%", y1: y(threshold), y2: y(threshold) }),
  );
  if (mean !== null)
    drawing.append(svg("line", { class: "mean", x2: "100%", y1: y(mean), y2: y(mean) }));
  const step = STEPS.find((each) => span / each <= 5) || span / 4;
  for (let time = 0; time <= span + 1e-9; time += step) {
    const anchor = time === 0 ? "start" : time / span > 0.93 ? "end" : "middle";
    drawing.append(
      svg("line", { class: "tick", x1: x(time), x2: x(time), y1: HEIGHT - 5, y2: HEIGHT }),
      svg(
        "text",
        { x: x(time), y: HEIGHT + 17, "text-anchor": anchor },
        clock(time).replace(/\.0$/, ""),
      ),
    );
  }
  drawing.append(
    svg("text", { x: -8, y: y(0), "text-anchor": "end" }, "0"),
    svg("text", { x: -8, y: y(1) + 9, "text-anchor": "end" }, "1"),
  );
  for (const face of faces) drawing.append(dot(face, x(face.time), threshold, band));
  const cursor = svg("line", { class: "now", y2: HEIGHT, x1: 0, x2: 0, visibility: "hidden" });
  drawing.append(cursor);
  const node = el(
    "div",
    {
      class: "lane",
      role: "slider",
      tabindex: "0",
      "aria-label": label,
      "aria-orientation": "horizontal",
      "aria-valuemin": 0,
      "aria-valuemax": faces.length - 1,
      "aria-valuenow": 0,
      "aria-valuetext": text(faces[0]),
    },
    drawing,
  );
  let chosen = 0;
  const choose = (number) => {
    chosen = Math.min(faces.length - 1, Math.max(0, number));
    seek(faces[chosen]);
  };
  node.addEventListener("pointerdown", (event) => {
    const bounds = node.getBoundingClientRect();
    const time = ((event.clientX - bounds.left) / bounds.width) * span;
    choose(nearest(faces, time));
  });
  node.addEventListener("keydown", (event) => {
    const to = {
      ArrowRight: chosen + 1,
      ArrowUp: chosen + 1,
      ArrowLeft: chosen - 1,
      ArrowDown: chosen - 1,
      Home: 0,
      End: faces.length - 1,
      PageUp: chosen + 10,
      PageDown: chosen - 10,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose(to);
  });
  /** Show where the player is. */
  const now = (time) => {
    cursor.setAttribute("x1", x(time));
    cursor.setAttribute("x2", x(time));
    cursor.setAttribute("visibility", "visible");
    chosen = nearest(faces, time);
    node.setAttribute("aria-valuenow", String(chosen));
    node.setAttribute("aria-valuetext", text(faces[chosen]));
  };
  return { node, now };
  function text(face) {
    const where = {
      fake: "above the threshold",
      real: "on the real side",
      uncertain: "where it cannot tell",
    }[zone(face.fake_probability, threshold, band)];
    return `${clock(face.time)}, P(fake) ${face.fake_probability.toFixed(2)}, ${where}`;
  }
}

/** A circle for real, an empty one where the model cannot tell, a diamond for fake: told apart
 * without colour. */
export function dot(face, x, threshold, band) {
  const kind = zone(face.fake_probability, threshold, band);
  if (kind !== "fake")
    return svg("circle", { class: `dot ${kind}`, cx: x, cy: y(face.fake_probability), r: 4 });
  return svg(
    "svg",
    { x, y: y(face.fake_probability), overflow: "visible" },
    svg("path", { class: "dot fake", d: "M0-5.5L5.5 0 0 5.5-5.5 0Z" }),
  );
}

export function nearest(faces, time) {
  let best = 0;
  faces.forEach((face, number) => {
    if (Math.abs(face.time - time) < Math.abs(faces[best].time - time)) best = number;
  });
  return best;
}

/** What the signs mean. */
export function keys() {
  const sign = (node, words) =>
    el("li", {}, svg("svg", { viewBox: "-8 -7 16 14", "aria-hidden": "true" }, node), words);
  return el(
    "ul",
    { class: "keys" },
    sign(svg("circle", { class: "dot real", r: 4 }), "a face on the real side"),
    sign(svg("circle", { class: "dot uncertain", r: 4 }), "it cannot tell"),
    sign(
      svg("path", { class: "dot fake", d: "M0-5.5L5.5 0 0 5.5-5.5 0Z" }),
      "at or above the threshold",
    ),
    el("li", {}, "dashed: the threshold"),
    el("li", {}, "line: all faces together"),
    el("li", {}, "hatched: cannot tell"),
    el("li", {}, "tinted: a suspicious stretch"),
  );
}
