// The source of a served page that computes scores and maps of single faces in the browser, where
// that can be relied on: a slider is followed without a round trip. What a browser cannot do, and
// all until the engine has started, is asked of the server.

import { ServerSource } from "../source_server.js";
import { Engine } from "./engine.js";
import { decoded } from "./frames.js";
import { checkedCanvas } from "./honest.js";
import { labelOf, ruleOf } from "./verdict.js";

const SAME = 1e-4; // of a logit, between the server's answer and the engine's
const RUNTIME = "../../vendor/ort/";
const at = (path) => new URL(path, import.meta.url);

export class LiveSource extends ServerSource {
  /** @type {Map<string, {engine: Engine | null, ready: Promise<boolean>}>} by model */
  #live = new Map();

  /** @param {Blob} picture @param {import("../source.js").Asked} asked */
  async predict(picture, asked) {
    const live = this.#live.get(asked.model);
    if (live && live.engine) {
      try {
        return await this.#computed(live.engine, picture, asked);
      } catch {
        live.engine = null; // from now on the server answers
      }
    }
    const answer = await super.predict(picture, asked);
    if (!live) this.start(asked.model, picture, answer.logit);
    return answer;
  }

  /** Start the engine of a model, and try it on a picture whose logit the server told.
   * @returns {Promise<boolean>} whether it can be relied on */
  start(model, picture, logit) {
    const live = { engine: null, ready: Promise.resolve(false) };
    this.#live.set(model, live);
    live.ready = this.#started(model, picture, logit).then(
      (engine) => Boolean((live.engine = /** @type {any} */ (engine))),
      () => false,
    );
    return live.ready;
  }

  /** @returns {Promise<Engine | null>} */
  async #started(model, picture, logit) {
    if (typeof WebAssembly !== "object" || typeof Worker !== "function") return null;
    await checkedCanvas();
    const [about, plan] = await Promise.all([this.model(model), this.plan(model)]);
    if (!plan) return null;
    const engine = new Engine({ worker: at("./worker.js"), base: document.baseURI });
    try {
      await engine.ask("start", {
        runtime: {
          module: at(`${RUNTIME}ort.wasm.min.mjs`).href,
          glue: at(`${RUNTIME}ort-wasm-simd-threaded.mjs`).href,
          wasm: at(`${RUNTIME}ort-wasm-simd-threaded.wasm.gz`).href,
        },
        abouts: [{ ...about, plan, file: this.network(model) }],
        detector: {},
      });
      const tried = await engine.ask("predict", { model, image: await decoded(picture) });
      if (Math.abs(tried.logit - logit) <= SAME) return engine;
    } catch {
      /* it is not used */
    }
    engine.close();
    return null;
  }

  /** @param {Engine} engine @param {Blob} picture @param {import("../source.js").Asked} asked */
  async #computed(engine, picture, { model, layers = [], stages = [], split = false }) {
    const image = await decoded(picture);
    const found = await engine.ask("predict", { model, image, layers, stages, split });
    const [label] = labelOf(found.fake_probability, ruleOf(await this.model(model), {}, true));
    return { ...found, label, split: found.split || undefined };
  }
}
