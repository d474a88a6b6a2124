// An archive's results, recorded earlier: listed, filtered, sorted; and one of them, opened.

import { link } from "./address.js";
import { card, el, fill, name, say } from "./dom.js";
import { declared, drawTimeline, facts, verdictCard, warnings } from "./verdict.js";
import { clearing, clock, count, word } from "./words.js";

const OUTCOMES = {
  fake: "looks faked",
  uncertain: "cannot tell",
  real: "no sign found",
  no_face: "no face",
  too_few_faces: "too few faces",
  error: "not scanned",
};
const COLUMNS = [
  ["worst", "Outcome"],
  ["", "P(fake)"],
  ["path", "File"],
  ["duration", "Length"],
  ["people", "People"],
  ["line", "Line"],
];
const PAGE = 50; // results at once
const BETWEEN = 250; // ms between a letter and the search

export async function page({ words, query, source, about }) {
  return words[1] === undefined ? list(source, query) : one(source, Number(words[1]), about);
}

/** What an outcome is called, with its sign. */
function outcome(key) {
  return word(
    key in OUTCOMES && ["fake", "uncertain", "real"].includes(key) ? key : "none",
    OUTCOMES[key],
  );
}

// --- the list ----------------------------------------------------------------------------------

async function list(source, query) {
  const asked = asking(query);
  const found = await source.results({ ...asked, limit: PAGE });
  const to = (change) => link(["results"], { ...stated(asked), ...change });
  const go = (change) => {
    location.hash = to({ offset: "", ...change });
  };
  const node = el(
    "div",
    {},
    el("h1", {}, "Results in ", name(found.name)),
    el("p", { class: "soft" }, progress(found)),
    filters(found, asked, go),
    el(
      "section",
      { class: "card" },
      el("h2", { "aria-live": "polite" }, count(found.matching, "result")),
      found.matching ? rows(found, asked, to) : el("p", {}, "None is like that."),
      pager(found, to),
    ),
  );
  const drawn = () => {
    const search = /** @type {HTMLInputElement | null} */ (document.getElementById("words"));
    if (asked.words && search) {
      search.setSelectionRange(asked.words.length, asked.words.length);
    }
    say(count(found.matching, "result"));
  };
  return { node, title: "Results", drawn };
}

function asking(query) {
  return {
    outcome: query.get("outcome") || "",
    words: query.get("words") || "",
    sort: query.get("sort") || "worst",
    order: query.get("order") || "usual",
    offset: Number(query.get("offset")) || 0,
  };
}

/** The same without what is usual. */
function stated({ sort, order, offset, ...rest }) {
  return {
    ...rest,
    sort: sort === "worst" ? "" : sort,
    order: order === "usual" ? "" : order,
    offset: offset || "",
  };
}

function progress(found) {
  const read = count(found.total, "result");
  if (found.unreadable)
    return (
      `${read}; ${count(found.unreadable, "line")} cannot be read: ` +
      `${found.unreadable_lines.join(", ")}.`
    );
  if (found.complete) return `${read} in the file.`;
  return `${read} so far: the file is still being read.`;
}

function filters({ counts }, asked, go) {
  const chosen = new Set(asked.outcome.split(",").filter(Boolean));
  const box = ([key, text]) => {
    const id = `outcome-${key}`;
    const checked = chosen.has(key);
    const change = () => {
      if (input.checked) chosen.add(key);
      else chosen.delete(key);
      go({ outcome: [...chosen].join(",") });
    };
    const input = el("input", { type: "checkbox", id, checked, onchange: change });
    const label = `${text} (${(counts[key] || 0).toLocaleString("en")})`;
    return el("div", { class: "switch" }, input, el("label", { for: id }, label));
  };
  let timer = 0;
  const search = el("input", {
    type: "text",
    id: "words",
    autocomplete: "off",
    spellcheck: "false",
  });
  search.value = asked.words;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => go({ words: search.value }), BETWEEN);
  });
  return card(
    "Which",
    el(
      "div",
      { class: "row", role: "group", "aria-label": "Outcomes; all when none is chosen" },
      Object.entries(OUTCOMES).map(box),
    ),
    el("div", { class: "field" }, el("label", { for: "words" }, "The path contains"), search),
  );
}

