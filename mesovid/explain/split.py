"""How a logit came about: exactly, by walking back from it through a head that is linear for the
face in hand.

A head of dense layers, means over regions and piecewise linear activations multiplies each number
of the last maps by some factor and adds constants: the factor of an activation, or of a root, is
its output over its input. Of a product each side is a factor of half of the other. So the logit is
a sum over the maps' cells, and no gradient is needed. A head may read maps of several strides: a
coarse cell's summand is then shared out evenly among the fine cells under it. Where a head holds
anything else, there is no split.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mesovid.explain.graph import Graph, Node
from mesovid.explain.layers import End, Laid
from mesovid.records import Share, Split

Array = npt.NDArray[np.float64]

# what reads maps as numbers, or a part of them
_READING = ("Flatten", "GlobalAveragePool", "ReduceMean", "Reshape", "Slice", "Transpose")
# f(0) is 0, so that for one input f(x) = factor x x
_PASSING_ZERO = ("Clip", "Elu", "HardSwish", "LeakyRelu", "Relu", "Sqrt", "Tanh")


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """What lies between the last maps and the logit."""

    graph: Graph
    nodes: tuple[Node, ...]  # from the logit back
    end: End
    maps: tuple[str, ...]  # tensors (1, filters, rows, columns), the latest first
    layer: str  # whose maps they are
    parts: tuple[str, ...]  # names of the parts that are read side by side, where there are some

    @property
    def tensors(self) -> tuple[str, ...]:
        """What must be known of a face to split its logit."""
        inner = [name for node in self.nodes for name in (*node.inputs, *node.outputs)]
        return tuple(
            dict.fromkeys(name for name in inner if name and name not in self.graph.constants)
        )


def head_of(
    graph: Graph, laid: tuple[Laid, ...], end: End | None, parts: tuple[str, ...] = ()
) -> Head | None:
    """The head of a network; None when its logit does not split."""
    maps = {
        tensor: (each.layer.name, each.layer.shapes[stage])
        for each in laid
        for stage, tensor in each.tensors.items()
        if len(each.layer.shapes[stage]) == 3
    }
    if end is None:
        return None
    found = _walked(graph, end.tensor, maps) or _walked(graph, end.tensor, maps, several=True)
    if found is None:
        return None
    nodes, read = found
    rows, columns = (max(maps[tensor][1][axis] for tensor in read) for axis in (1, 2))
    if any(rows % maps[tensor][1][1] or columns % maps[tensor][1][2] for tensor in read):
        return None
    layer = " and ".join(maps[tensor][0] for tensor in reversed(read))
    return Head(graph, nodes, end, read, layer, parts)


def _walked(
    graph: Graph, end: str, maps: Container[str], *, several: bool = False
) -> tuple[tuple[Node, ...], tuple[str, ...]] | None:
    """The nodes of a head from its end back, and the maps it reads: those of one layer, that all
    paths lead to, or of `several`, which are pooled or cut up. None where a node has no rule.
    """
    pending: set[str] = {end}
    read: list[str] = []
    nodes: list[Node] = []
    for node in reversed(graph.nodes):
        if not several and len(pending) == 1 and (last := next(iter(pending))) in maps:
            return tuple(nodes), (last,)
        if node.outputs[0] not in pending or node.outputs[0] in read:
            continue
        if node.kind not in _RULES or _scales(node, graph):
            return None
        nodes.append(node)
        pending.remove(node.outputs[0])
        pending |= {name for name in node.inputs if name and name not in graph.constants}
        if several and node.kind in _READING and node.inputs[0] in maps:
            read.append(node.inputs[0])
    wanted = tuple(dict.fromkeys(read))
    return (tuple(nodes), wanted) if several and read and pending <= set(wanted) else None


def _scales(node: Node, graph: Graph) -> bool:
    """Whether an operator multiplies by a constant, of which half the product is no constant's."""
    return node.kind == "Mul" and any(name in graph.constants for name in node.inputs)


