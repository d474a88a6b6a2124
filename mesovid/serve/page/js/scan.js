// A scanned video: the verdict, what it rests on, and what other rules would say.

import { card, el, fill, name, say, svg } from "./dom.js";
import { remember } from "./address.js";
import { nearest } from "./timeline.js";
import {
  MOST_PEOPLE,
  declared,
  drawTimeline,
  facts,
  still,
  verdictCard,
  warnings,
} from "./verdict.js";
import { NEVER, answer, clearing, clock, sentence, word, zone } from "./words.js";

const RULES = [
  ["mean", "mean: the average face"],
  ["median", "median: the middle face"],
  ["trimmed_mean", "trimmed mean: without the ends"],
  ["top_third", "top third: the most suspicious third"],
  ["max", "maximum: the most suspicious face"],
];
const SHOWN = 6; // faces of each end in a strip

export async function page({ words, query, source, about: site }) {
  const id = words[1];
  const job = await source.scan(id);
  if (job.state !== "done") {
    if (job.state === "failed") return { node: failedScan(job, source), title: job.name };
    location.hash = "#/";
    return { node: el("p", {}, "This scan still runs.") };
  }
  const result = job.result;
  const [faces, own, about] = await Promise.all([
    source.faces(id),
    source.verdict(id),
    source.model(result.model.name).catch(() => ({ name: result.model.name, limits: "" })),
  ]);
  const formats = site.formats || ["json", "csv", "txt"];
  const view = { id, source, job, result, faces, own, about, formats, lanes: [], seek: () => {} };
  const lower = el("div");
  const seen = faces.length > 0 && !job.faces_problem; // a recorded scan may come without pictures
  const player = seen ? stage(view) : null;
  const redraw = (judged) => drawTimeline(lower, view, judged);
  redraw(own);
  const node = el(
    "div",
    {},
    el("h1", {}, "Were faces faked in ", name(job.name), "?"),
    el("p", { class: "soft" }, facts(result)),
    verdictCard(result, own, clearing(about)),
    declared(result),
    warnings(result),
    limits(about),
    player && el("div", { class: "cols" }, player.node, rules(view, redraw, query)),
    job.faces_problem &&
      card(
        "Its faces are not shown",
        el("p", { id: "unseen", dir: "auto" }, sentence(job.faces_problem)),
      ),
    faces.length > 0 && !seen && el("div", { class: "cols" }, rules(view, redraw, query)),
    faces.length > 0 && lower,
    seen && strips(view),
    took(view),
  );
  return {
    node,
    title: `${answer(result)[0]}: ${job.name}`,
    leave: () => player && player.leave(),
    drawn: () => {
      const time = Number(query.get("t"));
      if (player && query.has("t") && Number.isFinite(time)) player.seek(time);
    },
    changed: (changed) => {
      const time = Number(changed.get("t"));
      if (player && changed.has("t")) player.seek(time);
    },
  };
}

function failedScan(job, source) {
  return el(
    "div",
    {},
    el("h1", {}, "Were faces faked in ", name(job.name), "?"),
    el(
      "section",
      { class: "card verdict" },
      el("p", { class: "answer t-none" }, "Could not be scanned"),
      el("p", { class: "reason", dir: "auto" }, job.problem),
      el("p", {}, "This says nothing of what the file shows."),
    ),
    el(
      "p",
      { class: "row", css: { "margin-top": "18px" } },
      el("a", { class: "button", href: "#/" }, "Scan another"),
      eraser(job, source),
    ),
  );
}

function limits(about) {
  return card(
    "What this cannot tell",
    el(
      "ul",
      { class: "said" },
      NEVER.map((each) => el("li", {}, each)),
    ),
    about.limits &&
      el(
        "details",
        {},
        el("summary", {}, `What ${about.name} was measured to do badly`),
        el("p", {}, about.limits),
        el("p", { class: "soft" }, `How threshold and band were chosen: ${about.rule}.`),
        el(
          "p",
          {},
          el(
            "a",
            { href: `#/models/${encodeURIComponent(about.name)}` },
            `All figures of ${about.name}`,
          ),
        ),
      ),
  );
}

