// The source of a page without a server: files are read, judged and kept in this tab alone. What
// each method gives is what the server's gives (`../source.js`).

import { Problem } from "../source.js";
import { Engine } from "./engine.js";
import { fetched, unpacked } from "./files.js";
import { declared, heeded } from "./declared.js";
import { SUFFIXES, Unreadable, decoded, encoded, opened } from "./frames.js";
import { checked } from "./honest.js";
import { judge, labelOf, ruleOf } from "./verdict.js";

const MOST_HASHED = 2 ** 28; // bytes of a file whose sha256 is told
const BATCH = [2, 16, 96e6]; // frames at once, least and most, and bytes of them
const FRAME_SIDE = 1280; // px of the frames that are kept to be shown
const FIRING = 32; // faces that say which filters are dead
const KNOWN = [
  "model",
  "frames",
  "fps",
  "start",
  "end",
  "threshold",
  "aggregate",
  "min_faces",
  "min_face",
  "confidence",
  "faces",
  "redetect",
];

export class BrowserSource {
  /** @type {Map<string, any>} */
  #jobs = new Map();
  /** @type {Map<string, any>} */
  #firings = new Map();

  /** @param {any} site what `mesovid explore` wrote down @param {(path: string) => string} address
   * of a file of the site @param {((path: string) => Promise<Uint8Array>) | null} held reads files
   * that lie in the page itself */
  constructor(site, address, held = null) {
    this.site = site;
    this.address = address;
    this.held = held;
    /** @type {Promise<any> | null} */
    this.started = null;
  }

  /** The engine, once it was tried on a pattern. */
  engine() {
    this.started ||= this.#start();
    return this.started;
  }

