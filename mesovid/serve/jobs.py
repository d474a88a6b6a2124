"""The jobs of a server, scans and evaluations: queued, running, done, failed or cancelled.

Each has a folder of its own, which is erased with it. Each kind has a worker process of its own.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import secrets
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from mesovid.pool import Crash, Limits, run
from mesovid.records import Failure, Scan
from mesovid.scanner import Options
from mesovid.serve.problems import ProblemError
from mesovid.serve.uploads import Upload
from mesovid.serve.worker import CANCEL, CANCELLED, EVENTS, FacesRequest, ScanRequest
from mesovid.settings import Geometry

_log = logging.getLogger(__name__)

State = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED = frozenset(["done", "failed", "cancelled"])
LOCK = "lock"
CLOSING = 5.0  # seconds that a running scan is given to stop when the server does
SWEEP = 30.0  # seconds between looks for what nobody has asked for in a long time, at most
AGAIN = 1.0  # seconds until a worker that could not be started is tried again


@dataclass(slots=True, eq=False, kw_only=True)
class Job:
    """Something that was asked for and takes its time."""

    id: str
    name: str  # for people
    folder: Path
    created: float = field(default_factory=time.time)
    touched: float = field(default_factory=time.monotonic)  # when somebody last asked for it
    state: State = "queued"
    problem: str | None = None  # why it failed
    erased: bool = False

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    def request(self) -> Any:
        """What the worker is given."""
        raise NotImplementedError

    def finish(self, outcome: Any) -> None:
        """Take what the worker found."""
        raise NotImplementedError

    def tidy(self) -> None:
        """Let go of what is needed no longer, once it has ended."""

    def events(self, start: int = 0) -> list[dict[str, Any]]:
        """What the worker has told so far, from event `start` on."""
        try:
            text = (self.folder / EVENTS).read_text(encoding="utf-8")
        except OSError:
            return []
        lines = text.split("\n")[:-1]  # the last one may be half written
        return [json.loads(line) for line in lines[start:]]


@dataclass(slots=True, eq=False, kw_only=True)
class ScanJob(Job):
    """One scan that was asked for, or one that was recorded earlier and is opened again."""

    upload: Upload
    options: Options
    keep_video: bool = True
    geometry: Geometry | None = None  # of a recorded one, whose faces are to be cut again
    faces_problem: str | None = None  # why there are no pictures of the faces
    scan: Scan | None = None

    recorded: bool = False  # scanned earlier, elsewhere

    def request(self) -> ScanRequest | FacesRequest:
        if self.geometry is not None and self.scan is not None:
            return FacesRequest(
                self.folder, self.upload.path, self.upload.name, self.scan, self.geometry
            )
        return ScanRequest(self.folder, self.upload.path, self.upload.name, self.options)

    def finish(self, outcome: Scan) -> None:
        self.scan = outcome

    def tidy(self) -> None:
        if self.recorded:
            if self.state == "failed":  # the verdict stands without pictures
                self.state, self.faces_problem, self.problem = "done", self.problem, None
        elif self.owned and (not self.keep_video or self.state != "done"):
            self.upload.path.unlink(missing_ok=True)

    @property
    def owned(self) -> bool:
        """Whether the file was sent, and is the server's to erase."""
        return self.upload.path.parent == self.folder


Kind = TypeVar("Kind", bound=Job)


class Workplace:
    """The folder of one server, which nothing outlives; those of servers that were killed go."""

    def __init__(self, quota: int) -> None:
        self.root = _fresh_folder()
        self.quota = quota  # bytes
        self._lock_file = _hold(self.root / LOCK)

    def used(self) -> int:
        """Bytes of all that lies here."""
        total = 0
        for folder, _, names in os.walk(self.root):
            for name in names:
                with contextlib.suppress(OSError):
                    total += os.lstat(os.path.join(folder, name)).st_size
        return total

    def room(self, wanted: int) -> int:
        """Bytes that an upload may take; ProblemError when `wanted` are too many."""
        left = self.quota - self.used()
        if left <= 0 or wanted > left:
            raise ProblemError(
                "disk-full",
                f"what is kept may take {self.quota:,} bytes (--quota), and {max(left, 0):,} are "
                "left; erase some scans, or wait",
                limit=self.quota,
            )
        return left

    def new_folder(self) -> Path:
        """Where a job's files may go; not made yet."""
        return self.root / secrets.token_urlsafe(12)

    def close(self) -> None:
        """Erase everything."""
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None
        shutil.rmtree(self.root, ignore_errors=True)


