"""Writes files whole or not at all, and refuses to write over what was read.

Every command writes through here. A file is written beside its place, under a name that begins with
`.mesovid-`, and moved there when it is complete: whoever looks sees the old file or the new one.
The exception are results that come line by line (`Lines`): a long scan that is killed must not lose
what is done, and whole lines are a valid file at any moment.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from mesovid.errors import OutputError, SettingsError
from mesovid.media import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from mesovid.names import shown

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PREFIX = ".mesovid-"  # of the names of files that are not complete
HEAD = 65536  # bytes of an existing file that are looked at
PNG = b"\x89PNG\r\n\x1a\n"
NAMES = {"png": "PNG", "parquet": "Parquet", "sqlite": "SQLite"}
_DESCRIPTOR = re.compile(r"/dev/fd/(\d+)|/proc/(?:self|thread-self)/fd/(\d+)|/dev/std(out|err)")

Kind = Literal["text", "png", "video", "parquet", "sqlite"]  # what an output holds
STARTS = {"png": PNG, "parquet": b"PAR1", "sqlite": b"SQLite format 3\0"}  # of files of a kind


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, whenever the process dies.

    OSError when that fails.
    """
    with whole(path) as partial:
        partial.write_bytes(content)


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A path to write to.

    Its file takes the place of `path` when the block ends well, and vanishes when not.

    It lies in the same folder and has the same suffix. A link stays a link: the file that it leads
    to is replaced. An existing file's mode is kept. What is no regular file, such as /dev/null or a
    FIFO, is written to as it is.
    """
    place = Path(path)
    if _is_special(place):
        yield from _through(place)
        return
    place = Path(os.path.realpath(place))
    mode = stat.S_IMODE(place.stat().st_mode) if place.exists() else None
    if mode is not None and not os.access(place, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    partial = place.with_name(f"{PREFIX}{secrets.token_hex(4)}{place.suffix[:16]}")
    try:
        yield partial
        if mode is not None:
            partial.chmod(mode)
        os.replace(partial, place)
    finally:
        with suppress(OSError):
            partial.unlink()


@contextmanager
def whole_together(folder: str | Path, names: Sequence[str]) -> Iterator[Path]:
    """A work folder whose files `names` move to `folder`, in that order, when the block ends well.

    It vanishes in any case.

    For files that mean something only together: the one that names the others comes last.
    """
    place = Path(folder)
    work = place / f"{PREFIX}{secrets.token_hex(4)}"
    work.mkdir(parents=True)
    try:
        yield work
        for name in names:
            os.replace(work / name, place / name)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def appearing(folder: Path, what: str) -> Iterator[Path]:
    """A work folder that becomes `folder`, for `what`, at the end; on failure it vanishes.

    SettingsError unless `folder` is new or empty; OutputError when it cannot be written.
    """
    check_new_folder(folder, what)
    with reported(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = folder.parent / f"{PREFIX}{secrets.token_hex(4)}"
        work.mkdir()
        try:
            yield work
            os.replace(work, folder)  # takes the place of an empty folder
        finally:
            shutil.rmtree(work, ignore_errors=True)


def check_new_folder(folder: Path, what: str) -> None:
    """SettingsError unless `folder` is new or an empty folder; `what` it is for, in words."""
    name = shown(str(folder))
    if folder.is_dir():
        if any(folder.iterdir()):
            raise SettingsError(f"{name} is not empty; name a new folder for {what}")
    elif folder.exists() or folder.is_symlink():
        raise SettingsError(f"{name} is no folder; name a new one for {what}")


@contextmanager
def reported(what: str | Path) -> Iterator[None]:
    """Turns an OSError into an OutputError of one line that names what could not be written."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {shown(str(what))}: {error.strerror or error}") from error


def remove_leftovers(folder: str | Path) -> None:
    """Remove what killed runs left of files that were not complete."""
    for left in Path(folder).glob(f"{PREFIX}*"):
        with suppress(OSError):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def append(file: int, content: bytes, size: int) -> int:
    """Write at the end of an open regular file that has `size` bytes; gives its new size.

    OSError when it does not fit, and then nothing of it is in the file.
    """
    try:
        _write_all(file, content)
    except BaseException:
        os.ftruncate(file, size)
        os.lseek(file, size, os.SEEK_SET)
        raise
    return size + len(content)


def _write_all(file: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(file, left) :]


