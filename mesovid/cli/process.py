"""Keeps what a process owes its shell.

Standard streams can be relied on, and any ending has one line and an exit status.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import click

from mesovid import logs
from mesovid.errors import MesovidError, SettingsError
from mesovid.files import FULL_DISK
from mesovid.names import shown

PIPE_CLOSED = 128 + 13  # as the shell reports `yes | head`: the status of what SIGPIPE ends
# values of -o that mean standard output
STDOUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
_STOPS = ("SIGINT", "SIGTERM", "SIGHUP")

_held = False  # whether signals wait for the end of `uninterrupted`
_waiting: list[int] = []  # signals that do


class Stop(KeyboardInterrupt):
    """A signal that asks the process to end, as Ctrl-C does."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Ended(SystemExit):
    """The end of the command: its exit status and a line for stderr.

    The line is None for an ending that needs no words.
    """

    def __init__(self, status: int, message: str | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.message = message


def say(message: str) -> None:
    """A line on stderr; names in it cannot disturb the terminal."""
    with suppress(OSError):  # nobody listens
        click.echo(f"mesovid: {shown(message)}", err=True)


@contextmanager
def progress(total: int, unit: str, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, where that is a terminal; gives what is told how many more are done."""
    if quiet or not total or not sys.stderr.isatty():
        yield lambda _done: None
        return
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, file=sys.stderr, leave=False) as bar:
        yield bar.update


def ended_by(stop: KeyboardInterrupt, words: str = "") -> Ended:
    """How a command ends that a signal stopped: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
    number = stop.number if isinstance(stop, Stop) else signal.SIGINT
    message = "stopped" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}"
    return Ended(128 + number, message + (f"; {words}" if words else ""))


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A signal that asks the process to end takes effect after this block; a second one at once."""
    global _held
    before, _held = _held, True
    try:
        yield
    finally:
        _held = before
        if _waiting and not _held:
            raise Stop(_waiting.pop())


def prepare() -> None:
    """Make the streams and signals of this process as the commands expect them."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, _placeholder(descriptor))
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):
            # a terminal of another encoding shows the rest escaped; it must not end the command
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    for name in _STOPS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) in (
            signal.SIG_DFL,
            signal.default_int_handler,
        ):
            signal.signal(number, _stop)  # ignored signals stay so: nohup


@contextmanager
def endings() -> Iterator[None]:
    """Turns what ends a command from outside into `Ended`; errors that mesovid foresaw pass."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise ended_by(stop) from stop
    except OSError as error:
        raise _ended_by(error) from error
    except ModuleNotFoundError as error:
        package = (error.name or "mesovid").partition(".")[0]
        if package == "mesovid":
            raise
        raise SettingsError(
            f"this needs {package}, which is not installed here; pip install mesovid brings it"
        ) from error


def finish(end: BaseException | None) -> int:
    """Say why the command ended, write out what stdout holds back, and give the exit status."""
    if end is not None and logs.wanted() and not isinstance(end, SystemExit):
        traceback.print_exception(end)
    status = _told(end)
    try:
        sys.stdout.flush()
    except OSError as error:
        silence()
        if not isinstance(end, Ended):
            status = _told(_ended_by(error))
    with suppress(OSError):
        sys.stderr.flush()
    return status


def silence() -> None:
    """Turn stdout away, so that Python's own flush at the end cannot fail."""
    target = os.open(os.devnull, os.O_WRONLY)
    os.dup2(target, 1)
    os.close(target)


def _told(end: BaseException | None) -> int:
    if isinstance(end, Ended):
        if end.message:
            say(end.message)
        return end.status
    if isinstance(end, SystemExit):
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    if isinstance(end, MesovidError):
        say(str(end))
        return end.exit_status
    return 0


def _ended_by(error: OSError) -> Ended:
    if error.errno == errno.EPIPE and error.filename is None and _nobody_reads():
        silence()
        return Ended(PIPE_CLOSED)
    reason = error.strerror or str(error)
    if error.filename is not None:
        return Ended(1, f"{os.fsdecode(error.filename)}: {reason}")
    if error.errno in (*FULL_DISK, errno.EBADF, errno.EIO):
        silence()
        return Ended(1, f"cannot write to standard output: {reason}")
    return Ended(1, reason)


def _nobody_reads() -> bool:
    """Whether stdout is a pipe whose reader has gone."""
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(1, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _placeholder(number: int) -> object:
    """A stream on the descriptor of one that was closed.

    The next file that is opened would take that descriptor.

    Reading and writing fail as on a closed one; what is said on stderr is lost.
    """
    opened = os.open(os.devnull, (os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)[number])
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
    return open(number, "w" if number else "r", encoding="utf-8", closefd=False)


def _stop(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once
    if _held:
        _waiting.append(number)
    else:
        raise Stop(number)