function rows(found, asked, to) {
  const head = (/** @type {string[]} */ [key, text], /** @type {number} */ i) => {
    const numeric = i === 1 || i > 2 ? "n" : null;
    if (!key) return el("th", { scope: "col", class: numeric }, text);
    const here = asked.sort === key;
    const backwards = here && asked.order === "usual";
    const href = to({
      sort: key === "worst" ? "" : key,
      order: backwards ? "backwards" : "",
      offset: "",
    });
    const rising = key === "path" || key === "line";
    const up = (asked.order === "usual") === rising;
    const sorted = here ? (up ? "ascending" : "descending") : null;
    const sign = here && el("span", { "aria-hidden": "true" }, up ? " ▲" : " ▼");
    return el(
      "th",
      { scope: "col", class: numeric, "aria-sort": sorted },
      el("a", { href, id: `sort-${key}` }, text, sign),
    );
  };
  const row = (each) =>
    el(
      "tr",
      {},
      el("td", {}, outcome(each.outcome)),
      el(
        "td",
        { class: "n" },
        each.fake_probability === null ? "–" : each.fake_probability.toFixed(2),
      ),
      el(
        "th",
        { scope: "row" },
        el("a", { href: link(["results", each.n]) }, name(each.path)),
        each.reason && el("small", { dir: "auto" }, each.reason),
      ),
      el("td", { class: "n" }, each.duration === null ? "–" : clock(each.duration)),
      el("td", { class: "n" }, each.people === null ? "–" : each.people),
      el("td", { class: "n" }, (each.n + 1).toLocaleString("en")),
    );
  return el(
    "div",
    { class: "wide", role: "region", tabindex: "0", "aria-label": "Results" },
    el(
      "table",
      { class: "full listing" },
      el("caption", { class: "unseen" }, "Results; choose a heading to sort by it"),
      el("thead", {}, el("tr", {}, COLUMNS.map(head))),
      el("tbody", {}, found.results.map(row)),
    ),
  );
}

function pager({ matching, offset, results }, to) {
  if (matching <= results.length) return null;
  const last = offset + results.length;
  const step = (text, at) => el("a", { class: "button", href: to({ offset: at || "" }) }, text);
  return el(
    "nav",
    { class: "row", "aria-label": "Pages of results", css: { "margin-top": "12px" } },
    offset > 0 && step("‹ Before", Math.max(0, offset - PAGE)),
    el("span", { class: "num" }, `${offset + 1} to ${last} of ${matching.toLocaleString("en")}`),
    last < matching && step("Next ›", last),
  );
}

// --- one ---------------------------------------------------------------------------------------

async function one(source, n, about) {
  if (!Number.isInteger(n)) throw new Error("A result is named by its number, from 0 on.");
  const result = await source.recorded(n);
  const up = el(
    "nav",
    { class: "crumbs", "aria-label": "Up" },
    el("a", { href: link(["results"]) }, "‹ All results"),
  );
  const heading = el("h1", {}, "Were faces faked in ", name(result.path), "?");
  if (result.status === "error")
    return { node: el("div", {}, up, heading, failed(result)), title: result.path };
  const known = (await source.models()).find((each) => each.name === result.model.name);
  const band = known && ownRule(known, result) ? known.uncertain || null : null;
  const own = { threshold: result.threshold, band };
  const faces = result.frames.flatMap((frame) =>
    frame.faces.map((face) => ({ ...face, time: frame.time })),
  );
  const lower = el("div");
  const view = { result, faces, lanes: [], seek: () => {} };
  drawTimeline(lower, view, { ...own, people: result.people, segments: result.segments });
  const node = el(
    "div",
    {},
    up,
    heading,
    el("p", { class: "soft" }, facts(result)),
    verdictCard(result, own, known ? clearing(known) : null),
    declared(result),
    warnings(result),
    lower,
    again(source, n, about),
  );
  return { node, title: result.path };
}

/** Whether a result was judged by its model's own rule, whose band is known. */
function ownRule(card_, result) {
  const same = Object.values(card_.sha256 || {}).includes(result.model.sha256);
  return same && Math.abs(card_.threshold - result.threshold) < 1e-9;
}

function failed(result) {
  return el(
    "section",
    { class: "card verdict" },
    el("p", { class: "answer t-none" }, "Could not be scanned"),
    el("p", { class: "reason", dir: "auto" }, result.error),
    el("p", {}, "This says nothing of what the file shows."),
  );
}

/** Open it as a scan, to judge it by other rules and to look at its faces. */
function again(source, n, about) {
  if (!source.reopen || !("quota" in about)) return null;
  const told = el("p", { role: "alert" });
  const open = async () => {
    try {
      const { id, faces_problem: why } = await source.reopen(n);
      if (why) say(why);
      location.hash = link(["scan", id]);
    } catch (error) {
      fill(told, /** @type {Error} */ (error).message);
    }
  };
  return card(
    "Look closer",
    el(
      "p",
      {},
      "As a scan it can be judged by other rules, and its faces looked into where the clip is" +
        " still ",
      "there and may be read (--allow-path).",
    ),
    el("button", { type: "button", onclick: open }, "Open as a scan"),
    told,
  );
}
