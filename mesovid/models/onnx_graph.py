"""Keras graph -> ONNX graph, for the layers that face classifiers are made of.

tf2onnx 1.16 does not install beside protobuf 7 and numpy 2, and a converter for straight
convolutional graphs is short. It also knows what runs fast on ONNX Runtime: the input is uint8,
activations are channels first, and normalisations are folded into the convolutions around them, or
moved behind the poolings where they cost a quarter.

Works in three steps: `translate` makes a list of `Op` of a Keras graph, `simplify` folds, `write`
makes ONNX of the list.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from mesovid.errors import ModelError
from mesovid.models.texturelite import LEAST_VARIANCE

OPSET = 17
IR_VERSION = 8  # what onnxruntime 1.18, the oldest allowed, reads
INPUT, OUTPUT = "face", "probability"

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """One step of a graph.

    Tensors are named, and maps are channels first. Arrays and attributes depend on the kind.
    """

    # an ONNX operator; or `affine` (scale, shift a channel), `identity`, `flatten`, `swish`
    kind: str
    inputs: tuple[str, ...]
    output: str
    arrays: dict[str, Array] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)


def convert(model: keras.Model) -> onnx.ModelProto:
    """The ONNX graph of a Keras model from crops `(n, size, size, 3)` to `(n, 1)`.

    Its input is uint8.

    Raises ModelError for a layer that is not known here.
    """
    ops = numbered(simplify(translate(model)))
    proto = write(ops, model)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def translate(model: keras.Model) -> list[Op]:
    """One or more ops for each layer, in the order of the network."""
    names = {id(model.inputs[0]): INPUT}
    ops: list[Op] = []
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "InputLayer":
            continue
        if kind not in _TRANSLATORS or len(layer._inbound_nodes) != 1:
            raise ModelError(
                f"cannot export layer {layer.name!r} ({kind}); known: {', '.join(_TRANSLATORS)}"
            )
        sources = layer.input if isinstance(layer.input, list) else [layer.input]
        missing = [source for source in sources if id(source) not in names]
        if missing:
            raise ModelError(
                f"cannot export {model.name}: {layer.name!r} follows an operation that is no layer"
            )
        inputs = tuple(names[id(source)] for source in sources)
        made = _TRANSLATORS[kind](layer, inputs)
        ops += made
        names[id(layer.output)] = made[-1].output
    last = ops[-1]
    return [*ops[:-1], replace(last, output=OUTPUT)]


# --- layers ---------------------------------------------------------------------------------------


def _rescaling(layer: Any, inputs: tuple[str, ...]) -> list[Op]:
    channels = layer.input.shape[-1]
    arrays = {
        "scale": _a_channel(layer.scale, channels),
        "shift": _a_channel(layer.offset, channels),
    }
    return [Op("affine", inputs, layer.name, arrays)]


def _normalization(layer: Any, inputs: tuple[str, ...]) -> list[Op]:
    channels = layer.input.shape[-1]
    mean, variance = np.asarray(layer.mean, np.float64), np.asarray(layer.variance, np.float64)
    scale = 1 / np.maximum(np.sqrt(variance), keras.backend.epsilon())
    arrays = {
        "scale": _a_channel(scale.ravel(), channels),
        "shift": _a_channel((-mean * scale).ravel(), channels),
    }
    return [Op("affine", inputs, layer.name, arrays)]


def _batch_normalization(layer: Any, inputs: tuple[str, ...]) -> list[Op]:
    channels = layer.input.shape[-1]
    mean, variance = (
        np.asarray(layer.moving_mean, np.float64),
        np.asarray(layer.moving_variance, np.float64),
    )
    scale = (np.asarray(layer.gamma, np.float64) if layer.scale else np.ones(channels)) / np.sqrt(
        variance + layer.epsilon
    )
    shift = (
        np.asarray(layer.beta, np.float64) if layer.center else np.zeros(channels)
    ) - mean * scale
    return [
        Op(
            "affine",
            inputs,
            layer.name,
            {"scale": scale.astype(np.float32), "shift": shift.astype(np.float32)},
        )
    ]


def _convolution(layer: Any, inputs: tuple[str, ...]) -> list[Op]:
    kernel = np.transpose(np.asarray(layer.kernel, np.float32), (3, 2, 0, 1))  # HWIO -> OIHW
    op = _conv(layer, inputs, kernel, _bias(layer, len(kernel)), groups=layer.groups)
    return [op, *_activation(layer.activation, op.output, layer.name)]


def _depthwise(layer: Any, inputs: tuple[str, ...]) -> list[Op]:
    kernel = _depthwise_kernel(np.asarray(layer.kernel, np.float32))
    op = _conv(layer, inputs, kernel, _bias(layer, len(kernel)), groups=layer.input.shape[-1])
    return [op, *_activation(layer.activation, op.output, layer.name)]


def _separable(layer: Any, inputs: tuple[str, ...]) -> list[Op]:
    kernel = _depthwise_kernel(np.asarray(layer.depthwise_kernel, np.float32))
    depthwise = _conv(
        layer, inputs, kernel, np.zeros(len(kernel), np.float32), groups=layer.input.shape[-1]
    )
    depthwise = replace(depthwise, output=f"{layer.name}/depthwise")
    mix = np.transpose(np.asarray(layer.pointwise_kernel, np.float32), (3, 2, 0, 1))
    attributes = {"strides": [1, 1], "dilations": [1, 1], "group": 1, "pads": [0, 0, 0, 0]}
    pointwise = Op(
        "Conv",
        (depthwise.output,),
        layer.name,
        {"kernel": mix, "bias": _bias(layer, len(mix))},
        attributes,
    )
    return [depthwise, pointwise, *_activation(layer.activation, pointwise.output, layer.name)]


def _depthwise_kernel(kernel: Array) -> Array:
    """(height, width, channels, multiplier) -> (channels x multiplier, 1, height, width)."""
    height, width, channels, multiplier = kernel.shape
    return np.transpose(kernel, (2, 3, 0, 1)).reshape(channels * multiplier, 1, height, width)


def _conv(layer: Any, inputs: tuple[str, ...], kernel: Array, bias: Array, *, groups: int) -> Op:
    if layer.data_format != "channels_last":
        raise ModelError(f"cannot export layer {layer.name!r}: it is {layer.data_format}")
    window = [
        dilation * (side - 1) + 1
        for dilation, side in zip(layer.dilation_rate, kernel.shape[2:], strict=True)
    ]
    attributes = {
        "strides": list(layer.strides),
        "dilations": list(layer.dilation_rate),
        "group": groups,
        "pads": _pads(layer, window),
    }
    return Op("Conv", inputs, layer.name, {"kernel": kernel, "bias": bias}, attributes)


def _pads(layer: Any, window: list[int]) -> list[int]:
    """Rows and columns added at the beginnings, then at the ends.

    `same` is TensorFlow's: an odd one goes to the end.
    """
    if layer.padding == "valid":
        return [0, 0, 0, 0]
    total = [
        max((math.ceil(side / stride) - 1) * stride + span - side, 0)
        for side, stride, span in zip(layer.input.shape[1:3], layer.strides, window, strict=True)
    ]
    return [each // 2 for each in total] + [each - each // 2 for each in total]


def _bias(layer: Any, channels: int) -> Array:
    return np.asarray(layer.bias, np.float32) if layer.use_bias else np.zeros(channels, np.float32)


def _pooling(kind: str) -> Callable[[Any, tuple[str, ...]], list[Op]]:
    def pool(layer: Any, inputs: tuple[str, ...]) -> list[Op]:
        window = list(layer.pool_size)
        attributes = {
            "kernel_shape": window,
            "strides": list(layer.strides),
            "pads": _pads(layer, window),
        }
        return [Op(kind, inputs, layer.name, {}, attributes)]

    return pool


def _global_pooling(kind: str) -> Callable[[Any, tuple[str, ...]], list[Op]]:
    def pool(layer: Any, inputs: tuple[str, ...]) -> list[Op]:
        pooled = Op(kind, inputs, f"{layer.name}/map")
        if layer.keepdims:
            return [replace(pooled, output=layer.name)]
        return [pooled, Op("Flatten", (pooled.output,), layer.name)]

    return pool


def _flatten(layer: Any, inputs: tuple[str, ...]) -> list[Op]:
    # dense layers were trained on rows, columns, channels
    return [Op("flatten" if len(layer.input.shape) == 4 else "Flatten", inputs, layer.name)]


def _reshape(layer: Any, inputs: tuple[str, ...]) -> list[Op]:
    """Only a vector to a map of one pixel, as squeeze-and-excitation needs it."""
    if len(layer.input.shape) != 2 or tuple(layer.output.shape[1:3]) != (1, 1):
        raise ModelError(
            f"cannot export layer {layer.name!r}: it reshapes {layer.input.shape} to "
            f"{layer.output.shape}"
        )
    return [
        Op(
            "Reshape",
            inputs,
            layer.name,
            {"shape": np.array([0, layer.output.shape[3], 1, 1], np.float32)},
        )
    ]


def _dense(layer: Any, inputs: tuple[str, ...]) -> list[Op]:
    kernel = np.asarray(layer.kernel, np.float32)
    if len(layer.input.shape) != 2:
        raise ModelError(f"cannot export layer {layer.name!r}: a dense layer here takes vectors")
    op = Op("Gemm", inputs, layer.name, {"kernel": kernel, "bias": _bias(layer, kernel.shape[1])})
    return [op, *_activation(layer.activation, op.output, layer.name)]


def _merge(kind: str) -> Callable[[Any, tuple[str, ...]], list[Op]]:
    def merge(layer: Any, inputs: tuple[str, ...]) -> list[Op]:
        attributes = {"axis": 1} if kind == "Concat" else {}
        if kind == "Concat" and layer.axis not in (-1, len(layer.output.shape) - 1):
            raise ModelError(
                f"cannot export layer {layer.name!r}: it joins along axis {layer.axis}, not "
                "channels"
            )
        return [Op(kind, inputs, layer.name, {}, attributes)]

    return merge


def _deviation(layer: Any, inputs: tuple[str, ...]) -> list[Op]:
    """The root of the mean of squares less the square of the mean, as TextureLite has it."""
    name, least = layer.name, np.full((), LEAST_VARIANCE, np.float32)
    steps: tuple[tuple[str, tuple[str, ...], str, dict[str, np.ndarray]], ...] = (
        ("GlobalAveragePool", inputs, "mean", {}),
        ("Mul", inputs * 2, "squares", {}),
        ("GlobalAveragePool", (f"{name}/squares",), "of squares", {}),
        ("Mul", (f"{name}/mean",) * 2, "of mean", {}),
        ("Sub", (f"{name}/of squares", f"{name}/of mean"), "variance", {}),
        ("Relu", (f"{name}/variance",), "positive", {}),
        ("Add", (f"{name}/positive",), "least", {"least": least}),
        ("Sqrt", (f"{name}/least",), "root", {}),
    )
    made = [Op(kind, read, f"{name}/{to}", arrays) for kind, read, to, arrays in steps]
    return [*made, Op("Flatten", (f"{name}/root",), name)]


def _zero_padding(layer: Any, inputs: tuple[str, ...]) -> list[Op]:
    (top, bottom), (left, right) = layer.padding
    return [
        Op(
            "Pad",
            inputs,
            layer.name,
            {"pads": np.array([0, 0, top, left, 0, 0, bottom, right], np.float32)},
        )
    ]


def _cropping(layer: Any, inputs: tuple[str, ...]) -> list[Op]:
    (top, bottom), (left, right) = layer.cropping
    height, width = layer.input.shape[1:3]
    arrays = {
        "starts": np.array([top, left], np.float32),
        "ends": np.array([height - bottom, width - right], np.float32),
        "axes": np.array([2, 3], np.float32),
    }
    return [Op("Slice", inputs, layer.name, arrays)]


def _resizing(layer: Any, inputs: tuple[str, ...]) -> list[Op]:
    """Bilinear between pixel centres, as TensorFlow has it.

    The batch is free, so sizes are given as scales.
    """
    plain = not (layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio or layer.antialias)
    if layer.interpolation != "bilinear" or not plain:
        raise ModelError(
            f"cannot export layer {layer.name!r}: it must resize bilinearly and without "
            "antialiasing"
        )
    sides = zip(layer.input.shape[1:3], layer.output.shape[1:3], strict=True)
    scales = np.array([1, 1, *(_scale(before, after) for before, after in sides)], np.float32)
    attributes = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    return [Op("Resize", (*inputs, ""), layer.name, {"scales": scales}, attributes)]


def _scale(before: int, after: int) -> float:
    """A float32 by which `before` becomes `after`; ONNX rounds the product down."""
    scale = np.float32(after / before)
    return float(
        scale
        if int(np.float32(before) * scale) == after
        else np.nextafter(scale, np.float32(np.inf))
    )


def _identity(layer: Any, inputs: tuple[str, ...]) -> list[Op]:
    return [Op("identity", inputs, layer.name)]


def _activation_layer(layer: Any, inputs: tuple[str, ...]) -> list[Op]:
    return _activation(layer.activation, inputs[0], layer.name) or _identity(layer, inputs)


def _activation(function: Any, source: str, name: str) -> list[Op]:
    """The ops of an activation function; none for linear."""
    kind = function.__name__
    output = f"{name}/{kind}"
    if kind == "linear":
        return []
    if kind == "relu6":
        return [_clip(source, output, 6.0)]
    if kind in _ACTIVATIONS:
        operator, attributes = _ACTIVATIONS[kind]
        return [Op(operator, (source,), output, {}, attributes)]
    raise ModelError(
        f"cannot export activation {kind!r} of layer {name!r}; known: {', '.join(_ACTIVATIONS)}"
    )


def _relu(layer: Any, inputs: tuple[str, ...]) -> list[Op]:
    if layer.threshold or (layer.max_value is not None and layer.negative_slope):
        raise ModelError(f"cannot export layer {layer.name!r}: a ReLU of this kind is not known")
    if layer.max_value is not None:
        return [_clip(inputs[0], layer.name, float(layer.max_value))]
    if layer.negative_slope:
        return [Op("LeakyRelu", inputs, layer.name, {}, {"alpha": float(layer.negative_slope)})]
    return [Op("Relu", inputs, layer.name)]


def _leaky_relu(layer: Any, inputs: tuple[str, ...]) -> list[Op]:
    return [Op("LeakyRelu", inputs, layer.name, {}, {"alpha": float(layer.negative_slope)})]


def _elu(layer: Any, inputs: tuple[str, ...]) -> list[Op]:
    return [Op("Elu", inputs, layer.name, {}, {"alpha": float(layer.alpha)})]


def _clip(source: str, output: str, most: float) -> Op:
    bounds = {"min": np.zeros((), np.float32), "max": np.full((), most, np.float32)}
    return Op("Clip", (source,), output, bounds)


def _a_channel(values: npt.ArrayLike, channels: int) -> Array:
    return np.ascontiguousarray(np.broadcast_to(np.asarray(values, np.float32), (channels,)))


_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "elu": ("Elu", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.2}),  # Keras's default slope
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "hard_silu": ("HardSwish", {}),
    "hard_swish": ("HardSwish", {}),
    "silu": ("swish", {}),
    "swish": ("swish", {}),
}

_TRANSLATORS: dict[str, Callable[[Any, tuple[str, ...]], list[Op]]] = {
    "Activation": _activation_layer,
    "Add": _merge("Add"),
    "AveragePooling2D": _pooling("AveragePool"),
    "BatchNormalization": _batch_normalization,
    "Concatenate": _merge("Concat"),
    "Conv2D": _convolution,
    "Cropping2D": _cropping,
    "Dense": _dense,
    "DepthwiseConv2D": _depthwise,
    "Deviation": _deviation,
    "Dropout": _identity,
    "ELU": _elu,
    "Flatten": _flatten,
    "GaussianNoise": _identity,
    "GlobalAveragePooling2D": _global_pooling("GlobalAveragePool"),
    "GlobalMaxPooling2D": _global_pooling("GlobalMaxPool"),
    "LeakyReLU": _leaky_relu,
    "MaxPooling2D": _pooling("MaxPool"),
    "Maximum": _merge("Max"),
    "Multiply": _merge("Mul"),
    "Normalization": _normalization,
    "ReLU": _relu,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "Resizing": _resizing,
    "SeparableConv2D": _separable,
    "SpatialDropout2D": _identity,
    "Subtract": _merge("Sub"),
    "ZeroPadding2D": _zero_padding,
}


# --- folding --------------------------------------------------------------------------------------


def simplify(ops: list[Op]) -> list[Op]:
    """The same function in fewer ops: applies one rule at a time until none fits."""
    while True:
        for index in range(len(ops)):
            shorter = _without_identity(ops, index) or _without_follower(ops, index)
            if shorter is not None:
                ops = shorter
                break
        else:
            return ops


def _without_follower(ops: list[Op], index: int) -> list[Op] | None:
    """The ops with one folded into what reads its output; None when no rule fits."""
    op = ops[index]
    followers = [other for other in ops if op.output in other.inputs]
    if not followers or op.output == OUTPUT:
        return None
    if all(_takes_scale(op, follower) for follower in followers):
        folded = {id(follower): [_affine_then_conv(op, follower)] for follower in followers}
    elif len(followers) == 1 and (pair := _folded(op, followers[0])) is not None:
        folded = {id(followers[0]): pair}
    else:
        return None
    return [made for other in ops if other is not op for made in folded.get(id(other), [other])]


def _without_identity(ops: list[Op], index: int) -> list[Op] | None:
    op = ops[index]
    if op.kind != "identity" or op.output == OUTPUT:
        return None
    renamed = [
        replace(
            other,
            inputs=tuple(op.inputs[0] if name == op.output else name for name in other.inputs),
        )
        for other in ops
    ]
    return renamed[:index] + renamed[index + 1 :]


def _folded(first: Op, second: Op) -> list[Op] | None:
    """What takes the place of two ops in a row, at the place of the second.

    None when no rule fits.
    """
    kinds = (first.kind, second.kind)
    if kinds == ("Conv", "affine"):
        return [_conv_then_affine(first, second)]
    if kinds == ("affine", "MaxPool") and (first.arrays["scale"] > 0).all():
        # a rising function may as well come after the maximum, where there are fewer pixels
        pooled = replace(second, inputs=first.inputs, output=f"{second.output}/max")
        return [pooled, replace(first, inputs=(pooled.output,), output=second.output)]
    return None


def _takes_scale(affine: Op, conv: Op) -> bool:
    """Whether a convolution can scale its input itself.

    Without a shift, what it pads stays zero.
    """
    whole = conv.kind == "Conv" and conv.attributes["group"] == 1
    return affine.kind == "affine" and whole and not affine.arrays["shift"].any()


def _affine_then_conv(affine: Op, conv: Op) -> Op:
    kernel = conv.arrays["kernel"] * affine.arrays["scale"][None, :, None, None]
    return replace(conv, inputs=affine.inputs, arrays=conv.arrays | {"kernel": kernel})


def _conv_then_affine(conv: Op, affine: Op) -> Op:
    scale, shift = affine.arrays["scale"], affine.arrays["shift"]
    arrays = {
        "kernel": conv.arrays["kernel"] * scale[:, None, None, None],
        "bias": conv.arrays["bias"] * scale + shift,
    }
    return replace(conv, output=affine.output, arrays=arrays)


def numbered(ops: list[Op]) -> list[Op]:
    """The same ops with tensors named by their place.

    Keras counts layers over a whole process; equal networks must give equal files.
    """
    names = {op.output: f"{place}_{op.kind}" for place, op in enumerate(ops)}
    names |= {INPUT: INPUT, OUTPUT: OUTPUT, "": ""}  # an input that is left out stays so
    return [
        replace(op, inputs=tuple(names[name] for name in op.inputs), output=names[op.output])
        for op in ops
    ]


# --- ONNX -----------------------------------------------------------------------------------------


def write(ops: list[Op], model: keras.Model) -> onnx.ModelProto:
    """The ONNX graph: uint8 rows of pixels in, channels first inside."""
    size = model.input_shape[1]
    nodes = [
        helper.make_node("Transpose", [INPUT], ["face/channels"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["face/channels"], ["face/float"], to=TensorProto.FLOAT),
    ]
    initializers: list[onnx.TensorProto] = []
    for op in ops:
        inputs = [("face/float" if name == INPUT else name) for name in op.inputs]
        made, arrays = _nodes(replace(op, inputs=tuple(inputs)))
        nodes += made
        initializers += arrays
    graph = helper.make_graph(
        nodes,
        model.name,
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", size, size, 3])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", 1])],
        initializers,
    )
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(
        graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="mesovid"
    )


def _nodes(op: Op) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """The nodes and constants of one op."""
    if op.kind == "flatten":
        rows = f"{op.output}/rows"
        return [
            helper.make_node("Transpose", op.inputs, [rows], perm=[0, 2, 3, 1]),
            helper.make_node("Flatten", [rows], [op.output]),
        ], []
    if op.kind == "swish":
        gate = f"{op.output}/gate"
        return [
            helper.make_node("Sigmoid", op.inputs, [gate]),
            helper.make_node("Mul", [*op.inputs, gate], [op.output]),
        ], []
    if op.kind == "identity":
        return [helper.make_node("Identity", op.inputs, [op.output])], []
    if op.kind == "affine":
        return _affine_nodes(op)
    constants = [_constant(op, name) for name in op.arrays]
    names = [constant.name for constant in constants]
    inputs = [*op.inputs, *names]
    return [helper.make_node(op.kind, inputs, [op.output], **op.attributes)], constants


def _affine_nodes(op: Op) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """BatchNormalization with mean 0 and variance 1.

    It is one pass over the pixels, where Mul and Add would be two.
    """
    channels = len(op.arrays["scale"])
    arrays = op.arrays | {
        "mean": np.zeros(channels, np.float32),
        "variance": np.ones(channels, np.float32),
    }
    constants = [
        _constant(replace(op, arrays=arrays), name)
        for name in ("scale", "shift", "mean", "variance")
    ]
    names = [constant.name for constant in constants]
    return [
        helper.make_node("BatchNormalization", [*op.inputs, *names], [op.output], epsilon=0.0)
    ], constants


def _constant(op: Op, name: str) -> onnx.TensorProto:
    array = op.arrays[name]
    whole = name in ("shape", "pads", "starts", "ends", "axes")  # ONNX wants these as integers
    return numpy_helper.from_array(
        np.ascontiguousarray(array, np.int64 if whole else np.float32), f"{op.output}/{name}"
    )
