"""How one number of a map came about: what a filter read, its products, and what the stages behind
it made of the sum.

The sums are made here, from the weights of the file and what the layer before it gave, so that they
can be held against what the network says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mesovid.explain.graph import Graph, Node
from mesovid.explain.layers import Laid
from mesovid.records import Arithmetic, Region, Stage, Step, Term

Array = npt.NDArray[Any]
Span = tuple[int, int]  # first and last index, both included

_POOLS = ("AveragePool", "MaxPool")
# what gives each place of a map from the same place of its inputs
_PLACEWISE = frozenset(
    [
        "Add", "BatchNormalization", "Cast", "Clip", "Concat", "Div", "Dropout", "Elu",
        "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Mul", "PRelu", "Relu", "Sigmoid",
        "Sub", "Tanh",
    ]
)  # fmt: skip
_LAYOUTS = ((0, 3, 1, 2), (0, 2, 3, 1))  # channels brought to the front, or to the end


def tensors_for(graph: Graph, laid: Laid) -> tuple[str, ...]:
    """What must be known of a face for the arithmetic of a layer.

    ValueError for a layer that multiplies nothing.
    """
    node = _maker(graph, laid.tensors["raw"])
    if node is None or node.kind not in ("Conv", "Gemm") or laid.kernel is None:
        raise ValueError(f"{laid.layer.name} ({laid.layer.kind}) has no filters to apply")
    return tuple(dict.fromkeys([node.inputs[0], *_flattened(graph, node), *laid.tensors.values()]))


def arithmetic(
    graph: Graph,
    laid: Laid,
    values: Mapping[str, Array],
    filter_: int,
    row: int,
    column: int,
    size: int,
) -> Arithmetic:
    """The arithmetic of one number of a layer's raw map.

    `values` are those of `tensors_for`, of one face; `size` is the side of a crop in px. ValueError
    for a place outside of the map.
    """
    raw = values[laid.tensors["raw"]][0]
    sides = raw.shape if raw.ndim == 3 else (len(raw), 1, 1)
    for name, number, side in zip(
        ("map", "row", "column"), (filter_, row, column), sides, strict=True
    ):
        if not 0 <= number < side:
            raise ValueError(f"{name} {number} of {laid.layer.name}: it has 0 to {side - 1}")
    node = _maker(graph, laid.tensors["raw"])
    assert node is not None  # `tensors_for` has looked
    terms = (_dense if node.kind == "Gemm" else _convolved)(
        graph, node, values, filter_, row, column
    )
    bias = float(graph.constants[node.inputs[2]].ravel()[filter_]) if len(node.inputs) > 2 else 0.0
    reach = reach_of(graph, laid.tensors["raw"], (row, column), size)
    return Arithmetic(
        laid.layer,
        filter_,
        row,
        column,
        terms,
        bias,
        sum(term.value for term in terms) + bias,
        _steps(graph, laid, values, filter_, row, column),
        reach,
    )


def reach_of(graph: Graph, tensor: str, place: tuple[int, int], size: int) -> Region:
    """The part of a crop, in px, that a place of a map depends on; all of it for units."""
    makers = {name: node for node in graph.nodes for name in node.outputs}
    whole = ((0, size - 1), (0, size - 1))
    needed: dict[str, tuple[Span, Span] | None] = {
        tensor: ((place[0], place[0]), (place[1], place[1]))
    }
    found: tuple[Span, Span] | None = None
    for node in reversed(graph.nodes):
        wanted = [needed.pop(name) for name in node.outputs if name in needed]
        if not wanted:
            continue
        spans = wanted[0]
        for name in node.inputs[: 1 if node.kind in ("Conv", *_POOLS) else None]:
            if not name or name in graph.constants:
                continue
            before = _before(node, graph, spans)
            needed[name] = _joined(needed[name], before) if name in needed else before
            if name not in makers:
                found = _joined(found, needed[name]) if found else needed[name] or whole
    rows, columns = found or whole
    top, left = max(rows[0], 0), max(columns[0], 0)
    return Region(left, top, min(columns[1], size - 1) + 1, min(rows[1], size - 1) + 1)


# --- sums -----------------------------------------------------------------------------------------


def _convolved(
    graph: Graph, node: Node, values: Mapping[str, Array], filter_: int, row: int, column: int
) -> tuple[Term, ...]:
    maps = values[node.inputs[0]][0]
    kernel = graph.constants[node.inputs[1]][filter_]  # (inputs, rows, columns)
    group = int(node.attributes.get("group", 1))
    first = filter_ * group // graph.constants[node.inputs[1]].shape[0] * len(kernel)
    (top, left), steps, dilations = _window(node, kernel.shape[1:], maps.shape[1:])
    ys = row * steps[0] - top + dilations[0] * np.arange(kernel.shape[1])
    xs = column * steps[1] - left + dilations[1] * np.arange(kernel.shape[2])
    inside = ((ys >= 0) & (ys < maps.shape[1]))[:, None] & ((xs >= 0) & (xs < maps.shape[2]))
    clipped = np.ix_(ys.clip(0, maps.shape[1] - 1), xs.clip(0, maps.shape[2] - 1))
    found = []
    for number, weights in enumerate(kernel):
        patch = np.where(inside, maps[first + number][clipped], 0).astype(np.float64)
        found.append(_term(first + number, patch, weights, (int(ys[0]), int(xs[0]))))
    return tuple(found)


def _dense(
    graph: Graph, node: Node, values: Mapping[str, Array], unit: int, _row: int, _column: int
) -> tuple[Term, ...]:
    read = np.asarray(values[node.inputs[0]][0], np.float64)
    weights = graph.constants[node.inputs[1]]
    column = np.asarray((weights if node.attributes.get("transB") else weights.T)[unit])
    shape: tuple[int, ...] = (len(read), 1, 1)
    channels_last = False
    for name in _flattened(graph, node):
        if values[name][0].size == read.size:
            shape = values[name][0].shape
            before = _maker(graph, name)
            channels_last = before is not None and _perm(before) == _LAYOUTS[1]
    maps, kernels = read.reshape(shape), column.reshape(shape)
    if channels_last:
        maps, kernels = np.moveaxis(maps, -1, 0), np.moveaxis(kernels, -1, 0)
    return tuple(
        _term(number, patch, own, (0, 0))
        for number, (patch, own) in enumerate(zip(maps, kernels, strict=True))
    )


def _term(source: int, patch: Array, weights: Array, place: tuple[int, int]) -> Term:
    own = np.asarray(weights, np.float64)
    return Term(source, place, patch, own, float((patch * own).sum()))


def _flattened(graph: Graph, node: Node) -> tuple[str, ...]:
    """The maps that a dense layer reads one after the other, where it does."""
    before = _maker(graph, node.inputs[0]) if node.kind == "Gemm" else None
    return (before.inputs[0],) if before is not None and before.kind == "Flatten" else ()


# --- stages ---------------------------------------------------------------------------------------


def _steps(
    graph: Graph, laid: Laid, values: Mapping[str, Array], filter_: int, row: int, column: int
) -> tuple[Step, ...]:
    found: list[Step] = []
    before: Array | None = None
    place: tuple[int, int] | None = (row, column)
    for stage, tensor in laid.tensors.items():
        maps = values[tensor][0]
        own = maps[filter_] if maps.ndim == 3 else maps[filter_].reshape(1, 1)
        node = _maker(graph, tensor)
        if node is not None and node.kind in _POOLS and before is not None:
            step, place = _pooled(stage, node, before, own, place)
        else:
            numbers = _normalising(graph, node, filter_) if node is not None else {}
            value = float(own[place]) if place is not None else None
            step = Step(stage, node.kind if node else "", value, place, numbers)
        found.append(step)
        if place is None:
            break
        before = own
    return tuple(found)


def _pooled(
    stage: Stage, node: Node, before: Array, own: Array, place: tuple[int, int] | None
) -> tuple[Step, tuple[int, int] | None]:
    """The pooled number that a place went into, and which place of its window won."""
    assert place is not None
    kernel = tuple(int(side) for side in node.attributes["kernel_shape"])
    pads, steps, _ = _window(node, kernel, before.shape)
    cell = []
    for axis in range(2):
        first = -(-(place[axis] + pads[axis] - kernel[axis] + 1) // steps[axis])
        cell.append(max(first, 0))
    if (
        cell[0] >= own.shape[0]
        or cell[1] >= own.shape[1]
        or any(cell[axis] * steps[axis] - pads[axis] > place[axis] for axis in range(2))
    ):
        return Step(stage, node.kind, None, None, {}), None  # at an edge that no window covers
    tops = [max(cell[axis] * steps[axis] - pads[axis], 0) for axis in range(2)]
    ends = [cell[axis] * steps[axis] - pads[axis] + kernel[axis] for axis in range(2)]
    window = before[tops[0] : ends[0], tops[1] : ends[1]]
    numbers: dict[str, float] = {}
    if node.kind == "MaxPool":
        y, x = np.unravel_index(int(window.argmax()), window.shape)
        numbers = {"winner_row": tops[0] + int(y), "winner_column": tops[1] + int(x)}
    where = (cell[0], cell[1])
    return Step(stage, node.kind, float(own[where]), where, numbers), where


def _normalising(graph: Graph, node: Node | None, filter_: int) -> dict[str, float]:
    if node is None or node.kind != "BatchNormalization":
        return {}
    names = ("scale", "shift", "mean", "variance")
    values = {
        name: float(graph.constants[tensor][filter_])
        for name, tensor in zip(names, node.inputs[1:5], strict=True)
        if tensor in graph.constants
    }
    return values | {"epsilon": float(node.attributes.get("epsilon", 1e-5))}


# --- places ---------------------------------------------------------------------------------------


def _before(node: Node, graph: Graph, spans: tuple[Span, Span] | None) -> tuple[Span, Span] | None:
    """Which places of its input a node reads for some of its output's; None: all."""
    if spans is None:
        return None
    if node.kind == "Conv" or node.kind in _POOLS:
        kernel = (
            graph.constants[node.inputs[1]].shape[2:]
            if node.kind == "Conv" and node.inputs[1] in graph.constants
            else node.attributes.get("kernel_shape")
        )
        if kernel is None:
            return None
        pads, steps, dilations = _window(node, kernel, None)
        rows, columns = (
            (
                spans[axis][0] * steps[axis] - pads[axis],
                spans[axis][1] * steps[axis] - pads[axis] + dilations[axis] * (kernel[axis] - 1),
            )
            for axis in range(2)
        )
        return rows, columns
    return spans if node.kind in _PLACEWISE or _perm(node) in _LAYOUTS else None


