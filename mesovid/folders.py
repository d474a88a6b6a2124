"""What lies in a folder. Everything that takes a folder of videos or pictures walks through it in
the same way."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

LINKS = 3  # in one path; more of them lead in circles rather than anywhere

LINK = "a link to "  # how the reason begins for which a link is not followed
OnSkip = Callable[[str, str], None]  # the path of what is passed over, and why


def walk(
    root: str | Path,
    suffixes: Collection[str] | None = None,
    *,
    follow_links: bool = False,
    on_skip: OnSkip = lambda _path, _why: None,
) -> Iterator[str]:
    """The files below a folder, relative to it with forward slashes: those of a folder by name,
    then its folders'.

    `suffixes` (lower case, with their dot) leaves out others. Hidden names are passed over: they
    begin with a dot, as do the `._clip.mp4` that macOS puts beside each file on a foreign disk. A
    link to a file or folder is followed where it leads to a place inside of `root`, and elsewhere
    with `follow_links` alone. `on_skip` hears of links that are not followed, of folders that
    cannot be read and of what is no regular file.
    """
    waiting = [_Folder("", (os.path.realpath(root),), 0)]
    while waiting:
        folder = waiting.pop()
        path = os.path.join(root, folder.name) if folder.name else os.fspath(root)
        try:
            with os.scandir(path) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            on_skip(path, error.strerror or str(error))
            continue
        below = []
        for entry in entries:
            name = f"{folder.name}/{entry.name}" if folder.name else entry.name
            if entry.name.startswith("."):
                continue
            try:
                if entry.is_dir():
                    below += folder.enter(entry, name, follow_links, on_skip)
                elif suffixes is None or os.path.splitext(entry.name)[1].lower() in suffixes:
                    if entry.is_symlink() and not follow_links and folder.leaves(entry):
                        on_skip(entry.path, _elsewhere(os.path.realpath(entry.path)))
                    elif entry.is_file():
                        yield name
                    else:
                        on_skip(
                            entry.path,
                            "a link to nothing" if entry.is_symlink() else "not a regular file",
                        )
            except OSError as error:
                on_skip(entry.path, error.strerror or str(error))
        waiting += reversed(below)


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder that is walked through."""

    name: str  # relative to the root
    # real paths of the root, of the links on the way, and of the folder itself
    real: tuple[str, ...]
    links: int  # on the way here

    def enter(
        self, entry: os.DirEntry[str], name: str, follow_links: bool, on_skip: OnSkip
    ) -> list[_Folder]:
        """The folder that `entry` is or leads to, in a list; nothing where the way must not go."""
        if not entry.is_symlink():
            real = os.path.join(self.real[-1], entry.name)
            if self.links and real in self.real:
                return []
            return [
                _Folder(
                    name,
                    (*self.real[:-1], real) if self.links else (self.real[0], real),
                    self.links,
                )
            ]
        real = os.path.realpath(entry.path)
        if any(is_inside(way, real) for way in self.real):
            if not is_inside(real, self.real[0]):
                on_skip(entry.path, f"a link to {real}, in which it lies itself")
            return []  # a circle: what lies there is found on the way
        if not follow_links and not is_inside(real, self.real[0]):
            on_skip(entry.path, _elsewhere(real))
            return []
        if self.links == LINKS:
            on_skip(entry.path, f"more than {LINKS} linked folders in one path")
            return []
        return [_Folder(name, (*self.real, real), self.links + 1)]

    def leaves(self, entry: os.DirEntry[str]) -> bool:
        """Whether a linked file lies outside of the root."""
        return entry.is_file() and not is_inside(os.path.realpath(entry.path), self.real[0])


def _elsewhere(real: str) -> str:
    return f"{LINK}{real}, which lies elsewhere; --follow-links follows it"


def is_inside(path: str, folder: str) -> bool:
    """Whether a real path is that of the folder, or of something in it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
