// Reads the graph of an .onnx file and declares its inner tensors as outputs, on the bytes of the
// file alone: `mesovid.explain.graph` in JavaScript, where it is explained. An array here is
// {shape, values}.

const [VARINT, FIXED64, BYTES, FIXED32] = [0, 1, 2, 5];
const KINDS = {
  1: Float32Array,
  2: Uint8Array,
  3: Int8Array,
  6: Int32Array,
  9: Uint8Array,
  11: Float64Array,
};
const text = (bytes) => new TextDecoder().decode(bytes);

/** {nodes, constants, inputs, outputs} of an .onnx file's bytes. */
export function readGraph(bytes) {
  /** @type {{nodes: any[], constants: Map<string, any>, inputs: string[], outputs: string[]}} */
  const graph = { nodes: [], constants: new Map(), inputs: [], outputs: [] };
  for (const [field, content] of fields(bytes)) {
    if (field !== 7) continue;
    for (const [number, value] of fields(content)) {
      if (number === 1) graph.nodes.push(node(value));
      else if (number === 5) {
        const { name, array } = tensor(value);
        graph.constants.set(name, array);
      } else if (number === 11) graph.inputs.push(nameOf(value));
      else if (number === 12) graph.outputs.push(nameOf(value));
    }
  }
  graph.inputs = graph.inputs.filter((name) => !graph.constants.has(name));
  for (const { kind, outputs, attributes } of graph.nodes) {
    if (kind === "Constant" && attributes.value) graph.constants.set(outputs[0], attributes.value);
  }
  graph.nodes = graph.nodes.filter(({ outputs }) => !graph.constants.has(outputs[0]));
  return graph;
}

/** The same network with these inner tensors as further outputs. */
export function withOutputs(bytes, names) {
  const one = (name) => message(12, message(1, [...new TextEncoder().encode(name)]));
  const added = message(7, names.flatMap(one));
  const made = new Uint8Array(bytes.length + added.length);
  made.set(bytes);
  made.set(added, bytes.length);
  return made;
}

function message(field, content) {
  const length = [];
  let size = content.length;
  for (; size > 127; size >>= 7) length.push((size & 127) | 128);
  return [(field << 3) | BYTES, ...length, size, ...content];
}

function nameOf(content) {
  const found = [...fields(content)].find(([number]) => number === 1);
  return text(found && found[1]);
}

function node(content) {
  /** @type {{kind: string, inputs: string[], outputs: string[], attributes: any}} */
  const made = { kind: "", inputs: [], outputs: [], attributes: {} };
  for (const [number, value] of fields(content)) {
    if (number === 1) made.inputs.push(text(value));
    else if (number === 2) made.outputs.push(text(value));
    else if (number === 4) made.kind = text(value);
    else if (number === 5) Object.assign(made.attributes, attribute(value));
  }
  return made;
}

function attribute(content) {
  let name = "";
  /** @type {any} */
  let single = null;
  /** @type {number[]} */
  const many = [];
  for (const [number, value] of fields(content)) {
    if (number === 1) name = text(value);
    else if (number === 2) single = view(value).getFloat32(0, true);
    else if (number === 3) single = Number(value);
    else if (number === 4) single = text(value);
    else if (number === 5) single = tensor(value).array;
    else if (number === 7) many.push(...new Float32Array(copied(value)));
    else if (number === 8) many.push(...integers(value));
  }
  return { [name]: many.length ? many : single };
}

function tensor(content) {
  /** @type {number[]} */
  const shape = [];
  /** @type {number[]} */
  const values = [];
  let [name, kind, raw] = ["", 1, new Uint8Array()];
  for (const [number, value] of fields(content)) {
    if (number === 1) shape.push(...integers(value));
    else if (number === 2) kind = Number(value);
    else if (number === 4) values.push(...new Float32Array(copied(value)));
    else if (number === 5 || number === 7) values.push(...integers(value));
    else if (number === 8) name = text(value);
    else if (number === 9) raw = value;
  }
  if (values.length) return { name, array: { shape, values: Float64Array.from(values) } };
  if (kind === 7) {
    const wide = new BigInt64Array(copied(raw));
    return { name, array: { shape, values: Float64Array.from(wide, Number) } };
  }
  const Kind = KINDS[kind];
  if (!Kind)
    throw new Error(`The network holds numbers of kind ${kind}, which this page cannot read.`);
  return { name, array: { shape, values: new Kind(copied(raw)) } };
}

const copied = (bytes) => bytes.slice().buffer;
const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function integers(value) {
  if (typeof value === "bigint") return [Number(value)];
  const found = [];
  for (let place = 0; place < value.length;) {
    const [number, next] = varint(value, place);
    found.push(Number(number));
    place = next;
  }
  return found;
}

/** Number and value of each field of a message: a BigInt where it is a varint, else bytes. */
function* fields(content) {
  let place = 0;
  while (place < content.length) {
    const [key, next] = varint(content, place);
    const [number, wire] = [Number(key >> 3n), Number(key & 7n)];
    place = next;
    if (wire === VARINT) {
      const [value, after] = varint(content, place);
      place = after;
      yield [number, value];
      continue;
    }
    let size = wire === FIXED32 ? 4 : 8;
    if (wire === BYTES) {
      const [value, after] = varint(content, place);
      [size, place] = [Number(value), after];
    } else if (wire !== FIXED32 && wire !== FIXED64)
      throw new Error(`wire type ${wire} at byte ${place}`);
    if (place + size > content.length) throw new Error(`cut short at byte ${place}`);
    yield [number, content.subarray(place, place + size)];
    place += size;
  }
}

/** A signed integer of seven bits a byte, and the place behind it. */
function varint(content, place) {
  let [value, shift, at] = [0n, 0n, place];
  for (;;) {
    const byte = content[at];
    at += 1;
    value |= BigInt(byte & 127) << shift;
    if (byte < 128) return [BigInt.asIntN(64, value), at];
    shift += 7n;
  }
}
