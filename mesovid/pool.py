"""Runs many jobs in several processes.

A job that crashes, hangs or eats memory costs itself and nothing else.

Each worker process has one job at a time, so that it is known whose fault a death was. Workers are
started afresh (`spawn`: networks are not fork-safe), keep what they have loaded from job to job,
and never outlive the process that started them.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from mesovid import logs
from mesovid.errors import SettingsError

Job = TypeVar("Job")
Result = TypeVar("Result")
Engine = Callable[..., Iterator[tuple[Any, Any]]]  # `run`, or what has its contract

_log = logging.getLogger(__name__)

MEBIBYTE = 2**20  # bytes
POLL = 0.5  # seconds until an iterator that had no job yet is asked again


@dataclass(frozen=True, slots=True)
class Limits:
    """What a job may take before it is given up."""

    timeout: float | None = None  # seconds
    memory: int | None = None  # MiB of its worker process, the loaded networks included


class NothingYet:
    """Stands for no job, now: an iterator gives it when it may have some later.

    It is asked again after a while.
    """


NOTHING_YET = NothingYet()


@dataclass(frozen=True, slots=True)
class Crash:
    """What becomes of a job that takes its worker down, or has to be given up."""

    reason: str  # says what happened to it: "it crashed the worker process (SIGSEGV)"


def run(
    jobs: Iterable[Job | NothingYet],
    work: Callable[[Job], Result],
    workers: int,
    limits: Limits | None = None,
) -> Iterator[tuple[Job, Result | Crash]]:
    """Each job with its result, in the order in which they end.

    With `workers` 0 they run in this process, one by one.

    `work` and the jobs are sent to the processes by pickle; jobs are taken from their iterator as
    workers become free. An exception that `work` raises is raised here and ends the run. A job
    whose worker was killed from outside (as a system does that runs out of memory) is done once
    more at the end, with no other beside it. Closing the iterator, and Ctrl-C, kill all workers at
    once; what was under way is lost. SettingsError when a memory limit is asked for where there is
    none.
    """
    limits = limits or Limits()
    if limits.memory is not None and sys.platform != "linux":
        raise SettingsError(f"a memory limit needs Linux; this is {sys.platform}. Leave it out")
    if not workers:
        for job in jobs:
            if isinstance(job, NothingYet):
                time.sleep(POLL)
            else:
                yield job, work(job)
        return
    victims: list[Job] = []
    for job, outcome in _Crew(work, workers, limits).outcomes(jobs):
        if outcome is _KILLED:
            victims.append(job)
        else:
            yield job, outcome
    for job, outcome in _Crew(work, 1, limits).outcomes(victims):
        yield job, outcome


_KILLED = Crash("it crashed the worker process (SIGKILL; the system may have run out of memory)")


class _Crew(Generic[Job, Result]):
    """The workers of one run."""

    def __init__(self, work: Callable[[Job], Result], workers: int, limits: Limits) -> None:
        self._work, self._count, self._limits = work, workers, limits
        self._idle: list[_Worker] = []
        self._busy: dict[_Worker, Job] = {}

    def outcomes(self, jobs: Iterable[Job | NothingYet]) -> Iterator[tuple[Job, Result | Crash]]:
        waiting = iter(jobs)
        more = True
        try:
            while more or self._busy:
                idle = False
                while more and not idle and len(self._busy) < self._count:
                    job = next(waiting, _END)
                    if isinstance(job, _End):
                        more = False
                    elif isinstance(job, NothingYet):
                        idle = True
                    else:
                        self._give(job)
                if self._busy:
                    yield from self._ended(POLL if idle else None)
                elif idle:
                    time.sleep(POLL)
        finally:
            for worker in [*self._busy, *self._idle]:
                worker.kill()
            for worker in [*self._busy, *self._idle]:
                worker.release()
            self._busy.clear()
            self._idle.clear()

    def _give(self, job: Job) -> None:
        while self._idle:
            worker = self._idle.pop()
            if worker.give(job):
                self._busy[worker] = job
                return
            worker.release()  # it was killed while it had nothing to do
        worker = _Worker(self._work, self._limits)
        # before it is given: a worker that dies at once is found dead like any other
        self._busy[worker] = job
        worker.give(job)

    def _ended(self, at_most: float | None) -> Iterator[tuple[Job, Result | Crash]]:
        """Wait for at least one job to end or to run out of time, or so many seconds."""
        nearest = min(worker.deadline for worker in self._busy)
        if at_most is not None:
            nearest = min(nearest, time.monotonic() + at_most)
        left = None if nearest == float("inf") else max(0.0, nearest - time.monotonic())
        ready = set(wait([worker.connection for worker in self._busy], left))
        now = time.monotonic()
        ended: deque[tuple[Job, Any]] = deque()
        for worker, job in list(self._busy.items()):
            if worker.connection in ready:
                outcome = worker.outcome()
                if isinstance(outcome, _Ready):
                    worker.begin()
                    continue
            elif worker.deadline <= now:
                worker.kill()
                outcome = Crash(
                    f"it took longer than the {self._limits.timeout:g} s allowed (--timeout)"
                )
            else:
                continue
            del self._busy[worker]
            if isinstance(outcome, Crash):
                worker.release()
            else:
                self._idle.append(worker)
            ended.append((job, outcome))
        while ended:
            job, outcome = ended.popleft()
            if isinstance(outcome, Raised):
                raise outcome.error
            yield job, outcome.value if isinstance(outcome, Returned) else outcome


class _End:
    """Of the jobs."""


_END = _End()


@dataclass(frozen=True, slots=True)
class Returned:
    """What `work` gave."""

    value: Any


@dataclass(frozen=True, slots=True)
class Raised:
    """What `work` raised."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class _Ready:
    """A process has started; the time of its first job begins now."""


