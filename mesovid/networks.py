"""Runs networks: a network is a callable on arrays.

ONNX Runtime runs it, or TensorFlow for the detector's originals.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from mesovid.assets import trained_models
from mesovid.backend import import_tensorflow
from mesovid.errors import ModelError, SettingsError
from mesovid.onnx_file import LARGEST_FILE, check_content
from mesovid.settings import RuntimeSettings

onnxruntime.set_default_logger_severity(4)  # what goes wrong is raised; stderr is for the user
_log = logging.getLogger(__name__)

Array = npt.NDArray[Any]

PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "directml": "DmlExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
# What `auto` takes when it is there. The first three only are there when someone installed their
# build of onnxruntime. CoreML comes with every build for macOS, but compiles a network anew for
# each shape of input, so it has to be asked for.
AUTOMATIC = ("cuda", "directml", "openvino", "cpu")

_TYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(float16)": np.float16}
_ERRORS = (
    ort_errors.EPFail,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


class Network(Protocol):
    """A network: arrays in, arrays out, in the order of its inputs and outputs."""

    def __call__(self, *arrays: Array) -> tuple[Array, ...]: ...


@dataclass(frozen=True, slots=True)
class DetectorNetworks:
    """The three networks of MTCNN. Each takes RGB uint8 images `(n, height, width, 3)`.

    The first output of each is the probability of a face, the second the offsets of a box's four
    sides in units of its size.
    """

    # any size -> (n, rows, columns), (n, 4, rows, columns): one box of 12 px at every 2nd px
    proposal: Network
    refinement: Network  # 24 px -> (n,), (n, 4)
    # 48 px -> (n,), (n, 4), (n, 10): five x, then five y of the landmarks, in units of the box
    output: Network


def load_onnx(
    path: str | Path, settings: RuntimeSettings, content: bytes | None = None
) -> OnnxNetwork:
    """Load a network for ONNX Runtime.

    Device and number of threads are those of `settings`.

    `content` takes the place of the file's bytes, say with more outputs. Raises ModelError when the
    file is missing, damaged or no ONNX network, and SettingsError when the device is absent.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"no network at {path}; it should be an .onnx file")
    return OnnxNetwork(path, settings, content)


def load_detector(settings: RuntimeSettings) -> DetectorNetworks:
    """MTCNN's networks: as shipped for ONNX Runtime, or the mtcnn package's own on TensorFlow."""
    if settings.runtime == "tensorflow":
        return _original_networks(settings)
    folder = trained_models()
    return DetectorNetworks(
        *(load_onnx(folder / f"mtcnn-{name}.onnx", settings) for name in ("pnet", "rnet", "onet"))
    )


def available_devices() -> tuple[str, ...]:
    """Devices that the installed ONNX Runtime can use, best first."""
    there = set(onnxruntime.get_available_providers())
    return tuple(device for device, provider in PROVIDERS.items() if provider in there)


