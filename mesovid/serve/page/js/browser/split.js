// How a logit came about, exactly: `mesovid.explain.split` in JavaScript, where it is explained.
// An array here is {shape, values}; `known` maps names to such arrays.

const PASSING_ZERO = ["Clip", "Elu", "HardSwish", "LeakyRelu", "Relu", "Sqrt", "Tanh"];

// what reads maps as numbers, or a part of them
const READING = ["Flatten", "GlobalAveragePool", "ReduceMean", "Reshape", "Slice", "Transpose"];

/** What lies between the last maps and the logit; null when the logit does not split. */
export function headOf(graph, plan) {
  if (!plan.end) return null;
  const maps = new Map();
  for (const layer of plan.layers) {
    for (const [stage, name] of Object.entries(layer.tensors)) {
      const shape = layer.shapes[stage];
      if (shape.length === 3)
        maps.set(name, { layer: layer.name, rows: shape[1], columns: shape[2] });
    }
  }
  const found =
    walked(graph, plan.end.tensor, maps, false) || walked(graph, plan.end.tensor, maps, true);
  if (!found) return null;
  const { nodes, read } = found;
  const shapes = read.map((name) => maps.get(name));
  const rows = Math.max(...shapes.map((each) => each.rows));
  const columns = Math.max(...shapes.map((each) => each.columns));
  if (shapes.some((each) => rows % each.rows || columns % each.columns)) return null;
  const inner = nodes.flatMap((each) => [...each.inputs, ...each.outputs]);
  const tensors = [...new Set(inner)].filter((name) => name && !graph.constants.has(name));
  const layer = shapes
    .map((each) => each.layer)
    .reverse()
    .join(" and ");
  return { graph, nodes, end: plan.end, maps: read, layer, parts: plan.parts, tensors };
}

/** The nodes of a head from its end back, and the maps it reads: those of one layer, that all paths
 * lead to, or of several, which are pooled or cut up. Null where a node has no rule. */
function walked(graph, end, maps, several) {
  const pending = new Set([end]);
  const read = new Set();
  const nodes = [];
  for (const node of [...graph.nodes].reverse()) {
    const [last] = pending;
    if (!several && pending.size === 1 && maps.has(last)) return { nodes, read: [last] };
    if (!pending.has(node.outputs[0]) || read.has(node.outputs[0])) continue;
    if (!RULES[node.kind] || scales(node, graph)) return null;
    nodes.push(node);
    pending.delete(node.outputs[0]);
    for (const name of node.inputs) if (name && !graph.constants.has(name)) pending.add(name);
    if (several && READING.includes(node.kind) && maps.has(node.inputs[0])) {
      read.add(node.inputs[0]);
    }
  }
  const done = several && read.size > 0 && [...pending].every((name) => read.has(name));
  return done ? { nodes, read: [...read] } : null;
}

/** Whether an operator multiplies by a constant, of which half the product is no constant's. */
const scales = (node, graph) =>
  node.kind === "Mul" && node.inputs.some((name) => graph.constants.has(name));

/** The split of one face. `values` are those of the head's tensors; `sign` is -1 for a P(real). */
export function split(head, values, sign) {
  const known = new Map([...Object.entries(values), ...head.graph.constants]);
  const signs = head.end.factors.map((factor) => sign * factor);
  const logit = total(known.get(head.end.tensor).values.map((value, i) => signs[i] * value));
  const factors = new Map([[head.end.tensor, array([1, signs.length], signs)]]);
  let constant = 0;
  for (const node of head.nodes) {
    const given = factors.get(node.outputs[0]);
    factors.delete(node.outputs[0]);
    for (const [name, factor] of RULES[node.kind](node, given, known)) {
      if (head.graph.constants.has(name)) {
        const held = known.get(name).values;
        constant += total(factor.values.map((value, i) => value * held[i]));
      } else {
        const before = factors.get(name);
        factors.set(
          name,
          before
            ? array(
                factor.shape,
                factor.values.map((v, i) => v + before.values[i]),
              )
            : factor,
        );
      }
    }
  }
  const summands = head.maps.map((name) => cellsOf(factors.get(name), known.get(name).values));
  const rows = Math.max(...summands.map((each) => each.length));
  const columns = Math.max(...summands.map((each) => each[0].length));
  // a coarse cell's summand is shared out evenly among the fine cells under it
  const cells = Array.from({ length: rows }, (_, y) =>
    Array.from({ length: columns }, (__, x) =>
      total(
        summands.map((each) => {
          const [high, wide] = [rows / each.length, columns / each[0].length];
          return each[Math.floor(y / high)][Math.floor(x / wide)] / (high * wide);
        }),
      ),
    ),
  );
  const { shares, bias } = sharesOf(head, known, signs, logit);
  return {
    logit,
    shares,
    bias,
    cells,
    constant,
    layer: head.layer,
    adds_up_to: total(shares.map((share) => share.value)) + bias,
  };
}