  async #start() {
    if (typeof WebAssembly !== "object") {
      throw new Problem(
        {
          detail:
            "This browser has no WebAssembly, so no scores can be computed in it. " +
            "Switch it on, use another browser, or install mesovid.",
        },
        0,
      );
    }
    const { site, held } = this;
    if (!held && typeof Worker !== "function")
      throw new Problem(
        {
          detail:
            "This browser lets pages compute nothing beside themselves (no Worker), so no scores are given. Use another browser, or install mesovid.",
        },
        0,
      );
    const { runtime } = site;
    const engine = held
      ? new Engine({ read: held })
      : new Engine({ worker: new URL("./worker.js", import.meta.url), base: document.baseURI });
    const scripts = {
      module: this.address(runtime.module),
      glue: this.address(runtime.glue),
      wasm: runtime.wasm,
    };
    await engine.ask("start", { runtime: scripts, abouts: site.models, detector: site.detector });
    await checked(
      async (image) => (await engine.ask("predict", { model: site.probe.model, image })).logit,
      site.probe,
    );
    return engine;
  }

  /** Put a question to the engine; what goes wrong comes back as a sentence. */
  async #ask(task, given, newest = "") {
    try {
      return await (await this.engine()).ask(task, given, newest);
    } catch (error) {
      if (/** @type {any} */ (error).name === "AbortError") throw error;
      throw new Problem({ detail: /** @type {any} */ (error).message }, 0);
    }
  }

  async about() {
    const { version, default_model } = this.site;
    const refusal = await this.engine().then(
      () => "",
      (error) => error.message,
    );
    return {
      version,
      default_model,
      suffixes: SUFFIXES,
      max_upload: Infinity,
      timeout: Infinity,
      token_needed: false,
      alone: true,
      refusal,
      formats: ["json"],
    };
  }

  async enter() {
    /* nobody is kept out */
  }

  async models() {
    return this.site.models;
  }

  async model(name) {
    const found = this.site.models.find((each) => each.name === name);
    if (!found) {
      const known = this.site.models.map((each) => each.name).join(", ");
      throw new Problem({ detail: `This page has no model ${name}; it has ${known}.` }, 404);
    }
    return { ...found, layers: found.plan ? found.plan.layers : [] };
  }

  async curves(name) {
    return { model: name, ...(await this.model(name)).curves };
  }

  filters(name, layer) {
    return this.#ask("filters", { model: name, layer });
  }

  async samples() {
    return this.site.samples;
  }

  sample(id) {
    return this.address(this.site.samples.find((each) => each.id === id).path);
  }

  async scans() {
    return [...this.#jobs.values()].reverse().map(({ job }) => ({
      ...job,
      result: undefined,
      verdict: job.result && job.result.verdict,
      status: job.result && job.result.status,
    }));
  }

  async scan(id) {
    return this.#job(id).job;
  }

  async erase(id) {
    const held = this.#jobs.get(id);
    if (!held) return;
    held.cancelled = true;
    this.#jobs.delete(id);
    for (const key of this.#firings.keys()) if (key.startsWith(`${id} `)) this.#firings.delete(key);
    for (const address of held.addresses.values()) URL.revokeObjectURL(address);
  }

  send(file, name, settings, told) {
    const unknown = Object.keys(settings).find((key) => !KNOWN.includes(key) && settings[key]);
    const id = Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) =>
      byte.toString(16).padStart(2, "0"),
    ).join("");
    const begin = async () => {
      await this.engine();
      if (unknown) {
        throw new Problem(
          { detail: `This page cannot scan with ${unknown}; mesovid serve can.` },
          422,
        );
      }
      const job = {
        id,
        state: "running",
        name,
        size: file.size,
        sha256: null,
        position: null,
        problem: null,
        video_kept: true,
        result: null,
      };
      const held = {
        job,
        file,
        settings,
        events: [],
        acts: new Set(),
        scores: [],
        sampled: [],
        faces: [],
        addresses: new Map(),
        cancelled: false,
      };
      this.#jobs.set(id, held);
      told(1);
      this.#run(held);
      return job;
    };
    return {
      done: begin(),
      cancel: () => {
        this.erase(id);
      },
    };
  }

  follow(id, acts) {
    const held = this.#job(id);
    const act = ({ event, ...given }) => acts[event] && acts[event](given);
    for (const event of held.events) act(event);
    held.acts.add(act);
    return () => held.acts.delete(act);
  }

  async faces(id) {
    return this.#job(id).faces;
  }

  async verdict(id, rules = {}) {
    const held = this.#job(id);
    const given = Object.fromEntries(
      Object.entries(rules).filter(([, value]) => value !== null && value !== ""),
    );
    if (given.threshold !== undefined) given.threshold = Number(given.threshold);
    if (given.min_faces !== undefined) given.min_faces = Number(given.min_faces);
    const asked = { ...held.rules, ...given };
    const rule = ruleOf(held.card, asked, held.picture);
    const judged = heeded(judge(held.scores, rule), held.declared, asked.threshold);
    return { ...judged, threshold: rule.threshold, band: rule.band };
  }

  async firing(id, model) {
    const { faces } = this.#job(id);
    const key = `${id} ${model}`;
    if (!this.#firings.has(key)) {
      const chosen = new Set(
        Array.from({ length: FIRING }, (_, k) => Math.floor((faces.length * k) / FIRING)),
      );
      const images = await Promise.all([...chosen].map((n) => this.#crop(id, n)));
      this.#firings.set(key, await this.#ask("firing", { model, images }));
    }
    return this.#firings.get(key);
  }

  face(id, n) {
    return this.#job(id).addresses.get(`face ${n}`);
  }

  frame(id, n) {
    const held = this.#job(id);
    return held.addresses.get(`frame ${held.faces[n].index}`);
  }

  video(id) {
    return this.#made(this.#job(id), "video", (held) => held.file);
  }

  result(id) {
    return this.#made(
      this.#job(id),
      "result",
      ({ job }) =>
        new Blob([`${JSON.stringify(job.result, null, 1)}\n`], { type: "application/json" }),
    );
  }

  /** @param {Blob} picture @param {import("../source.js").Asked} asked */
  async predict(picture, { model, layers = [], stages = [], split = false }) {
    const image = await decoded(picture);
    const found = await this.#ask("predict", { model, image, layers, stages, split });
    const about = await this.model(model);
    const [label] = labelOf(found.fake_probability, ruleOf(about, {}, true));
    return { ...found, label, split: found.split || undefined };
  }

  async explain({ scan, n }, { model, cells = 8 }) {
    const image = await this.#crop(scan, n);
    const { split } = await this.#ask("predict", { model, image, split: true });
    const rows = [];
    let logit = 0;
    // row by row: what is asked meanwhile need not wait for all of them
    for (let row = 0; row < cells; row += 1) {
      const part = await this.#ask("covered", { model, image, cells, row });
      logit = part.logit;
      rows.push(part.cells);
    }
    return { model, face: { scan, n }, split, occlusion: { logit, cells: rows, fill: "mean" } };
  }

  #job(id) {
    const held = this.#jobs.get(id);
    if (!held) {
      throw new Problem(
        {
          detail:
            "This page keeps scans only as long as it is open, and knows none of " +
            "that number. Scan the file again.",
        },
        404,
      );
    }
    return held;
  }

  #made(held, key, make) {
    if (!held.addresses.has(key)) held.addresses.set(key, URL.createObjectURL(make(held)));
    return held.addresses.get(key);
  }

  async #crop(id, n) {
    const address = this.face(id, n);
    if (!address) throw new Problem({ detail: `There is no face ${n} in this scan.` }, 404);
    return decoded(await (await fetch(address)).blob());
  }

  // --- a scan

  async #run(held) {
    try {
      await this.#look(held);
    } catch (error) {
      if (held.cancelled) return;
      held.job.state = "failed";
      held.job.problem = /** @type {any} */ (error).message;
      if (!(error instanceof Unreadable || error instanceof Problem)) console.error(error);
      tell(held, { event: "failed", problem: held.job.problem });
    }
  }

  async #look(held) {
    const began = performance.now();
    const seconds = { decode: 0, judge: 0 };
    const settings = { ...this.site.settings, ...given(held.settings) };
    held.rules = settings;
    held.card = this.site.models.find((each) => each.name === settings.model);
    const input = await opened(held.file, held.job.name, settings);
    held.picture = input.duration === null;
    try {
      const { min_face, confidence, redetect } = settings;
      await this.#ask("open", { model: settings.model, faces: { min_face, confidence, redetect } });
      const [least, most, bytes] = BATCH;
      const many = Math.max(
        least,
        Math.min(most, Math.floor(bytes / (input.width * input.height * 4))),
      );
      let batch = [];
      const judged = async () => {
        const from = performance.now();
        await this.#batch(held, batch, settings);
        seconds.judge += performance.now() - from;
        batch = [];
        tell(held, { event: "running", frames: held.sampled.length, of: input.count });
      };
      let from = performance.now();
      for await (const frame of input.frames()) {
        seconds.decode += performance.now() - from;
        if (held.cancelled) return;
        batch.push(frame);
        const frames = held.sampled.length + batch.length;
        tell(held, { event: "running", frames, of: input.count });
        if (batch.length === many) await judged();
        if (held.cancelled) return;
        from = performance.now();
      }
      if (batch.length) await judged();
    } finally {
      input.close();
    }
    if (held.cancelled) return;
    held.job.sha256 = await sha256(held.file);
    held.declared = await declared(held.file, held.picture);
    const total = performance.now() - began;
    held.job.result = this.#result(held, input, settings, { ...seconds, total });
    held.job.state = "done";
    tell(held, { event: "done" });
  }

  async #batch(held, batch, settings) {
    const kept = batch.map(({ image }) => encoded(image, "image/jpeg", FRAME_SIDE));
    const frames = await Promise.all(kept);
    const answer = await this.#ask("frames", { images: batch.map(({ image }) => image) });
    for (const [i, found] of answer.entries()) {
      const index = held.sampled.length;
      const time = batch[i].time;
      held.sampled.push({ index, time });
      const faces = settings.faces === "largest" && found.length ? [largest(found)] : found;
      if (faces.length) held.addresses.set(`frame ${index}`, URL.createObjectURL(frames[i]));
      for (const { crop, landmarks, ...face } of faces) {
        const n = held.faces.length;
        held.addresses.set(`face ${n}`, URL.createObjectURL(await encoded(crop)));
        held.scores.push({ index, time, landmarks, ...face });
        const { box, confidence, person, fake_probability } = face;
        held.faces.push({ n, index, time, person, fake_probability, box, confidence });
        tell(held, { event: "face", n, time, person, fake_probability });
      }
    }
  }

  /** The object of `scan --format json`; null where a browser cannot tell. */
  #result(held, input, settings, milliseconds) {
    const rule = ruleOf(held.card, settings, held.picture);
    const found = heeded(judge(held.scores, rule), held.declared, settings.threshold);
    const names = rule.members.map((each) => each.name);
    const members = (said) =>
      names.length ? { members: Object.fromEntries(names.map((name, i) => [name, said[i]])) } : {};
    const face = ({ person, box, landmarks, confidence, fake_probability, members: said }) => ({
      person,
      box,
      landmarks: Array.from({ length: 5 }, (_, k) => landmarks.slice(2 * k, 2 * k + 2)),
      confidence,
      fake_probability,
      ...members(said),
    });
    return {
      schema: 1,
      path: held.job.name,
      status: found.status,
      verdict: found.verdict,
      fake_probability: found.fake_probability,
      threshold: rule.threshold,
      reason: found.reason,
      cleared: found.cleared,
      video: {
        width: input.width,
        height: input.height,
        fps: null,
        duration: input.duration,
        frame_count: held.picture ? 1 : null,
      },
      sampled_frames: held.sampled.length,
      scored_faces: held.scores.length,
      people: found.people.map(({ members: said, ...person }) => ({ ...person, ...members(said) })),
      frames: held.sampled.map(({ index, time }) => ({
        index: held.picture ? 0 : null,
        time,
        faces: held.scores.filter((each) => each.index === index).map(face),
      })),
      segments: found.segments,
      model: {
        name: held.card.name,
        sha256: held.card.digest,
        ...(names.length ? { members: names } : {}),
      },
      settings,
      seconds: Object.fromEntries(
        Object.entries(milliseconds).map(([key, value]) => [key, value / 1000]),
      ),
      warnings: input.warnings,
      declared: held.declared,
      error: null,
    };
  }
}

