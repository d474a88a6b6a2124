"""Many videos: finds them, scans one after the other, and lets none of them stop the rest."""

from __future__ import annotations

import glob
import logging
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mesovid.archive import facts
from mesovid.errors import InputError, MesovidError, OutputError
from mesovid.files import is_text
from mesovid.folders import OnSkip, walk
from mesovid.media import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from mesovid.pool import NOTHING_YET, Crash, Engine, Limits, NothingYet, run
from mesovid.records import Failure, Scan
from mesovid.remote import MOST, Listed, fetched, find, is_url
from mesovid.report.faces import FaceSaver
from mesovid.scanner import OnCrops, Options, Scanner
from mesovid.settings import BatchSettings
from mesovid.texts import decode, lines

_log = logging.getLogger(__name__)

SUFFIXES = VIDEO_SUFFIXES | PICTURE_SUFFIXES
SETTLED = 2.0  # seconds without a change after which a file that arrives counts as complete
WALKING = 0.01  # of the time that a watch may take to walk through its folders...
RAREST = 60.0  # ...unless that were as rarely as this; seconds
MANY = 8  # inputs from which starting processes is worth it, and one that crashes would cost much
# suffixes that files of text have, too (TypeScript, models of AMPL): in a folder these are looked
# into
AMBIGUOUS = frozenset([".mod", ".ts"])


def scan_all(
    paths: Iterable[str | Failure],
    scanner: Scanner,
    on_crops: OnCrops | None = None,
    *,
    fetch_limit: int = MOST,
) -> Iterator[Scan | Failure]:
    """One result for each path, in order.

    A path that cannot be scanned gives a Failure; a Failure passes through.

    OutputError passes: what `on_crops` cannot keep of one video, it cannot keep of the next.
    """
    for path in paths:
        yield (
            path
            if isinstance(path, Failure)
            else _scanned_here(path, scanner, on_crops, fetch_limit)
        )


def _scanned_here(
    path: str, scanner: Scanner, on_crops: OnCrops | None, fetch_limit: int
) -> Scan | Failure:
    try:
        return _scan(path, scanner, on_crops, fetch_limit)
    except MemoryError:
        return Failure(path, f"{path}: there is not enough memory for it")


def _scan(
    path: str, scanner: Scanner, on_crops: OnCrops | None, fetch_limit: int
) -> Scan | Failure:
    """The result for one path.

    MemoryError passes: in a process of its own it says that the limit is reached.
    """
    try:
        if isinstance(path, Listed):
            return _scan_listed(path, scanner, on_crops, fetch_limit)
        return scanner.scan(path, on_crops)
    except (OutputError, MemoryError):
        raise
    except MesovidError as error:
        return Failure(path, str(error))
    except OSError as error:
        return Failure(path, f"{path}: {error.strerror or error}")
    except Exception as error:  # a defect met in one file of an archive must not cost the others
        _log.exception("a defect met in %r", path)
        return Failure(
            path, f"{path}: unexpected {type(error).__name__}: {error}".replace("\n", " ")
        )


def _scan_listed(
    path: Listed, scanner: Scanner, on_crops: OnCrops | None, fetch_limit: int
) -> Scan:
    """The result for an input that was listed elsewhere; of an object in a bucket, of a copy."""
    began = time.perf_counter()
    with fetched(path, fetch_limit) if is_url(path) else nullcontext(path) as place:
        seconds = {"fetch": time.perf_counter() - began} if is_url(path) else {}
        try:
            scan = scanner.scan(place, on_crops and (lambda _place, *seen: on_crops(path, *seen)))
        except MesovidError as error:
            raise type(error)(str(error).replace(str(place), path)) from error
    seconds |= scan.seconds
    seconds["total"] = time.perf_counter() - began
    return replace(scan, video=replace(scan.video, path=path), seconds=seconds)


@dataclass(frozen=True, slots=True)
class ScanWork:
    """Scans in a worker process.

    It keeps the networks of the last model that it was asked for.
    """

    options: Options
    save_faces: str | None = None  # folder
    fetch_limit: int = MOST  # MiB of an object in a bucket

    def __call__(self, path: str) -> Scan | Failure:
        """The result of one path."""
        if self not in _loaded:
            _loaded.clear()
            _loaded[self] = Scanner.of(self.options)
        saver = FaceSaver(self.save_faces) if self.save_faces else None
        return _scan(path, _loaded[self], saver, self.fetch_limit)


_loaded: dict[ScanWork, Scanner] = {}  # of this process


