"""Videos in a bucket (S3 and the like): listed by their URLs, fetched one by one to be scanned.

No URL is ever given to a decoder. An object is copied into a temporary file that is gone when the
block, or the process, ends. Needs `pip install mesovid[remote]` on every machine that scans.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from mesovid.errors import InputError, MesovidError, SettingsError
from mesovid.files import FULL_DISK
from mesovid.media import PICTURE_SUFFIXES, VIDEO_SUFFIXES

# what a URL may begin with, and what reads it; only these, whatever else fsspec knows
PROTOCOLS = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}
EXTRA = "s3"  # the one that comes with mesovid[remote]
MEBIBYTE = 2**20  # bytes
MOST = 4096  # MiB of an object
BLOCK = 8 * MEBIBYTE  # that are asked for at once
SUFFIXES = VIDEO_SUFFIXES | PICTURE_SUFFIXES
PREFIX = "mesovid-fetched-"
YOUNG = 60.0  # seconds in which a folder may still be about to be locked

Facts = dict[str, Any]
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://.")


class Listed(str):
    """The name of an input that does not lie here, with what it was when it was listed."""

    __slots__ = ("facts",)
    facts: Facts  # what tells whether it changes: size (bytes), modified (seconds), etag

    def __new__(cls, name: str, facts: Mapping[str, Any]) -> Listed:
        """Such a name."""
        made = super().__new__(cls, name)
        made.facts = dict(facts)
        return made

    def __reduce__(self) -> tuple[type[Listed], tuple[str, Facts]]:
        return Listed, (str(self), self.facts)


def is_url(name: str) -> bool:
    """Whether a name is a URL and no file."""
    return _URL.match(name) is not None


def find(url: str, on_skip: Callable[[str, str], None] = lambda _path, _why: None) -> list[Listed]:
    """The videos and pictures below a URL, sorted; an object that it names itself, whatever it is.

    Hidden names, which begin with a dot, are passed over; `on_skip` hears of other kinds of files.
    InputError when it names nothing or cannot be asked, SettingsError without what reads it.
    """
    system, root = _system(url)
    protocol = url.partition("://")[0]
    with _told(url):
        if not root.endswith("/") and "/" in root:
            there = _object(system, root)
            if there is not None:
                return [Listed(f"{protocol}://{root}", _facts(there))]
        below = root.rstrip("/") + "/"
        entries = system.find(below, detail=True)
    found = []
    for name, entry in sorted(entries.items()):
        inside = name[len(below) :] if name.startswith(below) else name
        if entry.get("type") != "file" or any(part.startswith(".") for part in inside.split("/")):
            continue
        suffix = os.path.splitext(name)[1].lower()
        if suffix in SUFFIXES:
            found.append(Listed(f"{protocol}://{name}", _facts(entry)))
        elif not name.endswith("/"):
            on_skip(f"{protocol}://{name}", suffix or "no suffix")
    if not found:
        raise InputError(f"{url}: no such object, and no video or picture below it")
    return found


@contextmanager
def fetched(item: Listed, most: int = MOST) -> Iterator[Path]:
    """A file with the content of an object, for as long as the block lasts.

    InputError for one that is larger than `most` MiB, has changed since it was listed, has gone or
    cannot be read. OSError for a full disk. On Linux the file has no name of its own from the
    beginning on, so that nothing of it is left even by a process that is killed.
    """
    _sweep()
    suffix = os.path.splitext(item)[1].lower()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder, _locked(folder):
        place = Path(folder, "object" + (suffix if suffix in SUFFIXES else ""))
        with open(place, "w+b") as file:
            if sys.platform == "linux" and os.path.exists(f"/proc/{os.getpid()}/fd"):
                place.unlink()
                place.symlink_to(f"/proc/{os.getpid()}/fd/{file.fileno()}")
            _copy(item, file, most)
            file.flush()
            yield place


def _copy(item: Listed, file: IO[bytes], most: int) -> None:
    system, name = _system(item)
    size = 0
    with _told(item):
        entry = _object(system, name)
        if entry is None:
            raise InputError(f"{item}: no such object")
        now = _facts(entry)
        if not _same(now, item.facts):
            raise InputError(f"{item}: it has changed since it was listed; scan it again")
        if int(now["size"] or 0) > most * MEBIBYTE:
            raise InputError(_too_large(item, int(now["size"]), most))
        with system.open(name, "rb", block_size=BLOCK, cache_type="none") as source:
            while chunk := source.read(BLOCK):
                size += len(chunk)
                if size > most * MEBIBYTE:
                    raise InputError(_too_large(item, size, most))
                file.write(chunk)
    if now["size"] is not None and size != now["size"]:
        raise InputError(f"{item}: {size} of its {now['size']} bytes came")


def _too_large(item: str, size: int, most: int) -> str:
    mebibytes = -(-size // MEBIBYTE)
    return f"{item}: {mebibytes} MiB are more than the {most} MiB allowed (--fetch-limit)"


def _system(url: str) -> tuple[Any, str]:
    """What reads a URL, and the name of its object in there: bucket and key, taken literally."""
    match = _URL.match(url)
    protocol = match[1] if match else ""
    if protocol not in PROTOCOLS:
        known = ", ".join(f"{name}://" for name in PROTOCOLS)
        raise InputError(f"{url}: URLs of this kind are not read, only {known}; download it first")
    package = PROTOCOLS[protocol]
    try:
        import fsspec

        # by the name of the protocol alone: fsspec would read `a::s3://b` as a chain of systems
        system = fsspec.filesystem(protocol, use_listings_cache=False)
    except ImportError as error:
        what = "'mesovid[remote]'" if protocol == EXTRA else f"'mesovid[remote]' {package}"
        raise SettingsError(f"{protocol}:// needs {package}: pip install {what}") from error
    return system, url.partition("://")[2]


def _object(system: Any, name: str) -> Facts | None:
    """What is known of one object; None when there is none by that name."""
    try:
        entry: Facts = system.info(name)
    except FileNotFoundError:
        return None
    return entry if entry.get("type") == "file" else None


def _facts(entry: Mapping[str, Any]) -> Facts:
    names = ("LastModified", "last_modified", "mtime")
    when = next((entry[name] for name in names if entry.get(name)), None)
    modified = when.timestamp() if isinstance(when, datetime) else None
    etag = entry.get("ETag") or entry.get("etag")
    return {
        "size": entry.get("size"),
        # whole seconds: lists of some stores tell more than they do of a single object
        "modified": None if modified is None else float(int(modified)),
        "etag": None if etag is None else str(etag).strip('"'),
    }


def _same(now: Facts, then: Facts) -> bool:
    if now["etag"] is not None and then.get("etag") is not None:
        return bool(now["etag"] == then["etag"])
    return now == then


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Turns whatever a store's library raises, of its own kinds, into an InputError of one line."""
    try:
        yield
    except MesovidError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{url}: no such bucket or object") from error
    except PermissionError as error:
        raise InputError(f"{url}: may not be read ({_line(error)})") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL_DISK:
            raise
        if type(error).__name__ == "FileExpired":
            raise InputError(f"{url}: it changed while it was read; scan it again") from error
        raise InputError(f"{url}: cannot be read ({_line(error)})") from error


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Holds a lock by which others see that whoever made the folder lives."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _sweep() -> None:
    """Remove the folders of processes that were killed."""
    if sys.platform == "win32":
        return
    import fcntl
    import shutil

    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime < YOUNG:
                continue
            handle = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left)
            finally:
                os.close(handle)
