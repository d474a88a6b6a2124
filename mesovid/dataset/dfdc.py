"""The DeepFake Detection Challenge (Dolhansky et al. 2020): its training parts, its test set, and
the preview set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mesovid.dataset.labels import FAKE, REAL, split_of
from mesovid.dataset.sources import (
    Collection,
    Layout,
    NotThisLayoutError,
    Options,
    Problem,
    Source,
    is_key,
    listed,
)
from mesovid.dataset.tables import cells
from mesovid.errors import DatasetError
from mesovid.media import VIDEO_SUFFIXES
from mesovid.texts import parse_json, read_text

METADATA, PREVIEW, TEST = "metadata.json", "dataset.json", "labels.csv"
PARTS = 3  # from so many on, parts are kept whole: they share no original and hardly an actor


def read(root: Path, _options: Options) -> Collection:
    """What the `metadata.json` of each part, the preview's `dataset.json` or the test set's
    `labels.csv` list."""
    problems: list[Problem] = []
    if metadata := _metadata_files(root):
        sources = list(_read_parts(root, metadata, problems))
    elif os.path.isfile(root / PREVIEW):
        sources = list(_read_preview(root, problems))
    elif os.path.isfile(root / TEST):
        sources = list(_read_test(root, problems))
    else:
        raise NotThisLayoutError(f"no {METADATA}, {PREVIEW} or {TEST} with labels of videos")
    if not sources:
        raise NotThisLayoutError("no video that its lists name is there")
    return Collection(name="dfdc", layout="dfdc", sources=tuple(sources), problems=tuple(problems))


def _metadata_files(root: Path) -> list[Path]:
    """`metadata.json` of the folder itself, or of its parts up to two levels down."""
    found = [
        root / METADATA,
        *sorted(root.glob(f"*/{METADATA}")),
        *sorted(root.glob(f"*/*/{METADATA}")),
    ]
    return [file for file in found if file.is_file()]


def _read_parts(root: Path, files: list[Path], problems: list[Problem]) -> Iterator[Source]:
    many = len(files) >= PARTS
    for file in files:
        folder = file.parent
        part = folder.relative_to(root).as_posix()
        prefix = "" if part == "." else f"{part}/"
        videos = _load_object(file)
        for name, about in sorted(videos.items()):
            label = _label(about)
            if label is None:
                problems.append(
                    Problem(
                        str(folder / name), f"{METADATA} gives no label FAKE or REAL: {about!r}"
                    )
                )
                continue
            if not os.path.isfile(folder / name):
                problems.append(Problem(str(folder / name), f"listed in {METADATA} but absent"))
                continue
            original = about.get("original")
            original = original if isinstance(original, str) else None
            yield Source(
                files=(folder / name,),
                video=prefix + Path(name).stem,
                label=label,
                original=prefix + Path(original).stem if label == FAKE and original else None,
                group=part if many else None,
                split=split_of(about["split"]) if about.get("split") else None,
                collection="dfdc",
            )
        problems += [
            Problem(str(folder / name), f"not in {METADATA}, so that its label is unknown")
            for name in listed(folder, VIDEO_SUFFIXES)
            if name not in videos
        ]


def _read_preview(root: Path, problems: list[Problem]) -> Iterator[Source]:
    for name, about in sorted(_load_object(root / PREVIEW).items()):
        if not isinstance(about, dict) or "label" not in about:
            raise NotThisLayoutError(f"{PREVIEW} does not list videos with labels")
        label = _label(about)
        if label is None:
            problems.append(Problem(name, f"{PREVIEW} gives no label fake or real: {about!r}"))
        elif not os.path.isfile(root / name):
            problems.append(Problem(name, f"listed in {PREVIEW} but absent"))
        else:
            folders = Path(name).parts[:-1]
            actor = folders[1] if len(folders) > 1 else None  # original_videos/<actor>/<clip>.mp4
            target = about.get("target_id") or (actor if label == REAL else None)
            swapped = about.get("swapped_id") if label == FAKE else None
            yield Source(
                files=(root / name,),
                video=Path(name).with_suffix("").as_posix(),
                label=label,
                method=folders[0] if label == FAKE and folders else None,
                target=None if target is None else str(target),
                source=None if swapped is None else str(swapped),
                split=split_of(about["set"]) if about.get("set") else None,
                collection="dfdc-preview",
            )


def _read_test(root: Path, problems: list[Problem]) -> Iterator[Source]:
    rows = [
        {name: str(value or "") for name, value in row.items()}
        for row in cells(read_text(root / TEST))
    ]
    if not rows or not {"filename", "label"} <= rows[0].keys():
        raise NotThisLayoutError(f"{TEST} has no columns filename and label")
    places = [root, *(folder for folder in sorted(root.iterdir()) if folder.is_dir())]
    for row in rows:
        name, label = row["filename"], {"1": FAKE, "0": REAL}.get(row["label"].strip())
        inside = places if is_key(name) else []
        file = next((place / name for place in inside if os.path.isfile(place / name)), None)
        if label is None:
            problems.append(
                Problem(name, f"{TEST} gives it label {row['label']!r}; expected 1 (fake) or 0")
            )
        elif file is None:
            problems.append(Problem(name, f"listed in {TEST} but absent"))
        else:
            key = file.relative_to(root).with_suffix("").as_posix()
            yield Source(
                files=(file,), video=key, label=label, split="test", collection="dfdc-test"
            )


def _label(about: Any) -> str | None:
    """From `label` FAKE or REAL, or from the released test set's `is_fake` 1 or 0."""
    if not isinstance(about, dict):
        return None
    if "is_fake" in about:
        named = ((1, FAKE), (0, REAL))
        return next((name for number, name in named if about["is_fake"] == number), None)
    return {"FAKE": FAKE, "REAL": REAL}.get(str(about.get("label")).upper())


def _load_object(file: Path) -> dict[str, Any]:
    try:
        content = parse_json(read_text(file))
    except ValueError as error:
        raise DatasetError(f"{file} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise NotThisLayoutError(f"{file.name} holds no object of videos")
    return content


LAYOUT = Layout(
    name="dfdc", read=read, fixed=True, people=frozenset({"dfdc", "dfdc-preview", "dfdc-test"})
)
