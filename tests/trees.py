"""Small collections in the layouts that deepfake sets have.

For the tests of layouts and extraction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

Write = Callable[[Path], None]

FFPP = [
    "original_sequences/youtube/c23/videos/000.mp4",
    "original_sequences/youtube/c23/videos/003.mp4",
    "original_sequences/youtube/c23/videos/010.mp4",
    "original_sequences/actors/c23/videos/01__exit_phone_room.mp4",
    "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4",
    "manipulated_sequences/Deepfakes/c23/videos/003_000.mp4",
    "manipulated_sequences/Face2Face/c23/videos/000_003.mp4",
    "manipulated_sequences/DeepFakeDetection/c23/videos/01_02__exit_phone_room__YVGY8LOK.mp4",
]
CELEBDF = [
    "Celeb-real/id0_0000.mp4",
    "Celeb-real/id1_0000.mp4",
    "YouTube-real/00170.mp4",
    "Celeb-synthesis/id0_id1_0000.mp4",
    "Celeb-synthesis/id1_id0_0000.mp4",
]
CELEBDF_TEST = (
    "1 YouTube-real/00170.mp4\n1 Celeb-real/id1_0000.mp4\n0 Celeb-synthesis/id1_id0_0000.mp4\n"
)
DFDC = {
    "dfdc_train_part_0": {
        "aaaaaaaaaa.mp4": {"label": "REAL", "split": "train"},
        "bbbbbbbbbb.mp4": {"label": "FAKE", "split": "train", "original": "aaaaaaaaaa.mp4"},
    },
    "dfdc_train_part_1": {
        "cccccccccc.mp4": {"label": "REAL", "split": "train", "original": None},
        "dddddddddd.mp4": {"label": "FAKE", "split": "train", "original": "cccccccccc.mp4"},
        "eeeeeeeeee.mp4": {"label": "FAKE", "split": "train", "original": "gone.mp4"},
    },
}


def touch(path: Path) -> None:
    """A file that is there, for tests that never open it."""
    path.write_bytes(b"-")


def write_files(root: Path, names: Sequence[str], write: Write = touch) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write(root / name)
    return root


def write_celebdf(root: Path, write: Write = touch, level: str = "") -> Path:
    """`level` is put between a class folder and its videos, as some copies have it."""
    write_files(root, [name.replace("/", f"/{level}") for name in CELEBDF], write)
    (root / "List_of_testing_videos.txt").write_text(CELEBDF_TEST)
    return root


def write_dfdc(root: Path, write: Write = touch) -> Path:
    for part, videos in DFDC.items():
        write_files(root / part, list(videos), write)
        (root / part / "metadata.json").write_text(json.dumps(videos))
    return root


class ClipWriter:
    """Writes short clips of one face, each a little different in brightness and place."""

    def __init__(self, portrait: np.ndarray, frames: int = 4) -> None:
        self._picture = cv2.cvtColor(portrait[0:320, 60:380], cv2.COLOR_RGB2BGR)
        self._frames = frames
        self._written = 0

    def picture(self) -> np.ndarray:
        """BGR (320, 320, 3), each time another one."""
        self._written += 1
        shifted = np.roll(self._picture, self._written % 7 * 4, axis=1)
        return np.clip(shifted * (1 - 0.01 * (self._written % 30)), 0, 255).astype(np.uint8)

    def __call__(self, path: Path) -> None:
        if path.suffix in (".jpg", ".png"):
            assert cv2.imwrite(str(path), self.picture())
            return
        video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (320, 320))
        first = self.picture()
        for i in range(self._frames):
            video.write(np.roll(first, i * 2, axis=0))
        video.release()
