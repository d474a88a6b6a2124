"""Finds what is wrong with a dataset, mesovid's or other people's: files, labels, splits, leaks."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from mesovid.dataset.labels import label_of, method_of, split_of
from mesovid.dataset.manifest import CropEntry, Dataset, read_description
from mesovid.dataset.splits import leaks
from mesovid.dataset.tables import find_table
from mesovid.errors import InputError
from mesovid.folders import walk
from mesovid.media import PICTURE_SUFFIXES
from mesovid.pictures import decode

PNG = b"\x89PNG\r\n\x1a\n"
OnDone = Callable[[int], None]  # hears how many more files have been read

# kind -> what it means. An error spoils figures or training; a warning is worth a look
ERRORS = {
    "left out": "a part of the set that is in no class, or not on disk",
    "missing file": "in the manifest but not on disk",
    "damaged file": "cannot be read whole",
    "wrong size": "not of the size that dataset.json says",
    "wrong label": "its folder says another label than the manifest",
    "wrong split": "its folder says another split than the manifest",
    "listed twice": "two lines of the manifest name one file",
    "two labels": "one video, or one picture, both real and fake",
    "leaked video": "crops of one video in several splits",
    "leaked original": "a fake and its original, or fakes of one original, in several splits",
    "leaked group": "crops of one group in several splits",
    "leaked identity": "videos of one person in several splits",
    "leaked picture": "the same picture in several splits",
}
WARNINGS = {
    "known leak": (
        "the collection's own split has it so, as `mesovid extract` said; --split parts it anew"
    ),
    "unlisted file": "a picture that the manifest does not name",
    "same picture": "one picture more than once in a split",
    "one label": "a split with real or fake crops only",
    "named otherwise": "the folders of the video say another label than it has",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    kind: str  # a key of ERRORS or WARNINGS
    name: str  # the file, video, identity or split
    detail: str = ""

    @property
    def is_error(self) -> bool:
        return self.kind in ERRORS

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}" + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True, slots=True)
class Report:
    """All findings on one dataset, errors first."""

    findings: tuple[Finding, ...] = field(default=())

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.is_error)


def check_dataset(
    dataset: Dataset, *, read_files: bool = True, workers: int = 1, on_done: OnDone | None = None
) -> Report:
    """Everything that is wrong with the dataset. Without `read_files` the pictures are not opened.

    A leak that comes from the collection's official split, and that extraction noted, is a warning.
    """
    findings = [
        *(Finding("left out", problem.name, problem.why) for problem in dataset.problems),
        *_lines(dataset),
        *_places(dataset),
        *_leaks(dataset),
        *_labels(dataset.crops),
        *_unlisted(dataset),
        *_one_label(dataset),
    ]
    if read_files:
        findings += _pictures(dataset, workers, on_done)
    order = [*ERRORS, *WARNINGS]
    return Report(tuple(sorted(findings, key=lambda f: (order.index(f.kind), f.name))))


def _lines(dataset: Dataset) -> Iterator[Finding]:
    seen: set[str] = set()
    for crop in dataset.crops:
        if crop.file in seen:
            yield Finding("listed twice", crop.file)
        seen.add(crop.file)


def _places(dataset: Dataset) -> Iterator[Finding]:
    """Manifest against folders: the first folder that names a split, the first that is a class by
    name.

    Where the folders alone give the labels there is nothing to compare.
    """
    listed = find_table(dataset.root) is not None
    for crop in dataset.crops:
        if not os.path.isfile(dataset.path(crop)):
            yield Finding("missing file", crop.file)
        folders = crop.file.split("/")[:-1]
        if crop.split is not None and folders and folders[0] != crop.split:
            split = split_of(folders[0])
            if split is not None and split != crop.split:
                yield Finding("wrong split", crop.file, f"{crop.split} in the manifest")
        # below the class folder lies the video, whose name may be anything
        named = [
            (method_of(name) is not None, label) for name in folders if (label := label_of(name))
        ]
        _, label = min(named, key=lambda entry: entry[0], default=(False, None))
        if listed and label is not None and label != crop.label:
            yield Finding("wrong label", crop.file, f"{crop.label} in the manifest")


def _leaks(dataset: Dataset) -> Iterator[Finding]:
    known = {(kind, name) for kind, name in read_description(dataset.root).get("leaks", [])}
    for leak in leaks(dataset.crops):
        detail = (
            f"in {' and '.join(leak.splits)}, {leak.videos} "
            f"{'video' if leak.videos == 1 else 'videos'}"
        )
        if (leak.kind, leak.name) in known:
            yield Finding("known leak", f"{leak.kind} {leak.name}", detail)
        else:
            yield Finding(f"leaked {leak.kind}", leak.name, detail)


def _labels(crops: Sequence[CropEntry]) -> Iterator[Finding]:
    labels: dict[str, set[str]] = defaultdict(set)
    for crop in crops:
        labels[crop.video].add(crop.label)
    for video, own in labels.items():
        if len(own) > 1:
            yield Finding("two labels", video)
            continue
        words = [name for name in video.split("/")[:-1] if method_of(name) is None]
        said = [label for name in words if (label := label_of(name))]
        if said and said[-1] not in own:
            yield Finding("named otherwise", video, f"{own.pop()} in the set")


def _unlisted(dataset: Dataset) -> Iterator[Finding]:
    if find_table(dataset.root):
        known = {crop.file for crop in dataset.crops}
        for file in walk(dataset.root, PICTURE_SUFFIXES, follow_links=True):
            if file not in known and "/" in file:
                yield Finding("unlisted file", file)


def _one_label(dataset: Dataset) -> Iterator[Finding]:
    for split in dataset.splits:
        labels = {crop.label for crop in dataset.of_split(split)}
        if len(labels) == 1:
            yield Finding("one label", split or "the dataset", f"only {labels.pop()}")


@dataclass(frozen=True, slots=True)
class _Picture:
    """What reading a file gave."""

    sha256: str | None  # None: not there
    size: tuple[int, int] | None  # width, height; None: damaged


def _pictures(dataset: Dataset, workers: int, on_done: OnDone | None) -> Iterator[Finding]:
    same: dict[str, list[CropEntry]] = defaultdict(list)
    geometry = dataset.geometry
    with ThreadPoolExecutor(workers) as pool:
        read = pool.map(_read, (dataset.path(crop) for crop in dataset.crops), chunksize=64)
        for crop, picture in zip(dataset.crops, read, strict=True):
            if on_done is not None:
                on_done(1)
            if picture.sha256 is None:
                continue
            if picture.size is None:
                yield Finding("damaged file", crop.file)
                continue
            if geometry is not None and picture.size != (geometry.size, geometry.size):
                width, height = picture.size
                yield Finding(
                    "wrong size",
                    crop.file,
                    f"{width}x{height}, not {geometry.size}x{geometry.size}",
                )
            same[picture.sha256].append(crop)
    for crops in same.values():
        yield from _copies(crops)


def _copies(crops: list[CropEntry]) -> Iterator[Finding]:
    """What it means that all these crops are one and the same picture."""
    files = sorted({crop.file for crop in crops})
    if len(files) < 2:
        return
    others = ", ".join(files[1:4]) + (f" and {len(files) - 4} more" if len(files) > 4 else "")
    if len({crop.label for crop in crops}) > 1:
        yield Finding("two labels", files[0], f"the same picture as {others}")
    if len({crop.split for crop in crops}) > 1:
        yield Finding("leaked picture", files[0], f"the same as {others}")
    else:
        yield Finding("same picture", files[0], f"as {others}")


def _read(file: Path) -> _Picture:
    try:
        content = file.read_bytes()
    except OSError:
        return _Picture(None, None)
    size = png_size(content) if content.startswith(PNG) else _decoded_size(content, file.suffix)
    return _Picture(hashlib.sha256(content).hexdigest(), size)


def png_size(content: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG file that is whole, by its checksums (ISO/IEC 15948, 5.3); None for
    a damaged one.

    Tells as much as decoding in a ninth of the time (0.2 ms instead of 1.9 for a crop of 256 px).
    """
    at, size, kind = len(PNG), None, b""
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4])
        kind, data = content[at + 4 : at + 8], memoryview(content)[at + 4 : at + 8 + length]
        at += 12 + length
        if at > len(content) or zlib.crc32(data) != int.from_bytes(content[at - 4 : at]):
            return None
        if kind == b"IHDR":
            size = int.from_bytes(data[4:8]), int.from_bytes(data[8:12])
        if kind == b"IEND":
            return size
    return None


def _decoded_size(content: bytes, suffix: str) -> tuple[int, int] | None:
    """Width and height of another kind of picture that can be decoded whole."""
    # decoders fill what lacks of a JPEG with grey and say nothing; some cameras add bytes after its
    # end
    cut_off = suffix.lower() in (".jpg", ".jpeg") and b"\xff\xd9" not in content[-1024:]
    if cut_off or not content:
        return None
    try:
        height, width = decode(content).shape[:2]
    except InputError:
        return None
    return width, height


def cores() -> int:
    """How many threads reading files is worth."""
    return os.cpu_count() or 1
