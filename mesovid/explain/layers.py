"""What there is to see in a network: its layers by name, and the tensors that hold their maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mesovid.explain.graph import Graph, Node
from mesovid.records import Layer, Stage
from mesovid.settings import Scores

Shapes = Mapping[str, tuple[int, ...]]  # of tensors, without the faces' axis

# operators that a layer takes in as one of its stages when they follow it directly
STAGES: dict[str, Stage] = {
    "Relu": "activated",
    "LeakyRelu": "activated",
    "Elu": "activated",
    "Clip": "activated",
    "HardSigmoid": "activated",
    "HardSwish": "activated",
    "Sigmoid": "activated",
    "Tanh": "activated",
    "AveragePool": "pooled",
    "MaxPool": "pooled",
    "BatchNormalization": "normalised",
}
# these rearrange what is seen elsewhere
_UNSEEN = ("Cast", "Flatten", "Identity", "Reshape", "Slice", "Transpose")
_NAMES = {"Conv": "conv", "Gemm": "dense"}
LOGIT = "logit"


@dataclass(frozen=True, slots=True)
class Laid:
    """A layer, and where in the graph it lies."""

    layer: Layer
    tensors: dict[Stage, str]  # of its stages
    kernel: str | None  # constant that holds what was learned


@dataclass(frozen=True, slots=True)
class End:
    """Where the logit of the class that a network tells stands: numbers of a tensor (1, n), times
    factors, added up.
    """

    tensor: str
    factors: tuple[float, ...]


@dataclass(slots=True)
class _Tracks:
    """Which layers a tensor comes from, and how often each kind of layer was met."""

    sources: dict[str, tuple[str, ...]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def of(self, node: Node) -> tuple[str, ...]:
        found = [name for tensor in node.inputs for name in self.sources.get(tensor, ())]
        return tuple(dict.fromkeys(found))

    def name(self, kind: str) -> str:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return f"{kind}{self.counts[kind]}"


def end_of(graph: Graph, scores: Scores) -> End | None:
    """Where the logit of a network stands; None where it ends otherwise than in one or two numbers
    and their squashing.
    """
    output = graph.outputs[0]
    last = next((node for node in graph.nodes if output in node.outputs), None)
    factors = (1.0,) if scores in ("probability", "logit") else (-1.0, 1.0)
    if scores in ("logit", "logits"):
        return End(output, factors)
    squash = "Sigmoid" if scores == "probability" else "Softmax"
    return End(last.inputs[0], factors) if last is not None and last.kind == squash else None


def layers_of(graph: Graph, shapes: Shapes, logit: str | None) -> tuple[Laid, ...]:
    """The layers in the order of the network. A chain of activation, pooling and normalisation
    belongs to what it follows.
    """
    readers = _readers(graph)
    tracks = _Tracks()
    laid = [_input(graph, shapes, readers, tracks)]
    for node in graph.nodes:
        output = node.outputs[0]
        if output in tracks.sources or (output in graph.outputs and output != logit):
            continue
        if not _is_seen(node, shapes[output]):
            tracks.sources[output] = tracks.of(node)
            continue
        name = LOGIT if output == logit else tracks.name(_NAMES.get(node.kind, node.kind.lower()))
        tensors = _chain(output, graph, readers)
        layer = _layer(name, node, graph, shapes, tensors, tracks.of(node))
        tracks.sources |= dict.fromkeys(tensors.values(), (name,))
        laid.append(Laid(layer, tensors, node.inputs[1] if layer.kernel else None))
    return tuple(laid)


def _readers(graph: Graph) -> dict[str, list[Node]]:
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for tensor in node.inputs:
            readers.setdefault(tensor, []).append(node)
    return readers


def _input(
    graph: Graph, shapes: Shapes, readers: Mapping[str, list[Node]], tracks: _Tracks
) -> Laid:
    """The face itself: channels first, and as the network scales it."""
    tensor = graph.inputs[0]
    while len(readers.get(tensor, ())) == 1 and readers[tensor][0].kind in ("Cast", "Transpose"):
        tracks.sources[tensor] = ("face",)
        tensor = readers[tensor][0].outputs[0]
    tensors = _chain(tensor, graph, readers)
    tracks.sources |= dict.fromkeys(tensors.values(), ("face",))
    sides = {stage: shapes[name] for stage, name in tensors.items()}
    return Laid(Layer("face", "input", 3, 3, None, 1, (), sides), tensors, None)


def _is_seen(node: Node, shape: tuple[int, ...]) -> bool:
    """Whether a node gives maps of more than one pixel, or learned units."""
    return (node.kind == "Gemm" and len(shape) == 1) or (
        len(shape) == 3 and shape[1] * shape[2] > 1 and node.kind not in _UNSEEN
    )


def _chain(tensor: str, graph: Graph, readers: Mapping[str, list[Node]]) -> dict[Stage, str]:
    """A layer's own output and the stages behind it, as long as nothing else reads what lies
    between.
    """
    first: dict[Stage, str] = {"raw": tensor}
    return first | dict(_followers(tensor, graph, readers))


def _followers(
    tensor: str, graph: Graph, readers: Mapping[str, list[Node]]
) -> Iterator[tuple[Stage, str]]:
    met: set[Stage] = set()
    while len(readers.get(tensor, ())) == 1:
        node = readers[tensor][0]
        stage = STAGES.get(node.kind)
        tensor = node.outputs[0]
        if stage is None or stage in met or tensor in graph.outputs:
            return
        met.add(stage)
        yield stage, tensor


def _layer(
    name: str,
    node: Node,
    graph: Graph,
    shapes: Shapes,
    tensors: Mapping[Stage, str],
    sources: tuple[str, ...],
) -> Layer:
    sides = {stage: shapes[tensor] for stage, tensor in tensors.items()}
    filters = sides["raw"][0] if sides["raw"] else 1
    if node.kind == "Conv":
        if node.inputs[1] not in graph.constants:  # computed, as quantised ones are
            return Layer(name, "convolution", filters, 0, None, 1, sources, sides)
        kernel = graph.constants[node.inputs[1]].shape
        kind = (
            "depthwise" if kernel[1] == 1 and node.attributes.get("group", 1) > 1 else "convolution"
        )
        dilation = int((node.attributes.get("dilations") or [1])[0])
        return Layer(
            name, kind, filters, kernel[1], (kernel[2], kernel[3]), dilation, sources, sides
        )
    if node.kind == "Gemm" and node.inputs[1] in graph.constants:
        inputs = graph.constants[node.inputs[1]].size // filters
        return Layer(name, "dense", filters, inputs, (1, 1), 1, sources, sides)
    return Layer(name, node.kind.lower(), filters, filters, None, 1, sources, sides)
