"""A model's card, and where a model lies.

The card says what the model is, how its crops are cut and how its scores are read.

A model is three files of one stem: `<name>.json` (the card), `<name>.onnx` (what runs) and
`<name>.keras` (what can be trained on, and runs with `runtime="tensorflow"`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Self, Union, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

from mesovid.assets import trained_models
from mesovid.errors import MesovidError, ModelError
from mesovid.files import whole_together, write_whole
from mesovid.models.inputs import sigmoid
from mesovid.settings import (
    COLOURS,
    LAYOUTS,
    SCORES,
    Channels,
    Colour,
    Geometry,
    Layout,
    NetworkSettings,
    Scores,
)
from mesovid.texts import parse_json

SCHEMA = 1  # of the card
KIND = "mesovid model"  # tells a card from any other JSON file
MOST_MEMBERS = 32  # of a panel
DEEPEST = 20  # levels of lists and objects in what a card says of a training
LIMIT = 16.0  # a float32 sigmoid knows no logit beyond this
SUFFIXES = (".json", ".onnx", ".keras")
# architecture of several models under one name: a card alone, without weights of its own
PANEL = "panel"
FOREIGN = "onnx"  # architecture of a network that was imported as an .onnx file, of whatever make

Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a network's probability becomes one that holds: P = sigmoid(scale x logit + shift)."""

    method: Literal["none", "temperature", "platt"] = "none"  # temperature: shift is 0
    scale: float = 1.0
    shift: float = 0.0

    def __call__(self, fake_probability: npt.ArrayLike) -> Probabilities:
        """Calibrated P(fake), of the same shape."""
        if self.method == "none":
            return np.asarray(fake_probability, np.float64)
        return sigmoid(self.scale * logit(fake_probability) + self.shift)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure of a model."""

    data: str  # set and split, such as "FF++ c23 dev"
    metric: str  # such as "video AUC"
    value: float
    subset: str = "all"  # a method, or all
    low: float | None = None  # 95 % interval
    high: float | None = None
    protocol: str = ""  # how it was measured: frames a video, what was resampled, by which command


@dataclass(frozen=True, slots=True)
class Member:
    """One model of a panel, and how its score is read there."""

    name: str
    sha256: str  # of its .onnx file: the rule was learned with these weights
    finds: str = ""  # what it looks for, in a word or two, such as "blended faces"
    decides: bool = True  # False: scored and shown; its score is no part of the panel's
    # P(fake) of a person, from which it agrees that a face is fake; None: not asked
    assents_from: float | None = None
    assents_to: tuple[str, ...] = ()  # the members about whose findings it is asked; (): all
    # of one that decides: P(fake) of a person, from which nobody is asked about its finding
    sure_from: float | None = None
    # P(fake) of a person, below which there is no sign of what it finds; None: it never says so
    clears_below: float | None = None
    # P of the panel = sigmoid(scale x logit + shift) of the member's own P(fake)
    scale: float = 1.0
    shift: float = 0.0

    def __call__(self, fake_probability: npt.ArrayLike) -> Probabilities:
        """The member's calibrated P(fake) on the panel's common scale, of the same shape."""
        return sigmoid(self.scale * logit(fake_probability) + self.shift)

    def level(self, threshold: float) -> float:
        """The member's own P(fake) that is the panel's `threshold` on the common scale."""
        return float(sigmoid((logit(threshold) - self.shift) / self.scale))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What a model is, where its weights come from, how good it is, and how its scores are read."""

    name: str
    summary: str = ""  # one line
    architecture: str
    network: NetworkSettings = field(default_factory=NetworkSettings)
    parameters: int | None = None
    # of its crops; geometry.size is the input's side
    geometry: Geometry = field(default_factory=Geometry)
    # what the network is given; the shipped ones take bytes and scale by themselves
    colour: Colour = "RGB"
    input_range: tuple[float, float] = (0.0, 255.0)  # that 0..255 becomes
    # taken off, channel by channel in the network's order of colours
    mean: Channels = (0.0, 0.0, 0.0)
    deviation: Channels = (1.0, 1.0, 1.0)  # divided by
    layout: Layout = "NHWC"
    scores: Scores = "probability"  # what kind of number the network gives
    # of which class; of two classes, which the second one is
    output: Literal["fake", "real"] = "fake"
    threshold: float = 0.5  # P(fake) from which a video is called fake
    # P(fake) between these, both included, decides nothing
    uncertain: tuple[float, float] | None = None
    finds: str = ""  # what it looks for, in a word or two, such as "swapped faces"
    # P(fake) below which there is no sign of what it finds, though it may be another kind of fake
    clears_below: float | None = None
    # px, longer side of a box: what is smaller is unlike what it learned from
    smallest_face: float | None = None
    rule: str = ""  # how threshold and band were chosen
    calibration: Calibration = field(default_factory=Calibration)
    members: tuple[Member, ...] = ()  # of a panel
    # of the weight files, by suffix: onnx, keras
    sha256: Mapping[str, str] = field(default_factory=dict)
    # of both files: tolerance, largest_difference
    agreement: Mapping[str, float] = field(default_factory=dict)
    # data, digests, split, settings, seed, versions
    training: Mapping[str, Any] = field(default_factory=dict)
    figures: tuple[Figure, ...] = ()
    licence: str = ""
    limits: str = ""  # where it must not be trusted

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; tuples as lists."""
        values = {
            key: getattr(self, key) for key in (field.name for field in dataclasses.fields(self))
        }
        return {"kind": KIND, "schema": SCHEMA} | {
            key: _plain(value) for key, value in values.items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild from `to_dict`.

        ModelError for what is no card, or one of a newer mesovid.
        """
        if values.get("kind") != KIND:
            raise ModelError("not the card of a mesovid model")
        if values.get("schema") != SCHEMA:
            raise ModelError(
                f"card of schema {values.get('schema')!r}; this mesovid reads {SCHEMA}"
            )
        given = {key: value for key, value in values.items() if key not in ("kind", "schema")}
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(given) - known):
            raise ModelError(f"card with unknown field {unknown[0]!r}")
        try:
            return cls(**given | _records(given)).checked()
        except (TypeError, ValueError, KeyError, OverflowError, MesovidError) as error:
            raise ModelError(f"card that cannot be read ({error})") from error

    def checked(self) -> Self:
        """This card, when its values make sense. ValueError otherwise."""
        if len(self.members) > MOST_MEMBERS:
            raise ValueError(f"{len(self.members):,} members; {MOST_MEMBERS} are the most")
        for record in (self, self.calibration, *self.members, *self.figures):
            _check_types(record)
        for name in (self.name, *(member.name for member in self.members)):
            if not _is_name(name):
                raise ValueError(f"{name!r:.60} is no name of a model: it must be that of a file")
        low, high = self.uncertain or (self.threshold, self.threshold)
        if not 0 <= low <= high <= 1 or not 0 <= self.threshold <= 1:
            raise ValueError("threshold and uncertain band must be ordered and lie between 0 and 1")
        _check_clears(self.name, self.finds, self.clears_below, self.threshold)
        for member in self.members:
            _check_clears(member.name, member.finds, member.clears_below, self.threshold)
        if self.output not in ("fake", "real"):
            raise ValueError(f"output is {self.output!r}; it must be fake or real")
        for name, known in (("colour", COLOURS), ("layout", LAYOUTS), ("scores", SCORES)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(known)}"
                )
        low, high = self.input_range
        numbers = (low, high, *self.mean, *self.deviation)
        if not low < high or not all(math.isfinite(number) for number in numbers):
            raise ValueError(
                "input_range, mean and deviation must be finite, and the range ascending"
            )
        if len(self.mean) != 3 or len(self.deviation) != 3 or min(self.deviation) <= 0:
            raise ValueError("mean and deviation want three numbers, and deviations above 0")
        if not all(
            math.isfinite(value) for value in (self.calibration.scale, self.calibration.shift)
        ):
            raise ValueError("calibration is not finite")
        if self.calibration.scale <= 0:
            raise ValueError("calibration would turn the scores round")
        if bool(self.members) != (self.architecture == PANEL):
            raise ValueError(
                f"a {PANEL} has members, and nothing else has; this is a {self.architecture}"
            )
        if self.members and not any(member.decides for member in self.members):
            raise ValueError("no member of the panel decides")
        deciding = {member.name for member in self.members if member.decides}
        for member in self.members:
            if not deciding.issuperset(member.assents_to):
                raise ValueError(f"{member.name} assents to what no member finds that decides")
            if not (
                member.scale > 0 and math.isfinite(member.scale) and math.isfinite(member.shift)
            ):
                raise ValueError(
                    f"scale and shift of {member.name} must be finite, and the scale above 0"
                )
            for what, level in (("assents", member.assents_from), ("is sure", member.sure_from)):
                if level is not None and not 0 <= level <= 1:
                    raise ValueError(
                        f"{member.name} {what} from {level:g}; it must lie between 0 and 1"
                    )
        return self

    def write(self, folder: Path) -> None:
        """Write `<name>.json`."""
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False)
        write_whole(folder / f"{self.name}.json", (text + "\n").encode())


