"""Makes examples/astronaut.mp4: a slow camera move over a public-domain portrait.

The picture is NASA's and ships with scikit-image.

python examples/make_clip.py [OUTPUT]
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import skimage.data

WIDTH, HEIGHT = 480, 360  # px
FPS = 25
SECONDS = 4
QUALITY = "21"  # CRF of H.264, which browsers play


def main() -> None:
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("astronaut.mp4")
    write(skimage.data.astronaut(), output)


def write(picture: np.ndarray, output: Path) -> None:
    """A clip of the camera's way over `picture` (512, 512, 3) RGB."""
    with av.open(str(output), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream(
            "libx264", FPS, options={"crf": QUALITY, "preset": "veryslow"}
        )
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(FPS * SECONDS):
            image = view(picture, number / (FPS * SECONDS))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    print(f"{output}: {output.stat().st_size / 1000:.0f} kB")


def view(picture: np.ndarray, progress: float) -> np.ndarray:
    """What the camera sees of `picture` at `progress` 0 to 1.

    It circles the face, zooms and rolls a little.
    """
    phase = 2 * math.pi * progress
    # px of the picture, about the face
    centre = (225 + 15 * math.cos(phase), 150 + 10 * math.sin(phase))
    matrix = cv2.getRotationMatrix2D(centre, 4 * math.sin(phase), 1.35 - 0.15 * math.cos(phase))
    matrix[:, 2] += np.array([WIDTH / 2, HEIGHT / 2]) - centre
    return cv2.warpAffine(
        picture, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )


if __name__ == "__main__":
    main()
