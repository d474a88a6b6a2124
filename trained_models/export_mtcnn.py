"""Write the mtcnn package's three networks as ONNX files, and check them against the originals.

    python trained_models/export_mtcnn.py trained_models

Needs mtcnn, tensorflow, onnx and onnxruntime. The graphs are built straight from the package's
weight arrays. What differs from the Keras originals is only where the same arithmetic is done:

- Input is RGB uint8 `(n, height, width, 3)`; the scaling (x - 127.5) / 128 is folded into the first
  convolution.
- The two-way softmax is the sigmoid of the difference of its two inputs.
- The flattening order (width, height, channel) is folded into the rows of the dense weights.
- A PReLU of slope a is a x + (1 - a) relu(x), as two convolutions of one weight a channel. ONNX
  Runtime's own PRelu operator takes half of the time of each network; these forms are fused with
  what stands around them.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[np.float32]

OPSET = 17
IR_VERSION = 8  # read by every onnxruntime from 1.12 on
TOLERANCE = 2e-4  # largest difference of any output between the two, absolute


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, build in (
        ("pnet", proposal_network),
        ("rnet", refinement_network),
        ("onet", output_network),
    ):
        path = folder / f"mtcnn-{name}.onnx"
        onnx.save(build(package_weights(name)), path)
        print(
            f"{path.name}: {path.stat().st_size / 1e3:.0f} kB, largest difference "
            f"{largest_difference(name, path):.1e}"
        )
    (licence,) = (file for file in distribution("mtcnn").files or () if file.name == "LICENSE")
    notice = f"The networks mtcnn-*.onnx are those of the mtcnn package {mtcnn_version()}:\n\n"
    (folder / "MTCNN-LICENSE.txt").write_text(notice + licence.read_text(), encoding="utf-8")


def proposal_network(weights: list[Array]) -> onnx.ModelProto:
    """P-Net: images of any size -> face probability and box offsets.

    They are `(n, rows, columns)` and `(n, 4, rows, columns)`.
    """
    graph = Graph()
    x = graph.images()
    x = pooled_first_block(graph, x, weights)
    x = graph.scaled_prelu(graph.convolution(x, weights[3], weights[4]), weights[5])
    x = graph.convolution(x, scaled_input(weights[6], weights[5]), weights[7])
    x = graph.scaled_prelu(x, weights[8])
    face, face_bias = two_way(weights[11], weights[12])
    kernel = scaled_input(np.concatenate([face, weights[9]], axis=3), weights[8])
    x = graph.convolution(x, kernel, np.concatenate([face_bias, weights[10]]))
    face_only = graph.add("Slice", x, *(graph.constant(np.array([i])) for i in (0, 1, 1)))
    face_only = graph.add("Sigmoid", face_only)
    graph.add("Squeeze", face_only, graph.constant(np.array([1])), output="probability")
    graph.add("Slice", x, *(graph.constant(np.array([i])) for i in (1, 5, 1)), output="offsets")
    return graph.model(
        "pnet",
        side=None,
        outputs={"probability": ["n", "rows", "columns"], "offsets": ["n", 4, "rows", "columns"]},
    )


def pooled_first_block(graph: Graph, x: str, weights: list[Array]) -> str:
    """P-Net's first convolution, PReLU and 2x2 max pooling.

    Pooled before the PReLU: a quarter of the work at full size.

    With m the pooled x and n the pooled -x, the pooled PReLU of slope a is m + (1 - a) relu(-m) for
    a >= 0, and for a < 0, where it is not monotone, max(m, -a n) = m + relu(-a n - m). So the
    channels of negative slope are computed twice, once negated.
    """
    kernel, bias = without_scaling(weights[0], weights[1])
    slope = weights[2].reshape(-1)
    negative = np.flatnonzero(slope < 0)
    kernel = np.concatenate([kernel, -kernel[..., negative]], axis=3)
    pooled = graph.pool(
        graph.convolution(x, kernel, np.concatenate([bias, -bias[negative]])), side=2
    )
    channels = np.diag(np.where(np.arange(kernel.shape[3]) < len(slope), -1.0, 0.0))
    channels[len(slope) + np.arange(len(negative)), negative] = -slope[negative]
    rest = graph.add("Relu", graph.mixture(pooled, channels))
    gain = np.zeros_like(channels)
    gain[np.arange(len(slope)), np.arange(len(slope))] = np.where(slope < 0, 1, 1 - slope)
    both = graph.add("Add", pooled, graph.mixture(rest, gain))
    # a view of the first channels costs a copy; a next layer that ignores the others costs nothing
    weights[3] = np.concatenate([weights[3], np.zeros_like(weights[3][:, :, negative])], axis=2)
    return both


def refinement_network(weights: list[Array]) -> onnx.ModelProto:
    """R-Net: patches of 24 px -> face probability `(n,)`, box offsets `(n, 4)`."""
    graph = Graph()
    x = graph.images()
    x = graph.convolution(x, *without_scaling(weights[0], weights[1]), slope=weights[2])
    x = graph.pool(x, side=3)
    x = graph.convolution(x, weights[3], weights[4], slope=weights[5])
    x = graph.pool(x, side=3, padded=False)
    x = graph.convolution(x, weights[6], weights[7], slope=weights[8])
    x = graph.add("Flatten", x)
    x = graph.dense(x, channels_first(weights[9], side=3), weights[10], slope=weights[11])
    graph.dense(x, weights[12], weights[13], output="offsets")
    graph.probability(x, *two_way(weights[14], weights[15]))
    return graph.model("rnet", side=24, outputs={"probability": ["n"], "offsets": ["n", 4]})


def output_network(weights: list[Array]) -> onnx.ModelProto:
    """O-Net: patches of 48 px -> face probability, box offsets and landmarks.

    They are `(n,)`, `(n, 4)` and `(n, 10)`: five x, five y.
    """
    graph = Graph()
    x = graph.images()
    x = graph.convolution(x, *without_scaling(weights[0], weights[1]), slope=weights[2])
    x = graph.pool(x, side=3)
    x = graph.convolution(x, weights[3], weights[4], slope=weights[5])
    x = graph.pool(x, side=3, padded=False)
    x = graph.convolution(x, weights[6], weights[7], slope=weights[8])
    x = graph.pool(x, side=2)
    x = graph.convolution(x, weights[9], weights[10], slope=weights[11])
    x = graph.add("Flatten", x)
    x = graph.dense(x, channels_first(weights[12], side=3), weights[13], slope=weights[14])
    graph.dense(x, weights[15], weights[16], output="offsets")
    graph.dense(x, weights[17], weights[18], output="landmarks")
    graph.probability(x, *two_way(weights[19], weights[20]))
    return graph.model(
        "onet", side=48, outputs={"probability": ["n"], "offsets": ["n", 4], "landmarks": ["n", 10]}
    )


class Graph:
    """An ONNX graph under construction.

    Every method adds nodes and gives the name of their output.
    """

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"{kind.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, values: npt.NDArray[Any]) -> str:
        name = f"constant{len(self._constants)}"
        kind = np.int64 if values.dtype.kind == "i" else np.float32
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values, kind), name))
        return name

    def images(self) -> str:
        """The input, from uint8 `(n, height, width, 3)` to float `(n, 3, height, width)`."""
        return self.add(
            "Transpose", self.add("Cast", "images", to=TensorProto.FLOAT), perm=[0, 3, 1, 2]
        )

    def convolution(
        self,
        x: str,
        weights: Array,
        bias: Array,
        slope: Array | None = None,
        output: str | None = None,
    ) -> str:
        """Valid convolution, weights `(height, width, in, out)`.

        A PReLU follows if `slope` is given.
        """
        kernel = self.constant(weights.transpose(3, 2, 0, 1))
        x = self.add("Conv", x, kernel, self.constant(bias), output=output)
        return x if slope is None else self.prelu(x, slope.reshape(-1))

    def prelu(self, x: str, slope: Array) -> str:
        above = self.each_channel(self.add("Relu", x), 1 - slope)
        return self.add("Add", above, self.each_channel(x, slope))

    def scaled_prelu(self, x: str, slope: Array) -> str:
        """PReLU divided by (1 - slope), which is one layer less; see `scaled_input`."""
        slope = slope.reshape(-1)
        return self.add("Add", self.add("Relu", x), self.each_channel(x, slope / (1 - slope)))

    def each_channel(self, x: str, factor: Array) -> str:
        """Each channel times its factor."""
        return self.add("Conv", x, self.constant(factor.reshape(-1, 1, 1, 1)), group=len(factor))

    def mixture(self, x: str, weights: npt.NDArray[Any]) -> str:
        """Channels mixed by weights `(in, out)`, pixel by pixel."""
        return self.add("Conv", x, self.constant(weights.T[..., None, None]))

    def pool(self, x: str, side: int, padded: bool = True) -> str:
        """Max pooling with a stride of 2.

        `padded` is TensorFlow's `same`, which pads below and right where needed.
        """
        return self.add(
            "MaxPool", x, kernel_shape=[side, side], strides=[2, 2], ceil_mode=int(padded)
        )

    def dense(
        self,
        x: str,
        weights: Array,
        bias: Array,
        slope: Array | None = None,
        output: str | None = None,
    ) -> str:
        x = self.add("Gemm", x, self.constant(weights), self.constant(bias), output=output)
        return x if slope is None else self.add("PRelu", x, self.constant(slope))

    def probability(self, x: str, weights: Array, bias: Array) -> None:
        face = self.add("Sigmoid", self.dense(x, weights, bias))
        self.add("Squeeze", face, self.constant(np.array([1])), output="probability")

    def model(
        self, name: str, side: int | None, outputs: dict[str, list[str | int]]
    ) -> onnx.ModelProto:
        size: list[str | int] = ["height", "width"] if side is None else [side, side]
        graph = helper.make_graph(
            self._nodes,
            f"mtcnn-{name}",
            [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", *size, 3])],
            [
                helper.make_tensor_value_info(key, TensorProto.FLOAT, shape)
                for key, shape in outputs.items()
            ],
            self._constants,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="mesovid",
            doc_string=(
                f"{name} of the mtcnn package {mtcnn_version()}, MIT licence, (c) 2019-2024 Ivan "
                "de Paz Centeno"
            ),
        )
        onnx.checker.check_model(model, full_check=True)
        return model


def without_scaling(weights: Array, bias: Array) -> tuple[Array, Array]:
    """A first layer that takes 0..255 and gives what it gave for (x - 127.5) / 128."""
    wide = weights.astype(np.float64)
    return (wide / 128).astype(np.float32), (bias - (wide * (127.5 / 128)).sum((0, 1, 2))).astype(
        np.float32
    )


def scaled_input(weights: Array, slope: Array) -> Array:
    """Weights `(height, width, in, out)` of the layer after a `scaled_prelu`."""
    return weights * (1 - slope[..., None])


def two_way(weights: Array, bias: Array) -> tuple[Array, Array]:
    """Weights of the one output whose sigmoid is the second softmax output."""
    return weights[..., 1:] - weights[..., :1], bias[1:] - bias[:1]


def channels_first(weights: Array, side: int) -> Array:
    """Dense weights for inputs in (channel, height, width), from (width, height, channel)."""
    units = weights.shape[1]
    return weights.reshape(side, side, -1, units).transpose(2, 1, 0, 3).reshape(-1, units)


def largest_difference(name: str, path: Path) -> float:
    """Largest absolute difference of the exported network's outputs from the original's.

    Over random pictures.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    height, width = {"pnet": (97, 142), "rnet": (24, 24), "onet": (48, 48)}[name]
    images = smooth_noise(16, height, width)
    ours = session.run(None, {"images": images})
    theirs = original_outputs(name, images)
    difference = max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True))
    if not difference < TOLERANCE:
        raise SystemExit(
            f"{path.name} differs from the original by {difference:.2g}, more than {TOLERANCE:g}"
        )
    return difference