def _check_clears(name: str, finds: str, below: float | None, threshold: float) -> None:
    if below is None:
        return
    if not 0 <= below <= threshold:
        raise ValueError(f"{name} clears below {below:g}; it must lie between 0 and the threshold")
    if not finds.strip():
        raise ValueError(f"{name} clears, and does not say of what: `finds` is empty")


def check_name(name: str) -> None:
    """ModelError for a name that a model cannot have."""
    if not _is_name(name):
        raise ModelError(
            f"a model cannot have the name {name!r}; it must be that of a file, without a folder"
        )


def _is_name(name: str) -> bool:
    return bool(name) and Path(name).name == name and name.isprintable()


@contextlib.contextmanager
def model_files(folder: Path, name: str, suffixes: Sequence[str] = SUFFIXES) -> Iterator[Path]:
    """A work folder for a model's files, which move to `folder` at the end, the card last.

    On failure it vanishes.

    A card without its weights would be a broken model. ModelError when they cannot be written.
    """
    check_name(name)
    names = sorted(
        (f"{name}{suffix}" for suffix in suffixes), key=lambda each: each.endswith(".json")
    )
    try:
        with whole_together(folder, names) as work:
            yield work
    except OSError as error:
        raise ModelError(
            f"cannot write the model {name} to {folder} ({error.strerror or error})"
        ) from error


