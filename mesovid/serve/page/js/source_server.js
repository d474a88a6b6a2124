// The source of a page that `mesovid serve` serves: everything is asked of its API.

import { filled } from "./address.js";
import { Problem } from "./source.js";

const BASE = "/api/v1";

/** The address of something of the API.
 * @param {string} path @param {Record<string, any>} [query] */
function at(path, query = {}) {
  const words = new URLSearchParams(filled(query)).toString();
  return `${BASE}${path}${words ? `?${words}` : ""}`;
}

const scan = (id, rest = "") => `/scans/${encodeURIComponent(id)}${rest}`;
const ofModel = (name, rest = "") => `/models/${encodeURIComponent(name)}${rest}`;

export class ServerSource {
  /** @type {Promise<any[]> | null} */
  #models = null;
  /** @type {Map<string, Promise<any>>} */
  #cards = new Map();

  about() {
    return get("");
  }

  /** Swap the token for a cookie. @param {string} token */
  async enter(token) {
    await post("/session", { token });
  }

  models() {
    this.#models = this.#models || get("/models");
    return this.#models;
  }

  model(name) {
    const known = this.#cards.get(name);
    if (known) return known;
    const asked = get(ofModel(name));
    asked.catch(() => this.#cards.delete(name));
    this.#cards.set(name, asked);
    return asked;
  }

  /** What a browser needs to run a network itself; null of a panel. @param {string} name */
  async plan(name) {
    return (await get(ofModel(name, "/plan"))).plan;
  }

  /** @param {string} name */
  network(name) {
    return at(ofModel(name, "/network.onnx"), { inner: false });
  }

  filters(name, layer) {
    return get(ofModel(name, `/filters/${encodeURIComponent(layer)}`));
  }

  samples() {
    return get("/samples");
  }

  sample(id) {
    return at(`/samples/${encodeURIComponent(id)}`);
  }

  scans() {
    return get("/scans");
  }

  scan(id) {
    return get(scan(id));
  }

  async erase(id) {
    await ask(scan(id), {}, { method: "DELETE" });
  }

  send(file, name, settings, told) {
    const request = new XMLHttpRequest();
    const done = new Promise((resolve, reject) => {
      const broken = (detail, kind) => reject(new Problem({ detail, type: kind }, 0));
      request.open("POST", at("/scans", { ...settings, name }));
      request.upload.onprogress = (event) =>
        told(event.lengthComputable ? event.loaded / event.total : 0);
      request.onload = () => {
        let body = {};
        try {
          body = JSON.parse(request.responseText);
        } catch {
          /* the status says it */
        }
        if (request.status === 202) resolve(body);
        else reject(new Problem(body, request.status));
      };
      request.onerror = () => broken("The upload broke off. Is the server still there?");
      request.onabort = () => broken("The upload was cancelled.", "/problems/cancelled");
      request.send(file);
    });
    return { done, cancel: () => request.abort() };
  }

  follow(id, acts) {
    const events = new EventSource(at(scan(id, "/events")));
    for (const [kind, act] of Object.entries(acts)) {
      events.addEventListener(kind, (event) => act(JSON.parse(/** @type {any} */ (event).data)));
    }
    return () => events.close();
  }

  faces(id) {
    return get(scan(id, "/faces"));
  }

  verdict(id, rules = {}) {
    return get(scan(id, "/verdict"), rules);
  }

  firing(id, model) {
    return get(scan(id, "/firing"), { model });
  }

  face(id, n) {
    return at(scan(id, `/faces/${n}.png`));
  }

  frame(id, n) {
    return at(scan(id, `/faces/${n}/frame.jpg`));
  }

  video(id) {
    return at(scan(id, "/video"));
  }

  result(id, format) {
    return at(scan(id, `/result.${format}`));
  }

  /** @param {Blob} picture @param {import("./source.js").Asked} asked */
  async predict(picture, { layers = [], stages = [], ...asked }) {
    const query = {
      ...asked,
      layers: layers.join(","),
      stages: stages.join(","),
      format: "safetensors",
    };
    return tensors(await (await post("/predictions", picture, query)).arrayBuffer());
  }

  report(id) {
    return at(scan(id, "/report.html"));
  }

  curves(name) {
    return get(ofModel(name, "/curves"));
  }

  arithmetic(face, { layer, ...asked }) {
    return get(`/maps/${encodeURIComponent(layer)}/arithmetic`, { ...face, ...asked });
  }

  results(query) {
    return get("/results", query);
  }

  recorded(n) {
    return get(`/results/${n}`);
  }

  async reopen(n) {
    return (await post(`/results/${n}/scan`, {})).json();
  }

  sets() {
    return get("/sets");
  }

  drawn(name, query) {
    return get(`/sets/${encodeURIComponent(name)}/faces`, query);
  }

  drawnFace(name, n) {
    return at(`/sets/${encodeURIComponent(name)}/faces/${n}.png`);
  }

  async explain(face, asked) {
    return (await post("/explanations", { face, ...asked })).json();
  }
}

async function ask(path, query, options) {
  let answer;
  try {
    answer = await fetch(at(path, query), options);
  } catch (error) {
    if (/** @type {any} */ (error).name === "AbortError") throw error;
    const detail = "The server does not answer. Was it ended? Start mesovid serve again.";
    throw new Problem({ detail }, 0);
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

async function refusal(answer) {
  let body = {};
  try {
    body = await answer.json();
  } catch {
    /* no JSON: the status says it */
  }
  return new Problem(body, answer.status);
}

async function get(path, query = {}) {
  return (await ask(path, query, {})).json();
}

function post(path, body, query = {}) {
  const json = !(body instanceof Blob);
  return ask(path, query, {
    method: "POST",
    body: json ? JSON.stringify(body) : body,
    headers: { "content-type": json ? "application/json" : "application/octet-stream" },
  });
}

/** What the safetensors format holds: arrays, and the prediction in its head.
 * @param {ArrayBuffer} buffer @returns {import("./source.js").Prediction} */
function tensors(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const about = head.__metadata__ || {};
  delete head.__metadata__;
  /** @type {Record<string, import("./source.js").Numbers>} */
  const arrays = {};
  for (const [key, found] of Object.entries(head)) {
    const [from, to] = found.data_offsets.map((offset) => 8 + length + offset);
    arrays[key] = { shape: found.shape, values: new Float32Array(buffer.slice(from, to)) };
  }
  return { ...JSON.parse(about.prediction), arrays };
}
