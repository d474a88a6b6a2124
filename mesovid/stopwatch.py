"""Adds up what each stage of a job takes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")


class Stopwatch:
    """Adds up wall seconds by stage; stages that are named at first are there from the start."""

    def __init__(self, stages: Iterable[str] = ()) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(stages, 0.0)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - began
            self.seconds[stage] = self.seconds.get(stage, 0.0) + spent

    def each(self, stage: str, items: Iterable[Item]) -> Iterator[Item]:
        """The same items; the time it takes to make each one counts for `stage`."""
        iterator = iter(items)
        done = object()
        try:
            while True:
                with self(stage):
                    item: Any = next(iterator, done)
                if item is done:
                    return
                yield item
        finally:
            if hasattr(iterator, "close"):
                iterator.close()
