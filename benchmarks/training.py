"""Compares `mesovid train` with what people write first, on the same graph and crops.

That is `image_dataset_from_directory` and `fit`.

    python benchmarks/training.py                # crops of a public-domain portrait
    python benchmarks/training.py DATASET        # the train split of a dataset of yours

Prints images a second over whole epochs, everything included: reading, augmentation, steps. The
plain way reads and trains, and augments not at all; with `--augment` it does so by Keras's own
layers (flip, rotation, zoom, brightness). mesovid trains with the paper's augmentation, which it
does by default, and with everything that it can do. All are run in turn, several times, because
other work on the machine moves the figures; the medians are given, and the processor's time an
image, which such work moves less.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mesovid.backend import import_tensorflow  # noqa: E402
from mesovid.dataset.manifest import read_dataset  # noqa: E402
from mesovid.models.architectures import build  # noqa: E402
from mesovid.opencv import cv2  # noqa: E402
from mesovid.settings import AugmentSettings, NetworkSettings, TrainSettings  # noqa: E402

import_tensorflow()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from mesovid.training.feed import Feed  # noqa: E402
from mesovid.training.fused import fused  # noqa: E402
from mesovid.training.sampler import Sampler  # noqa: E402
from mesovid.training.samples import CropReader, training_data  # noqa: E402
from mesovid.training.trainer import Trainer, learning_rate  # noqa: E402

SIZE = 256  # px
BATCH = 32
CROPS = 512  # at most, of either class together
EVERYTHING = AugmentSettings(
    jpeg=0.3,
    h264=0.3,
    rescale=0.3,
    blur=0.2,
    sharpen=0.2,
    noise=0.2,
    colour=0.3,
    gamma=0.2,
)


@dataclass(slots=True)
class Way:
    """One way to train, and what an epoch of it cost."""

    name: str
    epoch: Callable[[int], int]  # number of the epoch -> images
    seconds: list[float] = field(default_factory=list)  # an image, wall
    processor: list[float] = field(default_factory=list)  # an image, all threads

    def run(self, number: int) -> None:
        wall, processor = time.perf_counter(), time.process_time()
        images = self.epoch(number)
        self.seconds.append((time.perf_counter() - wall) / images)
        self.processor.append((time.process_time() - processor) / images)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", nargs="?", type=Path)
    parser.add_argument("--architecture", default="meso4")
    parser.add_argument(
        "--epochs", type=int, default=3, help="epochs of each that are timed, after one that is not"
    )
    parser.add_argument(
        "--augment", action="store_true", help="give the plain way Keras's augmentation layers"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        crops = write_crops(arguments.dataset, Path(folder))
        ways = [
            plain(Path(folder), arguments.architecture, arguments.augment),
            ours(
                Path(folder),
                arguments.architecture,
                AugmentSettings(),
                "mesovid, the paper's augmentation",
            ),
            ours(Path(folder), arguments.architecture, EVERYTHING, "mesovid, every augmentation"),
            ours(
                Path(folder),
                arguments.architecture,
                EVERYTHING,
                "mesovid, the same, half self-blended",
                0.5,
            ),
        ]
        for number in range(arguments.epochs + 1):
            for way in ways:
                way.run(number)
    report(ways, arguments.architecture, crops)


def write_crops(dataset: Path | None, folder: Path) -> int:
    """Write the crops as PNG in class folders under train/; gives their number."""
    rng = np.random.default_rng(0)
    if dataset is None:
        import skimage.data

        face = cv2.resize(skimage.data.astronaut()[20:240, 110:330], (SIZE, SIZE))[..., ::-1]
        images = [
            np.clip(face + rng.normal(0, 8, face.shape), 0, 255).astype(np.uint8)
            for _ in range(CROPS)
        ]
        labelled = [
            (image, "fake" if number % 2 else "real") for number, image in enumerate(images)
        ]
    else:
        read = read_dataset(dataset)
        rows = list(read.of_split("train")) or list(read.crops)
        chosen = rng.choice(len(rows), min(CROPS, len(rows)), replace=False)
        paths = [(read.path(rows[row]), rows[row].label) for row in chosen]
        labelled = [
            (cv2.resize(cv2.imread(str(path)), (SIZE, SIZE)), label) for path, label in paths
        ]
    for split in ("train", "valid"):
        for number, (image, label) in enumerate(labelled if split == "train" else labelled[:2]):
            path = folder / split / label / f"{number:05}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), image)
    return len(labelled)


def plain(folder: Path, architecture: str, augment: bool) -> Way:
    """What the tutorials do, with prefetching.

    The crops are decoded once and kept in memory, as ours are.
    """
    data = (
        keras.utils.image_dataset_from_directory(
            folder / "train",
            class_names=["real", "fake"],
            label_mode="binary",
            image_size=(SIZE, SIZE),
            batch_size=BATCH,
            shuffle=False,
            verbose=False,
        )
        .cache()
        .shuffle(64)
    )
    if augment:
        layers = [
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomRotation(15 / 360),
            keras.layers.RandomZoom(0.2),
            keras.layers.RandomBrightness(0.2),
        ]

        def vary(images: Any, labels: Any) -> tuple[Any, Any]:
            for layer in layers:
                images = layer(images, training=True)
            return images, labels

        data = data.map(vary, num_parallel_calls=tf.data.AUTOTUNE)
    data = data.prefetch(tf.data.AUTOTUNE)
    model = build(architecture, NetworkSettings(), size=SIZE)
    model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy", metrics=["accuracy"])
    count = sum(len(list((folder / "train" / label).iterdir())) for label in ("real", "fake"))

    def epoch(_number: int) -> int:
        model.fit(data, shuffle=False, verbose=0)  # the data shuffles itself
        return count

    return Way(
        "image_dataset_from_directory + fit"
        + (", Keras's augmentation" if augment else ", no augmentation"),
        epoch,
    )


def ours(
    folder: Path,
    architecture: str,
    augmentation: AugmentSettings,
    name: str,
    self_blend: float = 0.0,
) -> Way:
    """The very parts that `mesovid train` runs in an epoch."""
    settings = TrainSettings(architecture=architecture, batch_size=BATCH, self_blend=self_blend)
    samples = training_data([read_dataset(folder)], settings).train
    feed = Feed(samples, CropReader(samples.path, SIZE, 4e9), augmentation, SIZE, 0)
    sampler = Sampler(samples, settings)
    trainer = Trainer(fused(build(architecture, NetworkSettings(), size=SIZE)), settings)

    def epoch(number: int) -> int:
        plan = sampler.epoch(number)
        losses = []
        for step, batch in enumerate(feed.train(plan)):
            losses.append(
                trainer.step(*batch, learning_rate(settings, number + step / len(plan)))[0]
            )
        assert np.isfinite([float(loss) for loss in losses]).all()
        return len(plan) * BATCH

    return Way(name, epoch)


def report(ways: list[Way], architecture: str, crops: int) -> None:
    """The table, in Markdown. The first epoch of each, which compiles and reads, does not count."""
    print(
        f"{architecture}, {crops} crops of {SIZE} px, batches of {BATCH}, median of "
        f"{len(ways[0].seconds) - 1} epochs\n"
    )
    print("| | images/s | against the first | processor ms an image |")
    print("| --- | --- | --- | --- |")
    first = statistics.median(ways[0].seconds[1:])
    for way in ways:
        seconds, processor = (
            statistics.median(way.seconds[1:]),
            statistics.median(way.processor[1:]),
        )
        print(
            f"| {way.name} | {1 / seconds:.0f} | {first / seconds:.2f} x | {1000 * processor:.1f} |"
        )


if __name__ == "__main__":
    main()