def scan_in_processes(
    paths: Iterable[str | Failure | NothingYet],
    options: Options,
    *,
    workers: int,
    limits: Limits | None = None,
    save_faces: str | None = None,
    in_order: bool = True,
    engine: Engine = run,
    fetch_limit: int = MOST,
) -> Iterator[Scan | Failure]:
    """One result for each path, from `workers` processes: what crashes, hangs or eats memory is a
    Failure and costs the others nothing.

    In the order of the paths, for which results wait for each other, or as they come. Each network
    takes one thread unless the options say more. `engine` is `mesovid.pool.run` or has its
    contract. Raises ModelError and SettingsError as a Scanner does.
    """
    runtime = replace(options.runtime, threads=options.runtime.threads or 1)
    work = ScanWork(replace(options, runtime=runtime), save_faces, fetch_limit)
    place: dict[str, int] = {}  # of each path in the order
    ready: dict[int, Scan | Failure] = {}
    given = 0

    def jobs() -> Iterator[str | NothingYet]:
        number = 0
        for path in paths:
            if isinstance(path, NothingYet):
                yield path
                continue
            if isinstance(path, Failure):
                ready[number] = path
            else:
                place[path] = number
                yield path
            number += 1

    for path, outcome in engine(jobs(), work, workers, limits):
        ready[place.pop(path)] = (
            Failure(path, f"{path}: {outcome.reason}") if isinstance(outcome, Crash) else outcome
        )
        while ready and (given in ready or not in_order):
            number = given if in_order else next(iter(ready))
            yield ready.pop(number)
            given += 1
    for number in sorted(ready):
        yield ready.pop(number)


def engine_of(settings: BatchSettings, device: str) -> Engine:
    """The engine that the settings ask for; on a cluster `device` cuda takes GPUs."""
    if settings.engine == "local":
        return run
    from mesovid import ray_engine

    return partial(ray_engine.run, address=settings.address, gpu=device == "cuda")


def arrivals(
    folders: Sequence[str], known: Callable[[str], bool], *, follow_links: bool = False
) -> Iterator[str | NothingYet]:
    """The videos and pictures in some folders that are not `known`, and then those that arrive.

    Each comes once, and the iterator never ends.

    A file comes when it is complete: when its size and its time have not changed for `SETTLED`
    seconds. In between comes `NOTHING_YET`. The folders are walked through the more rarely the
    longer that takes (`WALKING`); only what is about to come is looked at each time.
    """
    given: set[str] = set()
    waiting: dict[str, tuple[object, float]] = {}  # size and time of change, and since when
    next_walk = 0.0
    while True:
        began = time.monotonic()
        if began >= next_walk:
            for path in find_inputs(folders, follow_links=follow_links):
                if not (isinstance(path, Failure) or path in given or known(path)):
                    waiting.setdefault(path, (None, began))
            now = time.monotonic()
            next_walk = now + min((now - began) / WALKING, RAREST)
        for path, (before, since) in list(waiting.items()):
            there = facts(path)
            if there is None:  # it has gone, or its name was a passing one
                del waiting[path]
            elif there != before:
                waiting[path] = there, time.monotonic()
            elif time.monotonic() - since >= SETTLED:
                del waiting[path]
                given.add(path)
                yield path
        yield NOTHING_YET


@dataclass(frozen=True, slots=True)
class FindWork:
    """Finds inputs on the machine of a worker."""

    follow_links: bool = False

    def __call__(self, name: str) -> tuple[list[str | Failure], list[tuple[str, str]]]:
        """What one input names there, and what is passed over."""
        skipped: list[tuple[str, str]] = []
        found = find_inputs(
            [name], follow_links=self.follow_links, on_skip=lambda *each: skipped.append(each)
        )
        here: list[str | Failure] = [
            path if isinstance(path, Failure | Listed) else Listed(path, facts(path) or {})
            for path in found
        ]
        return here, skipped


def find_on_workers(
    inputs: Sequence[str],
    lists: Sequence[str],
    engine: Engine,
    *,
    follow_links: bool = False,
    on_skip: OnSkip = lambda _path, _why: None,
) -> list[str | Failure]:
    """What `inputs` name on the machines of an engine; `lists` are read here.

    Every machine is taken to see the same: one worker lists them.
    """
    named = [item for name in inputs for item in (_read_list("-") if name == "-" else [name])]
    for name in lists:
        named += _read_list(name)
    found: dict[str, str | Failure] = {}
    for name, outcome in engine(iter(named), FindWork(follow_links), 1):
        if isinstance(outcome, Crash):
            found.setdefault(name, Failure(name, f"{name}: {outcome.reason}"))
            continue
        for path in outcome[0]:
            found.setdefault(path.path if isinstance(path, Failure) else path, path)
        for each in outcome[1]:
            on_skip(*each)
    return list(found.values())


