"""Makes the samples of the page of `mesovid serve`: the public-domain portrait of make_clip.py as a
picture, as a clip that browsers play (VP9), and as a fake: a part of the face altered and blended
back in, as models learn from.

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
from make_swap import swapped

from mesovid.align import transform
from mesovid.models.card import read_card
from mesovid.pictures import read_picture
from mesovid.records import Crop
from mesovid.scanner import Scanner
from mesovid.training.blend import self_blend

FOLDER = Path(__file__).parent.parent / "mesovid" / "serve" / "page" / "samples"
JPEG_QUALITY = 92
SEED = 4  # of the blend: one that changes the upper face and nothing around it
CRF = "34"  # of VP9, constant quality: about 200 kB


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    picture = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(folder / "portrait.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    _clip(folder / "portrait.webm", picture)
    _clip(
        folder / "swapped.webm", np.ascontiguousarray(swapped(skimage.data.astronaut())[..., ::-1])
    )
    _fake(folder / "blended.jpg", folder / "portrait.jpg")
    for path in sorted(folder.iterdir()):
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def _fake(path: Path, portrait: Path) -> None:
    found: list[Crop] = []
    Scanner("meso4").scan(portrait, lambda _path, crops, _scores: found.extend(crops))
    (crop,) = found
    image = read_picture(portrait)
    # from the picture to the crop
    matrix = transform(crop.face.landmarks, read_card("meso4").geometry)
    landmarks = cv2.transform(crop.face.landmarks[None].astype(np.float64), matrix)[0].astype(
        np.float32
    )
    blended = self_blend(crop.pixels, landmarks, np.random.default_rng(SEED))
    change = cv2.warpAffine(
        blended.fake.astype(np.float32) - crop.pixels,
        cv2.invertAffineTransform(matrix),
        (image.shape[1], image.shape[0]),
    )
    fake = np.clip(image + change, 0, 255).round().astype(np.uint8)
    cv2.imwrite(str(path), fake[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


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