/** The clip with boxes; where the browser cannot play it, the frames that were looked at. */
function stage(view) {
  const { result, faces, source, job, own } = view;
  const { width, height } = result.video;
  const single = still(result);
  const boxes = svg("svg", {
    viewBox: `0 0 ${width} ${height}`,
    "aria-hidden": "true",
    preserveAspectRatio: "xMidYMid meet",
  });
  const picture = el("img", { alt: "", hidden: true });
  const video = el("video", {
    controls: true,
    muted: true,
    playsinline: true,
    preload: "metadata",
    hidden: true,
    "aria-label": `The clip ${job.name}`,
  });
  const told = el("p", { class: "soft num", css: { "margin-top": "8px" } });
  const open = el("a", { class: "button", href: "#" }, "Look inside this face");
  let current = 0;
  let frames = 0;
  const gap =
    faces.length > 1
      ? (faces[faces.length - 1].time - faces[0].time) / Math.max(1, result.sampled_frames - 1)
      : 0;

  const draw = (time) => {
    current = nearest(faces, time);
    const moment = faces[current];
    const away = Math.abs(moment.time - time);
    boxes.replaceChildren();
    const here = faces.filter((face) => face.index === moment.index);
    if (away <= Math.max(gap, 0.05) * 1.5) {
      for (const face of here) {
        const [left, top, right, bottom] = face.box;
        const kind = zone(face.fake_probability, own.threshold, own.band);
        const shape = { x: left, y: top, width: right - left, height: bottom - top, rx: 3 };
        const dashed = away > 0.04 && !picture.hasAttribute("src") ? " between-samples" : "";
        boxes.append(
          svg("rect", { class: "ring", ...shape }),
          svg("rect", { class: `box ${kind}${dashed}`, ...shape }),
        );
      }
    }
    const best = here.reduce((a, b) => (b.fake_probability > a.fake_probability ? b : a), moment);
    fill(
      told,
      single ? "" : `${clock(moment.time)}: `,
      `person ${best.person}, P(fake) ${best.fake_probability.toFixed(2)}, `,
      word(zone(best.fake_probability, own.threshold, own.band)),
      here.length > 1 ? ` (the most suspicious of ${here.length})` : "",
    );
    open.href = `#/scan/${view.id}/face/${best.n}`;
    for (const each of view.lanes) each.now(time);
  };
  const showFrame = (time) => {
    picture.hidden = false;
    video.hidden = true;
    const face = faces[nearest(faces, time)];
    const address = source.frame(view.id, face.n);
    if (picture.getAttribute("src") !== address) picture.src = address;
    picture.alt = `The frame at ${clock(face.time)}`;
    draw(face.time);
  };
  const seek = (time) => {
    if (video.hidden) showFrame(time);
    else {
      video.currentTime = time + 0.001;
      draw(time);
    }
    remember({ t: time.toFixed(2) });
  };
  const tick = () => {
    draw(video.currentTime);
    if (!video.paused) frames = requestAnimationFrame(tick);
  };
  video.addEventListener("play", tick);
  video.addEventListener("seeked", () => draw(video.currentTime));
  video.addEventListener("loadeddata", () => {
    if (!video.videoWidth) return;
    video.hidden = false;
    note.textContent = "Boxes are dashed between the frames that were looked at.";
    picture.hidden = true;
    picture.removeAttribute("src");
    video.currentTime = faces[current].time + 0.001;
  });
  // until the player shows a picture; of some files it never does, and says nothing
  const note = el(
    "p",
    { class: "soft", id: "played", hidden: single },
    "This browser does not play files of this kind, so the frames that were looked at are shown.",
  );
  if (!single && job.video_kept && plays(job.name)) video.src = source.video(view.id);
  video.addEventListener("error", () => {
    if (!video.hidden) showFrame(video.currentTime);
  });
  view.seek = seek;
  const many = faces.length > 1 && !single;
  const node = el(
    "section",
    { class: "card" },
    el("h2", {}, single ? "The picture" : "The clip"),
    el("div", { class: "stage" }, video, picture, boxes),
    told,
    el(
      "div",
      { class: "row" },
      open,
      many &&
        el(
          "button",
          { type: "button", onclick: () => seek(faces[Math.max(0, current - 1)].time) },
          "‹ Before",
        ),
      many &&
        el(
          "button",
          {
            type: "button",
            onclick: () => seek(faces[Math.min(faces.length - 1, current + 1)].time),
          },
          "Next ›",
        ),
    ),
    note,
  );
  showFrame(faces[0].time);
  return {
    node,
    seek,
    leave: () => {
      cancelAnimationFrame(frames);
      video.pause();
      video.removeAttribute("src");
      video.load();
    },
  };
}

