"""Drawings of a page, as SVG whose text keeps its size at any width.

Places are percentages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from mesovid.records import FaceScore, Segment
from mesovid.report.look import escaped
from mesovid.report.text import clock

Band = tuple[float, float] | None
LANE = 96  # px, height of a lane's plot
MOST_DOTS = 300  # of a lane; more would only blur
MOST_POINTS = 1000  # of a curve
GAP = 2.5  # median distances of samples: a longer one is a time in which the person was not seen
STEPS = (
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14400,
    43200,
    86400,
)
MOST_TICKS = 6


def scale(
    probability: float | None, threshold: float, band: Band, clears: float | None = None
) -> str:
    """The line from real to fake with the model's undecided band and this clip's place.

    The band is paler below `clears`, within it, where the model sees no sign of what it can see.
    """
    low, high = band or (threshold, threshold)
    pale = clears if band and clears is not None else low
    where = f"this clip at {probability:.2f}" if probability is not None else "no score"
    said = (
        f"; from {low:.2f} to {high:.2f} the model cannot tell"
        if band
        else f"; the threshold is {threshold:.2f}"
    )
    parts = [
        (
            '<svg class="scale" height="92" role="img" aria-label="Scale of P(fake) from 0, '
            f'real, to 1, fake: {where}{said}">'
        ),
        _rect(0, low, 28, 22, "z-real"),
        _rect(low, pale, 28, 22, "z-unsure z-pale") if pale > low else "",
        _rect(pale, high, 28, 22, "z-unsure") if band else "",
        _rect(high, 1, 28, 22, "z-fake"),
        '<rect class="frame" x="0" y="28" width="100%" height="22"/>',
        '<text x="0" y="66">0 looks real</text>',
        '<text x="100%" y="66" text-anchor="end">looks faked 1</text>',
    ]
    middle = (low + high) / 2
    words = f"cannot tell: {low:.2f} to {high:.2f}" if band else f"threshold {threshold:.2f}"
    parts.append(_label(words, middle, 84, "dim"))
    if probability is not None:
        parts.append(
            f'<svg x="{_percent(probability)}" y="0" overflow="visible"><path d="M0 30L-7 18H7Z"/>'
            '<path d="M0 28V52" stroke="#fff" stroke-width="5"/>'
            '<path d="M0 26V54" stroke="#1f2430" stroke-width="2"/></svg>'
        )
        parts.append(_label(f"P(fake) {probability:.2f}", probability, 13))
    return "".join(parts) + "</svg>"


def lane(
    scores: Sequence[FaceScore],
    segments: Sequence[Segment],
    end: float,
    threshold: float,
    band: Band,
    label: str,
) -> str:
    """One person's scores over the time from 0 to `end` seconds.

    The undecided band and suspicious segments lie behind them.
    """
    end = max(end, 1e-3)
    low, high = band or (threshold, threshold)
    parts = [
        f'<svg height="{LANE + 22}" role="img" aria-label="{escaped(label)}">',
        f'<rect class="ground" width="100%" height="{LANE}"/>',
    ]
    if band:
        parts.append(
            f'<rect class="l-unsure" y="{_y(high):.1f}" width="100%" '
            f'height="{_y(low) - _y(high):.1f}"/>'
        )
    for segment in segments:
        left, width = segment.start / end, max((segment.end - segment.start) / end, 0.005)
        parts.append(
            f'<rect class="l-segment" x="{_percent(left)}" width="{_percent(width)}" '
            f'height="{LANE}">'
            f"<title>suspicious from {clock(segment.start)} to {clock(segment.end)}, "
            f"P(fake) {segment.fake_probability:.2f}</title></rect>"
        )
    parts += [_time_tick(time, end) for time in ticks(end)]
    parts.append(
        f'<line class="threshold" x2="100%" y1="{_y(threshold):.1f}" y2="{_y(threshold):.1f}"/>'
        f'<text class="dim" x="-6" y="{_y(0):.0f}" text-anchor="end">0</text>'
        f'<text class="dim" x="-6" y="{_y(1) + 9:.0f}" text-anchor="end">1</text>'
    )
    parts.append(
        f'<svg width="100%" height="{LANE}" viewBox="0 0 1000 {LANE}" preserveAspectRatio="none">'
        + "".join(f'<polyline class="curve" points="{points}"/>' for points in _curves(scores, end))
        + "</svg>"
    )
    if len(scores) <= MOST_DOTS:
        parts += [_dot(score, end, threshold, low) for score in scores]
    return "".join(parts) + "</svg>"


def ticks(end: float) -> list[float]:
    """Round times from 0 to `end`, at most MOST_TICKS."""
    step = next(
        (step for step in STEPS if end / step <= MOST_TICKS - 1),
        STEPS[-1] * math.ceil(end / STEPS[-1] / 5),
    )
    return [number * step for number in range(int(end / step + 1e-9) + 1)]


def tick_text(time: float) -> str:
    """A round time as short as it can be: 0:05, 1:02:00, or 0:00.5 where steps are that small."""
    text = clock(time)
    return text.removesuffix(".0")


def _time_tick(time: float, end: float) -> str:
    x = _percent(time / end)
    # the last label would leave the drawing
    anchor = "end" if time / end > 0.93 else "middle" if time else "start"
    return (
        f'<line class="grid" x1="{x}" x2="{x}" y1="{LANE - 5}" y2="{LANE}"/>'
        f'<text class="dim" x="{x}" y="{LANE + 16}" text-anchor="{anchor}">{tick_text(time)}</text>'
    )


def _curves(scores: Sequence[FaceScore], end: float) -> list[str]:
    """Lines through the scores, apart where the person was out of sight."""
    times = [score.time for score in scores]
    distances = sorted(after - before for before, after in pairwise(times))
    longest = GAP * distances[len(distances) // 2] if distances else 0.0
    runs: list[list[FaceScore]] = []
    for score in scores:
        if not runs or score.time - runs[-1][-1].time > longest:
            runs.append([])
        runs[-1].append(score)
    share = MOST_POINTS / max(len(scores), 1)
    return [
        " ".join(
            f"{1000 * score.time / end:.1f},{_y(score.fake_probability):.1f}"
            for score in _thinned(run, max(2, int(len(run) * share)))
        )
        for run in runs
        if len(run) > 1
    ]


def _thinned(run: list[FaceScore], most: int) -> list[FaceScore]:
    """At most about `most` of the scores, in order: of each stretch its lowest and its highest."""
    if len(run) <= most:
        return run
    stretches = max(most // 2, 1)
    edges = [len(run) * number // stretches for number in range(stretches + 1)]
    kept: list[FaceScore] = []
    for start, stop in pairwise(edges):
        part = run[start:stop]
        extremes = {id(value): value for value in (min(part, key=_value), max(part, key=_value))}
        kept += sorted(extremes.values(), key=lambda score: score.time)
    return kept


def _value(score: FaceScore) -> float:
    return score.fake_probability


def _dot(score: FaceScore, end: float, threshold: float, low: float) -> str:
    """A circle below the band, an empty one within, a diamond from the threshold on.

    They can be told apart without colour.
    """
    x, y = _percent(score.time / end), _y(score.fake_probability)
    title = f"<title>{clock(score.time)}, P(fake) {score.fake_probability:.2f}</title>"
    if score.fake_probability >= threshold:
        return (
            f'<svg x="{x}" y="{y:.1f}" overflow="visible">'
            f'<path class="dot f" d="M0-5L5 0 0 5-5 0Z">{title}</path></svg>'
        )
    kind = "dot u" if score.fake_probability >= low else "dot"
    return f'<circle class="{kind}" cx="{x}" cy="{y:.1f}" r="3.4">{title}</circle>'


def _y(probability: float) -> float:
    return 4 + (1 - probability) * (LANE - 8)


def _rect(start: float, end: float, y: float, height: float, kind: str) -> str:
    return (
        f'<rect class="{kind}" x="{_percent(start)}" y="{y}" width="{_percent(end - start)}" '
        f'height="{height}"/>'
    )


def _label(text: str, place: float, y: float, kind: str = "") -> str:
    """Text at a place between 0 and 1, within the drawing."""
    anchor = "start" if place < 0.25 else "end" if place > 0.75 else "middle"
    marked = f' class="{kind}"' if kind else ""
    return (
        f'<text{marked} x="{_percent(place)}" y="{y}" text-anchor="{anchor}">{escaped(text)}</text>'
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"
