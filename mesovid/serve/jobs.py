"""The scans of a server: queued, running, done, failed or cancelled.

Each has a folder of its own, which is erased with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mesovid.pool import Crash, Limits, run
from mesovid.records import Failure, Scan
from mesovid.scanner import Options
from mesovid.serve.problems import ProblemError
from mesovid.serve.uploads import Upload
from mesovid.serve.worker import CANCEL, CANCELLED, EVENTS, ScanRequest, work

State = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED = frozenset(["done", "failed", "cancelled"])
LOCK = "lock"
CLOSING = 5.0  # seconds that a running scan is given to stop when the server does


@dataclass(slots=True, eq=False)
class ScanJob:
    """One scan that was asked for."""

    id: str
    upload: Upload
    options: Options
    folder: Path
    created: float = field(default_factory=time.time)
    touched: float = field(default_factory=time.monotonic)  # when somebody last asked for it
    state: State = "queued"
    scan: Scan | None = None
    problem: str | None = None  # why it failed
    erased: bool = False

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    def events(self, start: int = 0) -> list[dict[str, Any]]:
        """What the worker has told so far, from event `start` on."""
        try:
            text = (self.folder / EVENTS).read_text(encoding="utf-8")
        except OSError:
            return []
        lines = text.split("\n")[:-1]  # the last one may be half written
        return [json.loads(line) for line in lines[start:]]


class Jobs:
    """All scans of one server. Its methods may be called from any thread."""

    def __init__(self, *, waiting: int, limits: Limits, keep_video: bool, idle: float) -> None:
        self._lock = threading.RLock()
        self._jobs: dict[str, ScanJob] = {}
        self._queue: queue.SimpleQueue[ScanJob | None] = queue.SimpleQueue()
        self._waiting, self._limits = waiting, limits
        self._keep_video, self._idle = keep_video, idle
        self._counts: dict[str, int] = {}
        self._running: ScanJob | None = None
        self.root = _fresh_folder()
        self._lock_file = _hold(self.root / LOCK)
        self._thread = threading.Thread(target=self._serve, name="mesovid-scans", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the worker and erase everything."""
        with self._lock:
            for job in self._jobs.values():
                self._cancel(job)
        self._queue.put(None)
        self._thread.join(CLOSING)  # a decoder that hangs is killed with this process
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None
        shutil.rmtree(self.root, ignore_errors=True)

    def check_room(self) -> None:
        """ProblemError when the queue is full."""
        with self._lock:
            waiting = sum(job.state == "queued" for job in self._jobs.values())
        if waiting >= self._waiting:
            raise ProblemError(
                "busy",
                f"{waiting} scans are waiting, which is all that this server queues",
                headers={"retry-after": "5"},
                limit=self._waiting,
            )

    def new_folder(self) -> Path:
        """Where an upload may go; not made yet."""
        self._erase_idle()
        return self.root / secrets.token_urlsafe(12)

    def add(self, upload: Upload, options: Options) -> ScanJob:
        """Queue a scan. ProblemError when the queue is full, and then the upload is erased."""
        folder = upload.path.parent
        try:
            self.check_room()
        except ProblemError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        job = ScanJob(folder.name, upload, options, folder)
        with self._lock:
            self._jobs[job.id] = job
        self._queue.put(job)
        return job

    def get(self, id_: str) -> ScanJob:
        """A scan by its id. ProblemError when there is none."""
        with self._lock:
            job = self._jobs.get(id_)
        if job is None:
            raise ProblemError("no-such-scan", f"no scan {id_[:40]!r}; it may have been erased")
        job.touched = time.monotonic()
        return job

    def all(self) -> list[ScanJob]:
        """All scans, newest first."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: -job.created)

    def erase(self, id_: str) -> None:
        """Cancel a scan and erase its files and results."""
        job = self.get(id_)
        with self._lock:
            self._cancel(job)
            del self._jobs[id_]
            if job.ended:
                self._remove(job)
            # a running one is removed by the worker's thread, which still writes there
            job.erased = True

    def position(self, job: ScanJob) -> int:
        """How many scans come before this one."""
        with self._lock:
            earlier = [
                each
                for each in self._jobs.values()
                if not each.ended and each.created < job.created
            ]
        return len(earlier)

    def counts(self) -> dict[str, int]:
        """How many scans ended in each state since the start, and how many wait and run."""
        with self._lock:
            now = {
                state: sum(job.state == state for job in self._jobs.values())
                for state in ("queued", "running")
            }
            return self._counts | now

    # The worker's thread

    def _serve(self) -> None:
        for _, outcome in run(self._taken(), work, 1, self._limits):
            self._end(outcome)

    def _taken(self) -> Iterator[ScanRequest]:
        """The scans that are still wanted, as they come."""
        while (job := self._queue.get()) is not None:
            with self._lock:
                if job.state != "queued" or job.erased:
                    self._forget(job)
                    continue
                job.state = "running"
                self._running = job
            yield ScanRequest(job.folder, job.upload.path, job.upload.name, job.options)

    def _end(self, outcome: Scan | Failure | Crash) -> None:
        with self._lock:
            job = self._running
            assert job is not None  # an outcome is of what was taken last: there is one worker
            if isinstance(outcome, Scan):
                job.scan, job.state = outcome, "done"
            elif isinstance(outcome, Failure) and outcome.error == CANCELLED:
                job.state = "cancelled"
            else:
                job.state = "failed"
                job.problem = (
                    outcome.error
                    if isinstance(outcome, Failure)
                    else f"{job.upload.name}: {outcome.reason}"
                )
            self._counts[job.state] = self._counts.get(job.state, 0) + 1
            if job.erased:
                self._remove(job)
            elif not self._keep_video or job.state != "done":
                job.upload.path.unlink(missing_ok=True)

    def _cancel(self, job: ScanJob) -> None:
        if job.state == "queued":
            job.state = "cancelled"
        elif job.state == "running":
            with contextlib.suppress(OSError):
                (job.folder / CANCEL).touch()

    def _forget(self, job: ScanJob) -> None:
        if job.erased:
            self._remove(job)
        else:
            job.upload.path.unlink(missing_ok=True)

    def _remove(self, job: ScanJob) -> None:
        shutil.rmtree(job.folder, ignore_errors=True)

    def _erase_idle(self) -> None:
        """Erase what nobody has asked for in a long time."""
        with self._lock:
            old = [
                j.id
                for j in self._jobs.values()
                if j.ended and time.monotonic() - j.touched > self._idle
            ]
        for id_ in old:
            with contextlib.suppress(ProblemError):
                self.erase(id_)


def _fresh_folder() -> Path:
    """A folder of this server's own; those of servers that were killed are erased."""
    parent = (
        Path(tempfile.gettempdir())
        / f"mesovid-serve-{os.getuid() if sys.platform != 'win32' else 0}"
    )
    parent.mkdir(mode=0o700, exist_ok=True)
    if sys.platform != "win32":
        found = parent.lstat()
        if found.st_uid != os.getuid() or found.st_mode & 0o077 or parent.is_symlink():
            return Path(tempfile.mkdtemp(prefix="mesovid-serve-"))  # somebody else's by that name
    for left in parent.iterdir():
        held = _hold(left / LOCK) if (left / LOCK).exists() else None
        if held is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(held)
    return Path(tempfile.mkdtemp(prefix="server-", dir=parent))


def _hold(path: Path) -> int | None:
    """Lock a file for as long as this process lives.

    None when another one holds it, or where there are no locks.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return None
    return file
