// Starts the page: swaps the token for a cookie, then shows what the address names.

import { at, get, refusal } from "./api.js";
import { card, el, fill } from "./dom.js";

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const PAGES = {
  "": ["Scan", () => import("./start.js")],
  scan: ["Video", () => import("./scan.js")],
  models: ["Models", () => import("./models.js")],
  compare: ["Compare", () => import("./compare.js")],
  tour: ["Tour", () => import("./tour.js")],
  glossary: ["Glossary", () => import("./tour.js")],
};
let leave = () => {};
let shown = null;
let turn = 0;

/** What the address says: its words, and its query. */
export function place() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { words: path.split("/").filter(Boolean).map(decoded), query: new URLSearchParams(query) };
}

function decoded(word) {
  try { return decodeURIComponent(word); } catch { return word; }
}

async function swapToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given === null) return;
  history.replaceState(null, "", `${location.pathname}#/`);
  await fetch(at("/session"), {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ token: given }),
  });
}

/** Whoever comes without the token is asked for it, and told where it stands. */
function locked(message) {
  const input = el("input", { type: "password", id: "token", autocomplete: "off", spellcheck: "false", required: true });
  const said = el("p", { role: "alert" });
  return card(null, el("h1", {}, "This page needs its token"),
    el("p", {}, "Open the address that ", el("code", {}, "mesovid serve"), " printed: it ends in ", el("code", {}, "#token=…"),
      ". Or enter the token, or that whole address, here."),
    message && el("p", { class: "soft" }, message),
    el("form", { class: "row", onsubmit: async (event) => {
      event.preventDefault();
      const token = input.value.trim().replace(/^.*#token=/, "");
      const answer = await fetch(at("/session"), {
        method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ token }),
      });
      if (answer.ok) show();
      else said.textContent = (await refusal(answer)).message;
    } }, el("label", { for: "token" }, "Token"), input, el("button", { class: "main" }, "Open")), said);
}

/** An error as a card, never as nothing. */
export function failed(error) {
  if (error.kind === "token-needed") return locked("");
  return el("section", { class: "card warn", role: "alert" }, el("h1", {}, "That did not work"), el("p", {}, error.message),
    el("p", {}, el("a", { href: "#/" }, "Back to the start")));
}

export async function show() {
  const mine = ++turn;
  const { words, query } = place();
  const key = words[0] || "";
  const kind = words[0] === "scan" && words[2] === "face" ? "face" : key;
  const identity = [...words, ...["model", "a", "b"].map((name) => query.get(name))].join("/");
  if (shown && shown.identity === identity && shown.page.changed) {
    shown.page.changed(query);
    return;
  }
  leave();
  leave = () => {};
  shown = null;
  for (const link of document.querySelectorAll(".top nav a")) {
    const own = link.getAttribute("href") === `#/${key === "scan" || key === "compare" ? "" : key}`;
    if (own) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  try {
    const found = kind === "face" ? ["Face", () => import("./face.js")] : PAGES[kind];
    if (!found) throw new Error(`There is no page ${location.hash}.`);
    const about = await get("");
    const module = await /** @type {() => Promise<any>} */ (found[1])();
    const page = await module.page({ words, query, about });
    if (mine !== turn) { if (page.leave) page.leave(); return; }
    document.title = `${page.title || found[0]} · mesovid`;
    fill(main, page.node);
    shown = { identity, page };
    leave = page.leave || (() => {});
    if (page.drawn) page.drawn();
  } catch (error) {
    if (mine === turn) fill(main, failed(error));
  }
  if (mine === turn && document.body.dataset.ready) { main.focus({ preventScroll: true }); scrollTo(0, 0); }
  document.body.dataset.ready = "yes";
}

/** Change the query of the address without a new entry in the history. */
export function remember(values) {
  const { words, query } = place();
  for (const [key, value] of Object.entries(values)) {
    if (value === null || value === undefined || value === "") query.delete(key);
    else query.set(key, String(value));
  }
  const text = query.toString();
  history.replaceState(null, "", `#/${words.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`);
}

addEventListener("hashchange", async () => { await swapToken(); show(); });
await swapToken();
show();