def original_outputs(name: str, images: npt.NDArray[np.uint8]) -> list[npt.NDArray[Any]]:
    """What the package's own Keras network says, in the layout of the exported one."""
    import mtcnn.stages as stages

    stage = {"pnet": stages.StagePNet, "rnet": stages.StageRNet, "onet": stages.StageONet}[name]()
    *regressions, classes = (
        out.numpy() for out in stage.model((images.astype(np.float32) - 127.5) / 128)
    )
    if name == "pnet":
        regressions = [regressions[0].transpose(0, 3, 1, 2)]
    return [classes[..., 1], *regressions]


def smooth_noise(count: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Random pictures with coarse and fine structure."""
    random = np.random.default_rng(0)
    coarse = (
        random.integers(0, 256, (count, height // 8 + 1, width // 8 + 1, 3))
        .repeat(8, 1)
        .repeat(8, 2)
    )
    fine = random.integers(-30, 31, (count, height, width, 3))
    return np.clip(coarse[:, :height, :width] + fine, 0, 255).astype(np.uint8)


def package_weights(name: str) -> list[Array]:
    weights: list[Array] = joblib.load(package_folder() / "assets" / "weights" / f"{name}.lz4")
    return weights


def package_folder() -> Path:
    spec = importlib.util.find_spec("mtcnn")
    if spec is None or spec.origin is None:
        raise SystemExit("the mtcnn package is not installed: pip install mtcnn")
    return Path(spec.origin).parent


def mtcnn_version() -> str:
    return distribution("mtcnn").version


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "trained_models"))
