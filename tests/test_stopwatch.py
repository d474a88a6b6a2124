"""A stopwatch adds up what stages take."""

from __future__ import annotations

from mesovid.stopwatch import Stopwatch


def test_stopwatch_counts_only_the_making_of_items() -> None:
    watch = Stopwatch(["classify"])
    assert list(watch.each("detect", [1, 2])) == [1, 2]
    assert watch.seconds["detect"] >= 0
    assert watch.seconds["classify"] == 0
