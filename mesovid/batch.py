"""Many videos: finds them, scans one after the other, and lets none of them stop the rest."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mesovid.errors import InputError, MesovidError
from mesovid.media import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from mesovid.records import Failure, Scan
from mesovid.scanner import OnCrops, Scanner

SUFFIXES = VIDEO_SUFFIXES | PICTURE_SUFFIXES


def scan_all(
    paths: Iterable[str | Failure], scanner: Scanner, on_crops: OnCrops | None = None
) -> Iterator[Scan | Failure]:
    """One result for each path, in order. A path that cannot be scanned gives a Failure, and so does one that is already one."""
    for path in paths:
        yield path if isinstance(path, Failure) else _scan(path, scanner, on_crops)


def _scan(path: str, scanner: Scanner, on_crops: OnCrops | None) -> Scan | Failure:
    try:
        return scanner.scan(path, on_crops)
    except MesovidError as error:
        return Failure(path, str(error))
    except OSError as error:
        return Failure(path, f"{path}: {error.strerror or error}")
    except Exception as error:  # a defect met in one file of an archive must not cost the others
        return Failure(path, f"{path}: unexpected {type(error).__name__}: {error}".replace("\n", " "))


def find_inputs(inputs: Sequence[str], lists: Sequence[str] = ()) -> list[str | Failure]:
    """The videos and pictures that `inputs` name: files, folders (searched through), glob patterns, `-` for a list on stdin.

    `lists` are files with one input a line. Each path comes once, in the order given, folders sorted by name. What names nothing
    becomes a Failure. InputError when a list cannot be read.
    """
    named = list(inputs)
    for name in lists:
        named += _read_list(name)
    found: dict[str, str | Failure] = {}
    for name in named:
        for item in _read_list("-") if name == "-" else [name]:
            for path in _expand(item):
                found.setdefault(path.path if isinstance(path, Failure) else path, path)
    return list(found.values())


def _expand(name: str) -> list[str | Failure]:
    path = Path(name)
    if path.is_dir():
        return _walk(name)
    if path.exists() or path.is_symlink():
        return [name]
    if glob.has_magic(name):
        matches = sorted(glob.glob(name, recursive=True))
        paths = [path for match in matches for path in (_walk(match) if os.path.isdir(match) else [match])]
        return paths or [Failure(name, f"{name}: the pattern matches no file")]
    return [Failure(name, f"{name}: no such file or folder")]


def _walk(folder: str) -> list[str | Failure]:
    failures: list[str | Failure] = []

    def refused(error: OSError) -> None:
        failures.append(Failure(str(error.filename), f"{error.filename}: {error.strerror}"))

    paths: list[str | Failure] = []
    for parent, folders, files in os.walk(folder, onerror=refused):
        folders.sort()
        paths += [
            os.path.join(parent, name) for name in sorted(files) if Path(name).suffix.lower() in SUFFIXES
        ]
    if not paths and not failures:
        return [Failure(folder, f"{folder}: the folder holds no video or picture")]
    return paths + failures


def _read_list(name: str) -> list[str]:
    """The lines of a file, or of standard input for `-`, but for empty ones."""
    try:
        if name == "-":
            text = sys.stdin.read()
        else:
            text = Path(name).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise InputError(f"{name}: cannot read the list of inputs: {error.strerror}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]