def available() -> list[ModelCard]:
    """The cards of the models that ship with mesovid, by name."""
    return [card_at(path) for path in _shipped().values()]


def read_card(model: str | Path) -> ModelCard:
    """The card of a model given as for `load_model`; its weights are not looked at."""
    return card_at(find_card(model))


def find_card(model: str | Path) -> Path:
    """Where the card of a model lies.

    The model is given by name, by a path to one of its files, or by its folder.
    """
    shipped = _shipped()
    if str(model) in shipped:
        return shipped[str(model)]
    path = Path(model)
    if path.is_dir():
        return _only_card(path)
    if path.suffix in SUFFIXES and path.exists():
        card = path.with_suffix(".json")
        if card.is_file():
            return card
        raise ModelError(f"{path} has no card beside it; expected {card}")
    if path.exists():
        raise ModelError(
            f"{path} is no mesovid model; for weights from elsewhere: `mesovid models import "
            f"{path}`"
        )
    raise ModelError(
        f"no model {str(model)!r}; known: {', '.join(shipped) or 'none'}; or give a path to a model"
    )


def find_member(panel: Path, member: Member) -> Path:
    """Where the card of a panel's member lies: beside the panel's own, or among those that ship."""
    beside = panel.with_name(f"{member.name}.json")
    return beside if beside.is_file() else find_card(member.name)


