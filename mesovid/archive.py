"""The results of many videos in one file of JSON lines, which a run that was stopped goes on with.

A line is what `scan --format json` says of one video, and `file`: the size and the time of change
of what was scanned. A video is done when a line has its path, with the same size and time. The file
grows by whole lines; what a kill tore is cut off.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType, TracebackType
from typing import Any, Self

from mesovid.errors import InputError, SettingsError
from mesovid.files import append, whole
from mesovid.records import Failure, Scan
from mesovid.remote import Listed
from mesovid.report.reader import BEGINNING
from mesovid.report.writers import SCHEMA, to_json
from mesovid.texts import parse_json

Line = dict[str, Any]
COPIED_AT_ONCE = 2**22  # bytes
FREE = frozenset(["threads"])  # settings that change no result


class Archive:
    """A file of results, to be used with `with`: from there on it is this process's alone.

    InputError for a file that holds anything else or that another run writes to; SettingsError for
    results of another model or of other settings. Lines of videos that have changed since, and with
    `retry` those that failed, are dropped; so are torn ones. `restart` drops them all.
    """

    def __init__(
        self,
        path: str | Path,
        model_sha256: str,
        settings: Mapping[str, Any],
        *,
        retry: bool = False,
        restart: bool = False,
        inputs: Iterable[str | Failure] = (),
    ) -> None:
        self.path = Path(path)
        self._sha256 = model_sha256
        self._settings = dict(settings)
        self._retry, self._restart = retry, restart
        self._listed: dict[str, dict[str, Any]] = {
            path: path.facts for path in inputs if isinstance(path, Listed)
        }
        self._done: dict[str, str | None] = {}  # path -> its verdict, status without one
        self._file = -1
        self._size = 0

    def __enter__(self) -> Self:
        self._open()
        try:
            lasting, size = ([], self._emptied()) if self._restart else self._read()
            kept = sum(end - begin for begin, end in lasting)
            if kept < size and lasting in ([(0, kept)], []):  # only a torn end, or all
                os.ftruncate(self._file, kept)
            elif kept < size:
                self._rewrite(lasting)
            self._size = kept
            os.lseek(self._file, kept, os.SEEK_SET)
        except BaseException:
            os.close(self._file)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)

    def outcome(self, path: str) -> str | None:
        """What was found of a video that is done; None for one that is not.

        It is fake, real, uncertain, no_face, too_few_faces or error.
        """
        return self._done.get(path)

    def add(self, result: Scan | Failure) -> None:
        """Append a result, which is on disk before this returns.

        OSError when there is no room; then nothing of it is in the file.
        """
        path = result.path if isinstance(result, Failure) else result.video.path
        value = to_json(result) | {"file": facts(path)}
        line = json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"
        self._size = append(self._file, line.encode(), self._size)
        self._done[path] = _outcome(value)

    def _open(self) -> None:
        """Open the file, or make it, and lock it.

        Whoever holds the lock may put another file in its place meanwhile.
        """
        while True:
            try:
                self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                raise InputError(f"cannot write {self.path} ({error.strerror})") from error
            try:
                if self._locked():
                    return
            except BaseException:
                os.close(self._file)
                raise
            os.close(self._file)

    def _locked(self) -> bool:
        opened = os.fstat(self._file)
        if not stat.S_ISREG(opened.st_mode):
            raise InputError(
                f"{self.path} is no regular file; results that a run can go on with need one"
            )
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise InputError(
                    f"{self.path}: another run writes to it; wait for it, or name another file"
                ) from error
        return self.path.exists() and os.path.samestat(opened, self.path.stat())

    def _read(self) -> tuple[list[tuple[int, int]], int]:
        """Learn what is done.

        Gives the parts of the file that stand, and its size. A part is (from, to) in bytes; parts
        that touch are joined.
        """
        lasting: dict[str, tuple[int, int]] = {}
        position = 0
        with open(os.dup(self._file), "rb") as stream:
            stream.seek(0)
            for number, text in enumerate(stream, 1):
                begin, position = position, position + len(text)
                line = _parsed(text)
                if line is None:
                    self._check_torn(text, number)
                    continue
                self._check(line)
                if self._stands(line):  # of two lines of one video the later one counts
                    lasting[_path(line)] = begin, position
                    self._done[_path(line)] = _outcome(line)
        joined: list[tuple[int, int]] = []
        for begin, end in sorted(lasting.values()):
            if joined and joined[-1][1] == begin:
                begin = joined.pop()[0]
            joined.append((begin, end))
        return joined, position

    def _emptied(self) -> int:
        """Check that the file holds results, or nothing, before all of it goes; its size."""
        with open(os.dup(self._file), "rb") as stream:
            stream.seek(0)
            first = stream.readline()
        if first and _parsed(first) is None:
            self._check_torn(first, 1)
        return os.fstat(self._file).st_size

    def _rewrite(self, parts: list[tuple[int, int]]) -> None:
        """Put a file with only these parts in the place of this one."""
        with whole(self.path) as partial, open(partial, "wb") as target:
            for begin, end in parts:
                for start in range(begin, end, COPIED_AT_ONCE):
                    target.write(os.pread(self._file, min(COPIED_AT_ONCE, end - start), start))
        os.close(self._file)
        self._open()

    def _check_torn(self, text: bytes, number: int) -> None:
        """Raise InputError for a line that is no result, unless a kill tore it."""
        if not (text.startswith(BEGINNING) or BEGINNING.startswith(text)):
            raise InputError(
                f"{self.path} holds no results of `mesovid scan` (line {number}); name another file"
            )

    def _stands(self, line: Line) -> bool:
        if self._retry and line["status"] == "error":
            return False
        now = self._listed.get(_path(line)) or facts(_path(line))
        return now is None or line.get("file") == now

    def _check(self, line: Line) -> None:
        """Raise SettingsError unless the line was made as this run makes its own."""
        way_out = "; give the same, or another file, or --restart to start anew"
        model = line.get("model")
        if model and model.get("sha256") != self._sha256:
            raise SettingsError(
                f"{self.path} holds results of the model {model.get('name')} "
                f"({str(model.get('sha256'))[:8]}), this run uses {self._sha256[:8]}{way_out}"
            )
        for key, value in (line.get("settings") or {}).items():
            if key in FREE or key not in self._settings:
                continue
            if json.loads(json.dumps(self._settings[key])) != value:
                name = key.replace("_", "-")
                raise SettingsError(
                    f"{self.path} holds results with {name} {value}, this run has {name} "
                    f"{self._settings[key]}{way_out}"
                )


def facts(path: str) -> dict[str, Any] | None:
    """What tells whether a file has changed; None when it cannot be asked."""
    if isinstance(path, Listed):
        return path.facts or None
    with contextlib.suppress(OSError, ValueError):
        found = os.stat(path)
        return {"size": found.st_size, "modified": round(found.st_mtime, 6)}
    return None


def _parsed(text: bytes) -> Line | None:
    """A line of results; None when it is none, or torn."""
    if not text.endswith(b"\n"):
        return None
    try:
        value = parse_json(text)
    except ValueError:
        return None
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        return None
    return value if _is_whole(value) else None


def _is_whole(line: Line) -> bool:
    """Whether a line has what is looked at here."""
    try:
        bytes.fromhex(line.get("path_bytes", ""))
    except (TypeError, ValueError):
        return False
    return (
        isinstance(line.get("path"), str)
        and isinstance(line.get("status"), str)
        and isinstance(line.get("verdict", 0), (str, NoneType))
        and isinstance(line.get("model"), (dict, NoneType))
        and isinstance(line.get("settings"), (dict, NoneType))
    )


def _path(line: Line) -> str:
    """The path as the system knows it."""
    return (
        os.fsdecode(bytes.fromhex(line["path_bytes"]))
        if "path_bytes" in line
        else str(line["path"])
    )


def _outcome(line: Line) -> str:
    return str(line["verdict"] or line["status"])
