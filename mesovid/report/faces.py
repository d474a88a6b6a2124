"""Keeps the faces of a scan as picture files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from mesovid.errors import InputError
from mesovid.opencv import cv2
from mesovid.records import Crop, FaceScore


class FaceSaver:
    """Writes each face as <folder>/<video>/<frame>_<person>_<P(fake)>.png."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._make(self._folder)

    def __call__(self, path: str, crops: Sequence[Crop], scores: Sequence[FaceScore]) -> None:
        # two videos of one name in different folders must not share a folder
        digest = hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()[:8]
        folder = self._folder / f"{Path(path).stem}-{digest}"
        self._make(folder)
        for crop, score in zip(crops, scores, strict=True):
            name = f"{crop.index:06}_{crop.person}_{score.fake_probability:.3f}.png"
            _, data = cv2.imencode(".png", cv2.cvtColor(crop.pixels, cv2.COLOR_RGB2BGR))
            try:
                (folder / name).write_bytes(data.tobytes())
            except OSError as error:
                raise InputError(f"cannot keep the faces in {folder}: {error.strerror}") from error

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the folder {folder}: {error.strerror}") from error