class OnnxNetwork:
    """A network on ONNX Runtime."""

    def __init__(self, path: Path, settings: RuntimeSettings, content: bytes | None = None) -> None:
        self._path = path
        devices = _devices(settings.device)
        content = content or _content(path)
        check_content(content, path)
        try:
            self._session = onnxruntime.InferenceSession(
                content,
                _options(settings),
                providers=[PROVIDERS[device] for device in devices],
            )
        except _ERRORS as error:
            raise ModelError(
                f"{path} is damaged or no ONNX network ({_first_line(error)})"
            ) from error
        inputs = self._session.get_inputs()
        self._inputs = [each.name for each in inputs]
        self.input_types = [np.dtype(_TYPES.get(each.type, np.float32)) for each in inputs]
        first = inputs[0].shape[0] if inputs and inputs[0].shape else None
        # the only number of images it takes
        self.fixed_batch = first if isinstance(first, int) else None
        self._outputs = [each.name for each in self._session.get_outputs()]
        self._check_device(settings.device)
        _log.debug("%s runs on %s", path, self.device)

    @property
    def device(self) -> str:
        """The device that the network runs on."""
        provider = self._session.get_providers()[0]
        return next(device for device, name in PROVIDERS.items() if name == provider)

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        return self.run(self._outputs, *arrays)

    def run(self, outputs: Sequence[str], *arrays: Array) -> tuple[Array, ...]:
        """Only these of its outputs, in their order."""
        try:
            return tuple(
                self._session.run(list(outputs), dict(zip(self._inputs, arrays, strict=True)))
            )
        except (*_ERRORS, ValueError) as error:
            shapes = ", ".join(f"{array.dtype}{list(array.shape)}" for array in arrays)
            raise ModelError(
                f"{self._path} does not take {shapes} ({_first_line(error)})"
            ) from error

    def _check_device(self, asked: str) -> None:
        # onnxruntime falls back to the processor when, say, CUDA's libraries are missing
        if asked not in ("auto", self.device):
            raise SettingsError(
                f"device {asked!r} could not be started; it ran on {self.device!r} instead, use "
                "that or 'auto'"
            )


def _devices(asked: str) -> tuple[str, ...]:
    there = available_devices()
    if asked == "auto":
        return tuple(device for device in AUTOMATIC if device in there)
    if asked not in there:
        raise SettingsError(
            f"device {asked!r} is not there; the installed onnxruntime has {', '.join(there)}"
        )
    return (asked,) if asked == "cpu" else (asked, "cpu")


def _options(settings: RuntimeSettings) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.log_severity_level = 4  # what goes wrong is raised; stderr is for the user
    # a thread that waits for work must not burn the processor that decodes the next frames
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def _content(path: Path) -> bytes:
    """The bytes of a network: what is looked at is what runs, whatever becomes of the file."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ModelError(f"{path} is too large for a network ({path.stat().st_size:,} bytes)")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path} ({error.strerror})") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _original_networks(settings: RuntimeSettings) -> DetectorNetworks:
    """The mtcnn package's Keras networks behind the same contract."""
    import_tensorflow()
    import tensorflow as tf
    from mtcnn import stages

    if settings.threads:
        # TensorFlow takes this only before its first operation; later the number that it started
        # with stays
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(settings.threads)
    device = _tensorflow_device(settings.device)
    with tf.device(device):
        proposal, refinement, output = (
            _KerasNetwork(stage().model, device)
            for stage in (stages.StagePNet, stages.StageRNet, stages.StageONet)
        )

    def propose(*arrays: Array) -> tuple[Array, ...]:
        probability, offsets = proposal(*arrays)
        return probability, np.moveaxis(offsets, 3, 1)

    return DetectorNetworks(propose, refinement, output)


class _KerasNetwork:
    """One of mtcnn's networks on TensorFlow: uint8 images in, face probability first out."""

    def __init__(self, model: Any, device: str) -> None:
        import tensorflow as tf

        self._device = device
        shape = tf.TensorSpec((None, None, None, 3), tf.uint8)
        self._run = tf.function(
            lambda images: model((tf.cast(images, tf.float32) - 127.5) / 128),
            input_signature=[shape],
        )

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        import tensorflow as tf

        with tf.device(self._device):
            *regressions, classes = (output.numpy() for output in self._run(arrays[0]))
        return classes[..., 1], *regressions


def _tensorflow_device(asked: str) -> str:
    import tensorflow as tf

    graphics = bool(tf.config.list_physical_devices("GPU"))
    if asked == "auto":
        asked = "cuda" if graphics else "cpu"
    if asked == "cpu":
        return "/CPU:0"
    if asked == "cuda" and graphics:
        return "/GPU:0"
    there = "cuda, cpu" if graphics else "cpu"
    raise SettingsError(f"device {asked!r} is not there; the installed tensorflow has {there}")
