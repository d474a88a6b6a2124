// A guided tour in eight steps, each with something to try, and the words explained.

import { card, el } from "./dom.js";

export async function page({ words, source }) {
  return words[0] === "glossary" ? glossary() : tour(source);
}

async function tour(source) {
  const done = (await source.scans()).filter(
    (scan) => scan.state === "done" && scan.status === "ok",
  );
  const id = done.length ? done[0].id : null;
  const to = (path, text) =>
    id
      ? el("a", { href: `#/scan/${id}${path}` }, text)
      : el("a", { href: "#/" }, "Scan the portrait first");
  const step = (title, text, link) =>
    el("li", {}, el("b", {}, title), el("p", {}, text), el("p", {}, "Try it: ", link));
  return {
    title: "Tour",
    node: el(
      "div",
      {},
      el("h1", {}, "From a clip to the inside of a network"),
      el(
        "p",
        { class: "lead" },
        id
          ? "The links below use the clip that was scanned last."
          : "Begin with the portrait on the start page: it takes a few seconds.",
      ),
      el(
        "section",
        { class: "card" },
        el(
          "ol",
          { class: "steps" },
          step(
            "A clip becomes frames, frames become faces.",
            "mesovid looks at some frames of the clip, finds every face, follows each person," +
              " and cuts the faces out upright.",
            el("a", { href: "#/" }, "scan the portrait in motion, and watch the faces appear"),
          ),
          step(
            "Each face gets a number.",
            "P(fake), from 0 for real to 1 for fake. Single faces waver: the dots of the " +
              "timeline show how much.",
            to("", "walk through the faces with the arrow keys on the timeline"),
          ),
          step(
            "The numbers become one answer, or none.",
            "Scores are averaged per person and the video takes its most suspicious person. " +
              "Within the hatched band the model says that it cannot tell, because real and " +
              "fake videos both end there.",
            to("", "move the threshold, and see what other rules would say"),
          ),
          step(
            "The network looks for small things.",
            "Its first layer has filters of 3 × 3 pixels that it learned: edges, spots, " +
              "colours. Later layers put these together. Some filters have died: they give the " +
              "same number on every face.",
            to("/face/0?layer=conv1", "open conv1, and find the dead filters"),
          ),
          step(
            "Sixteen votes make the logit.",
            "What the last maps hold is read by a few units. Each votes, for fake or for " +
              "real, and the votes add up, to the last digit.",
            to("/face/0", "add up the bars"),
          ),
          step(
            "What does the score hang on?",
            "Cover a place and score the face again: if the score falls, that place spoke for" +
              " fake. It says what this network uses, not where a face was changed.",
            to("/face/0?what=cover:mouth", "look at a covered mouth"),
          ),
          step(
            "How fragile is it?",
            "A blur or a strong compression that no viewer minds may move the score. An " +
              "answer that such a change turns over is worth little.",
            to("/face/0?what=jpeg:30", "compress the face to JPEG quality 30"),
          ),
          step(
            "How often is it wrong?",
            "Every model has a card with what was measured: on which videos, with which " +
              "interval, and where it fails.",
            el("a", { href: "#/models" }, "read the cards"),
          ),
        ),
      ),
    ),
  };
}

const TERMS = [
  ["Bias", "A number that a filter or a unit adds to its sum, whatever lies under it."],
  [
    "Band",
    "The scores between two marks, in which the model says that it cannot tell. Chosen so " +
      "that few real videos lie above it and few fakes below.",
  ],
  [
    "Calibration",
    "A last step that turns the network's own number into one that can be read as a probability.",
  ],
  [
    "Crop",
    "A face as it is cut out: upright, of 256 × 256 pixels, always the same part of a face.",
  ],
  [
    "Dead filter",
    "A filter that gives one and the same number everywhere, on all faces looked at. It takes" +
      " no part.",
  ],
  [
    "Fragile",
    "An answer that changes with something hardly anybody would mind: a slight blur, a cut a " +
      "little aside.",
  ],
  [
    "Filter",
    "A small grid of weights that is slid over a picture. Where the picture looks like it, " +
      "the result is high.",
  ],
  ["Layer", "One step of a network: it turns maps into other maps."],
  [
    "Logit",
    "The sum that a network comes to before it is squeezed between 0 and 1. Above 0 speaks " +
      "for fake; +1 takes 0.50 to 0.73.",
  ],
  ["Map", "What a filter found, place by place. Also: activation."],
  ["Occlusion", "Covering a part of the face to see how much the score hangs on it."],
  [
    "P(fake)",
    "A probability from 0, real, to 1, fake, as the model sees it. Never the probability of " +
      "“the answer given”.",
  ],
  ["Person", "Faces that were followed from frame to frame. Each is judged by itself."],
  ["Pooling", "Making a map smaller by keeping the largest of some neighbours."],
  ["Split", "The logit taken apart exactly: into votes, or into what each place of the face adds."],
  ["Suspicious stretch", "Two faces in a row and more, of one person, at or above the threshold."],
  ["Threshold", "The score from which a video is called fake."],
  [
    "Video AUC",
    "Of one fake and one real video, how often the fake gets the higher score: 0.5 is chance," +
      " 1 is always.",
  ],
  [
    "Receptive field",
    "The part of the face that one number of a map depends on. It grows from layer to layer.",
  ],
  [
    "Reliability",
    "Of all videos with about one P(fake), how many were fake. On the diagonal, " +
      "probabilities mean what they say.",
  ],
  [
    "ROC",
    "For every threshold, how many fakes are found and how many real videos are called fake.",
  ],
  ["Sweep", "The score along one change, from one end of its slider to the other."],
];

function glossary() {
  return {
    title: "Glossary",
    node: el(
      "div",
      {},
      el("h1", {}, "Words"),
      card(
        null,
        el(
          "dl",
          { class: "terms" },
          [...TERMS]
            .sort(([a], [b]) => a.localeCompare(b, "en"))
            .map(([term, text]) => [el("dt", {}, el("dfn", {}, term)), el("dd", {}, text)]),
        ),
      ),
    ),
  };
}