def workers_for(inputs: int, asked: int | None) -> int:
    """How many processes scan: as many as asked for, else one a core for many inputs.

    0 means that this process scans.
    """
    wanted = asked if asked is not None else (os.cpu_count() or 1) if inputs >= MANY else 0
    return min(wanted, inputs)


def find_inputs(
    inputs: Sequence[str],
    lists: Sequence[str] = (),
    *,
    follow_links: bool = False,
    on_skip: OnSkip = lambda _path, _why: None,
) -> list[str | Failure]:
    """The videos and pictures that `inputs` name.

    An input is a file, a folder (searched through), a glob pattern, or `-` for a list on stdin.

    `lists` are files with one input a line, or with a NUL after each (`find -print0`), in UTF-8 or
    with a byte order mark. Each path comes once, in the order given, folders sorted by name; `~` is
    the home folder. What names nothing becomes a Failure. `on_skip` hears what is passed over in a
    folder: files of other kinds, and what `mesovid.folders.walk` passes over. InputError when a
    list cannot be read.
    """
    named = list(inputs)
    for name in lists:
        named += _read_list(name)
    found: dict[str, str | Failure] = {}
    for name in named:
        for item in _read_list("-") if name == "-" else [name]:
            for path in _expand(item, follow_links, on_skip):
                found.setdefault(path.path if isinstance(path, Failure) else path, path)
    return list(found.values())


def _expand(name: str, follow_links: bool, on_skip: OnSkip) -> list[str | Failure]:
    if is_url(name) and not os.path.lexists(name):
        try:
            return [*find(name, on_skip)]
        except InputError as error:
            return [Failure(name, str(error))]
    try:
        name = _existing(name)
        if stat.S_ISDIR(os.stat(name).st_mode):
            return _walk(name, follow_links, on_skip)
    except FileNotFoundError:
        if os.path.islink(name):
            return [Failure(name, f"{name}: a link to {os.readlink(name)}, which does not exist")]
        if not glob.has_magic(name):
            return [Failure(name, f"{name}: no such file or folder")]
    except OSError as error:  # too long a name, a folder on the way that may not be entered
        return [Failure(name, f"{name}: {error.strerror or error}")]
    except ValueError as error:
        return [Failure(name, f"{name}: {error}")]
    else:
        return [name]
    paths: list[str | Failure] = []
    for match in sorted(glob.glob(name, recursive=True)):
        paths += _walk(match, follow_links, on_skip) if os.path.isdir(match) else [match]
    return paths or [Failure(name, f"{name}: the pattern matches no file")]


def _existing(name: str) -> str:
    """The name as it stands where there is such a file.

    Otherwise `~` is replaced, which no shell does in a list.
    """
    if name.startswith("~") and not os.path.lexists(name):
        return os.path.expanduser(name)
    return name


def _walk(folder: str, follow_links: bool, on_skip: OnSkip) -> list[str | Failure]:
    failures: list[str | Failure] = []
    paths: list[str | Failure] = []

    def skipped(path: str, why: str) -> None:
        wanted = _suffix(path) in SUFFIXES
        if _is_link(path) and (wanted or os.path.isdir(path)):
            on_skip(path, why)
        elif not (wanted or os.path.isdir(path)):
            on_skip(path, (_suffix(path) or "no suffix") if _is_link(path) else why)
        else:  # an input that is lost
            failures.append(Failure(path, f"{path}: {why}"))

    for name in walk(folder, follow_links=follow_links, on_skip=skipped):
        path = os.path.join(folder, name)
        suffix = _suffix(name)
        if suffix not in SUFFIXES:
            on_skip(path, suffix or "no suffix")
        elif suffix in AMBIGUOUS and _is_text(path):
            on_skip(path, f"{suffix} of text")
        else:
            paths.append(path)
    return paths + failures or [Failure(folder, f"{folder}: the folder holds no video or picture")]


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _is_link(path: str) -> bool:
    """Whether this is a link that leads somewhere."""
    return os.path.islink(path) and (os.path.isdir(path) or os.path.isfile(path))


def _is_text(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    return bool(head) and is_text(head)


def _read_list(name: str) -> list[str]:
    """The names in a file, or on standard input for `-`."""
    try:
        if name == "-" and sys.stdin is None:
            raise InputError("-: standard input is closed; give it a list of inputs")
        named = lines(decode(sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()))
    except OSError as error:
        raise InputError(
            f"{name}: cannot read the list of inputs: {error.strerror or error}"
        ) from error
    except ValueError as error:
        raise InputError(f"{name}: cannot read the list of inputs: {error}") from error
    # what stands in a list by hand may be indented; a name may begin and end with spaces, too
    return [item if os.path.lexists(item) else item.strip(" \t") for item in named]
