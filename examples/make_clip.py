"""Makes examples/astronaut.mp4: a slow camera move over a public-domain portrait (NASA; the picture ships with scikit-image).

python examples/make_clip.py [OUTPUT]
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import cv2
import numpy as np
import skimage.data

WIDTH, HEIGHT = 480, 360  # px
FPS = 25
SECONDS = 4


def main() -> None:
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("astronaut.mp4")
    picture = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)
    writer = cv2.VideoWriter(str(output), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    for number in range(FPS * SECONDS):
        writer.write(view(picture, number / (FPS * SECONDS)))
    writer.release()
    print(f"{output}: {output.stat().st_size / 1000:.0f} kB")


def view(picture: np.ndarray, progress: float) -> np.ndarray:
    """What the camera sees of `picture` (512, 512, 3) at `progress` 0 to 1: it circles the face, zooms and rolls a little."""
    phase = 2 * math.pi * progress
    centre = (225 + 15 * math.cos(phase), 150 + 10 * math.sin(phase))  # px of the picture, about the face
    matrix = cv2.getRotationMatrix2D(centre, 4 * math.sin(phase), 1.35 - 0.15 * math.cos(phase))
    matrix[:, 2] += np.array([WIDTH / 2, HEIGHT / 2]) - centre
    return cv2.warpAffine(
        picture, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )


if __name__ == "__main__":
    main()
