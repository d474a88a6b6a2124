"""The dataset on disk: class folders of crops, `manifest.jsonl` with a line a crop, `dataset.json`
with what holds for all.

    <root>/<split>/<real|fake>/<video key>/<frame>_<person>.png

Class folders that others made, without a manifest, are read too.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Any

from mesovid.dataset import class_folders, tables
from mesovid.dataset.labels import FAKE, REAL
from mesovid.dataset.sources import (
    NotThisLayoutError,
    Options,
    Problem,
    Source,
    in_one_line,
    is_key,
    refuse_unused,
)
from mesovid.errors import DatasetError, SettingsError
from mesovid.files import write_whole
from mesovid.media import PICTURE_SUFFIXES, is_picture
from mesovid.records import Box
from mesovid.settings import Geometry
from mesovid.texts import parse_json, read_text

SCHEMA = 1
LARGEST = 2**53  # of numbers: what every reader of JSON keeps exactly
MANIFEST = "manifest.jsonl"
CARD = "dataset.json"
# names may hold bytes that are no UTF-8, which Python keeps as surrogates: a backslash and their
# number is JSON for them
ESCAPE = "backslashreplace"

# five (x, y) px: eye, eye, nose, mouth corner, mouth corner
Landmarks = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CropEntry:
    """One crop of a dataset. Boxes and landmarks are in pixels of the source frame; None where
    unknown."""

    file: str  # path relative to the dataset's root, with forward slashes
    label: str  # "real" or "fake"
    method: str | None = None  # the manipulation; None for real faces and where unknown
    video: str  # key of the source video (or picture), unique in the dataset
    # index in decode order; the position among a video's pictures where there is no video
    frame: int = 0
    time: float | None = None  # seconds; None for pictures
    person: int = 0  # id within the video
    split: str | None = None  # train, valid, test, dev...; None where the set has no splits
    target: str | None = None  # identity whose video it is
    source: str | None = None  # identity whose face was put in; None for real faces
    original: str | None = None  # key of the video that a fake was made from
    group: str | None = None  # crops of one group stay on one side of a split
    collection: str | None = None  # the set the video came from; identities and groups are its own
    box: Box | None = None
    landmarks: Landmarks | None = None
    confidence: float | None = None  # of the detector, 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A dataset as read from disk; its crops are sorted by file."""

    root: Path
    geometry: Geometry | None  # None: made by others, unknown
    layout: str  # the layout it was extracted from; "folders" for sets without a manifest
    crops: tuple[CropEntry, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()  # what lies there and belongs to no class, and why
    labels_used: frozenset[str] = frozenset()  # names given by `--label` that something here has

    @property
    def splits(self) -> tuple[str | None, ...]:
        """The splits that have crops, sorted; None stands for crops without a split."""
        return tuple(
            sorted({crop.split for crop in self.crops}, key=lambda split: (split is None, split))
        )

    def of_split(self, *splits: str | None) -> tuple[CropEntry, ...]:
        """The crops of the named splits."""
        return tuple(crop for crop in self.crops if crop.split in splits)

    def path(self, crop: CropEntry) -> Path:
        """Where a crop's picture lies."""
        return self.root / crop.file


def read_dataset(
    path: str | Path, options: Options | None = None, *, whole: bool = True
) -> Dataset:
    """Read a dataset: one of mesovid's, or bare class folders `[split/]<class>/...` whose class
    names are known.

    `options` say what classes of others mean. Raises DatasetError when it is neither, when its
    manifest is damaged, or when it holds no crop; where `whole`, also when some of what lies there
    belongs to no class, which else goes to `problems`.
    """
    root = Path(path)
    if root.name in (MANIFEST, CARD) and os.path.isfile(root):
        root = root.parent
    if not os.path.isdir(root):
        raise DatasetError(
            f"no dataset at {root}; give a folder made by `mesovid extract`, or one of class "
            "folders"
        )
    problems: tuple[Problem, ...] = ()
    used: frozenset[str] = frozenset()
    if os.path.isfile(root / MANIFEST):
        card = read_description(root)
        crops = read_manifest(root / MANIFEST)
    elif os.path.isfile(root / CARD) or os.path.isdir(root / ".extract"):
        raise DatasetError(
            f"{root} is an unfinished extraction; run the same `mesovid extract` again to finish it"
        )
    else:
        try:
            card, (crops, problems, used) = {}, bare_crops(root, options or Options())
        except NotThisLayoutError as error:
            raise DatasetError(f"{root}: {error}") from error
    if not crops:
        raise DatasetError(
            (
                f"{root} holds no crop; expected {MANIFEST} or folders such as train/real and "
                "train/fake"
            )
            + (f" ({in_one_line(problems)})" if problems else "")
        )
    if problems and whole:
        raise DatasetError(f"a part of {root} would be left out: {in_one_line(problems)}")
    return Dataset(
        root=root,
        geometry=_geometry(root, card),
        layout=str(card.get("layout", "folders")),
        crops=tuple(sorted(crops, key=lambda crop: crop.file)),
        settings=card.get("settings", {}),
        problems=problems,
        labels_used=used,
    )


def read_datasets(
    paths: Sequence[str | Path], options: Options | None = None, *, whole: bool = True
) -> list[Dataset]:
    """Several datasets, each as `read_dataset` gives it. DatasetError also for a label given by
    hand that none of them has."""
    datasets = [read_dataset(path, options, whole=whole) for path in paths]
    refuse_unused(options or Options(), [dataset.labels_used for dataset in datasets])
    return datasets


def names_of(datasets: Sequence[Dataset]) -> list[str]:
    """Of several datasets their folder names; whole paths where two are equal."""
    names = [dataset.root.resolve().name for dataset in datasets]
    if len(set(names)) == len(names):
        return names
    paths = [str(dataset.root.resolve()) for dataset in datasets]
    if len(set(paths)) < len(paths):
        raise DatasetError("one dataset is given twice; its crops would count double")
    return paths


def digest(dataset: Dataset) -> str:
    """sha256 over the manifest's lines: equal for equal crops, labels, splits and boxes, wherever
    the set lies."""
    sha = hashlib.sha256()
    for crop in dataset.crops:
        sha.update(to_line(crop).encode(errors=ESCAPE) + b"\n")
    return sha.hexdigest()


def write_manifest(root: Path, crops: Iterable[CropEntry]) -> None:
    """Write `manifest.jsonl`, sorted by file, in one step."""
    lines = [to_line(crop) + "\n" for crop in sorted(crops, key=lambda crop: crop.file)]
    write_whole(root / MANIFEST, "".join(lines).encode(errors=ESCAPE))


def write_card(
    root: Path,
    *,
    geometry: Geometry | None,
    layout: str,
    settings: Mapping[str, Any],
    crops: Sequence[CropEntry],
    **further: Any,
) -> None:
    """Write `dataset.json` in one step; `further` are keys of one's own with JSON values."""
    card = {
        "schema": SCHEMA,
        "layout": layout,
        "geometry": None if geometry is None else geometry.to_dict(),
        "settings": dict(settings),
        "counts": counts(crops),
        **further,
    }
    write_whole(
        root / CARD, (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode(errors=ESCAPE)
    )


def read_description(root: Path) -> dict[str, Any]:
    """`dataset.json` as it stands; empty when there is none. Raises DatasetError when it is
    damaged."""
    file = root / CARD
    if not os.path.isfile(file):
        return {}
    try:
        card = parse_json(read_text(file))
    except OSError as error:
        raise DatasetError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise DatasetError(f"{file} is damaged: {error}") from error
    if not isinstance(card, dict):
        raise DatasetError(
            f"{file} holds {type(card).__name__}; expected an object with geometry and layout"
        )
    if card.get("schema", SCHEMA) != SCHEMA:
        raise DatasetError(
            f"{file} has schema {card['schema']!r}; this mesovid reads schema {SCHEMA}"
        )
    return card


def counts(crops: Sequence[CropEntry]) -> dict[str, Any]:
    """How many videos and crops there are, in all and for each split, label and method."""
    cells: Counter[tuple[str, str, str]] = Counter()
    videos: dict[tuple[str, str, str], set[str]] = {}
    for crop in crops:
        cell = (crop.split or "-", crop.label, crop.method or "-")
        cells[cell] += 1
        videos.setdefault(cell, set()).add(crop.video)
    return {
        "videos": len({crop.video for crop in crops}),
        "crops": len(crops),
        "cells": [
            {
                "split": split,
                "label": label,
                "method": method,
                "videos": len(videos[cell]),
                "crops": cells[cell],
            }
            for cell in sorted(cells)
            for split, label, method in [cell]
        ],
    }


# One crop, one line


_FIELDS = tuple(entry.name for entry in dataclasses.fields(CropEntry))


def to_line(crop: CropEntry) -> str:
    """A crop as one JSON object, keys in the order of the record, without a line end."""
    return json.dumps(
        {name: getattr(crop, name) for name in _FIELDS}, ensure_ascii=False, separators=(", ", ": ")
    )


def from_line(line: str) -> CropEntry:
    """The crop of a manifest line. Raises ValueError that says what is wrong with it."""
    values = parse_json(line)
    if not isinstance(values, dict):
        raise ValueError(f"expected an object, found {type(values).__name__}")
    if missing := [
        name for name in ("file", "label", "video") if not isinstance(values.get(name), str)
    ]:
        raise ValueError(f"no {missing[0]!r}")
    if not is_key(values["file"]):
        raise ValueError(f"file {values['file']!r} leads out of the dataset")
    if values["label"] not in (REAL, FAKE):
        raise ValueError(f"label {values['label']!r} is neither real nor fake")
    values = {name: value for name, value in values.items() if name in _FIELDS}
    for name in _WORDS:
        if not isinstance(values.get(name), (str, NoneType)):
            raise ValueError(f"{name} is {values[name]!r:.60}; it must be text or null")
    for name in ("frame", "person"):
        if name in values and (type(values[name]) is not int or abs(values[name]) > LARGEST):
            raise ValueError(f"{name} is {values[name]!r:.60}; it must be a whole number")
    for name in ("time", "confidence"):
        if values.get(name) is not None:
            values[name] = _number(values[name], name)
    if values.get("box") is not None:
        left, top, right, bottom = (_number(value, "box") for value in values["box"])
        values["box"] = (left, top, right, bottom)
    if values.get("landmarks") is not None:
        values["landmarks"] = tuple(
            (_number(x, "landmarks"), _number(y, "landmarks")) for x, y in values["landmarks"]
        )
    return CropEntry(**values)


_WORDS = ("method", "split", "target", "source", "original", "group", "collection")


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > LARGEST:
        raise ValueError(f"{name} has {value!r:.60}; it must have numbers")
    if not math.isfinite(value):
        raise ValueError(f"{name} has {value}; it must have finite numbers")
    return float(value)


def read_manifest(file: Path) -> list[CropEntry]:
    """The crops of a `manifest.jsonl`. Raises DatasetError that names the first bad line."""
    crops = []
    try:
        text = read_text(file)
    except OSError as error:
        raise DatasetError(f"{file}: {error.strerror}") from error
    for number, line in enumerate(text.rstrip().split("\n") if text.strip() else (), 1):
        try:
            crops.append(from_line(line))
        except (ValueError, TypeError) as error:
            raise DatasetError(f"{file}, line {number}: {error}") from error
    return crops


def _geometry(root: Path, card: Mapping[str, Any]) -> Geometry | None:
    if card.get("geometry") is None:
        return None
    try:
        return Geometry.from_dict(card["geometry"])
    except (SettingsError, TypeError) as error:
        raise DatasetError(f"{root / CARD}: geometry: {error}") from error


# Class folders without a manifest


def bare_crops(
    root: Path, options: Options
) -> tuple[list[CropEntry], tuple[Problem, ...], frozenset[str]]:
    """The pictures that a table lists, or those under `[split/]<class>/` or `<class>/[split/]`;
    also what is left out, and the labels given by hand that something has.

    Raises DatasetError for folders that contradict each other.
    """
    table = tables.find_table(root)
    found = (
        tables.read(table, options)
        if table
        else class_folders.find(root, PICTURE_SUFFIXES, options)
    )
    crops, problems = [], list(found.problems)
    for source in found.sources:
        for frame, file in enumerate(source.files):
            name = os.path.relpath(file, root)
            if not is_key(name):
                problems.append(Problem(str(file), "lies outside of the dataset"))
            elif not is_picture(file):
                problems.append(
                    Problem(str(file), "is no picture; mesovid extract makes crops of videos")
                )
            else:
                crops.append(_bare_crop(source, Path(name).as_posix(), frame))
    return crops, tuple(problems), found.labels_used


def _bare_crop(source: Source, file: str, frame: int) -> CropEntry:
    return CropEntry(
        file=file,
        label=source.label,
        method=source.method,
        video=source.video,
        frame=frame,
        split=source.split,
        target=source.target,
        source=source.source,
        original=source.original,
        group=source.group,
    )
