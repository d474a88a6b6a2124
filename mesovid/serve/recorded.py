"""An index of a file of recorded results (JSON lines), so that a hundred thousand can be listed,
sorted and opened. A line costs some tens of bytes and its path; its faces stay in the file.

The file may grow while it is served, and may be put aside for a new one, as a run that goes on
does.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from mesovid.errors import InputError
from mesovid.records import Label, Scan, Status
from mesovid.report.reader import from_json
from mesovid.report.writers import SCHEMA, Result

Sort = Literal["worst", "line", "path", "duration", "people"]
Outcome = Literal["fake", "uncertain", "real", "no_face", "too_few_faces", "error"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)  # worst first
AT_ONCE = 1.0  # seconds that a request may go on reading; a large file takes some of them
LONGEST_LINE = 2**28  # bytes; hours of video at a frame a second have a tenth of that
HEAD_END = b', "frames": '
UNREADABLE_KEPT = 20  # numbers of lines that are told


@dataclass(frozen=True, slots=True)
class Row:
    """A result, as it is listed."""

    n: int  # its line, from 0
    path: str
    outcome: str
    fake_probability: float | None
    duration: float | None  # seconds
    people: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a list."""

    rows: tuple[Row, ...]
    matching: int


class Recorded:
    """The results in a file.

    Its methods may be called from any thread. InputError when the file cannot be read or begins
    with anything else than a result.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._clear()
        try:
            with self.path.open("rb") as file:
                first = file.readline(LONGEST_LINE)
        except OSError as error:
            raise InputError(f"cannot read {path} ({error.strerror or error})") from error
        if first and not _begins(first):
            raise InputError(
                f"{path} holds no results as JSON lines; `mesovid scan --format jsonl -o "
                f"{self.path.name}` writes some"
            )

    def counts(self) -> dict[str, int]:
        """How many results of each outcome were read so far."""
        with self._lock:
            self._follow()
            kinds = np.frombuffer(self._outcomes.tobytes(), np.uint8)
            return {name: int((kinds == i).sum()) for i, name in enumerate(OUTCOMES)}

    def progress(self) -> dict[str, Any]:
        """How far the file was read, and what could not be."""
        with self._lock:
            return {
                "bytes": self._size,
                "read": self._position,
                "complete": self._position + self._torn >= self._size,
                "unreadable": self._unreadable,
                "unreadable_lines": [number + 1 for number in self._bad],
            }

    def listing(
        self,
        outcomes: frozenset[str] = frozenset(OUTCOMES),
        words: str = "",
        sort: Sort = "worst",
        *,
        backwards: bool = False,
        offset: int = 0,
        limit: int = 50,
    ) -> Listing:
        """A page of the results with some outcomes whose paths contain some text."""
        with self._lock:
            self._follow()
            kinds = np.frombuffer(self._outcomes.tobytes(), np.uint8)
            wanted = np.isin(kinds, [i for i, name in enumerate(OUTCOMES) if name in outcomes])
            if words:
                wanted &= self._containing(words)
            chosen = np.flatnonzero(wanted)
            chosen = chosen[self._order(chosen, sort)]
            if backwards:
                chosen = chosen[::-1]
            rows = tuple(self._row(int(n)) for n in chosen[offset : offset + limit])
            return Listing(rows, len(chosen))

    def get(self, n: int) -> tuple[Result, dict[str, Any]]:
        """A result, and its line as it stands.

        IndexError when there is none; InputError when the line is damaged or has changed.
        """
        with self._lock:
            self._follow()
            line = self._line(n)
        try:
            value = json.loads(line)
        except ValueError as error:
            raise InputError(f"line {n + 1}: no JSON any more; the file has changed") from error
        return from_json(value), value

    # Reading

    def _clear(self) -> None:
        self._starts, self._lengths = array("Q"), array("Q")
        self._outcomes = array("B")  # index in OUTCOMES
        self._scores, self._durations = array("f"), array("f")  # nan where unknown
        self._people = array("l")  # -1 where unknown
        self._paths: list[bytes] = []  # as UTF-8
        self._position = self._torn = self._size = 0
        self._unreadable = 0
        self._bad: list[int] = []
        self._lines = 0  # read, good ones and others
        self._identity: tuple[int, int] | None = None

    def _follow(self) -> None:
        """Read on where the file has grown; anew where it is another one."""
        try:
            file = self.path.open("rb")
        except OSError:
            return  # put aside for a moment; what was read is still true
        with file:
            about = os.fstat(file.fileno())
            identity = about.st_dev, about.st_ino
            if identity != self._identity or about.st_size < self._position:
                self._clear()
                self._identity = identity
            self._size = about.st_size
            file.seek(self._position)
            until = time.monotonic() + AT_ONCE
            self._torn = 0
            while line := file.readline(LONGEST_LINE):
                if not line.endswith(b"\n") and len(line) < LONGEST_LINE:
                    self._torn = len(line)  # half written
                    return
                self._take(line)
                if time.monotonic() > until:
                    return

    def _take(self, line: bytes) -> None:
        start, self._position = self._position, self._position + len(line)
        self._lines += 1
        if not line.strip():
            return
        try:
            head = _head(line)
            outcome = OUTCOMES.index(_outcome(head))
            score = head.get("fake_probability")
            duration = (head.get("video") or {}).get("duration")
            people = head.get("people")
            values = (
                float("nan") if score is None else float(score),
                float("nan") if duration is None else float(duration),
            )
            path = str(head["path"]).encode("utf-8", "surrogatepass")
        except (ValueError, KeyError, TypeError, AttributeError):
            self._unreadable += 1
            if len(self._bad) < UNREADABLE_KEPT:
                self._bad.append(self._lines - 1)
            return
        self._starts.append(start)
        self._lengths.append(len(line))
        self._outcomes.append(outcome)
        self._scores.append(values[0])
        self._durations.append(values[1])
        self._people.append(-1 if people is None else len(people))
        self._paths.append(path)

    def _line(self, n: int) -> bytes:
        if not 0 <= n < len(self._starts):
            raise IndexError(n)
        try:
            with self.path.open("rb") as file:
                file.seek(self._starts[n])
                return file.read(self._lengths[n])
        except OSError as error:
            raise InputError(f"the file cannot be read ({error.strerror or error})") from error

    def _row(self, n: int) -> Row:
        score, duration, people = self._scores[n], self._durations[n], self._people[n]
        head: dict[str, Any] = {}
        with contextlib.suppress(ValueError, InputError):  # it may have changed since
            head = _head(self._line(n))
        return Row(
            n,
            self._paths[n].decode("utf-8", "replace"),
            OUTCOMES[self._outcomes[n]],
            head.get("fake_probability") if score == score else None,
            round(duration, 3) if duration == duration else None,
            None if people < 0 else people,
            str(head.get("reason") or head.get("error") or ""),
        )

    def _containing(self, words: str) -> npt.NDArray[np.bool_]:
        wanted = words.lower()
        return np.fromiter(
            (wanted in path.decode("utf-8", "replace").lower() for path in self._paths),
            bool,
            len(self._paths),
        )

    def _order(self, chosen: npt.NDArray[np.intp], sort: Sort) -> npt.NDArray[np.intp]:
        """What comes first; of equal ones the earlier line."""
        if sort == "line":
            return np.arange(len(chosen))
        if sort == "path":
            return np.array(sorted(range(len(chosen)), key=lambda i: self._paths[chosen[i]]), int)
        if sort == "worst":
            kinds = np.frombuffer(self._outcomes.tobytes(), np.uint8)[chosen]
            scores = np.frombuffer(self._scores.tobytes(), np.float32)[chosen]
            return np.lexsort((-np.nan_to_num(scores, nan=-1.0), kinds))
        if sort == "duration":
            values = np.frombuffer(self._durations.tobytes(), np.float32)[chosen]
            return np.argsort(-np.nan_to_num(values, nan=-1.0), kind="stable")
        counts = np.array(self._people, int)[chosen]
        return np.argsort(-counts, kind="stable")


def _begins(line: bytes) -> bool:
    """Whether a file's first line is that of results; a run may just be writing it."""
    if not line.endswith(b"\n"):
        return line.lstrip().startswith(b"{") or not line.strip()
    try:
        return not line.strip() or bool(_head(line))
    except ValueError:
        return False


def _head(line: bytes) -> dict[str, Any]:
    """What a line says before its frames, which are most of it; all, where it is written otherwise.

    A quote inside of a text is escaped, so the marks cannot stand in one.
    """
    short, mark, _ = line.partition(HEAD_END)
    try:
        value = json.loads(short + b"}" if mark else line)
    except ValueError:
        value = json.loads(line)
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        raise ValueError("no result")
    return value


def _outcome(head: dict[str, Any]) -> str:
    status = head["status"]
    if status not in get_args(Status):
        raise ValueError(status)
    if status != "ok":
        return str(status)
    if head["verdict"] not in get_args(Label):
        raise ValueError(head["verdict"])
    return str(head["verdict"])


def path_of(result: Result) -> str:
    """Where the clip of a result lay."""
    return result.video.path if isinstance(result, Scan) else result.path
