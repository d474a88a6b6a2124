"""A collection described by a table of one's own: CSV or TSV with a header line, or JSONL with an
object a line."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from mesovid.dataset.labels import (
    EVERYTHING,
    FAKE,
    SKIP,
    hint,
    is_called,
    label_of,
    method_of,
    split_of,
)
from mesovid.dataset.sources import (
    Collection,
    Layout,
    NotThisLayoutError,
    Options,
    Problem,
    Source,
    is_key,
)
from mesovid.errors import DatasetError
from mesovid.media import is_picture
from mesovid.texts import parse_json, read_text

NAMES = ("manifest.csv", "manifest.tsv", "manifest.jsonl")
SUFFIXES = (".csv", ".tsv", ".jsonl")
SEPARATORS = (",", ";", "\t", "|")
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
    "collection": ("collection", "origin"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table, cleaned up."""

    file: str
    label: str
    video: str
    about: Mapping[str, str]  # the other fields that have a value


def read(root: Path, options: Options) -> Collection:
    """The files that a table lists; `root` is the table, or the folder of one called `manifest`.

    Paths are relative to the table, absolute, or below the home folder (`~/`). `original` may be
    given by video, file or bare name.
    """
    table = _table(root)
    folder = table.parent
    name = folder.resolve().name
    problems: list[Problem] = []
    rows, used, notes = _rows(table, options.labels, problems)
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
    return Collection(
        name=name,
        layout="manifest",
        sources=tuple(sources),
        problems=tuple(problems),
        notes=notes + _contradicted(table, rows),
        labels_used=frozenset(used),
    )


def find_table(root: Path) -> Path | None:
    """The table of a folder, if it has one."""
    return next((root / name for name in NAMES if os.path.isfile(root / name)), None)


def _table(root: Path) -> Path:
    if os.path.isfile(root):
        if root.suffix.lower() not in SUFFIXES:
            raise NotThisLayoutError(f"{root.name} is none of {', '.join(SUFFIXES)}")
        return root
    table = find_table(root)
    if table is None:
        raise NotThisLayoutError(f"no {' or '.join(NAMES)}")
    return table


def _rows(
    table: Path, labels: Mapping[str, str], problems: list[Problem]
) -> tuple[list[Row], set[str], tuple[str, ...]]:
    """The rows whose label is known, the keys of `labels` that were met, and notes."""
    rows = []
    unknown: Counter[str] = Counter()
    used: set[str] = set()
    skipped = 0
    for number, values in enumerate(_lines(table), 1):
        fields = {field: _first(values, names) for field, names in COLUMNS.items()}
        about = {field: value for field, value in fields.items() if value}
        for field in ("file", *(() if EVERYTHING in labels else ("label",))):
            if field not in about:
                raise NotThisLayoutError(_lacks(table, number, field, values))
        file = about.pop("file").replace("\\", "/")
        word = about.pop("label", "")
        label = (
            label_of(word, {name: label for name, label in labels.items() if name})
            if word
            else None
        )
        met = {name for name in labels if name and is_called(word, name)}
        if not met and EVERYTHING in labels:
            label, met = labels[EVERYTHING], {EVERYTHING}
        used |= met
        if label == SKIP:
            skipped += 1
            continue
        if label is None:
            unknown[word] += 1
            continue
        if file.startswith("~/") and not os.path.lexists(table.parent / file):
            file = os.path.expanduser(file)
        video = about.pop("video", "")
        if not video or not is_picture(file):
            video = _key(file)
        rows.append(Row(file, label, video, about))
    for word, count in sorted(unknown.items()):
        both = " (which is which differs from set to set)" if word in ("0", "1") else ""
        why = (
            f"{count} rows have a label that nobody can tell{both}; say "
            f"{hint(word, leave_out=True)}"
        )
        problems.append(Problem(f"{table}: {word}", why))
    notes = (f"left out by --label ...=skip: {skipped} rows of {table.name}",) if skipped else ()
    return rows, used, notes


def _contradicted(table: Path, rows: list[Row]) -> tuple[str, ...]:
    """A note where the folders of files say another label than the table, which counts."""
    against = []
    for row in rows:
        words = [name for name in row.file.split("/")[:-1] if method_of(name) is None]
        said = [label for name in words if (label := label_of(name))]
        if said and row.label not in said:
            against.append(row)
    if not against:
        return ()
    first = against[0]
    return (
        f"{table.name} gives {len(against)} of {len(rows)} files another label than their folders "
        f"do; the first is {first.file}, {first.label} in the table",
    )


def _lacks(table: Path, number: int, field: str, values: Mapping[str, object]) -> str:
    """What is missing in a row: the column, or just its value."""
    names = COLUMNS[field]
    if any(name in values for name in names):
        return f"{table.name}, row {number} has no {field}"
    there = ", ".join(name for name in values if name) or "none"
    return (
        f"{table.name}, row {number} has no {field}: no column {' or '.join(names)}; its columns: "
        f"{there}"
    )


def _key(file: str) -> str:
    """A video's key from its file: the path without suffix, without what leads out of the
    collection."""
    stem = os.path.splitext(file)[0]
    if is_key(stem):
        return stem
    stem = stem.removeprefix(PurePath(stem).anchor.replace(os.sep, "/"))
    return "/".join(
        "up" if part == ".." else part for part in stem.split("/") if part not in ("", ".")
    )


def _by_video(folder: Path, rows: list[Row], problems: list[Problem]) -> dict[str, list[Row]]:
    """The rows of each video whose files are there; what contradicts itself goes to `problems`."""
    videos: dict[str, list[Row]] = {}
    seen: set[str] = set()
    for row in rows:
        if row.file in seen:
            problems.append(Problem(row.file, "listed twice"))
        elif not os.path.isfile(folder / row.file):
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
                problems.append(
                    Problem(video, f"its rows give different values of {field}: {given}")
                )
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
        text = read_text(table)
        if table.suffix.lower() == ".jsonl":
            parts = text.split("\0" if "\0" in text else "\n")
            return [
                _object(table, number, line) for number, line in enumerate(parts, 1) if line.strip()
            ]
        return cells(text)
    except OSError as error:
        raise DatasetError(f"{table}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{table} is damaged: {error}") from error


def cells(text: str) -> list[dict[str, object]]:
    """The rows of a table whose cells are parted by the character that parts its head line into
    known names."""
    text = text.replace("\0", "\n") if "\n" not in text else text
    if declared := re.match(r"sep=(.)\r?\n", text):  # as spreadsheets write it
        text = text[declared.end() :]
    head = re.split("[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0]
    known = {name for names in COLUMNS.values() for name in names}

    def known_cells(separator: str) -> int:
        return sum(
            cell.strip().lower() in known
            for cell in next(csv.reader([head], delimiter=separator), [])
        )

    separator = max(SEPARATORS, key=known_cells)  # the first of equals
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    return [{(name or "").strip().lower(): value for name, value in row.items()} for row in reader]


def _object(table: Path, number: int, line: str) -> dict[str, object]:
    try:
        values = parse_json(line)
    except ValueError as error:
        raise DatasetError(f"{table}, line {number}: {error}") from error
    if not isinstance(values, dict):
        raise DatasetError(
            f"{table}, line {number}: expected an object, found {type(values).__name__}"
        )
    return values


LAYOUT = Layout(name="manifest", read=read)
