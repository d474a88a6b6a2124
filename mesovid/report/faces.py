"""Keeps the faces of a scan as picture files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from mesovid.files import reported, write_whole
from mesovid.pictures import encode
from mesovid.records import Crop, FaceScore


class FaceSaver:
    """Writes each face as <folder>/<video>/<frame>_<person>_<P(fake)>.png."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._make(self._folder)

    def __call__(self, path: str, crops: Sequence[Crop], scores: Sequence[FaceScore]) -> None:
        # two videos of one name in different folders must not share a folder
        digest = hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()[:8]
        folder = self._folder / f"{_shortened(Path(path).stem)}-{digest}"
        self._make(folder)
        for crop, score in zip(crops, scores, strict=True):
            name = f"{crop.index:06}_{crop.person}_{score.fake_probability:.3f}.png"
            with reported(folder):
                write_whole(folder / name, encode(crop.pixels))

    def _make(self, folder: Path) -> None:
        with reported(folder):
            folder.mkdir(parents=True, exist_ok=True)


def _shortened(name: str) -> str:
    """At most 200 bytes of a name, which leave room in the 255 of a file system."""
    return os.fsdecode(os.fsencode(name)[:200])
