"""Makes the samples of the page of `mesovid serve`: the public-domain portrait of make_clip.py as a picture, and as a clip
that browsers play (VP9).

python examples/make_samples.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import av
import cv2
import numpy as np
import skimage.data
from make_clip import FPS, HEIGHT, SECONDS, WIDTH, view

FOLDER = Path(__file__).parent.parent / "mesovid" / "serve" / "page" / "samples"
JPEG_QUALITY = 92
CRF = "34"  # of VP9, constant quality: about 200 kB


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    picture = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(folder / "portrait.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    _clip(folder / "portrait.webm", picture)
    for path in sorted(folder.iterdir()):
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def _clip(path: Path, picture: np.ndarray) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=FPS, options={"crf": CRF, "b": "0"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(FPS * SECONDS):
            image = view(picture, number / (FPS * SECONDS))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())


if __name__ == "__main__":
    main()