/** Whether it is worth asking: the browser's own word on the kind of file. */
function plays(called) {
  const kind = {
    mp4: "video/mp4",
    m4v: "video/mp4",
    webm: "video/webm",
    mov: "video/mp4",
    ogv: "video/ogg",
    mkv: "video/webm",
  }[called.split(".").pop().toLowerCase()];
  return Boolean(kind) && document.createElement("video").canPlayType(kind) !== "";
}

/** Other rules on the same scores. */
function rules(view, redraw, query) {
  const { own, source } = view;
  const usual = view.result.settings.aggregate || "mean";
  const chosen = { threshold: query.get("threshold"), aggregate: query.get("aggregate") };
  const slider = el("input", {
    type: "range",
    id: "threshold",
    min: 0,
    max: 1,
    step: 0.01,
    value: chosen.threshold || own.threshold,
  });
  const shown = el("output", { for: "threshold" }, Number(slider.value).toFixed(2));
  const choice = el(
    "select",
    { id: "aggregate" },
    RULES.map(([key, text]) => el("option", { value: key }, text)),
  );
  choice.value = chosen.aggregate || usual;
  const said = el("div", { id: "rejudged" });
  let asked = 0;
  let timer = 0;
  const ask = async () => {
    const mine = ++asked;
    const judged = await source.verdict(view.id, chosen);
    if (mine !== asked) return;
    redraw(judged);
    const own_ = !chosen.threshold && !chosen.aggregate;
    const [words] = answer(judged);
    fill(
      said,
      own_
        ? el("p", { class: "soft" }, "These are the rules of the scan itself.")
        : [
            el(
              "p",
              {},
              "With other rules than the model's own: ",
              word(judged.verdict || "none", words),
              ".",
            ),
            el("p", { class: "soft", dir: "auto" }, judged.reason),
          ],
    );
    if (!own_) say(`With other rules: ${words}`);
  };
  const change = (changed) => {
    Object.assign(chosen, changed);
    remember({ threshold: chosen.threshold, aggregate: chosen.aggregate });
    clearTimeout(timer);
    timer = window.setTimeout(ask, 40);
  };
  slider.addEventListener("input", () => {
    shown.textContent = Number(slider.value).toFixed(2);
    change({ threshold: slider.value });
  });
  choice.addEventListener("change", () =>
    change({ aggregate: choice.value === usual ? null : choice.value }),
  );
  const reset = el(
    "button",
    {
      type: "button",
      onclick: () => {
        slider.value = own.threshold;
        shown.textContent = own.threshold.toFixed(2);
        choice.value = usual;
        change({ threshold: null, aggregate: null });
      },
    },
    "Back to the scan's rules",
  );
  ask();
  return el(
    "section",
    { class: "card" },
    el("h2", {}, "What other rules would say"),
    el(
      "p",
      { class: "soft" },
      "The same scores, judged again. A threshold of your own has no band in which it cannot " +
        "tell; its error rates are not measured.",
    ),
    el(
      "div",
      { class: "tools" },
      el(
        "div",
        { class: "field" },
        el(
          "label",
          { for: "threshold", class: "row between" },
          "Threshold: called fake from ",
          shown,
        ),
        slider,
      ),
      el(
        "div",
        { class: "field" },
        el("label", { for: "aggregate" }, "How a person's faces are taken together"),
        choice,
      ),
      said,
      el("div", {}, reset),
    ),
  );
}

