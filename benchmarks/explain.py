"""How faithful the maps of `mesovid explain` are, per model and method.

    mesovid extract SOURCE -o DATASET --frames 4
    python benchmarks/explain.py DATASET... [--split dev]... [--model meso4]... [--faces 300]
                                 [--data TEXT] [--keep]

Of a grid of 8 x 8 cells over the face, the 6 are covered that a map names, by what most speaks for
the model's answer, and then 6 at random, 20 times. Shown is in how many of the draws the named ones
moved the answer more: 50 % is chance. Covering is done in two ways, with the crop's mean colour and
with a blur, so that occlusion is judged by a cover that it was not made with, too. Prints a
markdown table; intervals are 95 %, by bootstrap over videos. --keep writes the figures to
trained_models/faithfulness.json, from where `mesovid explain` shows them beside each map.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mesovid.dataset.manifest import CropEntry, read_dataset  # noqa: E402
from mesovid.errors import MesovidError  # noqa: E402
from mesovid.explain.explainer import Explainer  # noqa: E402
from mesovid.explain.faithfulness import FILE, METHODS, FaceTrial, Faithfulness, keep, trial  # noqa: E402
from mesovid.explain.occlude import FILLS  # noqa: E402
from mesovid.pictures import read_picture  # noqa: E402
from mesovid.settings import RuntimeSettings  # noqa: E402

RESAMPLED = 2000
SHIPPED = ("meso4", "mesoinception4", "mesolite")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("datasets", nargs="+", type=Path)
    parser.add_argument("--split", action="append")
    parser.add_argument("--model", action="append")
    parser.add_argument("--faces", type=int, default=300)
    parser.add_argument("--data", default="")
    parser.add_argument("--keep", action="store_true")
    given = parser.parse_args()
    try:
        faces = choose(given.datasets, given.split, given.faces)
        data = given.data or " and ".join(dataset.name for dataset in given.datasets)
        print(
            "| model | map | covered with | better than chance | moves the logit by | at random |"
        )
        print("| --- | --- | --- | ---: | ---: | ---: |")
        for name in given.model or SHIPPED:
            explainer = Explainer(name, RuntimeSettings(device="cpu", threads=1))
            figures = measure(explainer, faces, data)
            for each in figures:
                interval = (
                    f"{100 * each.better:.0f} % [{100 * each.low:.0f}, {100 * each.high:.0f}]"
                )
                print(
                    f"| {name} | {each.method} | {each.cover} | {interval} | {each.change:.2f} | "
                    f"{each.random:.2f} |"
                )
            if given.keep:
                keep(explainer.ref.sha256, figures, ROOT / "trained_models" / FILE)
    except MesovidError as error:
        sys.exit(str(error))


def choose(
    folders: list[Path], splits: list[str] | None, most: int
) -> list[tuple[Path, CropEntry]]:
    """As many faces, drawn at random with a fixed seed, of all datasets alike."""
    rng = np.random.default_rng(0)
    found: list[tuple[Path, CropEntry]] = []
    for number, folder in enumerate(folders):
        crops = [
            crop for crop in read_dataset(folder).crops if splits is None or crop.split in splits
        ]
        wanted = (most - len(found)) // (len(folders) - number)
        chosen = rng.permutation(len(crops))[:wanted]
        found += [(folder, crops[index]) for index in sorted(chosen)]
    return found


def measure(
    explainer: Explainer, faces: list[tuple[Path, CropEntry]], data: str
) -> list[Faithfulness]:
    rng = np.random.default_rng(0)
    began = time.perf_counter()
    trials, worst = [], 0.0
    for folder, crop in faces:
        pixels = read_picture(folder / crop.file)
        trials.append(trial(explainer, pixels, rng))
        split = explainer.split(pixels)
        if split is not None:
            sums = (
                split.cells.sum() + split.constant,
                sum(s.value for s in split.shares) + split.bias,
            )
            worst = max(worst, *(abs(total - split.logit) for total in sums))
    videos = np.unique([f"{folder}/{crop.video}" for folder, crop in faces], return_inverse=True)[1]
    name = explainer.card.name
    print(
        f"{name} ({explainer.ref.sha256[:12]}): {len(faces)} faces of {videos.max() + 1} videos, "
        f"{time.perf_counter() - began:.0f} s; the split adds up within {worst:.1e}",
        file=sys.stderr,
    )
    return [
        summary(trials, videos, method, cover, data)
        for method in METHODS
        for cover in FILLS
        if (method, cover) in trials[0].named
    ]


def summary(
    trials: list[FaceTrial], videos: npt.NDArray[np.int64], method: str, cover: str, data: str
) -> Faithfulness:
    named = np.array([each.named[method, cover] for each in trials])
    random = np.array([each.random[cover] for each in trials])
    better = (named[:, None] > random).mean(axis=1)
    sums = np.bincount(videos, weights=better)
    sizes = np.bincount(videos)
    drawn = np.random.default_rng(0).integers(0, len(sizes), (RESAMPLED, len(sizes)))
    low, high = np.quantile(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), (0.025, 0.975))
    return Faithfulness(
        method,
        cover,
        len(trials),
        round(float(better.mean()), 4),
        round(float(low), 4),
        round(float(high), 4),
        round(float(named.mean()), 4),
        round(float(random.mean()), 4),
        data,
    )


if __name__ == "__main__":
    main()