def _joined(a: tuple[Span, Span] | None, b: tuple[Span, Span] | None) -> tuple[Span, Span] | None:
    if a is None or b is None:
        return None
    (at, ab), (al, ar) = a
    (bt, bb), (bl, br) = b
    return (min(at, bt), max(ab, bb)), (min(al, bl), max(ar, br))


def _window(
    node: Node, kernel: Sequence[int], sides: Sequence[int] | None
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """How a kernel moves over its input: what is added at top and left, steps, dilations."""
    steps = _two(node.attributes.get("strides"), 1)
    dilations = _two(node.attributes.get("dilations"), 1)
    pads = [int(side) for side in node.attributes.get("pads") or (0, 0, 0, 0)]
    auto = node.attributes.get("auto_pad", b"NOTSET")
    auto = auto.decode() if isinstance(auto, bytes) else str(auto)
    if auto.startswith("SAME"):
        for axis in range(2):
            reach = dilations[axis] * (kernel[axis] - 1) + 1
            side = sides[axis] if sides is not None else steps[axis]
            spare = max((-(-side // steps[axis]) - 1) * steps[axis] + reach - side, 0)
            pads[axis] = spare // 2 if auto == "SAME_UPPER" else -(-spare // 2)
    return (pads[0], pads[1]), steps, dilations


def _two(values: Sequence[int] | None, default: int) -> tuple[int, int]:
    return (int(values[0]), int(values[1])) if values else (default, default)


def _perm(node: Node) -> tuple[int, ...] | None:
    return tuple(node.attributes.get("perm", ())) if node.kind == "Transpose" else None


def _maker(graph: Graph, tensor: str) -> Node | None:
    return next((node for node in graph.nodes if tensor in node.outputs), None)
