"""Makes a mesovid model of a detector that was exported to ONNX elsewhere, say from PyTorch.

Nothing in the file is run before it is known to be one graph of standard operators with its weights
inside.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import GraphProto, TensorProto

from mesovid import onnx_file
from mesovid.errors import ModelError
from mesovid.models.card import FOREIGN, ModelCard, check_name, model_files, sha256_of
from mesovid.models.classifier import Classifier, load_model
from mesovid.pool import within
from mesovid.records import Pixels
from mesovid.settings import Channels, Colour, Geometry, Layout, RuntimeSettings, Scores

INPUT_TYPES = {
    TensorProto.UINT8: "uint8",
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
}
BYTES = (0.0, 255.0)
TRIAL_MEMORY = 4096  # MiB that a network may take over those probes
PROBES = 4  # crops of noise that the network is tried on
LAST_OPERATORS: dict[tuple[str, int], Scores] = {
    ("Sigmoid", 1): "probability",
    ("Softmax", 2): "probabilities",
}


def import_onnx(
    file: str | Path,
    *,
    output: Literal["fake", "real"],
    geometry: Geometry,
    folder: str | Path = ".",
    name: str | None = None,
    scores: Scores | None = None,
    colour: Colour = "RGB",
    input_range: tuple[float, float] | None = None,
    mean: Channels = (0.0, 0.0, 0.0),
    deviation: Channels = (1.0, 1.0, 1.0),
    layout: Layout | None = None,
) -> ModelCard:
    """Copy a detector's .onnx file to `folder` and write its card.

    It is then scanned with, evaluated and calibrated as any other model.

    `output` is the class whose number the network gives; of two, which the second one is. `scores`,
    `layout` and the geometry's size are read off the graph where it says them; what it says wins
    over `geometry.size`. `input_range` is 0 to 1 where none is given, and 0 to 255 for a network
    that takes bytes. Raises ModelError for a file that is damaged, keeps weights in other files,
    needs operators of its own, or does not take pictures of faces.
    """
    file = Path(file)
    model = onnx_file.read(file)
    onnx_file.check_graph(model, file)
    graph = model.graph
    check_name(name or file.stem)
    taken = _input(graph, file)
    found_layout, size = _shape(taken, layout, geometry.size, file)
    bytes_ = taken.type.tensor_type.elem_type == TensorProto.UINT8
    if bytes_ and (input_range or BYTES) != BYTES:
        raise ModelError(f"{file} takes bytes, 0 to 255; leave the range out")
    card = ModelCard(
        name=name or file.stem,
        summary=f"imported from {file.name}",
        architecture=FOREIGN,
        parameters=sum(int(np.prod(each.dims)) for each in graph.initializer),
        geometry=replace(geometry, size=size),
        colour=colour,
        input_range=input_range or (BYTES if bytes_ else (0.0, 1.0)),
        mean=mean,
        deviation=deviation,
        layout=found_layout,
        scores=scores or _kind(graph, file),
        output=output,
        rule="not chosen on data: one half, no uncertain band",
        sha256={"onnx": sha256_of(file)},
        training={"imported": {"file": file.name, "sha256": sha256_of(file)}},
        licence="that of the imported network",
        limits="Trained elsewhere; never measured or calibrated by mesovid.",
    ).checked()
    with model_files(Path(folder), card.name, (".json", ".onnx")) as work:
        (work / f"{card.name}.onnx").write_bytes(file.read_bytes())
        card.write(work)
        _try(work / f"{card.name}.json")
    return card


def _input(graph: GraphProto, file: Path) -> onnx.ValueInfoProto:
    """The one input that is no weight."""
    weights = {each.name for each in graph.initializer}
    inputs = [each for each in graph.input if each.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(each.name for each in inputs) or "none"
        raise ModelError(
            f"{file} has {len(inputs)} inputs ({names}); a face detector has one, the picture of "
            "a face"
        )
    kind = inputs[0].type.tensor_type.elem_type
    if kind not in INPUT_TYPES:
        known = ", ".join(INPUT_TYPES.values())
        raise ModelError(
            f"{file} takes {TensorProto.DataType.Name(kind).lower()} values; it must be one of "
            f"{known}"
        )
    taken: onnx.ValueInfoProto = inputs[0]
    return taken


def _shape(
    taken: onnx.ValueInfoProto, asked: Layout | None, size: int, file: Path
) -> tuple[Layout, int]:
    """The layout and the side of a network's pictures, as far as its graph says them."""
    dims = [dim.dim_value or None for dim in taken.type.tensor_type.shape.dim]  # None: any
    shown = "x".join("any" if dim is None else str(dim) for dim in dims)
    if len(dims) != 4:
        raise ModelError(
            f"{file} takes {shown or 'single numbers'}; it must take pictures of faces, such as "
            "any x3x224x224"
        )
    colours: dict[Layout, int | None] = {"NCHW": dims[1], "NHWC": dims[3]}
    fits = [layout for layout, count in colours.items() if count in (3, None)]
    known = [layout for layout, count in colours.items() if count == 3]
    found = asked or (known[0] if len(known) == 1 else None)
    if found is None:
        raise ModelError(
            f"{file} takes {shown}, which does not tell its layout; give --layout NCHW or NHWC"
        )
    if found not in fits:
        raise ModelError(f"{file} takes {shown}, which is not {found} with three colours")
    sides = {dim for dim in (dims[2:] if found == "NCHW" else dims[1:3]) if dim is not None}
    if len(sides) > 1:
        raise ModelError(f"{file} takes {shown}; faces are cut square")
    return found, sides.pop() if sides else size


def _kind(graph: GraphProto, file: Path) -> Scores:
    """What the first output is, by its shape and the operator that it comes from."""
    shape = graph.output[0].type.tensor_type.shape.dim
    columns = shape[-1].dim_value if len(shape) > 1 else 1
    last = next((node for node in graph.node if graph.output[0].name in node.output), None)
    if columns not in (1, 2):
        raise ModelError(
            f"{file} gives {columns or 'an unknown number of'} numbers a face; a detector of fakes "
            "gives one or two (say which with --scores if the graph does not)"
        )
    known = LAST_OPERATORS.get((last.op_type if last else "", columns))
    return known or ("logit" if columns == 1 else "logits")


def _try(card: Path) -> None:
    """Run the network as a scan would."""
    with within(TRIAL_MEMORY):
        _tried(load_model(card, RuntimeSettings(device="cpu")), card)


def _tried(classifier: Classifier, card: Path) -> None:
    size = classifier.card.geometry.size
    noise: Pixels = np.random.default_rng(0).integers(
        0, 256, (PROBES, size, size, 3), dtype=np.uint8
    )
    try:
        scored = classifier.raw(noise)
        again = classifier.raw(noise[:1])
    except MemoryError as error:
        raise ModelError(
            f"{card.stem} takes too much memory for {PROBES} faces of {size} px"
        ) from error
    if abs(float(scored[0] - again[0])) > 1e-3:
        raise ModelError(
            f"{card.stem} scores a face differently alone ({again[0]:.3f}) and beside others "
            f"({scored[0]:.3f}); export it for inference (model.eval()), without batch statistics"
        )
