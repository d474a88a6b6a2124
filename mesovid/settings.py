"""Every option of mesovid, once: its default, its range and its one-line meaning.

The command line builds its options from these fields (`mesovid.cli.options`), the Python API takes
the objects as they are, and both get the same checks. Standard library only: `mesovid --help` reads
this file. Its annotations are evaluated (no `from __future__ import annotations`), because what a
field may be is read off its type.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args, get_origin

from mesovid.errors import SettingsError

FACE_SIZE = 256  # px, side of a Meso-4 input
FALSE_ALARMS = 0.05  # fraction of the real videos that a threshold may call fake

# how a network wants its faces, and what it gives
Colour = Literal["RGB", "BGR"]
Layout = Literal["NHWC", "NCHW"]
# what a network gives: P, or log(P / (1 - P)), of one class; or the same of two classes, by softmax
# or before it
Scores = Literal["probability", "logit", "probabilities", "logits"]
Activation = Literal["relu", "elu", "leaky_relu"]
COLOURS: tuple[str, ...] = get_args(Colour)
LAYOUTS: tuple[str, ...] = get_args(Layout)
SCORES: tuple[str, ...] = get_args(Scores)
ACTIVATIONS: tuple[str, ...] = get_args(Activation)
Channels = tuple[float, float, float]  # a number for each colour
IMAGENET_MEAN: Channels = (0.485, 0.456, 0.406)  # of RGB in 0..1, as torchvision normalises
IMAGENET_DEVIATION: Channels = (0.229, 0.224, 0.225)


def setting(
    default: Any,
    help: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    metavar: str | None = None,
) -> Any:
    """A dataclass field that knows its meaning and its range (both ends included).

    What a field of a Literal type may be, `choices` reads off the type.
    """
    metadata = {
        "help": help,
        "at_least": at_least,
        "at_most": at_most,
        "metavar": metavar,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Base of all settings: checks each field against its range when it is made."""

    # the first field of each part of the class -> what the part is called in help and documents
    headings: ClassVar[Mapping[str, str]] = {}
    # options of earlier versions -> the one value that is left of each
    dropped: ClassVar[Mapping[str, Any]] = {}

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check(field, getattr(self, field.name))

    @classmethod
    def heading_of(cls, name: str) -> str | None:
        """The heading of the part that a field belongs to."""
        found = None
        for field in dataclasses.fields(cls):
            found = cls.headings.get(field.name, found)
            if field.name == name:
                break
        return found

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Rebuild from `to_dict`, an earlier version's too; an unknown key is a SettingsError."""
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(values, dict):
            raise SettingsError(f"{cls.__name__} is {values!r:.60}; it must be an object")
        for name in cls.dropped.keys() & values.keys():
            if values[name] != cls.dropped[name]:
                raise SettingsError(
                    f"{name.replace('_', '-')} is {values[name]!r}; this mesovid has only"
                    f" {cls.dropped[name]!r}, the option is gone"
                )
        values = {name: value for name, value in values.items() if name not in cls.dropped}
        if unknown := sorted(set(values) - names):
            raise SettingsError(
                f"unknown {cls.__name__} field {unknown[0]!r}; known: {', '.join(sorted(names))}"
            )
        return cls(**values)


def choices(field: dataclasses.Field[Any]) -> tuple[str, ...]:
    """What a field may be that is one of several words; empty for any other."""
    return get_args(field.type) if get_origin(field.type) is Literal else ()


