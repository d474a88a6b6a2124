"""The contract of `mesovid.pool.run` on a Ray cluster: many machines in place of processes of one.

Ray's actors hold the networks; jobs go to them one by one, and results come back to this process,
which alone writes. Needs `pip install mesovid[ray]` here, and mesovid on every machine of the
cluster. Paths are opened where the actor is.
"""

from __future__ import annotations

import logging
import math
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from mesovid.errors import SettingsError
from mesovid.pool import POLL, Crash, Limits, NothingYet, Raised, Returned, bounded, outcome_of

Job = TypeVar("Job")
Result = TypeVar("Result")

CONNECT = 10.0  # seconds
TRIES = 2  # of a job whose actor died: a machine that dies is no fault of the job's
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

    0 takes as many as the cluster has processors.

    `address` is that of a running cluster (`auto` finds one that this machine belongs to); without
    it Ray starts here. A job whose actor dies, with its machine or by its own fault, is given to
    another actor once. SettingsError where Ray is not installed or the cluster cannot be reached;
    what `work` raises is raised here.
    """
    ray = _started(address)
    try:
        if not workers:
            workers = max(1, int(ray.cluster_resources().get("GPU" if gpu else "CPU", 1)))
        yield from _Actors(ray, work, workers, limits or Limits(), gpu).outcomes(jobs)
    finally:
        ray.shutdown()


def _started(address: str | None) -> Any:
    try:
        import ray
    except ImportError as error:
        raise SettingsError("--engine ray needs Ray: pip install 'mesovid[ray]'") from error
    _check(address)
    options: dict[str, Any] = (
        {} if address else {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    )
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SettingsError(f"no Ray cluster at {address or 'this machine'} ({first})") from error
    return ray


def _check(address: str | None) -> None:
    """Raise SettingsError when nobody listens at HOST:PORT.

    Ray itself ends the whole process then.
    """
    host, colon, port = (address or "").rpartition(":")
    if not colon or "/" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(f"no Ray cluster at {address} ({reason})") from error


@dataclass(eq=False, slots=True)
class _Busy:
    """A job under way."""

    job: Any
    actor: Any
    tries: int
    deadline: float


class _Actors:
    """The actors of one run."""

    def __init__(
        self, ray: Any, work: Callable[[Any], Any], workers: int, limits: Limits, gpu: bool
    ) -> None:
        self._ray, self._work, self._count, self._limits = ray, work, workers, limits
        self._kind = ray.remote(num_cpus=1, num_gpus=int(gpu), max_restarts=0)(_Actor)
        self._idle: list[Any] = []
        self._busy: dict[Any, _Busy] = {}

    def outcomes(self, jobs: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        waiting = iter(jobs)
        again: list[tuple[Any, int]] = []  # jobs whose actor died, and how often they were tried
        end = object()
        more = True
        while more or again or self._busy:
            idle = False
            while len(self._busy) < self._count and not idle:
                if again:
                    self._give(*again.pop())
                    continue
                job = next(waiting, end) if more else end
                if job is end:
                    more = False
                    break
                if isinstance(job, NothingYet):
                    idle = True
                else:
                    self._give(job, 0)
            if self._busy:
                for busy, outcome in self._ended(POLL if idle else None):
                    if outcome is None and busy.tries < TRIES:
                        again.append((busy.job, busy.tries))
                    else:
                        yield busy.job, outcome or Crash("it took its worker down, on two of them")
            elif idle:
                time.sleep(POLL)

    def _give(self, job: Any, tries: int) -> None:
        actor = (
            self._idle.pop() if self._idle else self._kind.remote(self._work, self._limits.memory)
        )
        seconds = self._limits.timeout
        # an actor that has to start first has its time besides: `do` is asked for once it is there
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        self._busy[actor.do.remote(job)] = _Busy(job, actor, tries + 1, deadline)

    def _ended(self, at_most: float | None) -> list[tuple[_Busy, Any]]:
        """Jobs that have ended or run out of time; None is the outcome of one whose actor died."""
        left = min(each.deadline for each in self._busy.values()) - time.monotonic()
        wait = min(left, at_most if at_most is not None else math.inf)
        ready, _ = self._ray.wait(
            list(self._busy), num_returns=1, timeout=None if wait == math.inf else max(wait, 0)
        )
        found: list[tuple[_Busy, Any]] = []
        for reference in ready:
            busy = self._busy.pop(reference)
            try:
                outcome = self._ray.get(reference)
            except self._ray.exceptions.RayActorError as error:
                _log.warning("an actor died: %s", error)
                found.append((busy, None))
                continue
            if isinstance(outcome, Raised):
                raise outcome.error
            self._idle.append(busy.actor)
            found.append((busy, outcome.value if isinstance(outcome, Returned) else outcome))
        now = time.monotonic()
        for reference, busy in list(self._busy.items()):
            if busy.deadline <= now:
                del self._busy[reference]
                self._ray.kill(busy.actor)
                found.append(
                    (
                        busy,
                        Crash(
                            f"it took longer than the {self._limits.timeout:g} s allowed "
                            "(--timeout)"
                        ),
                    )
                )
        return found


class _Actor:
    """Holds what `work` loads, from job to job."""

    def __init__(self, work: Callable[[Any], Any], memory: int | None) -> None:
        self._work, self._memory = work, memory
        bounded(memory)

    def do(self, job: Any) -> Any:
        """The outcome of a job; nothing is raised here."""
        return outcome_of(self._work, job, self._memory)