class Jobs(Generic[Kind]):
    """All jobs of one kind of a server. Its methods may be called from any thread.

    `work` runs in a process of its own; `noun` is what a job is called.
    """

    def __init__(
        self,
        place: Workplace,
        work: Callable[[Any], Any],
        noun: str,
        *,
        waiting: int,
        limits: Limits,
        idle: float,
    ) -> None:
        self._lock = threading.RLock()
        self._jobs: dict[str, Kind] = {}
        self._queue: queue.SimpleQueue[Kind | None] = queue.SimpleQueue()
        self._place, self._work, self._noun = place, work, noun
        self._waiting, self._limits, self._idle = waiting, limits, idle
        self._counts: dict[str, int] = {}
        self._coming = 0  # uploads that are being received
        self._running: Kind | None = None
        self.seconds: dict[str, float] = {}  # of stages, over all jobs
        self.faces = 0  # that were scored
        self.root = place.root
        self._thread = threading.Thread(target=self._serve, name=f"mesovid-{noun}s", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Cancel everything and let the worker end."""
        with self._lock:
            for job in self._jobs.values():
                self._cancel(job)
        self._queue.put(None)

    def join(self) -> None:
        """Wait for its end; a decoder that hangs is killed with this process."""
        self._thread.join(CLOSING)

    def check_room(self) -> None:
        """ProblemError when the queue is full."""
        with self._lock:
            self._check_room(self._coming)

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """A place in the queue, held while an upload is received.

        ProblemError when there is none.
        """
        with self._lock:
            self._check_room(self._coming)
            self._coming += 1
        try:
            yield
        finally:
            with self._lock:
                self._coming -= 1

    def add(self, job: Kind) -> Kind:
        """Queue a job; one that has ended is only kept.

        ProblemError when the queue is full: then its files are erased.
        """
        self._erase_idle()
        with self._lock:
            if not job.ended:
                try:
                    self._check_room(0)
                except ProblemError:
                    self._remove(job)
                    raise
            self._jobs[job.id] = job
        if not job.ended:
            self._queue.put(job)
        return job

    def get(self, id_: str) -> Kind:
        """A job by its id. ProblemError when there is none."""
        with self._lock:
            job = self._jobs.get(id_)
        if job is None:
            raise ProblemError(
                f"no-such-{self._noun}", f"no {self._noun} {id_[:40]!r}; it may have been erased"
            )
        job.touched = time.monotonic()
        return job

    def all(self) -> list[Kind]:
        """All jobs, newest first."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: -job.created)

    def erase(self, id_: str) -> None:
        """Cancel a job and erase its files and results."""
        with self._lock:
            job = self.get(id_)
            self._cancel(job)
            del self._jobs[id_]
            job.erased = True
            if job.ended:
                self._remove(job)
            # a running one is removed by the worker's thread, which still writes there

    def position(self, job: Job) -> int:
        """How many jobs come before this one."""
        with self._lock:
            earlier = [
                each
                for each in self._jobs.values()
                if not each.ended and each.created < job.created
            ]
        return len(earlier)

    def counts(self) -> dict[str, int]:
        """How many jobs ended in each state since the start, and how many wait and run."""
        with self._lock:
            now = {
                state: sum(job.state == state for job in self._jobs.values())
                for state in ("queued", "running")
            }
            return self._counts | now

    def _check_room(self, coming: int) -> None:
        waiting = coming + sum(job.state == "queued" for job in self._jobs.values())
        if waiting >= self._waiting:
            raise ProblemError(
                "busy",
                f"{waiting} {self._noun}s are waiting, which is all that this server queues",
                headers={"retry-after": "5"},
                limit=self._waiting,
            )

    # The worker's thread

    def _serve(self) -> None:
        """Run the jobs until the end; what goes wrong costs the job in hand."""
        while True:
            try:
                for _, outcome in run(self._taken(), self._work, 1, self._limits):
                    self._end(outcome)
            except Exception as error:
                _log.exception("the worker of %ss could not go on", self._noun)
                self._end(Crash(f"the worker process could not go on ({type(error).__name__})"))
                time.sleep(AGAIN)
            else:
                return

    def _taken(self) -> Iterator[Any]:
        """The jobs that are still wanted, as they come."""
        while True:
            try:
                job = self._queue.get(timeout=min(SWEEP, self._idle))
            except queue.Empty:
                self._erase_idle()
                continue
            if job is None:
                return
            with self._lock:
                if job.state != "queued" or job.erased:
                    self._forget(job)
                    continue
                job.state = "running"
                self._running = job
                request = job.request()
            yield request

    def _end(self, outcome: Any) -> None:
        with self._lock:
            job, self._running = self._running, None
            if job is None:
                return
            if isinstance(outcome, Crash):
                job.state, job.problem = "failed", f"{job.name}: {outcome.reason}"
            elif isinstance(outcome, Failure):
                cancelled = outcome.error == CANCELLED
                job.state = "cancelled" if cancelled else "failed"
                job.problem = None if cancelled else outcome.error
            else:
                job.finish(outcome)
                job.state = "done"
                if isinstance(outcome, Scan) and not getattr(job, "recorded", False):
                    self.faces += len(outcome.scores)
                    for stage, seconds in outcome.seconds.items():
                        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
            self._counts[job.state] = self._counts.get(job.state, 0) + 1
            job.touched = time.monotonic()
            self._forget(job)

    def _cancel(self, job: Kind) -> None:
        if job.state == "queued":
            job.state = "cancelled"
        elif job.state == "running":
            with contextlib.suppress(OSError):
                (job.folder / CANCEL).touch()

    def _forget(self, job: Kind) -> None:
        if job.erased:
            self._remove(job)
        else:
            job.tidy()

    def _remove(self, job: Kind) -> None:
        shutil.rmtree(job.folder, ignore_errors=True)

    def _erase_idle(self) -> None:
        """Erase what nobody has asked for in a long time."""
        with self._lock:
            old = [
                job.id
                for job in self._jobs.values()
                if job.ended and time.monotonic() - job.touched > self._idle
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
