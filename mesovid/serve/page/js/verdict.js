// What a scan found: its verdict in words and on a scale, its warnings, and its faces over time.

import { card, el, fill, svg, table } from "./dom.js";
import { keys, lane } from "./timeline.js";
import { MARKS, answer, clock, count, scale, sentence } from "./words.js";

export const MOST_PEOPLE = 8;

export function facts(result) {
  const { width, height, duration, fps } = result.video;
  const looked = [
    `${width} × ${height} px`,
    duration && clock(duration),
    fps && `${fps} frames a second`,
    `${count(result.sampled_frames, "frame")} looked at`,
    `${count(result.scored_faces, "face")} scored`,
    `judged by ${result.model.name}`,
  ];
  return looked.filter(Boolean).join(" · ");
}

/** @param {any} result @param {any} own its threshold and band
 * @param {{below: number, finds: string} | null} clears as `clearing` has it */
export function verdictCard(result, own, clears) {
  const label = result.verdict || "none";
  const [words, meaning] = answer(result);
  return el(
    "section",
    { class: `card verdict ${label}`, "aria-labelledby": "answer" },
    el(
      "h2",
      { class: `answer t-${label}`, id: "answer" },
      el("span", { "aria-hidden": "true" }, `${MARKS[label]} `),
      words,
    ),
    el("p", { class: "reason", id: "reason", dir: "auto" }, result.reason),
    scale(
      result.fake_probability,
      own.threshold,
      own.band,
      still(result) ? "this picture" : "this clip",
      clears ? clears.below : 0,
    ),
    own.band &&
      clears &&
      el(
        "p",
        { class: "soft" },
        `Where it is paler, below ${clears.below.toFixed(2)}, the model sees no sign of ` +
          `${clears.finds}.`,
      ),
    el("p", {}, still(result) ? meaning.replaceAll("clip", "picture") : meaning),
  );
}

export const still = (result) => result.video.duration === null;

export function warnings(result) {
  if (!result.warnings || !result.warnings.length) return null;
  const shown = card("Mind this", sentences(result.warnings));
  shown.classList.add("warn");
  return shown;
}

const sentences = (list) =>
  el(
    "ul",
    { class: "said" },
    list.map((each) => el("li", { dir: "auto" }, each)),
  );

/** What the file says of its own making. */
export function declared(result) {
  if (!result.declared || !result.declared.length) return null;
  return card(
    "What the file says of itself",
    sentences(result.declared.map(({ words }) => sentence(words))),
    el(
      "p",
      { class: "soft" },
      "This is a claim of whoever wrote the file. It makes nothing fake, but a file that names AI " +
        "is not called real. A file without one says nothing: platforms drop it.",
    ),
  );
}

export function drawTimeline(node, view, judged) {
  const { result, faces } = view;
  view.lanes = [];
  if (result.video.duration === null || faces.length < 2) {
    fill(node, people(judged));
    return;
  }
  const end = Math.max(result.video.duration || 0, faces[faces.length - 1].time);
  const worst = [...judged.people].sort((a, b) => b.fake_probability - a.fake_probability);
  const lanes = worst.slice(0, MOST_PEOPLE).map((person) => {
    const own = faces.filter((face) => face.person === person.id);
    const made = lane({
      label: `Faces of person ${person.id} over time; arrow keys go from face to face`,
      faces: own,
      end,
      mean: person.fake_probability,
      segments: judged.segments.filter((segment) => segment.person === person.id),
      threshold: judged.threshold,
      band: judged.band,
      seek: (face) => view.seek(face.time),
    });
    view.lanes.push(made);
    return [
      el(
        "h3",
        {},
        `Person ${person.id}: P(fake) ${person.fake_probability.toFixed(2)} `,
        `over ${count(person.faces, "face")}`,
      ),
      made.node,
    ];
  });
  fill(
    node,
    el(
      "section",
      { class: "card" },
      svg(
        "svg",
        { class: "defs", width: 0, height: 0, "aria-hidden": "true", focusable: "false" },
        svg(
          "defs",
          {},
          svg(
            "pattern",
            {
              id: "hatch",
              width: 8,
              height: 8,
              patternUnits: "userSpaceOnUse",
              patternTransform: "rotate(45)",
            },
            svg("rect", { width: 2.5, height: 8 }),
          ),
        ),
      ),
      el("h2", {}, "Over time"),
      keys(),
      lanes,
      worst.length > MOST_PEOPLE &&
        el("p", { class: "soft" }, `And ${worst.length - MOST_PEOPLE} more people.`),
      judged.segments.length
        ? table(
            "Suspicious stretches, the worst first",
            ["From", "To", "Who", "P(fake)"],
            judged.segments
              .slice(0, 40)
              .map((each) => [
                clock(each.start),
                clock(each.end),
                `person ${each.person}`,
                each.fake_probability.toFixed(2),
              ]),
            [false, false, false, true],
          )
        : el("p", { css: { "margin-top": "10px" } }, "No suspicious stretch."),
    ),
    people(judged),
  );
}

function people(judged) {
  if (judged.people.length < 2) return null;
  return card(
    "People",
    table(
      "The more suspicious first",
      ["Who", "P(fake)", "Faces", "Seen"],
      [...judged.people]
        .sort((a, b) => b.fake_probability - a.fake_probability)
        .map((each) => [
          `person ${each.id}`,
          each.fake_probability.toFixed(2),
          each.faces,
          `${clock(each.first_time)} to ${clock(each.last_time)}`,
        ]),
      [false, true, true, false],
    ),
  );
}
