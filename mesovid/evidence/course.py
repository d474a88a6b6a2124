"""Where the people of a scanned clip are at any moment, and their scores until then. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mesovid.boxes import between
from mesovid.records import Box, Face, FaceScore, Scan
from mesovid.report.page import standing

# Of a face's box from its landmarks: they are its distances from the mean of the points, in root
# mean square distances of the points from it. Medians over 420 faces of 27 clips
DOWN, WIDTH, HEIGHT = -0.4, 3.37, 4.51
DRIFTED = 0.1  # of the box's side: landmarks that lie so far outside of it


@dataclass(frozen=True, slots=True)
class Sight:
    """One person's face at one moment."""

    person: int
    box: Box
    looked_at: bool  # False between two frames that were looked at: the box is a guess
    running: float  # mean P(fake) of the person's faces until now
    silent: str  # why the clip takes no score of the person, in a word or two; empty where it does
    # number of the person's colour: people in view at the same time differ, as far as there are
    # colours
    colour: int


class Course:
    """The course of a scanned clip. `smallest_face` is the model's: of people with smaller faces
    the clip takes no score. `colours` is how many colours there are for people.
    """

    def __init__(self, scan: Scan, smallest_face: float | None = None, colours: int = 8) -> None:
        numbers = {moment.index: number for number, moment in enumerate(scan.sampled)}
        people: dict[int, list[FaceScore]] = {}
        for score in scan.scores:
            people.setdefault(score.person, []).append(score)
        self._silent = standing(scan, smallest_face)
        self._tracks = {
            id_: _Track(sorted(scores, key=lambda score: score.time), numbers)
            for id_, scores in people.items()
        }
        # where nobody has a say alone, as in an hour of cuts, all are judged together
        self._heard = [id_ for id_ in self._tracks if not self._silent[id_]] or list(self._tracks)
        self._colours = _coloured(self._tracks, colours)

    def at(self, time: float, near: float) -> list[Sight]:
        """The faces in view at `time`.

        A frame up to `near` seconds away counts as one that was looked at.
        """
        found = []
        for id_, track in self._tracks.items():
            if (seen := track.at(time, near)) is not None:
                box, looked_at = seen
                running = track.running(time + near)
                found.append(
                    Sight(id_, box, looked_at, running, self._silent[id_], self._colours[id_])
                )
        return found

    def verdict(self, time: float) -> tuple[int, float] | None:
        """Who is the most suspicious until now, and their mean P(fake).

        Only people with a say count. None when nobody was seen.
        """
        seen = [
            (self._tracks[id_].running(time), -id_)
            for id_ in self._heard
            if self._tracks[id_].began <= time
        ]
        if not seen:
            return None
        probability, negative = max(seen)
        return -negative, probability


def _coloured(tracks: Mapping[int, _Track], colours: int) -> dict[int, int]:
    """A colour for each person, of those that the others in view at the same time have least."""
    chosen: dict[int, int] = {}
    for id_, track in sorted(tracks.items(), key=lambda item: (item[1].began, item[0])):
        others = [other for other in chosen if tracks[other].ended >= track.began]
        used = [sum(chosen[other] == colour for other in others) for colour in range(colours)]
        fresh = [sum(number == colour for number in chosen.values()) for colour in range(colours)]
        chosen[id_] = min(range(colours), key=lambda colour: (used[colour], fresh[colour], colour))
    return chosen


class _Track:
    """One person's faces in order of time."""

    def __init__(self, scores: Sequence[FaceScore], numbers: dict[int, int]) -> None:
        self._times = [score.time for score in scores]
        self._boxes = [box_of(score.face) for score in scores]
        self._numbers = [numbers.get(score.index, 0) for score in scores]  # of the frames looked at
        values = np.array([score.fake_probability for score in scores])
        self._means = (np.cumsum(values) / np.arange(1, len(values) + 1)).tolist()

    @property
    def began(self) -> float:
        return self._times[0]

    @property
    def ended(self) -> float:
        return self._times[-1]

    def running(self, time: float) -> float:
        return float(self._means[max(bisect_right(self._times, time) - 1, 0)])

    def at(self, time: float, near: float) -> tuple[Box, bool] | None:
        last = bisect_right(self._times, time) - 1
        for number in (last, last + 1):
            if 0 <= number < len(self._times) and abs(self._times[number] - time) <= near:
                return self._boxes[number], True
        # no guess over a frame that was looked at and did not show the person
        if (
            not 0 <= last < len(self._times) - 1
            or self._numbers[last + 1] - self._numbers[last] > 1
        ):
            return None
        share = (time - self._times[last]) / (self._times[last + 1] - self._times[last])
        return between(self._boxes[last], self._boxes[last + 1], share), False


def box_of(face: Face) -> Box:
    """The box of a face; from its landmarks where the box has drifted away from them."""
    left, top, right, bottom = face.box
    x, y = face.landmarks.T
    outside = max(left - x.min(), x.max() - right, top - y.min(), y.max() - bottom)
    return box_from(face) if outside > DRIFTED * face.side else face.box


def box_from(face: Face) -> Box:
    """A box from the landmarks alone."""
    middle = face.landmarks.mean(axis=0, dtype=np.float64)
    size = float(np.sqrt(((face.landmarks - middle) ** 2).sum(axis=1).mean()))
    across, down = middle[0], middle[1] + DOWN * size
    width, height = WIDTH * size / 2, HEIGHT * size / 2
    return float(across - width), float(down - height), float(across + width), float(down + height)