/** What the cells of some maps add: their numbers times the factors of these. */
function cellsOf(factor, held) {
  const [, filters, rows, columns] = factor.shape;
  return Array.from({ length: rows }, (_, y) =>
    Array.from({ length: columns }, (__, x) => {
      let sum = 0;
      for (let k = 0; k < filters; k += 1) {
        const at = (k * rows + y) * columns + x;
        sum += factor.values[at] * held[at];
      }
      return sum;
    }),
  );
}

/** What a Concat puts side by side, those before it among them taken apart. */
const joined = (node, before) =>
  node.inputs.flatMap((name) =>
    before.get(name)?.kind === "Concat" ? joined(before.get(name), before) : [name],
  );

/** What the last dense layer adds up. */
function sharesOf(head, known, signs, logit) {
  const [node] = head.nodes;
  if (node.kind !== "Gemm") return { shares: [{ name: "all", value: logit }], bias: 0 };
  const weights = weightsOf(node, known);
  const read = known.get(node.inputs[0]).values;
  const summands = weights.map(
    (row, i) => total(row.map((value, k) => value * signs[k])) * read[i],
  );
  const bias = node.inputs[2]
    ? total(known.get(node.inputs[2]).values.map((value, k) => value * signs[k]))
    : 0;
  const before = new Map(head.nodes.map((each) => [each.outputs[0], each]));
  let source = before.get(node.inputs[0]);
  if (source && PASSING_ZERO.includes(source.kind)) source = before.get(source.inputs[0]);
  if (source && source.kind === "Gemm") {
    return { shares: summands.map((value, unit) => ({ name: `unit ${unit + 1}`, value })), bias };
  }
  if (source && source.kind === "Concat") {
    let first = 0;
    const parts = joined(source, before);
    const named = head.parts.length === parts.length;
    const shares = parts.map((name, n) => {
      const size = known.get(name).shape[1];
      const value = total(summands.slice(first, first + size));
      first += size;
      return { name: named ? head.parts[n] : `part ${n + 1}`, value };
    });
    return { shares, bias };
  }
  return { shares: [{ name: "all features", value: total(summands) }], bias };
}

// --- arrays

const total = (values) => values.reduce((sum, value) => sum + value, 0);
const size = (shape) => shape.reduce((product, side) => product * side, 1);
const array = (shape, values) => ({ shape, values: Float64Array.from(values) });
const steps = (shape) => shape.map((_, axis) => size(shape.slice(axis + 1)));

/** Place by place: `visit(index, at)` with the index along each axis. */
function each(shape, visit) {
  const index = shape.map(() => 0);
  for (let at = 0; at < size(shape); at += 1) {
    visit(index, at);
    for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
      index[axis] += 1;
      if (index[axis] < shape[axis]) break;
      index[axis] = 0;
    }
  }
}

/** A new array whose value at an index is `pick(index)`. */
function made(shape, pick) {
  const values = new Float64Array(size(shape));
  each(shape, (index, at) => {
    values[at] = pick(index);
  });
  return { shape, values };
}

function at(from, index) {
  const by = steps(from.shape);
  let place = 0;
  for (let axis = 0; axis < by.length; axis += 1) place += by[axis] * index[axis];
  return from.values[place];
}

/** The value that an array, stretched to more numbers, has at an index. */
const stretched = (from, index) =>
  at(
    from,
    from.shape.map((side, axis) => (side > 1 ? index[axis + index.length - from.shape.length] : 0)),
  );

/** Factors of what was stretched to more numbers, added up. */
function summed(factor, shape) {
  const extra = factor.shape.length - shape.length;
  const found = { shape, values: new Float64Array(size(shape)) };
  const by = steps(shape);
  each(factor.shape, (index, place) => {
    let to = 0;
    for (let axis = 0; axis < shape.length; axis += 1) {
      if (shape[axis] > 1) to += by[axis] * index[axis + extra];
    }
    found.values[to] += factor.values[place];
  });
  return found;
}

/** Rows of (inputs, units). */
function weightsOf(node, known) {
  const { shape, values } = known.get(node.inputs[1]);
  const [inputs, units] = node.attributes.transB ? [shape[1], shape[0]] : shape;
  return Array.from({ length: inputs }, (_, i) =>
    Array.from({ length: units }, (__, k) =>
      node.attributes.transB ? values[k * inputs + i] : values[i * units + k],
    ),
  );
}

// --- one rule an operator: from the factors of its output to those of what it reads

const same = (node, factor, known) => [
  [node.inputs[0], { shape: known.get(node.inputs[0]).shape, values: factor.values }],
];

function activation(node, factor, known) {
  const [before, after] = [known.get(node.inputs[0]), known.get(node.outputs[0])];
  const values = factor.values.map((value, i) =>
    before.values[i] === 0 ? 0 : (value * after.values[i]) / before.values[i],
  );
  return [[node.inputs[0], { shape: before.shape, values }]];
}

