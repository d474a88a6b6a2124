"""A collection described by a table of one's own: CSV with a header line, or JSONL with an object a line."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mesovid.dataset.labels import FAKE, label_of, split_of
from mesovid.dataset.sources import Collection, NotThisLayoutError, Problem, Source
from mesovid.errors import DatasetError
from mesovid.media import is_picture

NAMES = ("manifest.csv", "manifest.jsonl")
# field -> names of its column, the first that is there counts
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "file": ("file", "path", "filename", "filepath", "file_name", "image"),
    "label": ("label", "class"),
    "video": ("video", "video_id", "clip"),
    "method": ("method", "manipulation"),
    "original": ("original",),
    "split": ("split", "set", "subset"),
    "target": ("identity", "target", "person", "subject"),
    "source": ("source",),
    "group": ("group", "part"),  # a part of DFDC shares hardly an actor with the others
    "collection": ("collection",),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table, cleaned up."""

    file: str
    label: str
    video: str
    about: Mapping[str, str]  # the other fields that have a value


def read(root: Path, labels: Mapping[str, str]) -> Collection:
    """The files that a table lists; `root` is the table, or the folder of a `manifest.csv` or `manifest.jsonl`.

    Paths are relative to the table. `original` may be given by video, file or bare name.
    """
    table = _table(root)
    folder = table.parent
    name = folder.resolve().name
    problems: list[Problem] = []
    rows = _rows(table, labels, problems)
    videos = _by_video(folder, rows, problems)
    keys = {alias: video for video, own in videos.items() for row in own for alias in _aliases(row)}
    sources = []
    for video, own in videos.items():
        about = own[0].about
        original = about.get("original") if own[0].label == FAKE else None
        sources.append(
            Source(
                files=tuple(folder / row.file for row in own),
                video=video,
                label=own[0].label,
                method=about.get("method") if own[0].label == FAKE else None,
                target=about.get("target"),
                source=about.get("source"),
                original=keys.get(original, original) if original else None,
                group=about.get("group"),
                split=(split_of(about["split"]) or about["split"]) if "split" in about else None,
                collection=about.get("collection", name),
            )
        )
    if not sources and not problems:
        raise NotThisLayoutError(f"{table.name} lists nothing")
    return Collection(name=name, layout="manifest", sources=tuple(sources), problems=tuple(problems))


def _table(root: Path) -> Path:
    if root.is_file():
        if root.suffix.lower() not in (".csv", ".jsonl"):
            raise NotThisLayoutError(f"{root.name} is neither .csv nor .jsonl")
        return root
    table = next((root / name for name in NAMES if (root / name).is_file()), None)
    if table is None:
        raise NotThisLayoutError(f"no {' or '.join(NAMES)}")
    return table


def _rows(table: Path, labels: Mapping[str, str], problems: list[Problem]) -> list[Row]:
    rows = []
    unknown: Counter[str] = Counter()
    for number, values in enumerate(_lines(table), 1):
        fields = {field: _first(values, names) for field, names in COLUMNS.items()}
        about = {field: value for field, value in fields.items() if value}
        if "file" not in about:
            raise NotThisLayoutError(f"{table.name}, row {number} has no {COLUMNS['file'][0]}")
        if "label" not in about and "" not in labels:
            raise NotThisLayoutError(f"{table.name}, row {number} has no {COLUMNS['label'][0]}")
        file = about.pop("file").replace("\\", "/")
        word = about.pop("label", "")
        label = labels.get("") or label_of(word, labels)
        if label is None:
            unknown[word] += 1
            continue
        video = about.pop("video", "")
        if not video or not is_picture(file):
            video = Path(file).with_suffix("").as_posix()
        rows.append(Row(file, label, video, about))
    for word, count in sorted(unknown.items()):
        why = f"nobody can tell this label of {count} rows; say --label {word}=real or --label {word}=fake"
        problems.append(Problem(f"{table}: {word}", why))
    return rows


def _by_video(folder: Path, rows: list[Row], problems: list[Problem]) -> dict[str, list[Row]]:
    """The rows of each video whose files are there; what contradicts itself goes to `problems`."""
    videos: dict[str, list[Row]] = {}
    seen: set[str] = set()
    for row in rows:
        if row.file in seen:
            problems.append(Problem(row.file, "listed twice"))
        elif not (folder / row.file).is_file():
            problems.append(Problem(row.file, "listed but absent"))
        else:
            videos.setdefault(row.video, []).append(row)
        seen.add(row.file)
    for video, own in list(videos.items()):
        for field, values in (
            ("label", {row.label for row in own}),
            ("split", {row.about.get("split") for row in own}),
        ):
            if len(values) > 1:
                given = " and ".join(sorted(map(str, values)))
                problems.append(Problem(video, f"its rows give different values of {field}: {given}"))
                videos.pop(video, None)
        if len(own) > 1 and not all(is_picture(row.file) for row in own):
            problems.append(
                Problem(video, f"{len(own)} videos share this name; give each a `video` of its own")
            )
            videos.pop(video, None)
    return videos


def _aliases(row: Row) -> tuple[str, ...]:
    return (Path(row.file).stem, Path(row.file).name, row.file, row.video)


def _first(values: Mapping[str, object], names: tuple[str, ...]) -> str:
    value = next((values[name] for name in names if values.get(name) is not None), "")
    return str(value).strip()


def _lines(table: Path) -> list[dict[str, object]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            if table.suffix.lower() == ".csv":
                return [
                    {(name or "").strip().lower(): value for name, value in row.items()}
                    for row in csv.DictReader(lines)
                ]
            return [_object(table, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{table} is damaged: {error}") from error


def _object(table: Path, number: int, line: str) -> dict[str, object]:
    try:
        values = json.loads(line)
    except ValueError as error:
        raise DatasetError(f"{table}, line {number}: {error}") from error
    if not isinstance(values, dict):
        raise DatasetError(f"{table}, line {number}: expected an object, found {type(values).__name__}")
    return values
