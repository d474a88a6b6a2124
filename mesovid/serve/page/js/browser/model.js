// One model looked into: scores, maps, the split, what is covered. `mesovid.explain.explainer` and
// `mesovid.models.classifier` in JavaScript. A crop is a picture of `pixels.js`, cut as the card says.

import { Network } from "./network.js";
import { readGraph, withOutputs } from "./onnx.js";
import { headOf, split } from "./split.js";

const FACES_AT_ONCE = 4;
const CONSTANT = 1e-6; // a filter whose values differ by less, relative to them, says nothing
const LIMIT = 16; // of logits

const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const bounded = (x) => Math.max(-LIMIT, Math.min(LIMIT, x));
/** The logit of a probability. */
export function logitOf(p) {
  return bounded(Math.log(p / (1 - p)));
}

/** Calibrated P(fake) of a logit. */
export function calibrated({ method, scale, shift }, logit) {
  return sigmoid(method === "none" ? logit : scale * bounded(logit) + shift);
}

export class Model {
  /** @param {any} about the card with `plan` @param {Uint8Array} bytes of its .onnx file */
  static async load(about, bytes) {
    const graph = readGraph(bytes);
    const { tensor } = about.plan.end;
    const end = graph.outputs.includes(tensor) ? [] : [tensor];
    return new Model(about, bytes, graph, await Network.load(withOutputs(bytes, end)));
  }

  constructor(about, bytes, graph, quick) {
    this.about = about;
    this.plan = about.plan;
    this.bytes = bytes;
    this.graph = graph;
    this.quick = quick;
    this.head = headOf(graph, about.plan);
    this.sign = about.output === "real" ? -1 : 1;
    /** @type {Promise<Network> | null} */
    this.opened = null;
  }

  /** The network with every inner tensor as an output; slower, so made when it is asked for. */
  tapped() {
    const inner = this.graph.nodes.flatMap((node) => node.outputs.filter(Boolean));
    const missing = [...new Set(inner)].filter((name) => !this.graph.outputs.includes(name));
    this.opened ||= Network.load(withOutputs(this.bytes, missing));
    return this.opened;
  }

  /** Logits of P(fake), before calibration. */
  async logits(crops) {
    const found = [];
    for (let i = 0; i < crops.length; i += FACES_AT_ONCE) {
      const few = crops.slice(i, i + FACES_AT_ONCE);
      const { tensor, factors } = this.plan.end;
      const answer = await this.quick.run(...this.prepared(few), [tensor]);
      few.forEach((_, k) =>
        found.push(
          factors.reduce(
            (sum, factor, j) =>
              sum + this.sign * factor * answer[tensor].data[k * factors.length + j],
            0,
          ),
        ),
      );
    }
    return found;
  }

  calibrated(logit) {
    return calibrated(this.about.calibration, logit);
  }

  /** Tensors of one crop by name: {shape, values}. */
  async tensors(crop, names) {
    const [dims, data] = this.prepared([crop]);
    const inner = names.filter((name) => !this.graph.inputs.includes(name));
    const answer = inner.length ? await (await this.tapped()).run(dims, data, inner) : {};
    const found = names.map((name) =>
      answer[name]
        ? { shape: answer[name].dims, values: answer[name].data }
        : { shape: dims, values: Float32Array.from(data) },
    );
    return Object.fromEntries(names.map((name, i) => [name, found[i]]));
  }

  /** Maps of some layers at some stages, or at all: {"conv1.raw": {shape, values}}. */
  async maps(crop, layers, stages) {
    const wanted = layers.flatMap((name) => {
      const layer = this.layer(name);
      return Object.entries(layer.tensors)
        .filter(([stage]) => !stages.length || stages.includes(stage))
        .map(([stage, tensor]) => [`${name}.${stage}`, tensor]);
    });
    const found = await this.tensors(crop, [...new Set(wanted.map(([, tensor]) => tensor))]);
    return Object.fromEntries(
      wanted.map(([key, tensor]) => {
        const { shape, values } = found[tensor];
        return [key, { shape: shape.slice(1), values: Float32Array.from(values) }];
      }),
    );
  }

  layer(name) {
    const found = this.plan.layers.find((each) => each.name === name);
    if (!found) throw new Error(`${this.about.name} has no layer ${name}.`);
    return found;
  }

