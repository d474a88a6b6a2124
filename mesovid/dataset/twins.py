"""Videos that a collection holds under several names, by links: each is to be read once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mesovid.dataset.sources import Problem, Source

Identity = tuple[tuple[int, int], ...]  # device and number of each file


def read_once(sources: Sequence[Source]) -> tuple[list[Source], list[Problem], list[str]]:
    """The sources without those whose files are another's, problems, and notes.

    Of several names the first with a split stays; that there are two splits is told. Under two
    labels none stays.
    """
    named: dict[Identity, list[Source]] = {}
    alone: list[Source] = []
    for source in sources:
        identity = _identity(source)
        if identity is None:
            alone.append(source)
        else:
            named.setdefault(identity, []).append(source)
    problems: list[Problem] = []
    kept: dict[str, Source] = {source.video: source for source in alone}
    instead: dict[str, str] = {}  # key that is left out -> the one that stays
    for own in named.values():
        first = min(own, key=lambda source: (source.split is None, source.video))
        labels: dict[str | None, str] = {source.label: source.video for source in own}
        splits: dict[str | None, str] = {
            source.split: source.video for source in own if source.split
        }
        if len(labels) > 1:
            problems.append(_told(first, "labels", labels))
            continue
        if len(splits) > 1:
            problems.append(_told(first, "splits", splits))
        kept[first.video] = first
        instead |= {source.video: first.video for source in own if source is not first}
    count = len(instead)
    note = f"{count} videos are there under another name, too, by links: each is read once"
    relinked = [
        replace(source, original=instead.get(source.original or "", source.original))
        for source in sources
        if kept.get(source.video) is source
    ]
    return relinked, problems, [note] if count else []


def _identity(source: Source) -> Identity | None:
    """What tells the source's files from all others; None where the system does not say."""
    try:
        found = [os.stat(file) for file in source.files]
    except OSError:
        return None
    identity = tuple((each.st_dev, each.st_ino) for each in found)
    return identity if all(number for _, number in identity) else None


def _told(source: Source, what: str, names: Mapping[str | None, str]) -> Problem:
    given = " and ".join(sorted(f"{name} as {video}" for name, video in names.items()))
    return Problem(source.video, f"one video of several {what}, by links: {given}")
