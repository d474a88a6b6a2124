// Starts the page: swaps the token for a cookie, then shows what the address names.

import { place } from "./address.js";
import { card, el, fill } from "./dom.js";

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
/** @type {import("./source.js").Source} */
const source = await sourceOf();
const PAGES = {
  "": ["Scan", () => import("./start.js")],
  scan: ["Video", () => import("./scan.js")],
  face: ["Face", () => import("./face.js")],
  models: ["Models", () => import("./models.js")],
  results: ["Results", () => import("./results.js")],
  compare: ["Compare", () => import("./compare.js")],
  tour: ["Tour", () => import("./tour.js")],
  glossary: ["Glossary", () => import("./tour.js")],
};
let leave = () => {};
/** @type {{identity: string, page: any} | null} */
let shown = null;
let turn = 0;
let before = ""; // the kind of page that was shown

/** With a server, or without one: `mesovid explore` says so in the page. */
async function sourceOf() {
  if (document.documentElement.dataset.source === "browser")
    return (await import("./browser/source_browser.js")).browserSource();
  return new (await import("./browser/source_live.js")).LiveSource();
}

async function swapToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given === null) return;
  history.replaceState(null, "", `${location.pathname}#/`);
  await source.enter(given).catch(() => {}); // a wrong one is asked for by the page that follows
}

/** Whoever comes without the token is asked for it, and told where it stands. */
function locked() {
  const input = el("input", {
    type: "password",
    id: "token",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
  });
  const said = el("p", { role: "alert" });
  const enter = async (event) => {
    event.preventDefault();
    try {
      await source.enter(input.value.trim().replace(/^.*#token=/, ""));
      show();
    } catch (error) {
      said.textContent = /** @type {Error} */ (error).message;
    }
  };
  return card(
    null,
    el("h1", {}, "This page needs its token"),
    el(
      "p",
      {},
      "Open the address that ",
      el("code", {}, "mesovid serve"),
      " printed: it ends in ",
      el("code", {}, "#token=…"),
      ". Or enter the token, or that whole address, here.",
    ),
    el(
      "form",
      { class: "row", onsubmit: enter },
      el("label", { for: "token" }, "Token"),
      input,
      el("button", { class: "main" }, "Open"),
    ),
    said,
  );
}

/** An error as a card, never as nothing. */
function failed(error) {
  if (error.kind === "token-needed") return locked();
  return el(
    "section",
    { class: "card warn", role: "alert" },
    el("h1", {}, "That did not work"),
    el("p", {}, error.message),
    el("p", {}, el("a", { href: "#/" }, "Back to the start")),
  );
}

/** Which page a place is on. @param {string[]} words */
function kindOf(words) {
  const face = ["scan", "set"].includes(words[0]) && words[2] === "face";
  return face ? "face" : words[0] || "";
}

function mark(kind) {
  const under = { scan: "", face: "", compare: "" }[kind] ?? kind;
  for (const link of document.querySelectorAll(".top nav a")) {
    if (link.getAttribute("href") === `#/${under}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** Pages that not every server has. */
function offer(about) {
  const results = document.getElementById("to-results");
  if (results) results.hidden = !about.results;
}

/** Read from the top. */
function begin() {
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
}

async function show() {
  const mine = ++turn;
  const { words, query } = place();
  const identity = [...words, ...["model", "a", "b"].map((name) => query.get(name))].join("/");
  if (shown && shown.identity === identity && shown.page.changed) {
    shown.page.changed(query);
    return;
  }
  leave();
  leave = () => {};
  shown = null;
  const kind = kindOf(words);
  mark(kind);
  try {
    const found = PAGES[kind];
    if (!found) throw new Error(`There is no page ${location.hash}.`);
    const about = await source.about();
    offer(about);
    const page = await (await found[1]()).page({ words, query, about, source });
    if (mine !== turn) {
      if (page.leave) page.leave();
      return;
    }
    document.title = `${page.title || found[0]} · mesovid`;
    const held = before === kind ? document.activeElement?.id : "";
    fill(main, page.node);
    shown = { identity, page };
    leave = page.leave || (() => {});
    const again = held && held !== main.id ? document.getElementById(held) : null;
    if (again) again.focus({ preventScroll: true });
    else if (document.body.dataset.ready) begin();
    before = kind;
    if (page.drawn) page.drawn();
  } catch (error) {
    if (mine !== turn) return;
    fill(main, failed(error));
    begin();
  }
  document.body.dataset.ready = "yes";
}

addEventListener("hashchange", async () => {
  await swapToken();
  show();
});
await swapToken();
show();
