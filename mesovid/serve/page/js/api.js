// Speaks with the server.

const BASE = "/api/v1";

/** A refusal: one sentence that says what was wrong and what would be right. */
export class Problem extends Error {
  constructor(body, status) {
    super(body.detail || `the server answered ${status}`);
    this.kind = (body.type || "").replace("/problems/", "");
    this.status = status;
  }
}

/** The address of something of the API. */
export function at(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const words = new URLSearchParams(given.map(([key, value]) => [key, String(value)])).toString();
  return `${BASE}${path}${words ? `?${words}` : ""}`;
}

export async function refusal(answer) {
  let body = {};
  try { body = await answer.json(); } catch { /* no JSON: the status says it */ }
  return new Problem(body, answer.status);
}

async function ask(path, query, options) {
  let answer;
  try {
    answer = await fetch(at(path, query), options);
  } catch (error) {
    if (/** @type {any} */ (error).name === "AbortError") throw error;
    throw new Problem({ detail: "The server does not answer. Was it ended? Start mesovid serve again." }, 0);
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

export async function get(path, query = {}) {
  return (await ask(path, query, {})).json();
}

export async function post(path, body, query = {}, signal = undefined) {
  const json = !(body instanceof Blob);
  return (await ask(path, query, {
    method: "POST", signal, body: json ? JSON.stringify(body) : body,
    headers: json ? { "content-type": "application/json" } : { "content-type": "application/octet-stream" },
  }));
}

export async function erase(path) {
  await ask(path, {}, { method: "DELETE" });
}

/** Arrays in the safetensors format: {name: {shape, values}}, and what is said of them as a whole. */
export async function tensors(answer) {
  const buffer = await answer.arrayBuffer();
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const about = head.__metadata__ || {};
  delete head.__metadata__;
  const arrays = {};
  for (const [key, { shape, data_offsets: [from, to] }] of Object.entries(head)) {
    arrays[key] = { shape, values: new Float32Array(buffer.slice(8 + length + from, 8 + length + to)) };
  }
  return { about: about.prediction ? JSON.parse(about.prediction) : {}, arrays };
}

const cards = new Map();
/** A model's card with its layers; asked for once. */
export function model(name) {
  if (!cards.has(name)) {
    const asked = get(`/models/${encodeURIComponent(name)}`);
    asked.catch(() => cards.delete(name));
    cards.set(name, asked);
  }
  return cards.get(name);
}
let all = null;
export function models() {
  all = all || get("/models");
  return all;
}

/** Upload with progress. `told` is called with the share that is sent.
 * @returns {{done: Promise<any>, cancel: () => void}} */
export function upload(file, name, query, told) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    request.open("POST", at("/scans", { ...query, name }));
    request.upload.onprogress = (event) => told(event.lengthComputable ? event.loaded / event.total : 0);
    request.onload = () => {
      let body = {};
      try { body = JSON.parse(request.responseText); } catch { /* the status says it */ }
      if (request.status === 202) resolve(body);
      else reject(new Problem(body, request.status));
    };
    request.onerror = () => reject(new Problem({ detail: "The upload broke off. Is the server still there?" }, 0));
    request.onabort = () => reject(new Problem({ detail: "The upload was cancelled.", type: "/problems/cancelled" }, 0));
    request.send(file);
  });
  return { done, cancel: () => request.abort() };
}
