"""Shows a dataset: a table of what is in it, and a sheet of its faces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mesovid.dataset.cutter import Result
from mesovid.dataset.journal import VIDEOS
from mesovid.dataset.manifest import CARD, CropEntry, Dataset, counts
from mesovid.dataset.sources import Problem
from mesovid.errors import DatasetError, InputError
from mesovid.files import write_whole
from mesovid.names import shown
from mesovid.opencv import cv2
from mesovid.pictures import encode, read_picture, resized
from mesovid.records import Pixels
from mesovid.report.table import Table, text_table

COLUMNS, ROWS = 10, 2  # faces of each split, label and method on a contact sheet
CELL = 128  # px, side of a face on the sheet
LINE = 18  # px, height of the text above a row
SHOWN = 5  # names of each kind that a summary lists


def table(crops: Sequence[CropEntry]) -> str:
    """Videos and crops of each split, label and method, and in all."""
    about = counts(crops)
    header = ("split", "label", "method", "videos", "crops")
    rows = [tuple(str(cell[name]) for name in header) for cell in about["cells"]]
    rows.append(("all", "", "", str(about["videos"]), str(about["crops"])))
    return text_table(Table("", header, tuple(rows), names=3))


def losses(results: Iterable[Result], problems: Sequence[Problem] = ()) -> str:
    """What is not in the dataset, and why; empty when nothing is missing."""
    results = list(results)
    lines = []
    dropped: Counter[str] = Counter()
    for result in results:
        dropped.update(result.dropped)
    if dropped:
        lines.append(
            "left out: " + ", ".join(f"{n} {reason}" for reason, n in dropped.most_common())
        )
    skipped = [Problem(r.video, r.reason or "") for r in results if r.status == "skipped"]
    broken = [Problem(r.video, r.reason or "") for r in results if r.status == "failed"]
    warned = [Problem(r.video, warning) for r in results for warning in r.warnings]
    for heading, entries in (
        ("videos without a crop", skipped),
        ("videos that failed", broken),
        ("odd videos", warned),
        ("not extracted", list(problems)),
    ):
        lines += _listing(heading, entries)
    if any(line.endswith(" more") for line in lines):
        lines.append(f"  all of them: {VIDEOS} and {CARD} in the dataset")
    return "\n".join(lines)


def contact_sheet(dataset: Dataset) -> Pixels:
    """Faces of every split, label and method, evenly picked over the videos, as one picture (h, w,
    3) RGB."""
    groups: dict[tuple[str, str, str], list[CropEntry]] = {}
    for crop in dataset.crops:
        groups.setdefault((crop.split or "-", crop.label, crop.method or "-"), []).append(crop)
    bands = [
        _band(dataset, " ".join(name for name in group if name != "-"), own)
        for group, own in sorted(groups.items())
    ]
    return np.concatenate(bands)


def write_sheet(dataset: Dataset, file: str | Path) -> None:
    """Write the contact sheet as a PNG file. DatasetError when the folder cannot be written."""
    sheet = encode(contact_sheet(dataset))
    try:
        write_whole(Path(file), sheet)
    except OSError as error:
        raise DatasetError(f"cannot write {file}: {error.strerror}") from error


def _listing(heading: str, entries: Sequence[Problem]) -> list[str]:
    """A heading with the count, the commonest reasons, and the first names of each."""
    if not entries:
        return []
    by_reason: dict[str, list[str]] = {}
    for entry in entries:
        by_reason.setdefault(shown(entry.why), []).append(shown(entry.name))
    lines = [f"{heading}: {len(entries)}"]
    for why, names in sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0])):
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        lines.append(f"  {why}: {', '.join(names[:SHOWN])}{more}")
    return lines


def _band(dataset: Dataset, title: str, crops: list[CropEntry]) -> Pixels:
    """The title and up to COLUMNS x ROWS faces, from as many videos as there are."""
    wanted = COLUMNS * ROWS
    at = np.linspace(0, len(crops) - 1, min(wanted, len(crops))).round().astype(int)
    ordered = sorted(crops, key=lambda crop: (crop.video, crop.frame, crop.person))
    cells = [_cell(dataset.path(ordered[i])) for i in at]
    cells += [np.full((CELL, CELL, 3), 255, np.uint8)] * (-len(cells) % COLUMNS)
    lines = [np.concatenate(cells[i : i + COLUMNS], axis=1) for i in range(0, len(cells), COLUMNS)]
    head = np.full((LINE, COLUMNS * CELL, 3), 255, np.uint8)
    text = f"{title}: {len(crops)} crops of {len({crop.video for crop in crops})} videos"
    cv2.putText(
        head, text, (4, LINE - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA
    )
    return np.concatenate([head, *lines])


def _cell(file: Path) -> Pixels:
    """A face at the sheet's scale; grey with a cross where its file cannot be read."""
    try:
        image = read_picture(file)
    except InputError:
        blank = np.full((CELL, CELL, 3), 128, np.uint8)
        cv2.line(blank, (0, 0), (CELL, CELL), (255, 0, 0), 2)
        return blank
    return resized(image, CELL)