  /** What a layer learned: filters, inputs, rows, columns. */
  filters(name) {
    const { weights, transposed, kind } = this.layer(name);
    if (!weights) throw new Error(`${name} has no filters: it is a ${kind}.`);
    const { shape, values } = this.graph.constants.get(weights);
    if (shape.length !== 2) return { layer: name, shape, values: [...values] };
    const [inputs, units] = transposed ? [shape[1], shape[0]] : shape;
    const turned = transposed
      ? [...values]
      : Array.from(
          { length: inputs * units },
          (_, i) => values[(i % inputs) * units + Math.floor(i / inputs)],
        );
    return { layer: name, shape: [units, inputs, 1, 1], values: turned };
  }

  async split(crop) {
    return this.head && split(this.head, await this.tensors(crop, this.head.tensors), this.sign);
  }

  /** How far the logit falls when each cell of a grid's row is covered with the mean colour. */
  async covered(crop, cells, row) {
    const side = crop.width;
    const mean = [0, 1, 2].map((k) => {
      let sum = 0;
      for (let i = k; i < crop.data.length; i += 3) sum += crop.data[i];
      return Math.round(sum / (side * side));
    });
    const edge = (number) => Math.floor((side * number) / cells);
    const covered = Array.from({ length: cells }, (_, column) => {
      const data = crop.data.slice();
      for (let y = edge(row); y < edge(row + 1); y += 1) {
        for (let x = edge(column); x < edge(column + 1); x += 1) data.set(mean, 3 * (y * side + x));
      }
      return { ...crop, data };
    });
    const [whole, ...found] = await this.logits([crop, ...covered]);
    return { logit: whole, cells: found.map((logit) => whole - logit) };
  }

  /** How often filters fire on some faces, and which are dead. */
  async firing(crops) {
    const layers = this.plan.layers.filter(({ name }) => name !== "face" && name !== "logit");
    const last = ({ tensors }) => tensors.activated || tensors.raw;
    const sums = new Map();
    for (const crop of crops) {
      const found = await this.tensors(crop, layers.map(last));
      for (const layer of layers) {
        const { shape, values } = found[last(layer)];
        const size = values.length / shape[1];
        const state =
          sums.get(layer.name) || Array.from({ length: shape[1] }, () => [0, Infinity, -Infinity]);
        sums.set(layer.name, state);
        state.forEach((each, number) => {
          let [low, top] = [Infinity, -Infinity];
          for (let i = number * size; i < (number + 1) * size; i += 1) {
            if (values[i] < low) low = values[i];
            if (values[i] > top) top = values[i];
          }
          each[0] += top > 0 ? 1 : 0;
          each[1] = Math.min(each[1], low);
          each[2] = Math.max(each[2], top);
        });
      }
    }
    const told = [...sums].map(([name, state]) => [
      name,
      {
        share: state.map(([fires]) => fires / crops.length),
        dead: [...state.keys()].filter((number) => {
          const [, low, top] = state[number];
          return top - low <= CONSTANT * Math.max(Math.abs(top), 1);
        }),
      },
    ]);
    return { model: this.about.name, faces: crops.length, layers: Object.fromEntries(told) };
  }

  /** Dimensions and numbers of a network's input. */
  prepared(crops) {
    const { colour, layout, geometry } = this.about;
    const [low, high] = this.about.input_range;
    const size = geometry.size;
    const gain = this.about.deviation.map((by) => (high - low) / 255 / by);
    const shift = this.about.mean.map((mean, c) => (low - mean) / this.about.deviation[c]);
    const plain =
      gain.every((each) => Math.abs(each - 1) < 1e-12) &&
      shift.every((each) => Math.abs(each) < 1e-12);
    const one = size * size * 3;
    const planes = layout === "NCHW";
    const dims = planes ? [crops.length, 3, size, size] : [crops.length, size, size, 3];
    const data = new (plain ? Uint8Array : Float32Array)(one * crops.length);
    crops.forEach((crop, n) => {
      if (crop.width !== size || crop.height !== size) {
        throw new Error(
          `${this.about.name} wants faces of ${size} px, not ${crop.width} x ${crop.height}.`,
        );
      }
      if (plain && colour === "RGB" && !planes) {
        data.set(crop.data, n * one);
        return;
      }
      for (let i = 0; i < one; i += 1) {
        const c = i % 3;
        const value = crop.data[colour === "RGB" ? i : i - c + 2 - c];
        data[n * one + (planes ? c * size * size + (i - c) / 3 : i)] = plain
          ? value
          : value * gain[c] + shift[c];
      }
    });
    return [dims, data];
  }
}