/** Of each person the most and the least suspicious faces. */
function strips(view) {
  const { result, faces, own, source, id } = view;
  const item = (face) =>
    el(
      "li",
      {},
      el(
        "a",
        { href: `#/scan/${id}/face/${face.n}` },
        el("img", {
          src: source.face(id, face.n),
          loading: "lazy",
          width: 256,
          height: 256,
          alt: `Face of person ${face.person} at ${clock(face.time)}`,
        }),
        el(
          "span",
          { class: "cap" },
          clock(face.time),
          el("br"),
          `P(fake) ${face.fake_probability.toFixed(2)}`,
          el("br"),
          word(zone(face.fake_probability, own.threshold, own.band)),
        ),
      ),
    );
  const people_ = [...result.people]
    .sort((a, b) => b.fake_probability - a.fake_probability)
    .slice(0, MOST_PEOPLE);
  return el(
    "section",
    { class: "card" },
    el("h2", {}, "The faces"),
    el(
      "p",
      { class: "soft" },
      "As the model sees them, cut and upright. Choose one to look inside the network.",
    ),
    people_.map((person) => {
      const ordered = faces
        .filter((face) => face.person === person.id)
        .sort((a, b) => b.fake_probability - a.fake_probability);
      const few = ordered.length <= 2 * SHOWN;
      const who = people_.length > 1 ? ` of person ${person.id}` : "";
      const strip = (title, list) => [
        el("h3", {}, title),
        el("ul", { class: "faces" }, list.map(item)),
      ];
      return few
        ? strip(`All faces${who}, the most suspicious first`, ordered)
        : [
            strip(`Most suspicious${who}`, ordered.slice(0, SHOWN)),
            strip(`Least suspicious${who}`, ordered.slice(-SHOWN).reverse()),
          ];
    }),
    faces.length > 1 &&
      el(
        "p",
        {},
        el(
          "a",
          { href: `#/compare?a=${id}.${most(faces).n}&b=${id}.${least(faces).n}` },
          "Compare the most with the least suspicious face",
        ),
      ),
  );
}

const most = (faces) => faces.reduce((a, b) => (b.fake_probability > a.fake_probability ? b : a));
const least = (faces) => faces.reduce((a, b) => (b.fake_probability < a.fake_probability ? b : a));

function took(view) {
  const { result, job, source } = view;
  const seconds = Object.entries(result.seconds || {})
    .map(([stage_, value]) => `${stage_} ${value.toFixed(2)} s`)
    .join(", ");
  const file = (format, text) =>
    el(
      "a",
      { class: "button", href: source.result(view.id, format), download: `${job.name}.${format}` },
      text,
    );
  return el(
    "section",
    { class: "card" },
    el("h2", {}, "The result as a file"),
    el(
      "div",
      { class: "row" },
      view.formats.map((format) => file(format, format === "txt" ? "Text" : format.toUpperCase())),
      source.report &&
        el(
          "a",
          { class: "button", href: source.report(view.id), target: "_blank", rel: "noopener" },
          "Report",
        ),
      eraser(job, source),
    ),
    el(
      "details",
      {},
      el("summary", {}, "How it was done"),
      el(
        "dl",
        {},
        el("dt", {}, "model"),
        el("dd", {}, result.model.name),
        el("dt", {}, "its sha256"),
        el("dd", {}, el("code", {}, result.model.sha256)),
        el("dt", {}, "file"),
        el(
          "dd",
          {},
          `${job.size.toLocaleString("en")} bytes, sha256 `,
          el("code", {}, job.sha256 || "not told"),
        ),
        el("dt", {}, "took"),
        el("dd", {}, seconds),
        el("dt", {}, "settings"),
        el(
          "dd",
          {},
          el(
            "code",
            {},
            Object.entries(result.settings)
              .filter(([, value]) => value !== null)
              .map(([key, value]) => `${key}=${value}`)
              .join(" "),
          ),
        ),
      ),
    ),
  );
}

function eraser(job, source) {
  return el(
    "button",
    {
      type: "button",
      onclick: async () => {
        await source.erase(job.id);
        say("Erased.");
        location.hash = "#/";
      },
    },
    "Erase everything of it",
  );
}
