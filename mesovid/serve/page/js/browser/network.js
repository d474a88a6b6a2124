// Runs .onnx networks by ONNX Runtime's WebAssembly, on one thread. An array is {dims, data}.

/** @type {any} */
let ort = null;

/** Load the runtime. `module` and `glue` are addresses of scripts, `wasm` bytes. */
export async function start({ module, glue, wasm }) {
  if (ort) return;
  // an address that the site itself names
  // eslint-disable-next-line no-unsanitized/method
  const loaded = await import(module);
  Object.assign(loaded.env, { logLevel: "error" });
  // one thread: two were slower, and more would ask for headers that few hosts send
  Object.assign(loaded.env.wasm, { numThreads: 1, wasmBinary: wasm, wasmPaths: { mjs: glue } });
  ort = loaded;
}

const KINDS = { uint8: Uint8Array, float32: Float32Array };

export class Network {
  /** @param {Uint8Array} bytes of the file */
  static async load(bytes) {
    const options = { executionProviders: ["wasm"] };
    return new Network(await ort.InferenceSession.create(bytes, options));
  }

  constructor(session) {
    this.session = session;
    this.kind = session.inputMetadata[0].type;
    if (!KINDS[this.kind])
      throw new Error(`The network takes ${this.kind}, which this page cannot give.`);
  }

  /** All outputs, or these, by name. `data` are bytes, or numbers where the network takes those. */
  async run(dims, data, outputs = this.session.outputNames) {
    const input = new ort.Tensor(this.kind, KINDS[this.kind].from(data), dims);
    const found = await this.session.run({ [this.session.inputNames[0]]: input }, outputs);
    input.dispose();
    const answer = {};
    for (const [name, tensor] of Object.entries(found)) {
      answer[name] = { dims: [...tensor.dims], data: tensor.data };
    }
    return answer;
  }
}