class Lines:
    """A text file that grows by whole lines.

    Each `write` is on disk before the next. One that fails is taken back.

    UTF-8. It begins empty, as any output does. Killed at any moment, the file holds the lines that
    were written.
    """

    encoding = "utf-8"

    def __init__(self, path: str | Path) -> None:
        place = Path(path)
        number = _descriptor(place)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        self._file = os.dup(number) if number is not None else os.open(place, flags, 0o666)
        self._regular = number is None and stat.S_ISREG(os.fstat(self._file).st_mode)
        self._size = 0

    def write(self, text: str) -> int:
        """Append text that ends a line.

        OSError when it does not fit; then nothing of it is in the file.
        """
        content = text.encode(errors="backslashreplace")
        if self._regular:
            self._size = append(self._file, content, self._size)
        else:
            _write_all(self._file, content)
        return len(text)

    def flush(self) -> None:
        """Nothing is ever held back."""

    def isatty(self) -> bool:
        """Whether a person reads along."""
        return os.isatty(self._file)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def check_output(
    path: str | Path,
    inputs: Iterable[str | Path] = (),
    *,
    kind: Kind = "text",
    parents: bool = False,
) -> None:
    """Refuse an output that cannot be written, or whose writing would destroy something.

    Writes nothing.

    SettingsError where it is one of `inputs` or a hard or symbolic link to one; where a file is
    there that holds anything but text (or a file of its `kind`; for "video" the caller looks): a
    video, a picture, a model; where text is asked into a name for a video or picture; where its
    folder does not exist (unless `parents` are to be made) or may not be written to.
    """
    place, name = Path(path), shown(str(path))
    try:
        there = _status(place)
        if there is None:
            if any(str(item) == str(path) for item in inputs):
                raise SettingsError(f"the output {name} is one of the inputs; give it another name")
            _check_suffix(place, name, kind)
            _check_folder(place, name, parents)
        elif stat.S_ISDIR(there.st_mode):
            raise SettingsError(f"cannot write {name}: this is a folder; give the name of a file")
        elif stat.S_ISREG(there.st_mode) and _descriptor(place) is None:
            for item in inputs:
                if _is(item, there):
                    raise SettingsError(
                        f"the output {name} is the input {shown(str(item))}, which it would "
                        "destroy; give it another name"
                    )
            _check_suffix(place, name, kind)
            if not os.access(place, os.W_OK):
                raise SettingsError(f"cannot write {name}: {os.strerror(errno.EACCES)}")
            _check_content(place, name, kind)
            _check_folder(place, name, parents=False)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"cannot write {name}: {getattr(error, 'strerror', None) or error}"
        ) from error


def check_copies(places: Iterable[str | Path], sources: Iterable[str | Path]) -> None:
    """Raise SettingsError where a file to be written is, or is linked to, one that is read."""
    for place in places:
        there = _status(place)
        for source in sources if there is not None else ():
            if _is(source, there):  # type: ignore[arg-type]  # narrowed above
                raise SettingsError(
                    f"{shown(str(place))} would take the place of the input {shown(str(source))};"
                    " give another name or folder"
                )


def is_file_or_none(path: str | Path) -> bool:
    """Whether a path is a regular file, or nothing yet: where a file can grow and be read again."""
    there = _status(Path(path))
    return (there is None or stat.S_ISREG(there.st_mode)) and _descriptor(Path(path)) is None


def _check_suffix(place: Path, name: str, kind: Kind) -> None:
    suffix = place.suffix.lower()
    media = suffix in VIDEO_SUFFIXES or suffix in PICTURE_SUFFIXES
    if kind not in ("png", "video") and media:
        raise SettingsError(
            f"the output {name} has the name of a video or picture; its content would be text"
        )
    if kind == "png" and media and suffix != ".png":
        raise SettingsError(
            f"the output {name} would be a PNG file; give it a name that ends in .png"
        )


def _check_content(place: Path, name: str, kind: Kind) -> None:
    with place.open("rb") as file:
        head = file.read(HEAD)
    start = STARTS.get(kind)
    if start is not None and head and not head.startswith(start):
        raise SettingsError(
            f"{name} is there already and is no {NAMES[kind]} file; give the output another name"
        )
    if kind == "text" and not is_text(head):
        raise SettingsError(
            f"{name} is there already and holds no text: a video, a picture or a model, say;"
            " give the output another name"
        )


def is_text(head: bytes) -> bool:
    """Whether bytes are UTF-8 text, perhaps cut off in the middle of a character."""
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data" or error.start < len(head) - 3:
            return False
    return b"\0" not in head


def _check_folder(place: Path, name: str, parents: bool) -> None:
    folder = Path(os.path.realpath(place)).parent
    while parents and not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.exists():
        raise SettingsError(f"cannot write {name}: there is no folder {shown(str(folder))}")
    if not folder.is_dir():
        raise SettingsError(f"cannot write {name}: {shown(str(folder))} is no folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(
            f"cannot write {name}: nothing may be written in the folder {shown(str(folder))}"
        )


def _status(path: str | Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _is(item: str | Path, there: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(item), there)
    except (OSError, ValueError):
        return False


def _is_special(place: Path) -> bool:
    there = _status(place)
    return _descriptor(place) is not None or (there is not None and not stat.S_ISREG(there.st_mode))


def _descriptor(place: Path) -> int | None:
    """The file descriptor that a name such as /dev/stdout stands for.

    Opened anew, a log would be cut to nothing.
    """
    match = _DESCRIPTOR.fullmatch(str(place))
    if match is None:
        return None
    return {"out": 1, "err": 2}[match[3]] if match[3] else int(match[1] or match[2])


def _through(place: Path) -> Iterator[Path]:
    """For `whole`: a temporary file that is copied to a device, a pipe or a descriptor."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="mesovid-") as folder:
        partial = Path(folder) / f"output{place.suffix[:16]}"
        yield partial
        number = _descriptor(place)
        with (
            partial.open("rb") as content,
            open(
                os.dup(number) if number is not None else os.open(place, os.O_WRONLY), "wb"
            ) as target,
        ):
            shutil.copyfileobj(content, target)
