"""Joins datasets into one that still says where each crop came from."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from mesovid.dataset.layouts import LAYOUTS, distinct_names
from mesovid.dataset.manifest import (
    CARD,
    CropEntry,
    Dataset,
    digest,
    read_dataset,
    write_card,
    write_manifest,
)
from mesovid.dataset.splits import Leak, leaks
from mesovid.errors import DatasetError

# in these every set numbers the same people alike, so that identities hold across sets
GLOBAL = frozenset().union(*(layout.people for layout in LAYOUTS.values()))


def merge(paths: Sequence[str | Path], root: str | Path) -> tuple[Dataset, tuple[Leak, ...]]:
    """Join datasets into the new folder `root`; also returns what leaks between splits now that
    they are one.

    Videos, files and originals get their set's name in front, so that equal names stay apart. Files
    are linked where the file system can, else copied. Raises DatasetError for fewer than two sets,
    unknown or different geometry, a missing file, or a folder that is not empty (an interrupted
    merge counts as empty: it is begun anew).
    """
    root = Path(root)
    if len(paths) < 2:
        raise DatasetError(f"merging takes at least two datasets; got {len(paths)}")
    datasets = [read_dataset(path, whole=False) for path in paths]
    names = distinct_names([Path(path) for path in paths])
    _check_geometry(datasets)
    _check_target(root)
    root.mkdir(parents=True, exist_ok=True)
    (root / _MARK).touch()
    crops = []
    for dataset, name in zip(datasets, names, strict=True):
        for crop in dataset.crops:
            renamed = _renamed(crop, name)
            _place(dataset.path(crop), root / renamed.file)
            crops.append(renamed)
    write_manifest(root, crops)
    write_card(
        root,
        geometry=datasets[0].geometry,
        layout="+".join(dict.fromkeys(dataset.layout for dataset in datasets)),
        settings={},
        crops=crops,
        merged=[
            {
                "name": name,
                "path": str(path),
                "layout": dataset.layout,
                "digest": digest(dataset),
                "settings": dict(dataset.settings),
            }
            for name, path, dataset in zip(names, paths, datasets, strict=True)
        ],
    )
    (root / _MARK).unlink()
    merged = read_dataset(root)
    return merged, tuple(leaks(merged.crops))


_MARK = ".merging"  # lies in the folder until the merge is complete


def _check_geometry(datasets: Sequence[Dataset]) -> None:
    first = datasets[0]
    for dataset in datasets:
        if dataset.geometry is None:
            raise DatasetError(
                f"{dataset.root} has no {CARD} that says its geometry; extract it again with "
                "mesovid"
            )
        if first.geometry is None or dataset.geometry == first.geometry:
            continue
        one, other = first.geometry.to_dict(), dataset.geometry.to_dict()
        key = next(key for key in one if one[key] != other[key])
        raise DatasetError(
            f"the geometries differ: {key} is {one[key]} in {first.root}, {other[key]} in "
            f"{dataset.root}; extract one of them again with --geometry"
        )


def _check_target(root: Path) -> None:
    if root.is_dir() and any(root.iterdir()) and not (root / _MARK).is_file():
        raise DatasetError(f"{root} is not empty; give a new folder for the merged dataset")
    if (root / _MARK).is_file():
        shutil.rmtree(root)


def _renamed(crop: CropEntry, name: str) -> CropEntry:
    """The crop as one of the set `name` in a merged dataset."""
    collection = crop.collection or ""
    own = collection if collection in GLOBAL else f"{name}/{collection}".rstrip("/")
    video = f"{name}/{crop.video}"
    place = [part for part in (crop.split, crop.label, name) if part]
    # mesovid's own files lie below their split and label; those of others are kept as they are
    inside = crop.file
    for part in (crop.split, crop.label):
        inside = inside.removeprefix(f"{part}/")
    return replace(
        crop,
        file="/".join((*place, inside)),
        video=video,
        original=None if crop.original is None else f"{name}/{crop.original}",
        collection=own,
    )


def _place(file: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    if copy.exists():
        raise DatasetError(f"two crops would both be {copy}")
    try:
        with suppress(OSError):  # another file system, or one without links
            os.link(file, copy)
            return
        shutil.copyfile(file, copy)
    except OSError as error:
        raise DatasetError(f"cannot copy {file} to {copy}: {error.strerror}") from error
