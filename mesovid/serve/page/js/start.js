// The start: choose a file and a model; what has been scanned; samples.

import { card, el, fill, name, say, svg } from "./dom.js";
import { MARKS, WORDS, auc, bytes, clock, count, makeup, sentence } from "./words.js";
import { strip } from "./strip.js";

export async function page({ about, source, query }) {
  const [cards, samples, past] = await Promise.all([
    source.models(),
    source.samples(),
    source.scans(),
  ]);
  const state = { source, model: about.default_model, leave: () => {} };
  const work = el("div");
  const start = (file, called) => begin(work, file, called, state, about);
  const running = past.filter((scan) => scan.state === "running" || scan.state === "queued");
  const rest = el(
    "div",
    {},
    tryIt(samples, start, source),
    about.sets && about.sets.length > 0 && strip(source, about.sets, query),
    pastScans(past, source),
    modelChoice(cards, state),
  );
  const node = el(
    "div",
    {},
    el("h1", {}, "Is a face in this video faked?"),
    el(
      "p",
      { class: "lead" },
      "Drop a clip and see which person, which seconds and which faces look faked, and how " +
        "the network came to that.",
    ),
    work,
    rest,
  );
  fill(work, dropZone(start, about));
  if (running.length) watch(work, running[0], state);
  return { node, title: "Scan", leave: () => state.leave() };
}

const HERE =
  "Kinds of video that this browser cannot play, and many files at once, need mesovid on your" +
  " own computer: pip install, then mesovid serve.";

function dropZone(start, about) {
  if (about.refusal) {
    return el(
      "section",
      { class: "card warn", role: "alert" },
      el("h2", {}, "No scores in this browser"),
      el("p", {}, about.refusal),
    );
  }
  const input = el("input", {
    type: "file",
    hidden: true,
    accept: about.suffixes.join(","),
    id: "file",
    onchange: () => {
      if (input.files[0]) start(input.files[0], input.files[0].name);
    },
  });
  const kinds = about.suffixes.map((suffix) => suffix.slice(1)).join(", ");
  const button = el(
    "button",
    { type: "button", class: "drop", "aria-describedby": "limits", onclick: () => input.click() },
    svg(
      "svg",
      {
        viewBox: "0 0 48 48",
        "aria-hidden": "true",
        fill: "none",
        stroke: "currentColor",
        "stroke-width": "2.5",
        "stroke-linecap": "round",
        "stroke-linejoin": "round",
      },
      svg("path", { d: "M24 31V9M15 17l9-9 9 9" }),
      svg("path", { d: "M7 29v8a3 3 0 0 0 3 3h28a3 3 0 0 0 3-3v-8" }),
    ),
    el("strong", {}, "Drop a video or picture, or choose one"),
    el(
      "span",
      { class: "soft" },
      about.alone
        ? "It stays in this browser: nothing is sent, and all is forgotten when the page is closed."
        : "It stays on this computer, and is erased when mesovid ends.",
    ),
  );
  const over = (event, on) => {
    event.preventDefault();
    button.classList.toggle("over", on);
  };
  button.addEventListener("dragover", (event) => over(event, true));
  button.addEventListener("dragleave", (event) => over(event, false));
  button.addEventListener("drop", (event) => {
    over(event, false);
    const file = event.dataTransfer.files[0];
    if (file) start(file, file.name);
  });
  return [
    button,
    input,
    el(
      "p",
      { class: "soft", id: "limits", css: { "margin-top": "8px", "max-width": "none" } },
      about.alone
        ? HERE
        : `At most ${bytes(about.max_upload)}; a scan ends after ` +
            `${Math.round(about.timeout / 60)} minutes.`,
    ),
    el("details", {}, el("summary", {}, "Which kinds of files"), el("p", {}, `${kinds}.`)),
  ];
}

function modelChoice(cards, state) {
  const each = (each) =>
    el(
      "label",
      {},
      el("input", {
        type: "radio",
        name: "model",
        value: each.name,
        checked: each.name === state.model,
        onchange: () => {
          state.model = each.name;
        },
      }),
      el("b", {}, each.name, each.name === state.model && " (usual)"),
      el("span", {}, sentence(each.summary)),
      el("span", {}, `${auc(each)}; ${makeup(each)}.`),
    );
  return el(
    "section",
    { class: "card" },
    el("h2", { id: "which" }, "Which model judges"),
    el("div", { class: "choice", role: "radiogroup", "aria-labelledby": "which" }, cards.map(each)),
    el(
      "p",
      { class: "soft", css: { "margin-top": "12px" } },
      "Video AUC: of a fake and a real video, how often the fake scores higher; 0.5 is chance. ",
      el("a", { href: "#/models" }, "Everything about the models"),
    ),
  );
}

function tryIt(samples, start, source) {
  const each = (sample) =>
    el(
      "button",
      {
        type: "button",
        class: "sample",
        onclick: async () => {
          const answer = await fetch(source.sample(sample.id));
          start(await answer.blob(), sample.file);
        },
      },
      el("img", {
        src: source.sample(sample.kind.startsWith("image") ? sample.id : "picture"),
        alt: "",
      }),
      el("span", {}, el("b", {}, sample.title), el("span", {}, sample.about)),
    );
  return card(
    "Try it",
    el("div", { class: "samples" }, samples.map(each)),
    el(
      "p",
      { class: "soft", css: { "margin-top": "12px" } },
      el("a", { href: "#/tour" }, "Or take the tour"),
      ": eight steps from a clip to the inside of the network.",
    ),
  );
}