const given = (settings) =>
  Object.fromEntries(
    Object.entries(settings)
      .filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([key, value]) => [
        key,
        typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value))
          ? Number(value)
          : value,
      ]),
  );

function tell(held, event) {
  held.events.push(event);
  for (const act of held.acts) act(event);
}

function largest(faces) {
  const area = ({ box: [left, top, right, bottom] }) => (right - left) * (bottom - top);
  return faces.reduce((a, b) => (area(b) > area(a) ? b : a));
}

/** Of a file; null where the browser tells none, or it is too large to hold. @param {Blob} file */
async function sha256(file) {
  if (!crypto.subtle || file.size > MOST_HASHED) return null;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The source of this page, by what `mesovid explore` wrote beside it, or into it. */
export async function browserSource() {
  const inside = document.getElementById("site");
  if (!inside) {
    const bytes = await fetched(new URL("explore.json", document.baseURI));
    return new BrowserSource(
      JSON.parse(new TextDecoder().decode(bytes)),
      (path) => new URL(path, document.baseURI).href,
    );
  }
  const addresses = /** @type {any} */ (window).mesovid.addresses;
  const held = async (path) => {
    const text =
      /** @type {HTMLElement} */ (document.getElementById(`file ${path}`)).textContent || "";
    return unpacked(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
  };
  return new BrowserSource(JSON.parse(inside.textContent || ""), (path) => addresses[path], held);
}