function averages(node, factor, known) {
  const { shape } = known.get(node.inputs[0]);
  let axes = shape.map((_, axis) => axis).slice(2);
  if (node.kind === "ReduceMean") {
    const named = node.inputs[1]
      ? [...known.get(node.inputs[1]).values]
      : node.attributes.axes || shape.keys();
    axes = [...named].map((axis) => (axis + shape.length) % shape.length);
  }
  const keptShape = shape.map((side, axis) => (axes.includes(axis) ? 1 : side));
  const kept = { shape: keptShape, values: factor.values };
  const many = size(axes.map((axis) => shape[axis]));
  return [
    [
      node.inputs[0],
      made(
        shape,
        (index) =>
          at(
            kept,
            index.map((place, axis) => (axes.includes(axis) ? 0 : place)),
          ) / many,
      ),
    ],
  ];
}

function slice(node, factor, known) {
  const { shape } = known.get(node.inputs[0]);
  const [starts, ends, axes] = [1, 2, 3].map((n) => [...known.get(node.inputs[n]).values]);
  const from = shape.map(() => 0);
  const to = [...shape];
  axes.forEach((axis, n) => {
    const bound = (value) =>
      Math.max(0, Math.min(shape[axis], value < 0 ? value + shape[axis] : value));
    [from[axis], to[axis]] = [bound(starts[n]), bound(ends[n])];
  });
  return [
    [
      node.inputs[0],
      made(shape, (index) =>
        index.every((place, axis) => place >= from[axis] && place < to[axis])
          ? at(
              factor,
              index.map((place, axis) => place - from[axis]),
            )
          : 0,
      ),
    ],
  ];
}

function concat(node, factor, known) {
  const { axis } = node.attributes;
  let first = 0;
  return added(
    node.inputs.map((name) => {
      const { shape } = known.get(name);
      const start = first;
      first += shape[axis];
      return [
        name,
        made(shape, (index) =>
          at(
            factor,
            index.map((place, n) => (n === axis ? place + start : place)),
          ),
        ),
      ];
    }),
  );
}

/** A tensor that an operator reads twice gets both factors. */
function added(found) {
  const sums = new Map();
  for (const [name, factor] of found) {
    const before = sums.get(name);
    sums.set(
      name,
      before
        ? array(
            factor.shape,
            factor.values.map((v, i) => v + before.values[i]),
          )
        : factor,
    );
  }
  return [...sums];
}

const RULES = {
  Add: (node, factor, known) =>
    added(node.inputs.map((name) => [name, summed(factor, known.get(name).shape)])),
  Sub: (node, factor, known) =>
    added(
      node.inputs.map((name, n) => {
        const { shape, values } = summed(factor, known.get(name).shape);
        return [name, { shape, values: n ? values.map((value) => -value) : values }];
      }),
    ),
  BatchNormalization: (node, factor, known) => {
    const [tensor, scale, shift, mean, variance] = node.inputs;
    const { shape } = factor;
    const channels = size(shape.slice(2));
    const epsilon = node.attributes.epsilon ?? 1e-5;
    const slope = [...known.get(scale).values].map(
      (value, c) => value / Math.sqrt(known.get(variance).values[c] + epsilon),
    );
    const channel = (place) => Math.floor(place / channels) % shape[1];
    const sums = slope.map(() => 0);
    factor.values.forEach((value, place) => {
      sums[channel(place)] += value;
    });
    return [
      [
        tensor,
        { shape, values: factor.values.map((value, place) => value * slope[channel(place)]) },
      ],
      [shift, array([slope.length], sums)],
      [
        mean,
        array(
          [slope.length],
          sums.map((sum, c) => -sum * slope[c]),
        ),
      ],
    ];
  },
  Concat: concat,
  Gemm: (node, factor, known) => {
    const weights = weightsOf(node, known);
    const found = [
      [
        node.inputs[0],
        array(
          [1, weights.length],
          weights.map((row) => total(row.map((value, k) => value * factor.values[k]))),
        ),
      ],
    ];
    if (node.inputs[2])
      found.push([
        node.inputs[2],
        { shape: known.get(node.inputs[2]).shape, values: factor.values },
      ]);
    return found;
  },
  Flatten: same,
  Identity: same,
  Mul: (node, factor, known) =>
    added(
      node.inputs.map((name, n) => {
        const other = known.get(node.inputs[1 - n]);
        const half = made(
          factor.shape,
          (index) => (at(factor, index) * stretched(other, index)) / 2,
        );
        return [name, summed(half, known.get(name).shape)];
      }),
    ),
  Reshape: same,
  Squeeze: same,
  GlobalAveragePool: averages,
  ReduceMean: averages,
  Slice: slice,
  Transpose: (node, factor, known) => [
    [
      node.inputs[0],
      made(known.get(node.inputs[0]).shape, (index) =>
        at(
          factor,
          node.attributes.perm.map((axis) => index[axis]),
        ),
      ),
    ],
  ],
  ...Object.fromEntries(PASSING_ZERO.map((kind) => [kind, activation])),
};