def check(field: dataclasses.Field[Any], value: Any) -> None:
    """Raise SettingsError when a value lies outside of what its field allows.

    None means unset and is allowed.
    """
    if value is None or not field.metadata:
        return
    least, most = field.metadata["at_least"], field.metadata["at_most"]
    name = field.name.replace("_", "-")
    if (allowed := choices(field)) and value not in allowed:
        raise SettingsError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}")
    # "not (a <= b)" rather than "a > b": it also refuses NaN
    if least is not None and not least <= value:
        raise SettingsError(f"{name} is {value}; it must be at least {least:g}")
    if most is not None and not value <= most:
        raise SettingsError(f"{name} is {value}; it must be at most {most:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry(Settings):
    """How an aligned face is cut out of a frame.

    Travels with the weights of a model and with a dataset.

    With E the centre between the eyes, the crop's side is `scale` x max(distance of the eyes,
    distance from E to the mouth's centre), and its centre lies at E + `centre` x (nose - E). The
    defaults are those of Afchar et al. 2018 (arXiv 1809.00888), carried over from their landmarks
    to MTCNN's five points: 1.3 x 2.28 and 0.887.
    """

    headings: ClassVar = {"scale": "Geometry"}

    scale: float = setting(
        2.96, "Side of a crop in units of the face's size.", at_least=1.0, at_most=10.0
    )
    centre: float = setting(
        0.887, "Crop centre between the eyes (0) and the nose (1).", at_least=-1.0, at_most=2.0
    )
    remove_roll: bool = setting(True, "Turn the face upright.")
    border: Literal["reflect", "replicate", "black"] = setting(
        "reflect", "What lies beyond the frame's edge."
    )
    interpolation: Literal["linear", "cubic", "area"] = setting(
        "linear", "Resampling; area averages when shrinking."
    )
    size: int = setting(FACE_SIZE, "Side of a crop, px.", at_least=16, at_most=1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSettings(Settings):
    """Which frames of a video are looked at. `fps` or `every` take the place of `frames`."""

    headings: ClassVar = {"frames": "Which frames"}

    frames: int = setting(
        32, "Frames to look at, evenly spread in time.", at_least=1, at_most=1_000_000
    )
    fps: float | None = setting(
        None, "Look at so many frames a second instead.", at_least=1e-6, at_most=1000
    )
    every: int | None = setting(
        None, "Look at every N-th frame instead.", at_least=1, at_most=1_000_000_000
    )
    start: float | None = setting(None, "Begin at this second.", at_least=0)
    end: float | None = setting(None, "Stop at this second.", at_least=0)
    stream: int | None = setting(
        None,
        "Number of the video stream in its file. Default: the one that a player shows.",
        at_least=0,
        at_most=10_000,
    )

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        if self.fps is not None and self.every is not None:
            raise SettingsError("fps and every exclude each other; give one of them")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise SettingsError(f"end ({self.end:g} s) must come after start ({self.start:g} s)")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceSettings(Settings):
    """Which faces are found."""

    headings: ClassVar = {"min_face": "Which faces"}

    min_face: float = setting(40.0, "Smallest face to look for, px.", at_least=12, at_most=10_000)
    confidence: float = setting(
        0.85, "Least confidence of the detector in a face.", at_least=0, at_most=1
    )
    faces: Literal["all", "largest"] = setting("all", "Judge all faces of a frame, or the largest.")
    redetect: int = setting(
        8,
        "Look for new faces in every N-th sampled frame at least; 1 in every frame.",
        at_least=1,
        at_most=10_000,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSettings(Settings):
    """What the networks run on."""

    headings: ClassVar = {"runtime": "What the networks run on"}

    runtime: Literal["onnx", "tensorflow"] = setting("onnx", "Library that runs the networks.")
    device: Literal["auto", "cpu", "cuda", "coreml", "directml", "openvino"] = setting(
        "auto", "Processor that runs the networks."
    )
    threads: int = setting(
        0, "Threads a network may use; 0 leaves it to the library.", at_least=0, at_most=1024
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanSettings(Settings):
    """How one video is judged."""

    headings: ClassVar = {"model": "Judgement"}

    model: str = setting(
        "panel", "Model name, or path to a model or run folder.", metavar="NAME|PATH"
    )
    threshold: float | None = setting(
        None,
        "P(fake) from which a video is called fake, without an uncertain band. Default: the"
        " model's own.",
        at_least=0,
        at_most=1,
    )
    aggregate: Literal["mean", "median", "trimmed_mean", "top_third", "max"] = setting(
        "mean", "How a person's frame scores become one."
    )
    min_faces: int = setting(
        3, "Fewer scored faces of one person give no verdict (pictures need 1).", at_least=1
    )
    batch_size: int = setting(
        16, "Frames and faces that pass the networks at once.", at_least=1, at_most=4096
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainSettings(Settings):
    """What is shown of a model and of the faces that it judged."""

    headings: ClassVar = {"model": "What is shown"}

    model: str = setting(
        "meso4", "Model name, or path to a model or run folder.", metavar="NAME|PATH"
    )
    show: int = setting(
        4,
        "Faces to explain: half of them the most suspicious, half the least.",
        at_least=1,
        at_most=100,
    )
    cells: int = setting(8, "Cells a side that are covered one by one.", at_least=2, at_most=32)
    fill: Literal["mean", "blur"] = setting(
        "blur", "What covers a cell: the crop's mean colour, or the crop blurred."
    )
    stage: Literal["raw", "activated", "pooled", "normalised"] = setting(
        "activated", "Which maps of a layer are shown; of a layer without them, the raw ones."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettings(Settings):
    """How many videos are worked through."""

    headings: ClassVar = {"workers": "Many videos"}

    workers: int | None = setting(
        None,
        "Processes that scan; 0 scans in this one. Default: one a core for 8 inputs and more,"
        " fewer are scanned in this one.",
        at_least=0,
        at_most=1024,
        metavar="N",
    )
    engine: Literal["local", "ray"] = setting(
        "local", "Where they run: on this machine, or on a Ray cluster (pip install mesovid[ray])."
    )
    address: str | None = setting(
        None,
        "Of the Ray cluster: auto, or HOST:PORT. Default: one of this machine's own.",
        metavar="HOST:PORT",
    )
    timeout: float = setting(
        3600.0, "Give up a video after so many seconds (with processes).", at_least=0.1, at_most=1e6
    )
    memory_limit: int | None = setting(
        None,
        "Give up a video that takes its process beyond this, MiB (Linux, with processes).",
        at_least=64,
        at_most=10_000_000,
        metavar="MIB",
    )
    fetch_limit: int = setting(
        4096,
        "Give up an object of a bucket that is larger than this, MiB.",
        at_least=1,
        at_most=10_000_000,
        metavar="MIB",
    )

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        if self.address is not None and self.engine != "ray":
            raise SettingsError("address is that of a Ray cluster; add --engine ray")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings(Settings):
    """How the graph of a classifier is built. Travels with its weights."""

    headings: ClassVar = {"activation": "Network"}
    dropped: ClassVar = {"batch_norm": True}

    activation: Activation = setting("relu", "Activation of the whole network.")
    dropout: float = setting(
        0.5, "Fraction of units dropped before each dense layer.", at_least=0, at_most=0.95
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateSettings(Settings):
    """How models are measured on a dataset."""

    headings: ClassVar = {"split": "Measuring"}
    dropped: ClassVar = {"flip": False}

    split: str | None = setting(
        None,
        "Splits to measure on, with commas between; `all` takes everything. Default: test, else"
        " dev, else valid.",
        metavar="NAME,...",
    )
    threshold: float | None = setting(
        None,
        "P(fake) from which a face or video is called fake. Default: each model's own.",
        at_least=0,
        at_most=1,
    )
    min_faces: int = setting(
        3,
        "Fewer faces of one person have no say, fewer of a video give no verdict (pictures "
        "need 1).",
        at_least=1,
    )
    degrade: str | None = setting(
        None,
        "Measure again on damaged crops, such as"
        " h264:35,resize:0.5,blur:1,brightness:0.6,jpeg:40,noise:8,gamma:2.",
        metavar="KIND:AMOUNT,...",
    )
    resamples: int = setting(
        1000, "Bootstrap resamples behind each interval.", at_least=100, at_most=1_000_000
    )
    cluster: Literal["video", "group"] = setting(
        "video",
        "What the bootstrap draws: videos, or groups of videos that share a person or source.",
    )
    seed: int = setting(0, "Seed of the bootstrap.", at_least=0)
    batch_size: int = setting(64, "Faces that pass a network at once.", at_least=1, at_most=4096)
    mistakes: int = setting(24, "Worst mistakes to show, for each model.", at_least=0, at_most=1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictSettings(Settings):
    """How faces that are already cropped are judged."""

    headings: ClassVar = {"threshold": "Judgement"}

    threshold: float | None = setting(
        None,
        "P(fake) from which a face is called fake, without an uncertain band. Default: the model's"
        " own.",
        at_least=0,
        at_most=1,
    )
    batch_size: int = setting(64, "Faces that pass the network at once.", at_least=1, at_most=4096)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateSettings(Settings):
    """How a model is calibrated anew."""

    headings: ClassVar = {"split": "Rule"}

    split: str | None = setting(
        None,
        "Split to calibrate on, say train for a detector that learned elsewhere; never dev or test."
        " Default: valid, or everything where there is no split.",
        metavar="NAME",
    )
    false_alarms: float = setting(
        FALSE_ALARMS,
        "Fraction of the real validation videos, of all and of each dataset, that may be called"
        " fake.",
        at_least=0,
        at_most=1,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelSettings(Settings):
    """How the rule of a panel is learned."""

    headings: ClassVar = {"false_alarms": "Rule"}

    false_alarms: float = setting(
        FALSE_ALARMS,
        "Fraction of the real videos of any source that may be called fake.",
        at_least=0,
        at_most=1,
    )
    misses: float = setting(
        0.1,
        "Fraction of the fake videos of any dataset that may be called real.",
        at_least=0,
        at_most=1,
    )
    frames: int = setting(8, "Faces a video.", at_least=1, at_most=1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings(Settings):
    """How a detector is trained.

    The defaults are those of Afchar et al. 2018 and of its usual retrainings.
    """

    headings: ClassVar = {
        "architecture": "Network",
        "epochs": "Course of the run",
        "learning_rate": "Learning rate",
        "pairs": "What is learned",
        "monitor": "Which epoch is kept",
        "valid_share": "Validation and calibration",
    }
    dropped: ClassVar = {
        "optimizer": "adam",
        "decay_rate": 0.1,
        "weight_decay": 0.0,
        "loss": "bce",
        "focal_gamma": 2.0,
        "label_smoothing": 0.0,
        "balance": "methods",
        "mixed_precision": False,
        "mode": "auto",
        "calibration": "platt",
        "calibrate_on": "varied",
        "misses": 0.1,
    }

    architecture: str = setting("meso4", "Network to train.", metavar="NAME")
    epochs: int = setting(
        30, "Epochs at most; 0 calibrates the start as it is.", at_least=0, at_most=100_000
    )
    steps: int = setting(
        0, "Batches an epoch; 0 for as many as the crops fill.", at_least=0, at_most=1_000_000
    )
    batch_size: int = setting(
        32, "Crops a batch, half of them fake, all methods alike.", at_least=2, at_most=65_536
    )
    seed: int = setting(
        0, "Decides weights, order and augmentation.", at_least=0, at_most=2**31 - 1
    )
    device: Literal["auto", "cpu", "gpu"] = setting("auto", "Where to train.")
    workers: int = setting(
        0, "Threads that prepare batches; 0 for one a core.", at_least=0, at_most=1024
    )
    cache: float = setting(4.0, "GB of memory for decoded crops.", at_least=0, at_most=100_000)
    tensorboard: bool = setting(False, "Write logs for TensorBoard.")
    learning_rate: float = setting(1e-3, "Learning rate at the start.", at_least=1e-9, at_most=10)
    schedule: Literal["exponential", "cosine", "constant"] = setting(
        "exponential", "How the learning rate falls over the run."
    )
    decay_limit: float = setting(
        1e-6, "Learning rate that is reached at the end.", at_least=0, at_most=10
    )
    warmup: float = setting(
        0.0, "Epochs in which the learning rate rises from 0 first.", at_least=0
    )
    clip_norm: float = setting(0.0, "Longest gradient of a step; 0 for any.", at_least=0)
    ema: float = setting(
        0.0,
        "Momentum of the average over weights that is kept as the model; 0 for none.",
        at_least=0,
        at_most=0.99999,
    )
    pairs: bool = setting(False, "Put each fake and a crop of its own original into one batch.")
    ranking: float = setting(
        0.0, "Weight of the loss that a fake ranks above its pair.", at_least=0, at_most=100
    )
    self_blend: float = setting(
        0.0,
        "Fraction of the fakes that is made on the fly from real faces.",
        at_least=0,
        at_most=1,
    )
    swap: float = setting(
        0.0,
        "Fraction of the self-blends that show another person's face.",
        at_least=0,
        at_most=1,
    )
    partial: float = setting(
        0.0,
        "Fraction of the fakes of a dataset that show a part of the face alone, laid on their"
        " originals; needs pairs.",
        at_least=0,
        at_most=1,
    )
    alike: float = setting(
        0.0,
        "Fraction of the pairs of a dataset's fakes whose faces are both self-blended in the same"
        " way, so that a blend tells nothing; needs pairs.",
        at_least=0,
        at_most=1,
    )
    distillation: float = setting(
        0.5,
        "Weight of the teacher's score in what a face is taught; the rest is its label.",
        at_least=0,
        at_most=1,
    )
    monitor: Literal["val_auc", "val_loss", "loss"] = setting(
        "val_auc",
        "What the best epoch is judged by: AUC or log loss over validation videos, or training"
        " loss.",
    )
    patience: int = setting(
        10, "Epochs without a better one before it stops; 0 never stops.", at_least=0
    )
    keep: Literal["best", "last"] = setting(
        "best",
        "Which epoch becomes the model. Few validation videos choose the best one by chance: "
        "then the last is wiser.",
    )
    valid_share: float = setting(
        0.15,
        "Fraction of groups to validate on where a dataset has no such split.",
        at_least=0.01,
        at_most=0.9,
    )
    valid_frames: int = setting(
        8, "Crops of each person of a validation video.", at_least=1, at_most=1_000_000
    )
    false_alarms: float = setting(
        FALSE_ALARMS,
        "Fraction of real validation videos that may be called fake.",
        at_least=0,
        at_most=1,
    )

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        if self.decay_limit > self.learning_rate:
            raise SettingsError(
                f"decay-limit ({self.decay_limit:g}) must not exceed the learning rate"
                f" ({self.learning_rate:g})"
            )
        if self.swap and not self.self_blend:
            raise SettingsError("swap is a fraction of the self-blended fakes; add --self-blend")
        if self.partial and not self.pairs:
            raise SettingsError("partial lays fakes on their own originals; add --pairs")
        if self.alike and not self.pairs:
            raise SettingsError("alike blends a fake as its original; add --pairs")
        if self.ranking and not self.pairs:
            raise SettingsError("ranking compares the faces of a pair; add --pairs")


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentSettings(Settings):
    """How crops are varied in training.

    The defaults are the paper's, a mirror image of half of the crops and a brightness of 0.8 to 1.2
    with them; what goes beyond it is off, and a probability each.
    """

    headings: ClassVar = {"augment": "Augmentation"}
    dropped: ClassVar = {"brightness": 0.2, "flip": True, "lighting": 0.0, "erase": 0.0}

    augment: bool = setting(True, "Vary the crops; without, they are learned as they are.")
    rotation: float = setting(15.0, "Degrees of rotation at most.", at_least=0, at_most=180)
    zoom: float = setting(0.2, "Zoom of each axis, 1 -+ this.", at_least=0, at_most=0.9)
    shift: float = setting(0.0, "Shift of each axis, in sides of a crop.", at_least=0, at_most=0.5)
    channel_shift: float = setting(
        30.0, "Shift of all channels, at most; of 255.", at_least=0, at_most=255
    )
    jpeg: float = setting(
        0.0, "Probability of JPEG compression, quality 30 to 95.", at_least=0, at_most=1
    )
    h264: float = setting(
        0.0, "Probability of compression like H.264's, QP 20 to 40.", at_least=0, at_most=1
    )
    rescale: float = setting(
        0.0,
        "Probability of shrinking to 1/4 ... 1 and back; compression, blur and noise then happen to"
        " the small picture.",
        at_least=0,
        at_most=1,
    )
    blur: float = setting(
        0.0, "Probability of a Gaussian blur, sigma up to 2 px.", at_least=0, at_most=1
    )
    sharpen: float = setting(0.0, "Probability of sharpening.", at_least=0, at_most=1)
    noise: float = setting(
        0.0, "Probability of sensor noise, sigma up to 10 of 255.", at_least=0, at_most=1
    )
    colour: float = setting(
        0.0, "Probability of other contrast, saturation and white balance.", at_least=0, at_most=1
    )
    gamma: float = setting(0.0, "Probability of another gamma, 0.7 to 1.4.", at_least=0, at_most=1)
    grey: float = setting(0.0, "Probability of losing all colour.", at_least=0, at_most=1)
    denoise: float = setting(
        0.0,
        "Probability of noise reduction as by phones, broadcasters and beauty filters: smooth skin,"
        " sharpened edges.",
        at_least=0,
        at_most=1,
    )

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        if not self.augment:
            for field in dataclasses.fields(self):
                if field.name != "augment" and getattr(self, field.name) != field.default:
                    name = field.name.replace("_", "-")
                    raise SettingsError(
                        f"no-augment learns crops as they are; leave out {name}"
                        f" ({getattr(self, field.name):g})"
                    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractSettings(Settings):
    """Which crops of a collection become a dataset, and how they are parted."""

    headings: ClassVar = {"split": "Splits", "people": "Which crops", "format": "Files"}

    split: str | None = setting(
        None,
        "Parts for train/valid/test, such as 80/10/10. Default: the collection's official "
        "split where it has one, else 80/10/10.",
    )
    seed: int = setting(0, "Seed of the split and of --balance.", at_least=0, at_most=2**32 - 1)
    link: Literal["identities", "originals"] = setting(
        "identities",
        "What stays in one split beside a fake and its original: all videos of one person, or "
        "nothing more.",
    )
    people: Literal["main", "all"] = setting(
        "main", "Keep the main person of each shot, or everybody."
    )
    min_sharpness: float = setting(
        0.0,
        "Least variance of the Laplacian of a crop's grey values; 10 drops the most blurred.",
        at_least=0,
    )
    distinct: float = setting(
        0.0,
        "Drop a crop that differs from the last one kept by less than so many grey levels.",
        at_least=0,
        at_most=255,
    )
    per_video: int | None = setting(None, "At most so many crops a video.", at_least=1)
    balance: bool = setting(False, "Drop crops until each split has as many real as fake ones.")
    pair: bool = setting(
        False, "Cut a fake where its original shows the face, when the original is at hand."
    )
    format: Literal["png", "jpg"] = setting("png", "File type of the crops.")
    jpeg_quality: int = setting(95, "Quality of .jpg crops.", at_least=1, at_most=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings(Settings):
    """How `mesovid serve` runs."""

    headings: ClassVar = {"max_upload": "Uploads and limits"}

    max_upload: int = setting(2048, "Largest upload, MiB.", at_least=1, at_most=1_000_000)
    queue: int = setting(8, "Scans that may wait; more are refused.", at_least=1, at_most=10_000)
    timeout: float = setting(
        600.0, "Give up a scan after so many seconds.", at_least=1, at_most=1e6
    )
    idle: float = setting(
        3600.0, "Erase a scan that nobody has asked for in so many seconds.", at_least=1
    )
    keep_video: bool = setting(True, "Keep an upload with its result, for the player.")
    quota: int = setting(
        4096, "What uploads and faces may take of the disk in all, MiB.", at_least=1
    )
    evaluation_timeout: float = setting(
        7200.0, "Give up an evaluation after so many seconds.", at_least=1, at_most=1e6
    )
    max_model: int = setting(512, "Largest model to import, MiB.", at_least=1, at_most=100_000)
    metrics: bool = setting(False, "Answer /metrics for Prometheus.")
    allow_import: bool = setting(False, "Let models be imported over HTTP.")
