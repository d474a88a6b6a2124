"""Links the faces of one person over time, so that two people never share a score."""

from __future__ import annotations

from dataclasses import dataclass

from mesovid.boxes import Box, distance, overlap, scaled, side
from mesovid.records import FrameFaces

MAX_DISTANCE = 0.8  # of the larger face's side: how far a face may move between two samples
MAX_GROWTH = 1.8  # how much its side may change between two samples
MIN_OVERLAP = 0.3  # intersection over union that links two faces whatever their distance says
PATIENCE = 4  # sampled frames of one shot that a person may be out of sight


class PeopleLinker:
    """Gives each face of a video the id of its person, frame by frame in order of time.

    Ids are 0, 1, ... in order of appearance.

    A face goes on with the nearest person of the last frames, within gates relative to its size;
    whoever is not matched is somebody new. After a cut everybody is new: without recognising faces
    there is no saying who is who in another shot.
    """

    def __init__(self) -> None:
        self._people: list[_Track] = []
        self._count = 0
        self._size = (0, 0)  # height, width of the frame before

    def link(self, found: FrameFaces) -> tuple[int, ...]:
        """The person id of each face of the frame, in the order of `found.faces`."""
        if found.cut:
            self._people.clear()
        self._resize(found.frame.image.shape[:2])
        ids = self._match([face.box for face in found.faces])
        seen = set(ids)
        for track in self._people:
            track.missed = 0 if track.id in seen else track.missed + 1
        self._people = [track for track in self._people if track.missed <= PATIENCE]
        return ids

    def _resize(self, size: tuple[int, ...]) -> None:
        """Put boxes in pixels of frames of another size.

        A stream may change its size in the midst of a shot.
        """
        height, width = size
        if self._people and (height, width) != self._size:
            down, across = height / self._size[0], width / self._size[1]
            for track in self._people:
                track.box = scaled(track.box, across, down)
        self._size = height, width

    def _match(self, boxes: list[Box]) -> tuple[int, ...]:
        """Nearest pairs first; each person and each face at most once."""
        pairs = sorted(
            (distance(track.box, box), row, column)
            for row, track in enumerate(self._people)
            for column, box in enumerate(boxes)
            if linkable(track.box, box)
        )
        tracks: dict[int, _Track] = {}  # by face
        taken: set[int] = set()
        for _, row, column in pairs:
            if row not in taken and column not in tracks:
                taken.add(row)
                tracks[column] = self._people[row]
        for column, box in enumerate(boxes):
            if column in tracks:
                tracks[column].box = box
            else:
                tracks[column] = self._new(box)
        return tuple(tracks[column].id for column in range(len(boxes)))

    def _new(self, box: Box) -> _Track:
        track = _Track(self._count, box)
        self._count += 1
        self._people.append(track)
        return track


def linkable(before: Box, after: Box) -> bool:
    """Whether both boxes may be one person's in successive samples."""
    small, large = sorted((side(before), side(after)))
    if large > MAX_GROWTH * small:
        return False
    return overlap(before, after) >= MIN_OVERLAP or distance(before, after) <= MAX_DISTANCE


@dataclass(slots=True)
class _Track:
    id: int
    box: Box
    missed: int = 0  # sampled frames since it was last seen
