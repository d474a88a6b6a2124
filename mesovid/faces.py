"""Finds faces in pictures, and follows them through a video."""

from __future__ import annotations

from collections.abc import Sequence

from mesovid.cascade import Cascade
from mesovid.records import Face, Pixels
from mesovid.settings import FaceSettings, RuntimeSettings


class FaceFinder:
    """Keeps the detector's networks loaded. Not to be shared between threads."""

    def __init__(self, settings: FaceSettings | None = None, runtime: RuntimeSettings | None = None) -> None:
        self.settings = settings or FaceSettings()
        self._cascade = Cascade(self.settings, runtime or RuntimeSettings())

    def find(self, images: Sequence[Pixels]) -> list[tuple[Face, ...]]:
        """The faces of each image, most confident first; images may differ in size."""
        return [self._chosen(faces) for faces in self._cascade.detect(images)]

    def _chosen(self, faces: tuple[Face, ...]) -> tuple[Face, ...]:
        if self.settings.faces == "all" or not faces:
            return faces
        return (max(faces, key=_area),)


def _area(face: Face) -> float:
    left, top, right, bottom = face.box
    return (right - left) * (bottom - top)
