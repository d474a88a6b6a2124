// What the browser computes, without any page: it runs in a worker, or where there is none, beside
// the page. Answers hold plain values and arrays alone.

import { align, detail } from "./align.js";
import { Cascade } from "./cascade.js";
import { Model, calibrated, logitOf } from "./model.js";
import { Network, start } from "./network.js";
import { Clip, PeopleLinker } from "./people.js";
import { rgbOf, rgbaOf } from "./pixels.js";

export class Core {
  /** @param {(path: string) => Promise<Uint8Array>} read gives a file of the site */
  constructor(read) {
    this.read = read;
    this.models = new Map();
    /** @type {any[]} */
    this.abouts = [];
    this.detector = {};
    this.networks = {};
    /** @type {any} of what is scanned: {cascade, clip, linker, about, judges} */
    this.scan = null;
  }

  /** Load the runtime. `abouts` are cards with plans and paths, `runtime` addresses of scripts. */
  async start({ runtime, abouts, detector }) {
    if (typeof WebAssembly !== "object") throw new Error("This browser has no WebAssembly.");
    await start({ ...runtime, wasm: await this.read(runtime.wasm) });
    Object.assign(this, { abouts, detector });
    return true;
  }

  model(name) {
    const about = this.abouts.find((each) => each.name === name);
    if (!about) throw new Error(`This page has no model ${name}.`);
    if (!this.models.has(name)) {
      const made = this.read(about.file).then((bytes) => Model.load(about, bytes));
      made.catch(() => this.models.delete(name));
      this.models.set(name, made);
    }
    return this.models.get(name);
  }

  /** Begin with a clip or picture. */
  async open({ model, faces }) {
    for (const [name, path] of Object.entries(this.detector)) {
      this.networks[name] ||= await Network.load(await this.read(path));
    }
    const cascade = new Cascade((name, dims, data) => this.networks[name].run(dims, data), faces);
    const about = this.abouts.find((each) => each.name === model);
    const members = about.members || [];
    const judges = members.length ? members.map((each) => each.name) : [model];
    const clip = new Clip(cascade, faces.redetect);
    this.scan = { clip, linker: new PeopleLinker(), about, judges };
    return true;
  }

  /** The next frames of it: each frame's faces, with crops, people and scores. */
  async frames({ images }) {
    const { clip, linker, about } = this.scan;
    const seen = images.map(rgbOf);
    const { faces, cuts } = await clip.follow(seen);
    /** @type {any[]} */
    const answer = [];
    for (const [i, found] of faces.entries()) {
      const people = linker.link(found, cuts[i], seen[i]);
      const crops = found.map((face) => align(seen[i], face.landmarks, about.geometry));
      const scores = await this.scores(crops);
      answer.push(
        found.map((face, k) => ({
          ...face,
          ...scores[k],
          person: people[k],
          detail: detail(crops[k], about.geometry),
          crop: rgbaOf(crops[k]),
        })),
      );
    }
    return answer;
  }

  /** P(fake) of crops, and what each model of a panel says. */
  async scores(crops) {
    const { about, judges } = this.scan;
    const columns = await this.columns(judges, crops);
    const { members = [] } = about;
    return crops.map((_, i) => {
      if (!members.length) return { fake_probability: columns[0][i], members: [] };
      const said = members.map(({ scale, shift }, k) =>
        calibrated({ method: "platt", scale, shift }, logitOf(columns[k][i])),
      );
      const worst = Math.max(...said.filter((__, k) => members[k].decides));
      return { fake_probability: calibrated(about.calibration, logitOf(worst)), members: said };
    });
  }

  async columns(names, crops) {
    /** @type {number[][]} */
    const found = [];
    for (const name of names) {
      const model = await this.model(name);
      found.push((await model.logits(crops)).map((logit) => model.calibrated(logit)));
    }
    return found;
  }

  /** One face's score; its maps and its split where they are asked for. */
  async predict({ model: name, image, layers = [], stages = [], split = false }) {
    const model = await this.model(name);
    const crop = rgbOf(image);
    const [logit] = await model.logits([crop]);
    return {
      model: name,
      logit,
      fake_probability: model.calibrated(logit),
      split: split ? await model.split(crop) : undefined,
      arrays: layers.length ? await model.maps(crop, layers, stages) : {},
    };
  }

  /** What the score hangs on, a row of a grid. */
  async covered({ model: name, image, cells, row }) {
    return (await this.model(name)).covered(rgbOf(image), cells, row);
  }

  async firing({ model: name, images }) {
    return (await this.model(name)).firing(images.map(rgbOf));
  }

  async filters({ model: name, layer }) {
    return (await this.model(name)).filters(layer);
  }
}

/** The arrays of an answer, which are handed over and not copied. */
export function buffers(value, found = new Set()) {
  if (ArrayBuffer.isView(value)) found.add(value.buffer);
  else if (value && typeof value === "object")
    for (const each of Object.values(value)) buffers(each, found);
  return [...found];
}