def split(head: Head, values: Mapping[str, npt.NDArray[np.float32]], sign: int = 1) -> Split:
    """The split of one face. `values` are those of `head.tensors`, for one face; `sign` is -1 where
    the network's output is P(real).
    """
    known = {name: np.asarray(array, np.float64) for name, array in values.items()}
    known |= {name: np.asarray(array) for name, array in head.graph.constants.items()}
    signs = sign * np.array([head.end.factors])
    logit = float((signs * known[head.end.tensor]).sum())
    factors: dict[str, Array] = {head.end.tensor: signs}
    constants: list[float] = []
    for node in head.nodes:
        given = factors.pop(node.outputs[0])
        for name, factor in _RULES[node.kind](node, given, known).items():
            if name in head.graph.constants:
                constants.append(float((factor * known[name]).sum()))
            else:
                factors[name] = factors[name] + factor if name in factors else factor
    summands = [(factors[maps] * known[maps])[0].sum(axis=0) for maps in head.maps]
    rows, columns = (max(each.shape[axis] for each in summands) for axis in (0, 1))
    cells = np.sum([_spread(each, rows, columns) for each in summands], axis=0)
    shares, bias = _shares(head, known, signs[0], logit)
    return Split(logit, shares, bias, cells, sum(constants), head.layer)


