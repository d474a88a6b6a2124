"""What an extraction has done so far, kept so that the process may die at any moment.

Below the dataset lies `.extract/` until it is complete: `plan.json` (what was asked for),
`journal.jsonl` (a line for each job that is done, with its crops) and staging folders. A crop moves
to its place whole, and a job's line is written after its crops; what a killed run leaves half done
is done again, with the same outcome.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from mesovid.dataset.cutter import Result
from mesovid.dataset.manifest import (
    CARD,
    ESCAPE,
    MANIFEST,
    from_line,
    read_description,
    read_manifest,
    to_line,
)
from mesovid.dataset.sources import Source
from mesovid.errors import DatasetError
from mesovid.files import remove_leftovers, write_whole
from mesovid.texts import parse_json

WORK = ".extract"
VIDEOS = "videos.jsonl"  # a line a video: what became of it


class Journal:
    """The results of the jobs that are done. Holds a lock: two runs must not fill one folder."""

    def __init__(self, root: Path, plan: Mapping[str, Any]) -> None:
        """Begin or go on. DatasetError when `root` holds anything but this very extraction,
        finished or not."""
        self.root = root
        self.work = root / WORK
        self.results: dict[str, Result] = {}
        self.finished = False
        self._file: IO[bytes] | None = None
        self._lock: IO[bytes] | None = None
        self._open(plan)

    def _open(self, plan: Mapping[str, Any]) -> None:
        holds = sorted(path.name for path in self.root.iterdir()) if self.root.is_dir() else []
        if (self.root / CARD).is_file():
            _check_plan(self.root, read_description(self.root).get("plan"), plan)
            self.finished = True
            self.results = read_results(self.root)
        elif (self.work / "plan.json").is_file():
            _check_plan(self.root, _load(self.work / "plan.json"), plan)
        elif holds not in ([], [WORK]):
            raise DatasetError(
                f"{self.root} is not empty (it holds {holds[0]!r}); give a new folder for the "
                "dataset"
            )
        self.work.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        for stage in self.work.glob("stage-*"):
            shutil.rmtree(stage, ignore_errors=True)
        for folder in (self.root, self.work):  # what a kill left in the middle of `write_whole`
            remove_leftovers(folder)
        if not (self.work / "plan.json").is_file():
            write_whole(self.work / "plan.json", json.dumps(plan, indent=1).encode())
        journal = self.work / "journal.jsonl"
        for line in _whole_lines(journal):
            for values in parse_json(line):
                result = _from_json(values)
                self.results[result.video] = result
        self._file = journal.open("ab")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in (self._file, self._lock):
            if file is not None:
                file.close()

    def add(self, results: Sequence[Result]) -> None:
        """Note the results of one job, whose crops are all in place. OSError on a full disk."""
        assert self._file is not None
        line = json.dumps([_to_json(result) for result in results], ensure_ascii=False) + "\n"
        self._file.write(line.encode(errors=ESCAPE))
        self._file.flush()
        self.results.update({result.video: result for result in results})

    def remove(self) -> None:
        """Take the working files away: the dataset is complete."""
        if self._file is not None:
            self._file.close()
        shutil.rmtree(self.work, ignore_errors=True)

    def _take_lock(self) -> None:
        self._lock = (self.work / "lock").open("wb")
        with suppress(ImportError):  # not on Windows
            import fcntl

            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise DatasetError(
                    f"another extraction is at work on {self.root}; wait for it to end"
                ) from error


def extraction_plan(sources: Iterable[Source], settings: Mapping[str, Any]) -> dict[str, Any]:
    """What identifies an extraction: its settings, and a digest over names, labels and links of its
    videos."""
    sha = hashlib.sha256()
    for source in sources:
        values = dataclasses.asdict(source) | {"files": [file.name for file in source.files]}
        sha.update(json.dumps(values, sort_keys=True).encode())
    return {"settings": dict(settings), "sources": sha.hexdigest()}


def write_results(root: Path, results: Iterable[Result]) -> None:
    """Write `videos.jsonl`, sorted by video, in one step.

    The crops themselves stand in the manifest.
    """
    lines = []
    for result in sorted(results, key=lambda result: result.video):
        values = _to_json(result) | {"crops": len(result.crops)}
        lines.append(json.dumps(values, ensure_ascii=False) + "\n")
    write_whole(root / VIDEOS, "".join(lines).encode(errors=ESCAPE))


def read_results(root: Path) -> dict[str, Result]:
    """The results of a finished extraction, by video; empty for datasets that others made."""
    if not (root / VIDEOS).is_file():
        return {}
    crops: dict[str, list[str]] = {}
    for crop in read_manifest(root / MANIFEST):
        crops.setdefault(crop.video, []).append(to_line(crop))
    results = {}
    for line in _whole_lines(root / VIDEOS):
        values = parse_json(line)
        result = _from_json(values | {"crops": crops.get(values["video"], [])})
        results[result.video] = result
    return results


def _check_plan(root: Path, there: object, plan: Mapping[str, Any]) -> None:
    """DatasetError that names the first difference."""
    if not isinstance(there, dict) or "settings" not in there:
        raise DatasetError(f"{root} holds another dataset; give a new folder")
    for key, value in plan["settings"].items():
        before = there["settings"].get(key)
        if before != value:
            raise DatasetError(
                f"{root} was begun with {key} {before!r}, not {value!r}; give a new folder"
            )
    if there.get("sources") != plan["sources"]:
        raise DatasetError(
            f"{root} holds a dataset of other videos, labels or splits; give a new folder"
        )


def _whole_lines(file: Path) -> list[str]:
    """The lines of a file; what a kill left of a last one is cut off."""
    if not file.is_file():
        return []
    content = file.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(file, whole)
    return content[:whole].decode().split("\n")[:-1]


def _load(file: Path) -> object:
    try:
        return parse_json(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DatasetError(f"{file} is damaged: {error}") from error


def _to_json(result: Result) -> dict[str, Any]:
    values = {entry.name: getattr(result, entry.name) for entry in dataclasses.fields(result)}
    return values | {
        "crops": [to_line(crop) for crop in result.crops],
        "warnings": list(result.warnings),
    }


def _from_json(values: dict[str, Any]) -> Result:
    return Result(
        **values
        | {
            "crops": tuple(from_line(line) for line in values["crops"]),
            "warnings": tuple(values["warnings"]),
        }
    )
