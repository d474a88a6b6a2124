"""What a training run learns from and is judged on.

The crops of one or several datasets, as columns.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from mesovid.align import transform
from mesovid.dataset.manifest import CropEntry, Dataset, digest, names_of
from mesovid.dataset.splits import linked_sets
from mesovid.errors import DatasetError, InputError, TrainingError
from mesovid.models.card import ModelCard
from mesovid.pictures import read_crop, resized
from mesovid.records import Pixels
from mesovid.settings import Geometry, TrainSettings

SELF_BLEND = "self-blend"  # method of the fakes that are made of real crops
FEW_VIDEOS = 20  # of a class: fewer tell one epoch from another by chance
UNKNOWN = "unknown"  # method of fakes whose manipulation nobody named

Names = npt.NDArray[np.str_]
Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Landmarks = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """n crops, one array a column.

    Keys of videos and groups carry their dataset's name: they are unique over all.
    """

    path: Names  # (n,)
    fake: Flags  # (n,)
    dataset: Names  # (n,) name of the dataset
    method: Names  # (n,) of manipulation; "" for reals
    video: Names  # (n,)
    person: Integers  # (n,) id within the video
    frame: Integers  # (n,)
    group: Names  # (n,) what must stay on one side of a split
    original: Names  # (n,) key of the video a fake was made from; "" where unknown
    landmarks: Landmarks  # (n, 5, 2) px of the crop; NaN where unknown
    blend: Flags  # (n,) a fake that is yet to be made of the real crop at `path`

    def __len__(self) -> int:
        return len(self.path)

    def select(self, rows: Flags | Integers) -> Self:
        """The rows of a mask or of indices."""
        return type(self)(
            **{each.name: getattr(self, each.name)[rows] for each in dataclasses.fields(self)}
        )

    def joined(self, other: Samples) -> Self:
        """These rows, then those of `other`."""
        columns = [each.name for each in dataclasses.fields(self)]
        return type(self)(
            **{key: np.concatenate([getattr(self, key), getattr(other, key)]) for key in columns}
        )


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """What is learned from, what it is judged on, and how both were cut."""

    train: Samples
    valid: Samples
    geometry: Geometry
    notes: tuple[str, ...]  # what the user should know about the data, one sentence each


def training_data(
    datasets: Sequence[Dataset],
    settings: TrainSettings,
    geometry: Geometry | None = None,
    leave_out: Collection[str] = (),
) -> TrainingData:
    """Split the crops of all datasets into what trains and what validates.

    A dataset's own `train` and `valid` splits are taken; where one has no `valid`, groups of its
    `train` (or of everything, where it has no splits) are set aside by the seed. Other splits stay
    untouched. `geometry`, if given, is what the crops must have; `leave_out` names datasets and
    methods that count for neither half. Raises DatasetError when they were cut differently, and
    TrainingError when a class is missing.
    """
    geometry, notes = _common_geometry(datasets, geometry)
    trains, valids = [], []
    for name, dataset in zip(names_of(datasets), datasets, strict=True):
        learn, judge = _parts(dataset, settings)
        trains.append(_columns(dataset, name, learn))
        valids.append(_columns(dataset, name, judge))
    train = _without(_all(trains), leave_out)
    valid = _without(_all(valids), set(leave_out) & {*_all(valids).dataset, *_all(valids).method})
    if settings.self_blend and not valid.fake.any():
        valid = valid.joined(self_blended(valid))
        notes.append("no validation video is fake: judged and calibrated on self-blended faces")
    _check_classes(train, valid, settings)
    few = min(len(set(valid.video[valid.fake == fake])) for fake in (False, True))
    if few < FEW_VIDEOS and settings.keep == "best":
        notes.append(
            f"{few} validation videos of a class choose the best epoch by chance; --keep last "
            "takes the last"
        )
    return TrainingData(train, _thinned(valid, settings.valid_frames), geometry, tuple(notes))


def self_blended(reals: Samples) -> Samples:
    """A fake twin of each crop, to be made by self-blending."""
    count = len(reals)
    return dataclasses.replace(
        reals,
        fake=np.ones(count, bool),
        blend=np.ones(count, bool),
        method=np.full(count, SELF_BLEND),
        original=reals.video,
        video=np.char.add(reals.video, f"#{SELF_BLEND}"),
    )


class CropReader:
    """Reads crops as RGB uint8 of one size.

    It keeps as many decoded as fit into `memory` bytes, and is safe for threads. DatasetError for a
    crop that is missing or damaged.
    """

    def __init__(self, paths: Names, size: int, memory: float) -> None:
        self._paths = paths
        self._size = size
        kept = min(len(paths), int(memory // (size * size * 3)))
        # memory is taken when it is first written
        self._kept: Pixels = np.empty((kept, size, size, 3), np.uint8)
        self._ready = np.zeros(kept, bool)
        self._lock = threading.Lock()

    def __getitem__(self, index: int) -> Pixels:
        """One crop, not to be written to."""
        if index < len(self._ready) and self._ready[index]:
            kept: Pixels = self._kept[index]
            return kept
        pixels = _read(Path(str(self._paths[index])), self._size)
        if index < len(self._ready):
            self._kept[index] = pixels
            with self._lock:
                self._ready[index] = True
        return pixels


def _read(path: Path, size: int) -> Pixels:
    try:
        return resized(read_crop(path), size)
    except InputError as error:
        raise DatasetError(f"{error}; delete it and run `mesovid extract` again") from error


def _common_geometry(
    datasets: Sequence[Dataset], wanted: Geometry | None
) -> tuple[Geometry, list[str]]:
    if not datasets:
        raise TrainingError("no dataset to train on; give at least one")
    notes, owner = [], "the model that training starts from"
    for dataset in datasets:
        if dataset.geometry is None:
            notes.append(
                f"how the crops of {dataset.root} were cut is unknown: scans cut faces as the "
                "card says"
            )
        elif wanted is None:
            wanted, owner = dataset.geometry, str(dataset.root)
        elif dataset.geometry != wanted:
            raise DatasetError(
                f"the crops of {dataset.root} are cut differently from those of {owner}:"
                f" {_differences(dataset.geometry, wanted)}; extract both with one geometry"
            )
    return wanted or Geometry(), notes


def _differences(mine: Geometry, theirs: Geometry) -> str:
    return ", ".join(
        f"{key} {value} against {theirs.to_dict()[key]}"
        for key, value in mine.to_dict().items()
        if value != theirs.to_dict()[key]
    )


def _parts(dataset: Dataset, settings: TrainSettings) -> tuple[list[CropEntry], list[CropEntry]]:
    """Crops to learn from and crops to be judged on."""
    learn = list(dataset.of_split("train")) or list(dataset.of_split(None))
    judge = list(dataset.of_split("valid"))
    if not learn:
        there = ", ".join(str(split) for split in dataset.splits)
        raise DatasetError(f"{dataset.root} has no train split; it has {there}")
    return (learn, judge) if judge else _carved(learn, settings)


def videos_learned(dataset: Dataset, card: ModelCard) -> set[str]:
    """The videos of a dataset that a model learned from, as far as its card tells.

    What validated it counts as not learned from; of a dataset of the same name that was made
    otherwise, that is the `valid` split.
    """
    given = card.training.get("datasets")
    known = given if isinstance(given, (list, tuple)) else ()
    records = [each for each in known if isinstance(each, Mapping)]
    if digest(dataset) in [each.get("digest") for each in records]:
        settings = TrainSettings.from_dict(dict(card.training.get("train", {})))
        learned, _ = _parts(dataset, settings)
    elif dataset.root.resolve().name in [each.get("name") for each in records]:
        learned = [crop for crop in dataset.crops if crop.split != "valid"]
    else:
        learned = []
    return {crop.video for crop in learned}


def _carved(
    crops: Sequence[CropEntry], settings: TrainSettings
) -> tuple[list[CropEntry], list[CropEntry]]:
    """Sets aside `valid_share` of the sets of related crops, by the seed.

    Crops of different sets share no video, group or person.

    A detector knows the people it learned from: what validates it, and sets its threshold, must not
    show them. Where everybody is tied to everybody, people are let go, and only originals and
    groups kept together.
    """
    for identities in (True, False):
        sets = linked_sets(crops, identities=identities)
        count = round(settings.valid_share * len(sets))
        if 0 < count < len(sets):
            break
    else:
        return list(crops), []
    order = np.random.default_rng([settings.seed, len(sets)]).permutation(len(sets))
    aside = {crop.file for index in order[:count] for crop in sets[index]}
    return [crop for crop in crops if crop.file not in aside], [
        crop for crop in crops if crop.file in aside
    ]


def _columns(dataset: Dataset, name: str, crops: Sequence[CropEntry]) -> Samples:
    fake = np.array([crop.label == "fake" for crop in crops], bool)
    return Samples(
        path=_text([str(dataset.path(crop)) for crop in crops]),
        fake=fake,
        dataset=_text([name] * len(crops)),
        method=_text([(crop.method or UNKNOWN) if crop.label == "fake" else "" for crop in crops]),
        video=_text([f"{name}/{crop.video}" for crop in crops]),
        person=np.array([crop.person for crop in crops], np.int64),
        frame=np.array([crop.frame for crop in crops], np.int64),
        group=_text([f"{name}/{crop.group or crop.original or crop.video}" for crop in crops]),
        original=_text([f"{name}/{crop.original}" if crop.original else "" for crop in crops]),
        landmarks=_landmarks(crops, dataset.geometry),
        blend=np.zeros(len(crops), bool),
    )


def _text(values: list[str]) -> Names:
    return np.array(values, dtype=np.str_)


def _landmarks(crops: Sequence[CropEntry], geometry: Geometry | None) -> Landmarks:
    """Landmarks moved from the frame to the crop by the very transform that cut it."""
    points = np.full((len(crops), 5, 2), np.nan, np.float32)
    for row, crop in enumerate(crops):
        if crop.landmarks is not None and geometry is not None:
            in_frame = np.asarray(crop.landmarks, np.float32)
            matrix = transform(in_frame, geometry)
            points[row] = in_frame @ matrix[:, :2].T + matrix[:, 2]
    return points


def _all(parts: Sequence[Samples]) -> Samples:
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.joined(part)
    return whole


def _without(samples: Samples, names: Collection[str]) -> Samples:
    known = {str(name) for name in (*samples.dataset, *samples.method) if name}
    if len(samples) and (unknown := sorted(set(names) - known)):
        raise TrainingError(
            f"no dataset or method {unknown[0]!r} to leave out; there are "
            f"{', '.join(sorted(known))}"
        )
    return samples.select(
        ~np.isin(samples.dataset, list(names)) & ~np.isin(samples.method, list(names))
    )


def _thinned(samples: Samples, frames: int) -> Samples:
    """At most so many crops of each person, evenly over the video."""
    people: dict[tuple[str, int], list[int]] = {}
    for row in np.lexsort((samples.frame, samples.person, samples.video)):
        people.setdefault((samples.video[row], int(samples.person[row])), []).append(int(row))
    kept = [
        rows[position]
        for rows in people.values()
        for position in np.unique(
            np.linspace(0, len(rows) - 1, min(frames, len(rows))).round().astype(int)
        )
    ]
    return samples.select(np.sort(np.array(kept, np.int64)))


def _check_classes(train: Samples, valid: Samples, settings: TrainSettings) -> None:
    for samples, name in ((train, "training"), (valid, "validation")):
        if not len(samples):
            raise TrainingError(
                f"no {name} videos; give the dataset a `valid` split, or more videos so that some "
                "can be set aside"
            )
        if samples.fake.all():
            raise TrainingError(
                f"no real face among the {len(samples)} {name} crops; both classes are needed"
            )
        if not samples.fake.any() and not (settings.self_blend and name == "training"):
            raise TrainingError(
                f"no fake face among the {len(samples)} {name} crops; add fakes,"
                " or train from real faces alone with --self-blend 1"
            )
    if not train.fake.any() and settings.self_blend < 1:
        raise TrainingError("no fake face among the training crops; --self-blend must be 1 then")