def _spread(cells: Array, rows: int, columns: int) -> Array:
    """Cells on a finer grid (rows, columns), of the same sum."""
    block = np.ones((rows // cells.shape[0], columns // cells.shape[1]))
    return np.asarray(np.kron(cells, block / block.size))


def _shares(
    head: Head, known: Mapping[str, Array], signs: Array, logit: float
) -> tuple[tuple[Share, ...], float]:
    """What the last dense layer adds up: votes of hidden units, or what it reads of each part of a
    face.
    """
    node = head.nodes[0]
    if node.kind != "Gemm":
        return (Share("all", logit),), 0.0
    summands = (_weights(node, known) @ signs) * known[node.inputs[0]][0]
    bias = float((known[node.inputs[2]] * signs).sum()) if len(node.inputs) > 2 else 0.0
    before = {each.outputs[0]: each for each in head.nodes}
    source = before.get(node.inputs[0])
    if source is not None and source.kind in _PASSING_ZERO:
        source = before.get(source.inputs[0])
    if source is not None and source.kind == "Gemm":
        return tuple(
            Share(f"unit {unit}", float(vote)) for unit, vote in enumerate(summands, 1)
        ), bias
    if source is not None and source.kind == "Concat":
        sizes = [known[name].shape[1] for name in _joined(source, before)]
        values = [part.sum() for part in np.split(summands, np.cumsum(sizes)[:-1])]
        names = (
            head.parts
            if len(head.parts) == len(values)
            else [f"part {n}" for n in range(1, len(values) + 1)]
        )
        return tuple(
            Share(name, float(value)) for name, value in zip(names, values, strict=True)
        ), bias
    return (Share("all features", float(summands.sum())),), bias


def _joined(node: Node, before: Mapping[str, Node]) -> list[str]:
    """What a Concat puts side by side, those before it among them taken apart."""
    found: list[str] = []
    for name in node.inputs:
        inner = before.get(name)
        found += _joined(inner, before) if inner is not None and inner.kind == "Concat" else [name]
    return found


# --- one rule an operator: from the factors of its output to those of its inputs and constants
# -----

_Rule = Callable[[Node, Array, Mapping[str, Array]], dict[str, Array]]


def _dense(node: Node, factor: Array, known: Mapping[str, Array]) -> dict[str, Array]:
    found = {node.inputs[0]: factor @ _weights(node, known).T}
    return found | (
        {node.inputs[2]: factor.reshape(known[node.inputs[2]].shape)}
        if len(node.inputs) > 2
        else {}
    )


def _weights(node: Node, known: Mapping[str, Array]) -> Array:
    """(inputs, units)"""
    weights = np.asarray(known[node.inputs[1]], np.float64)
    return weights.T if node.attributes.get("transB") else weights


def _activation(node: Node, factor: Array, known: Mapping[str, Array]) -> dict[str, Array]:
    before, after = known[node.inputs[0]], known[node.outputs[0]]
    slope = np.divide(after, before, out=np.zeros_like(before), where=before != 0)
    return {node.inputs[0]: factor * slope}


def _flatten(node: Node, factor: Array, known: Mapping[str, Array]) -> dict[str, Array]:
    return {node.inputs[0]: factor.reshape(known[node.inputs[0]].shape)}


def _transpose(node: Node, factor: Array, _known: Mapping[str, Array]) -> dict[str, Array]:
    return {node.inputs[0]: np.transpose(factor, np.argsort(node.attributes["perm"]))}


def _mean(node: Node, factor: Array, known: Mapping[str, Array]) -> dict[str, Array]:
    shape = known[node.inputs[0]].shape
    return {node.inputs[0]: np.broadcast_to(factor / (shape[2] * shape[3]), shape)}


def _reduced_mean(node: Node, factor: Array, known: Mapping[str, Array]) -> dict[str, Array]:
    shape = known[node.inputs[0]].shape
    named = (
        known[node.inputs[1]]
        if len(node.inputs) > 1
        else node.attributes.get("axes", range(len(shape)))
    )
    axes = tuple(int(axis) % len(shape) for axis in named)
    kept = [1 if axis in axes else side for axis, side in enumerate(shape)]
    count = np.prod([shape[axis] for axis in axes])
    return {node.inputs[0]: np.broadcast_to(factor.reshape(kept) / count, shape)}


def _slice(node: Node, factor: Array, known: Mapping[str, Array]) -> dict[str, Array]:
    whole = np.zeros(known[node.inputs[0]].shape)
    starts, ends, axes = (known[name].astype(int) for name in node.inputs[1:4])
    place: list[Any] = [slice(None)] * whole.ndim
    for start, end, axis in zip(starts, ends, axes, strict=True):
        place[axis] = slice(start, end)
    whole[tuple(place)] = factor
    return {node.inputs[0]: whole}


def _concat(node: Node, factor: Array, known: Mapping[str, Array]) -> dict[str, Array]:
    axis = node.attributes["axis"]
    ends = np.cumsum([known[name].shape[axis] for name in node.inputs])[:-1]
    return _added(node, np.split(factor, ends, axis=axis))


def _add(node: Node, factor: Array, known: Mapping[str, Array]) -> dict[str, Array]:
    return _added(node, [_summed(factor, known[name].shape) for name in node.inputs])


def _subtract(node: Node, factor: Array, known: Mapping[str, Array]) -> dict[str, Array]:
    first, second = (_summed(factor, known[name].shape) for name in node.inputs)
    return _added(node, [first, -second])


def _product(node: Node, factor: Array, known: Mapping[str, Array]) -> dict[str, Array]:
    first, second = (known[name] for name in node.inputs)
    factors = [factor * second / 2, factor * first / 2]
    return _added(
        node,
        [_summed(each, known[name].shape) for each, name in zip(factors, node.inputs, strict=True)],
    )


def _added(node: Node, factors: list[Array]) -> dict[str, Array]:
    """A tensor that an operator reads twice gets both factors."""
    found: dict[str, Array] = {}
    for name, factor in zip(node.inputs, factors, strict=True):
        found[name] = found[name] + factor if name in found else factor
    return found


def _summed(factor: Array, shape: tuple[int, ...]) -> Array:
    """Factors of what was stretched to more numbers, added up."""
    if factor.shape == shape:
        return factor
    factor = factor.sum(axis=tuple(range(factor.ndim - len(shape))))
    stretched = tuple(
        axis
        for axis, (wide, side) in enumerate(zip(factor.shape, shape, strict=True))
        if wide != side
    )
    return np.asarray(factor.sum(axis=stretched, keepdims=True))


def _normalise(node: Node, factor: Array, known: Mapping[str, Array]) -> dict[str, Array]:
    tensor, scale, shift, mean, variance = node.inputs
    slope = known[scale] / np.sqrt(known[variance] + node.attributes.get("epsilon", 1e-5))
    channels = (1, -1) + (1,) * (factor.ndim - 2)
    total = factor.sum(axis=tuple(axis for axis in range(factor.ndim) if axis != 1))
    # y = slope x (x - mean) + shift: the mean's factor is less the shift's, by the slope
    return {tensor: factor * slope.reshape(channels), shift: total, mean: -total * slope}


def _same(node: Node, factor: Array, _known: Mapping[str, Array]) -> dict[str, Array]:
    return {node.inputs[0]: factor}


_RULES: dict[str, _Rule] = {
    "Add": _add,
    "BatchNormalization": _normalise,
    "Concat": _concat,
    "Flatten": _flatten,
    "Gemm": _dense,
    "GlobalAveragePool": _mean,
    "Identity": _same,
    "Mul": _product,
    "ReduceMean": _reduced_mean,
    "Reshape": _flatten,
    "Squeeze": _flatten,
    "Slice": _slice,
    "Sub": _subtract,
    "Transpose": _transpose,
    **dict.fromkeys(_PASSING_ZERO, _activation),
}
