"""Reads .onnx files of strangers: one graph of standard operators, its weights inside, no loops.

The package `onnx` is slow to import, and a scan does without it: `check_content` looks at the bytes
for what only such files have, and reads the graph where it finds any of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mesovid.errors import ModelError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

LARGEST_FILE = 2**30  # bytes
# what ONNX Runtime brings itself
DOMAINS = frozenset(["", "ai.onnx", "ai.onnx.ml", "com.microsoft"])
LOOPS = frozenset(["Loop", "Scan"])  # they may go on for ever, and no detector of faces needs them
# one of these is in every file that keeps weights elsewhere, or loops
SIGNS = (b"location", b"Loop", b"Scan")


def check_content(content: bytes, path: Path) -> None:
    """ModelError for a network that keeps weights in other files, or has loops."""
    if any(sign in content for sign in SIGNS):
        check_graph(parse(content, path), path)


def read(path: Path) -> ModelProto:
    """The network of a file. ModelError when it is missing, damaged, or none."""
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise ModelError(f"{path} is too large for a face detector ({size:,} bytes)")
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(f"no such file: {path}") from error
    except OSError as error:
        raise ModelError(f"cannot read {path} ({error.strerror})") from error
    return parse(content, path)


def parse(content: bytes, path: Path) -> ModelProto:
    """The network in these bytes, read from `path`."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise ModelError(f"{path} is damaged or no ONNX network") from error
    if not model.graph.node:
        raise ModelError(f"{path} is damaged or no ONNX network: it has no operators")
    if not model.graph.output:
        raise ModelError(f"{path} is damaged or no ONNX network: it gives nothing")
    return model


def check_graph(model: ModelProto, path: Path) -> None:
    """ModelError for a network that needs more than its file and ONNX Runtime, or has loops."""
    from onnx import TensorProto

    own = {(function.domain, function.name) for function in model.functions}
    inside = [model.graph, *model.functions]
    for node in (node for part in inside for node in _nodes(part.node)):
        if node.domain not in DOMAINS and (node.domain, node.op_type) not in own:
            raise ModelError(
                f"{path} needs the operator {node.op_type:.60} of {node.domain!r:.60}, which ONNX"
                " Runtime does not bring; export it with standard operators"
            )
        if node.op_type in LOOPS and (node.domain, node.op_type) not in own:
            raise ModelError(
                f"{path} has the operator {node.op_type}, which may go on for ever; a detector of"
                " faces needs none: export it without loops"
            )
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in _tensors(model)):
        raise ModelError(
            f"{path} keeps weights in another file; save it as one"
            " (PyTorch: torch.onnx.export(..., external_data=False))"
        )


def _nodes(nodes: Sequence[NodeProto]) -> Iterator[NodeProto]:
    """All operators, those inside of branches and loops included."""
    for node in nodes:
        yield node
        for graph in _graphs(node):
            yield from _nodes(graph.node)


def _graphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    graphs = [model.graph]
    for part in [model.graph, *model.functions]:
        for node in _nodes(part.node):
            graphs += _graphs(node)
            for attribute in node.attribute:
                yield from (attribute.t, *attribute.tensors)
                for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                    yield from (sparse.values, sparse.indices)
    for graph in graphs:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
