"""Takes the bytes of an upload to disk.

They are bounded, and lie in a folder of their own under a name that is not the user's.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from starlette.requests import ClientDisconnect

from mesovid.media import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from mesovid.serve.problems import ProblemError

SUFFIXES = VIDEO_SUFFIXES | PICTURE_SUFFIXES
KEPT_FREE = 256 * 2**20  # bytes of the disk that no upload may fill
STALL = 30.0  # seconds without a byte, after which an upload is given up
LONGEST_NAME = 200  # characters of a name that are kept
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was taken."""

    name: str  # as the user calls it; never used as a path
    path: Path
    size: int  # bytes
    sha256: str


def shown_name(name: str) -> str:
    """The last part of a file's name.

    What could move a cursor or turn the reading direction is taken out.
    """
    last = PurePosixPath(PureWindowsPath(name).name).name
    safe = "".join(
        c
        for c in last
        if c.isprintable() and c not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )
    return safe[-LONGEST_NAME:] or "unnamed"


def check_kind(name: str, known: frozenset[str] = SUFFIXES) -> str:
    """The suffix of a file that may be scanned. ProblemError for any other."""
    suffix = os.path.splitext(shown_name(name))[1].lower()
    if suffix not in known:
        what = "neither a video nor a picture" if known is SUFFIXES else "no model"
        raise ProblemError(
            "unknown-kind", f"{shown_name(name)!r} is {what} by its name", known=sorted(known)
        )
    return suffix


async def receive(
    body: AsyncIterator[bytes],
    name: str,
    folder: Path,
    limit: int,
    declared: int | None,
    known: frozenset[str] = SUFFIXES,
) -> Upload:
    """Write a body to `folder`, which must be new.

    ProblemError when it is empty, too large or cut short, or when the disk is full.
    """
    suffix = check_kind(name, known)
    if declared is not None and declared > limit:
        raise too_large(limit)
    if shutil.disk_usage(folder.parent).free - (declared or 0) < KEPT_FREE:
        raise ProblemError("disk-full", "there is too little room on the server's disk")
    folder.mkdir(mode=0o700)
    path = folder / f"upload{suffix}"
    try:
        size, sha256 = await _write(body, path, limit)
        if not size:
            raise ProblemError(
                "empty", "the upload holds nothing; send the file's bytes as the body"
            )
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in FULL:
            raise ProblemError("disk-full", "the server's disk is full") from error
        raise
    return Upload(shown_name(name), path, size, sha256)


async def _write(body: AsyncIterator[bytes], path: Path, limit: int) -> tuple[int, str]:
    size = 0
    digest = hashlib.sha256()
    with path.open("xb") as file:
        async for chunk in _flowing(body):
            size += len(chunk)
            if size > limit:
                raise too_large(limit)
            file.write(chunk)
            digest.update(chunk)
    return size, digest.hexdigest()


async def _flowing(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The parts of a body. ProblemError when it stops half-way."""
    while True:
        try:
            yield await asyncio.wait_for(anext(body), STALL)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise ProblemError(
                "too-slow", f"nothing of the upload came for {STALL:g} s; send it again"
            ) from error
        except ClientDisconnect as error:
            raise ProblemError("bad-request", "the upload broke off; send it again") from error


def too_large(limit: int) -> ProblemError:
    return ProblemError("too-large", f"at most {limit:,} bytes are taken", limit=limit)