def sha256_of(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def logit(probability: npt.ArrayLike) -> Probabilities:
    """log(p / (1 - p)), held within +-16."""
    bound = 1 / (1 + math.exp(LIMIT))
    p = np.clip(np.asarray(probability, np.float64), bound, 1 - bound)
    result: Probabilities = np.log(p) - np.log1p(-p)
    return result


def _shipped() -> dict[str, Path]:
    paths = sorted(trained_models().glob("*.json"))
    return {path.stem: path for path in paths if _is_card(path)}


def _only_card(folder: Path) -> Path:
    cards = sorted(path for path in folder.glob("*.json") if _is_card(path))
    if len(cards) == 1:
        return cards[0]
    if cards:
        names = ", ".join(path.name for path in cards)
        raise ModelError(f"{folder} holds several models ({names}); name one of them")
    unfinished = (folder / "run.json").is_file()
    hint = (
        "its training is not finished: run the same `mesovid train` again"
        if unfinished
        else "it has no card"
    )
    raise ModelError(f"{folder} holds no model; {hint}")


def _is_card(path: Path) -> bool:
    try:
        values = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and values.get("kind") == KIND


def card_at(path: Path) -> ModelCard:
    """The card in this file. ModelError when it cannot be read."""
    try:
        values = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read the model card {path} ({error})") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path} is not the card of a mesovid model")
    try:
        return ModelCard.from_dict(values)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def _records(given: dict[str, Any]) -> dict[str, Any]:
    """The nested records of a card, from their JSON values."""
    made: dict[str, Any] = {}
    if "network" in given:
        made["network"] = NetworkSettings.from_dict(given["network"])
    if "geometry" in given:
        made["geometry"] = Geometry.from_dict(given["geometry"])
    if "calibration" in given:
        made["calibration"] = Calibration(**given["calibration"])
    if given.get("uncertain") is not None:
        low, high = given["uncertain"]
        made["uncertain"] = (float(low), float(high))
    for name in ("input_range", "mean", "deviation"):
        if name in given:
            made[name] = tuple(float(value) for value in given[name])
    if "members" in given:
        made["members"] = tuple(
            Member(**{**member, "assents_to": tuple(member.get("assents_to", ()))})
            for member in given["members"]
        )
    if "figures" in given:
        made["figures"] = tuple(Figure(**figure) for figure in given["figures"])
    return made


def _check_types(record: Any) -> None:
    """ValueError for a field whose value is of another type than its annotation."""
    hints = _hints(type(record))
    for each in dataclasses.fields(record):
        value = getattr(record, each.name)
        if not _fits(value, hints[each.name]):
            raise ValueError(f"{each.name} is {value!r:.60}; it must be {_wanted(each.type)}")


def _wanted(hint: Any) -> str:
    """How an annotation reads in an error."""
    text = str(hint)
    if text.startswith("Literal["):
        return text[len("Literal[") : -1].replace("'", "").replace(", ", " or ")
    return text


_hints: Any = functools.cache(get_type_hints)


def _fits(value: Any, hint: Any) -> bool:
    origin, inside = get_origin(hint), get_args(hint)
    if hint is Any:
        return _is_plain(value, DEEPEST)
    if origin in (Union, UnionType):
        return any(_fits(value, each) for each in inside)
    if origin is Literal:
        return isinstance(value, str) and value in inside
    if origin is tuple:
        if inside[-1] is ...:
            return isinstance(value, tuple) and all(_fits(each, inside[0]) for each in value)
        return (
            isinstance(value, tuple)
            and len(value) == len(inside)
            and all(map(_fits, value, inside))
        )
    if origin is Mapping:
        return isinstance(value, Mapping) and all(
            isinstance(key, str) and _fits(each, inside[1]) for key, each in value.items()
        )
    if hint is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _is_plain(value: Any, left: int) -> bool:
    """Whether a JSON value is nested no deeper than any that mesovid writes."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return left > 0 and all(_is_plain(each, left - 1) for each in value)
    return True


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {key: _plain(item) for key, item in dataclasses.asdict(value).items()}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value
