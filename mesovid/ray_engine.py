"""The contract of `mesovid.pool.run` on a Ray cluster: many machines in place of processes of one.

Ray's actors hold the networks; jobs go to them one by one, and results come back to this process,
which alone writes. Needs `pip install mesovid[ray]` here and on every machine of the cluster. Paths
are opened where the actor is; relative ones start from the folder in which this process runs, where
that machine has it.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from mesovid.errors import SettingsError
from mesovid.pool import POLL, Crash, Limits, NothingYet, Raised, Returned, bounded, outcome_of

Job = TypeVar("Job")
Result = TypeVar("Result")

CONNECT = 10.0  # seconds
TRIES = 2  # of a job whose actor died, by its own fault perhaps
MOVES = 20  # of a job whose machines died, which is no fault of the job's
STARTS = 8  # actors that fail to start one after the other before the run gives up
LOOK = 5.0  # seconds after which the cluster is looked at again: machines may have joined it
COLOUR = re.compile("\x1b\\[[0-9;]*m")
_log = logging.getLogger(__name__)


def run(
    jobs: Iterable[Job | NothingYet],
    work: Callable[[Job], Result],
    workers: int,
    limits: Limits | None = None,
    *,
    address: str | None = None,
    gpu: bool = False,
) -> Iterator[tuple[Job, Result | Crash]]:
    """Each job with its result, as they end, from `workers` actors.

    0 takes as many as the cluster has processors (or GPUs), also of machines that join it later.
    `address` is that of a running cluster (`auto` finds one that this machine belongs to); without
    it Ray starts here. A job whose machine dies is given to another; one whose actor dies alone, by
    its own fault perhaps, once. SettingsError where Ray is not installed, the cluster cannot be
    reached or has nothing to run on; what `work` raises is raised here.
    """
    ray = _started(address)
    try:
        yield from _Actors(ray, work, workers, limits or Limits(), gpu).outcomes(jobs)
    finally:
        ray.shutdown()


def _started(address: str | None) -> Any:
    try:
        import ray
    except ImportError as error:
        raise SettingsError("--engine ray needs Ray: pip install 'mesovid[ray]'") from error
    _check(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray tells its makers who uses it
    options: dict[str, Any] = (
        {} if address else {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    )
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, **options)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        where = address or "this machine"
        raise SettingsError(f"no Ray cluster at {where} ({_first_line(error)})") from error
    _keep_quiet(ray)
    return ray


def _keep_quiet(ray: Any) -> None:
    """Ray prints on stdout, which is for results, that a machine died; no option stops that."""
    with contextlib.suppress(AttributeError):
        ray._private.worker.print_to_stdstream = _noted


def _noted(data: dict[str, Any], **_: Any) -> None:
    _log.info("Ray: %s", (data.get("lines") or [""])[0].partition("\n")[0])


def _check(address: str | None) -> None:
    """Raise SettingsError when nobody listens at HOST:PORT: Ray itself ends the process then."""
    host, colon, port = (address or "").rpartition(":")
    if not colon or "/" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(f"no Ray cluster at {address} ({reason})") from error


@dataclass(eq=False, slots=True)
class _Job:
    """A job, and how often it was lost."""

    job: Any
    deaths: int = 0  # of its actor alone
    moves: int = 0  # of its machine


@dataclass(eq=False, slots=True)
class _Busy:
    """A job under way."""

    of: _Job
    actor: Any
    deadline: float


class _Actors:
    """The actors of one run."""

    def __init__(
        self, ray: Any, work: Callable[[Any], Any], workers: int, limits: Limits, gpu: bool
    ) -> None:
        self._ray, self._work, self._limits = ray, work, limits
        self._resource = "GPU" if gpu else "CPU"
        self._kind = ray.remote(num_cpus=1, num_gpus=int(gpu), max_restarts=0)(_Actor)
        errors = ray.exceptions
        # what an actor's or a machine's death looks like; a result may die with its machine, too
        self._deaths = (errors.RayActorError, errors.ObjectLostError, errors.WorkerCrashedError,
                        errors.OutOfMemoryError, errors.NodeDiedError)  # fmt: skip
        self._grows = not workers
        self._count = workers or self._capacity()
        if not self._count:
            raise SettingsError(
                f"the Ray cluster has no {self._resource} to run on; add a machine that has one, or"
                " wait for one with --workers N"
            )
        self._looked = time.monotonic()
        self._queue: deque[_Job] = deque()  # taken, and not given yet
        self._starting: dict[Any, Any] = {}  # the answer in which an actor says where it is -> it
        self._failed = 0  # actors in a row that did not start
        self._idle: list[Any] = []
        self._busy: dict[Any, _Busy] = {}  # the answer to come -> the job
        self._machine: dict[Any, str] = {}  # of each actor that has started

    def outcomes(self, jobs: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        waiting = iter(jobs)
        end = object()
        more = True
        while more or self._queue or self._busy:
            idle = False
            while more and not idle and len(self._queue) + len(self._busy) < self._count:
                job = next(waiting, end)
                if job is end:
                    more = False
                elif isinstance(job, NothingYet):
                    idle = True
                else:
                    self._queue.append(_Job(job))
            self._give_and_start()
            if not (self._busy or self._starting):
                time.sleep(POLL if idle else 0)
                continue
            for busy, outcome in self._ended(POLL if idle else LOOK):
                if outcome is not None:
                    yield busy.of.job, outcome
                elif busy.of.deaths < TRIES and busy.of.moves < MOVES:
                    self._queue.append(busy.of)
                else:
                    yield busy.of.job, Crash("it took its worker down, on two of them")
            self._look_again()

    def _give_and_start(self) -> None:
        """Give each waiting job to an actor; start one for each that has none."""
        while self._queue and self._idle:
            actor, job = self._idle.pop(), self._queue.popleft()
            seconds = self._limits.timeout
            deadline = math.inf if seconds is None else time.monotonic() + seconds
            self._busy[actor.do.remote(job.job)] = _Busy(job, actor, deadline)
        while len(self._starting) < len(self._queue):
            actor = self._kind.remote(self._work, self._limits.memory, os.getcwd())
            self._starting[actor.machine.remote()] = actor

    def _capacity(self) -> int:
        return int(self._ray.cluster_resources().get(self._resource, 0))

    def _look_again(self) -> None:
        """Machines may have joined the cluster."""
        if self._grows and time.monotonic() - self._looked > LOOK:
            self._looked = time.monotonic()
            self._count = max(self._count, self._capacity())

    def _ended(self, at_most: float) -> list[tuple[_Busy, Any]]:
        """Jobs that have ended or run out of time; None is the outcome of one that was lost."""
        left = min((each.deadline for each in self._busy.values()), default=math.inf)
        ready, _ = self._ray.wait(
            [*self._busy, *self._starting],
            num_returns=1,
            timeout=max(min(left - time.monotonic(), at_most), 0),
        )
        found: list[tuple[_Busy, Any]] = []
        for reference in ready:
            if reference in self._starting:
                self._has_started(reference)
            else:
                busy = self._busy.pop(reference)
                found.append((busy, self._outcome(reference, busy)))
        now = time.monotonic()
        for reference, busy in list(self._busy.items()):
            if busy.deadline <= now:
                del self._busy[reference]
                self._ray.kill(busy.actor)
                text = f"it took longer than the {self._limits.timeout:g} s allowed (--timeout)"
                found.append((busy, Crash(text)))
        return found

    def _has_started(self, reference: Any) -> None:
        actor = self._starting.pop(reference)
        try:
            self._machine[actor] = self._ray.get(reference)
        except self._deaths as error:
            self._ray.kill(actor)
            self._failed += 1
            reason = _reason(error)
            _log.warning("an actor did not start: %s", reason)
            if self._failed == STARTS:
                raise SettingsError(
                    f"{STARTS} workers in a row did not start on the Ray cluster ({reason}); every"
                    " machine needs the same Python and mesovid"
                ) from error
            return
        self._failed = 0
        self._idle.append(actor)

    def _outcome(self, reference: Any, busy: _Busy) -> Any:
        try:
            outcome = self._ray.get(reference)
        except self._deaths as error:
            _log.warning("an actor died: %s", _reason(error))
            self._ray.kill(busy.actor)  # it may live on where it cannot be reached, and take room
            if self._is_alive(self._machine.pop(busy.actor)):
                busy.of.deaths += 1
            else:
                busy.of.moves += 1
            return None
        if isinstance(outcome, Raised):
            raise outcome.error
        self._idle.append(busy.actor)
        return outcome.value if isinstance(outcome, Returned) else outcome

    def _is_alive(self, machine: str) -> bool:
        return any(each["NodeID"] == machine and each["Alive"] for each in self._ray.nodes())


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _reason(error: BaseException) -> str:
    """One line: of an error with a traceback in it the last, which names the cause."""
    lines = [line.strip() for line in COLOUR.sub("", str(error)).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return lines[-1] if "Error" in lines[-1] else lines[0]


class _Actor:
    """Holds what `work` loads, from job to job."""

    def __init__(self, work: Callable[[Any], Any], memory: int | None, folder: str) -> None:
        self._work, self._memory = work, memory
        with contextlib.suppress(OSError):
            os.chdir(folder)
        bounded(memory)

    def machine(self) -> str:
        """On which it runs."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def do(self, job: Any) -> Any:
        """The outcome of a job; nothing is raised here."""
        return outcome_of(self._work, job, self._memory)