class _Worker:
    """One process, from here."""

    def __init__(self, work: Callable[[Any], Any], limits: Limits) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._limits = limits
        self._process = context.Process(
            target=_serve, args=(theirs, work, limits.memory), name="mesovid-worker", daemon=True
        )
        with _interrupts_held():
            self._process.start()
        _log.debug("worker %s started", self._process.pid)
        theirs.close()  # so that its death is the end of this pipe
        self.deadline = float("inf")
        self._started = False

    def begin(self) -> None:
        """The time of the job in hand begins."""
        self._started = True
        seconds = self._limits.timeout
        self.deadline = float("inf") if seconds is None else time.monotonic() + seconds

    def give(self, job: Any) -> bool:
        """Send a job; False when the process has died."""
        if self._started:
            self.begin()
        try:
            self.connection.send(job)
        except OSError:
            return False
        return True

    def outcome(self) -> Any:
        """What the process sends; a Crash when it has ended instead."""
        try:
            return self.connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            self._process.join()
            _log.warning("worker %s died: %s", self._process.pid, self._death())
            return _KILLED if self._process.exitcode == -9 else Crash(self._death())

    def _death(self) -> str:
        code = self._process.exitcode or 0
        try:
            how = signal.Signals(-code).name
        except ValueError:
            how = f"exit status {code}"
        near = f", within its limit of {self._limits.memory} MiB" if self._limits.memory else ""
        return f"it crashed the worker process ({how}{near})"

    def kill(self) -> None:
        self._process.kill()

    def release(self) -> None:
        """Wait for the end of the process and let go of it."""
        self.connection.close()
        self._process.join()
        self._process.close()


def _serve(connection: Connection, work: Callable[[Any], Any], memory: int | None) -> None:
    """The life of a worker process."""
    # Ctrl-C reaches all processes; the parent sees to it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logs.configure()
    threading.Thread(target=_die_with_parent, daemon=True).start()
    bounded(memory)
    connection.send(_Ready())
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        connection.send(outcome_of(work, job, memory))


def outcome_of(
    work: Callable[[Any], Any], job: Any, memory: int | None
) -> Returned | Raised | Crash:
    """What becomes of a job: nothing is raised."""
    try:
        return Returned(work(job))
    except MemoryError:
        if memory is None:
            return Crash("there is not enough memory for it")
        return Crash(f"it needs more than the {memory} MiB allowed (--memory-limit)")
    except BaseException as error:
        _log.debug("a job raised", exc_info=error)
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # some exceptions cannot be sent; what they say can
            return Raised(RuntimeError(f"{type(error).__name__}: {error}"))
        return Raised(error)


def bounded(mebibytes: int | None) -> None:
    """Let this process's allocations fail beyond this.

    It counts the heap and private mappings, which decoders and arrays take.
    """
    if mebibytes is not None and sys.platform == "linux":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (mebibytes * MEBIBYTE, hard))


@contextmanager
def within(mebibytes: int) -> Iterator[None]:
    """Let this process allocate so much more inside of the block, and no more (Linux)."""
    if sys.platform != "linux":
        yield
        return
    import resource

    with open("/proc/self/statm", "rb") as file:
        taken = int(file.read().split()[5]) * resource.getpagesize()  # data and stacks
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = taken + mebibytes * MEBIBYTE
    if soft != resource.RLIM_INFINITY:
        limit = min(limit, soft)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _die_with_parent() -> None:
    """A killed parent cannot stop its workers; they must not go on writing beside its successor."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C comes after this, and never to the processes that are started here.

    It would kill a worker that has not got as far as to ignore it. The mask is for the workers, who
    take it over; it alone would not do here, where any other thread may receive the signal.
    """
    heard = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(heard):
        yield
        return
    if (
        sys.platform != "win32"
    ):  # its start, which would come with the first worker's, ends any mask
        resource_tracker.ensure_running()
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    mask = (
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        if sys.platform != "win32"
        else None
    )
    try:
        yield
    finally:
        if sys.platform != "win32" and mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, heard)
    if came:
        with contextlib.suppress(TypeError):
            heard(signal.SIGINT, None)