function pastScans(past, source) {
  if (!past.length) return null;
  const list = el("ul", { class: "past" });
  for (const scan of past) {
    const done = scan.state === "done";
    const label = scan.verdict || "none";
    const item = el(
      "li",
      {},
      done
        ? el("a", { href: `#/scan/${scan.id}` }, name(scan.name))
        : el("span", {}, name(scan.name)),
      el(
        "span",
        { class: "row" },
        done
          ? el(
              "span",
              { class: `word t-${label}` },
              el("span", { "aria-hidden": "true" }, `${MARKS[label]} `),
              WORDS[label],
            )
          : el("span", { class: "soft" }, scan.problem || scan.state),
        el(
          "button",
          {
            type: "button",
            class: "quiet",
            "aria-label": `Erase ${scan.name}`,
            onclick: async () => {
              await source.erase(scan.id);
              item.remove();
              say(`${scan.name} is erased.`);
            },
          },
          "Erase",
        ),
      ),
    );
    list.append(item);
  }
  return card("Scanned so far", list);
}

/** Send a file, then follow its scan. */
async function begin(work, file, called, state, about) {
  if (file.size > about.max_upload) {
    refused(
      work,
      `${called} has ${bytes(file.size)}; at most ${bytes(about.max_upload)} are taken.`,
      about,
      state,
    );
    return;
  }
  const bar = el("progress", { max: 1, value: 0, "aria-label": "Sent" });
  const sending = state.source.send(file, called, { model: state.model }, (share) => {
    bar.value = share;
  });
  state.leave = sending.cancel;
  fill(
    work,
    el(
      "section",
      { class: "card" },
      el("h2", {}, about.alone ? "Opening " : "Sending ", name(called)),
      bar,
      el("p", { class: "soft" }, bytes(file.size)),
      el("button", { type: "button", onclick: sending.cancel }, "Cancel"),
    ),
  );
  work.scrollIntoView({ block: "nearest" });
  say(`${about.alone ? "Opening" : "Sending"} ${called}`);
  try {
    watch(work, await sending.done, state);
  } catch (error) {
    refused(work, /** @type {any} */ (error).message, about, state);
  }
}

function refused(work, message, about, state) {
  fill(
    work,
    el(
      "section",
      { class: "card warn", role: "alert", css: { "margin-bottom": "18px" } },
      el("h2", {}, "Not scanned"),
      el("p", { dir: "auto" }, message),
    ),
    dropZone((file, called) => begin(work, file, called, state, about), about),
  );
}

/** Show a scan while it runs. */
function watch(work, scan, state) {
  const { source } = state;
  const heading = el("h2", {}, "Scanning ", name(scan.name));
  const bar = el("progress", { "aria-label": "Working" });
  const told = el("p", { class: "soft num" }, "Waiting to begin.");
  const faces = el("ul", { class: "appearing", "aria-label": "Faces found so far" });
  let end = () => {};
  state.leave = () => end();
  const stop = async () => {
    end();
    await source.erase(scan.id);
    location.hash = "#/";
    dispatchEvent(new HashChangeEvent("hashchange"));
  };
  fill(
    work,
    el(
      "section",
      { class: "card" },
      heading,
      bar,
      told,
      faces,
      el("button", { type: "button", onclick: stop }, "Cancel and erase"),
    ),
  );
  let found = 0;
  const queued = ({ position }) => {
    told.textContent = position ? `${count(position, "scan")} come first.` : "Next in turn.";
  };
  const running = ({ frames, of }) => {
    if (of) Object.assign(bar, { max: of, value: Math.min(frames, of) });
    const looked = of ? `Frame ${frames} of ${of}` : `${count(frames, "frame")} looked at`;
    told.textContent = `${looked}, ${count(found, "face")} scored.`;
  };
  const face = (face) => {
    found += 1;
    if (faces.children.length < 24) {
      faces.append(
        el(
          "li",
          {},
          el("img", {
            src: source.face(scan.id, face.n),
            alt: `Face at ${clock(face.time)}`,
            width: 64,
            height: 64,
          }),
        ),
      );
    }
    say(`${count(found, "face")} found`);
  };
  const done = () => {
    end();
    location.hash = `#/scan/${scan.id}`;
  };
  const failed = ({ problem }) => {
    end();
    fill(
      work,
      el(
        "section",
        { class: "card warn", role: "alert" },
        el("h2", {}, "Could not be scanned"),
        el("p", { dir: "auto" }, problem || "The scan was cancelled."),
        el("p", { class: "soft" }, "This says nothing of what the file shows."),
        el(
          "button",
          { type: "button", onclick: () => dispatchEvent(new HashChangeEvent("hashchange")) },
          "Choose another file",
        ),
      ),
    );
  };
  end = source.follow(scan.id, { queued, running, face, done, failed, cancelled: failed });
}
