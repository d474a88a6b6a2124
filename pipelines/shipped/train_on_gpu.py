"""Trains MesoLite on a GPU by PyTorch, on faces that mesovid's own sampler, blends and damage make.

    pip install torch
    python pipelines/shipped/train_on_gpu.py DATASET... --init mesolite -o FOLDER --minutes 10.5

`mesovid train` itself uses a GPU wherever TensorFlow finds one. This is for a machine that has
PyTorch alone, and for a time that is short: processes make batches as fast as the cores allow, and
the learning rate falls with the clock. The result is a model without levels, from which
`mesovid train --epochs 0 --init FOLDER` sets them.
"""

from __future__ import annotations

import argparse
import dataclasses
import mmap
import multiprocessing
import os
import queue
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mesovid.dataset.manifest import read_datasets
from mesovid.errors import MesovidError
from mesovid.models.architectures import build
from mesovid.models.card import ModelCard, card_at, find_card
from mesovid.models.export import write_model
from mesovid.models.weights import load_weights
from mesovid.opencv import cv2
from mesovid.settings import AugmentSettings, TrainSettings
from mesovid.training.feed import Feed
from mesovid.training.sampler import Sampler
from mesovid.training.samples import CropReader, Samples, training_data
from mesovid.training.trainer import learning_rate

SIDE = 256  # px
TRAIN = TrainSettings(  # the whole time is its one epoch
    architecture="mesolite", epochs=1, steps=16, batch_size=256, seed=5, pairs=True, ranking=0.2,
    learning_rate=7e-4, warmup=0.05, schedule="cosine", decay_limit=2.8e-6, clip_norm=5, ema=0.998,
    self_blend=0.5, swap=0.4, partial=0.3, alike=0.2,
)  # fmt: skip
AUGMENT = AugmentSettings(
    rotation=8, zoom=0.08, shift=0.03, channel_shift=15, jpeg=0.3, h264=0.3, rescale=0.4, blur=0.2,
    noise=0.15, sharpen=0.2, gamma=0.2, denoise=0.05, colour=0.5, grey=0.2,
)  # fmt: skip
WEIGHTS = {"dfdc": 3.0, "modern": 3.0}  # of datasets, where they are among those given
FEW_FACES = 8  # of a video; of those with more every other face is taken
DECAY = 0.01  # of weights, AdamW's
SLOTS = 40  # batches in memory
PATIENCE = 300  # s
PROBES = 16  # faces that both libraries must score alike
TOLERANCE = 1e-3


def main() -> None:
    arguments = _arguments()
    try:
        source = find_card(arguments.init)
        card = card_at(source)
        if card.architecture != TRAIN.architecture:
            raise MesovidError(
                f"{arguments.init} is a {card.architecture}; name a {TRAIN.architecture} by --init"
            )
        samples = _samples(arguments.datasets, arguments.leave_out)
        print(f"{len(samples)} faces", flush=True)
        batches = Batches(samples, arguments.workers)  # its processes come before CUDA does
        model = _keras_model(card, source.with_suffix(".keras"))
        start = {
            f"{layer.name}/{number}": array
            for layer in model.layers
            for number, array in enumerate(layer.get_weights())
        }
        network = learn(batches, start, arguments.minutes * 60)
        probes = batches.next()[:PROBES]
        batches.end()
        finish(model, network, probes, card, arguments.output)
    except MesovidError as error:
        sys.exit(f"train_on_gpu: {error}")


class Batches:
    """Batches of crops in shared memory, made by processes of their own."""

    def __init__(self, samples: Samples, workers: int) -> None:
        cv2.setNumThreads(1)
        size = TRAIN.batch_size
        pixels = mmap.mmap(-1, SLOTS * size * SIDE * SIDE * 3)
        self._crops = np.frombuffer(pixels, np.uint8).reshape(SLOTS, size, SIDE, SIDE, 3)
        context = multiprocessing.get_context("fork")
        self._free, self._ready = context.Queue(), context.Queue()
        for slot in range(SLOTS):
            self._free.put(slot)
        reader = CropReader(samples.path, SIDE, 1e12)
        for row in range(len(samples)):
            reader[row]  # decoded once, for all processes
        feed = Feed(samples, reader, AUGMENT, SIDE, 1)
        sampler = Sampler(
            samples, TRAIN, {k: w for k, w in WEIGHTS.items() if k in samples.dataset}
        )
        self._processes = [
            context.Process(target=self._make, args=(feed, sampler, n, workers), daemon=True)
            for n in range(workers)
        ]
        for process in self._processes:
            process.start()

    def next(self) -> np.ndarray:
        """uint8 (b, side, side, 3): fakes, then their pairs. A copy."""
        try:
            slot = self._ready.get(timeout=PATIENCE)
        except queue.Empty:
            raise MesovidError(f"no batch was made for {PATIENCE} s; see above for why") from None
        crops = self._crops[slot].copy()
        self._free.put(slot)
        return crops

    def end(self) -> None:
        for process in self._processes:
            process.kill()

    def _make(self, feed: Feed, sampler: Sampler, first: int, workers: int) -> None:
        epoch = first
        while True:
            for batch in sampler.epoch(epoch):
                slot = self._free.get()
                self._crops[slot] = feed.batch(batch)
                self._ready.put(slot)
            epoch += workers


def learn(batches: Batches, start: dict[str, np.ndarray], seconds: float) -> Any:
    """Train a `MesoLite` of PyTorch for so long; it has the running average of the weights."""
    import torch
    from torch.nn import functional
    from torch_mesolite import MesoLite

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(TRAIN.seed)
    network = MesoLite(dropout=0.2)
    network.load(start)
    network.to(device, memory_format=torch.channels_last).train()
    parameters = list(network.parameters())
    groups = [
        {"params": [each for each in parameters if each.ndim > 1], "weight_decay": DECAY},
        {"params": [each for each in parameters if each.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=TRAIN.learning_rate, betas=(0.9, 0.99))
    state = [each for each in network.state_dict().values() if each.is_floating_point()]
    average = [each.detach().clone() for each in state]
    half = TRAIN.batch_size // 2
    labels = torch.arange(TRAIN.batch_size, device=device).lt(half).float()
    began, said, steps = time.monotonic(), 0.0, 0
    while (passed := time.monotonic() - began) < seconds:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(TRAIN, passed / seconds)
        crops = torch.from_numpy(batches.next()).to(device).permute(0, 3, 1, 2)
        with torch.autocast(device, torch.bfloat16):
            logits = network(crops)
        logits = logits.float()
        loss = functional.binary_cross_entropy_with_logits(logits, labels)
        ranking = functional.softplus(logits[half:] - logits[:half]).mean()
        optimizer.zero_grad()
        (loss + TRAIN.ranking * ranking).backward()
        torch.nn.utils.clip_grad_norm_(parameters, TRAIN.clip_norm)
        optimizer.step()
        steps += 1
        keep = min(TRAIN.ema, (1 + steps) / (10 + steps))
        with torch.no_grad():
            torch._foreach_lerp_(average, state, 1 - keep)
        if passed - said > 20:
            said = passed
            right = ((logits > 0) == labels.bool()).float().mean()
            print(
                f"{passed:.0f} s, {steps} batches: loss {loss:.3f}, right {right:.3f}", flush=True
            )
    with torch.no_grad():
        for each, mean in zip(state, average, strict=True):
            each.copy_(mean)
    print(f"{steps * TRAIN.batch_size} faces seen on {device}", flush=True)
    return network.cpu().eval()


def finish(model: Any, network: Any, probes: np.ndarray, card: ModelCard, folder: Path) -> None:
    """Write the network as a Keras model, with the levels of the one that it started from.

    Raises MesovidError when the two do not agree on the probes.
    """
    learned = network.arrays()
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([learned[f"{layer.name}/{n}"] for n in range(len(layer.weights))])
    given, wanted = model.predict_on_batch(probes.astype(np.float32))[:, 0], network.scores(probes)
    if (worst := float(np.abs(given - wanted).max())) > TOLERANCE:
        raise MesovidError(f"Keras and PyTorch differ by {worst:.2g} on the same faces")
    folder.mkdir(parents=True, exist_ok=True)
    card = dataclasses.replace(card, name=folder.name, figures=(), sha256={})
    write_model(model, card, folder)
    print(folder)


def _samples(folders: list[Path], leave_out: list[str]) -> Samples:
    """What `mesovid train` would learn from, less frames that are like others."""
    train = training_data(read_datasets(folders), TRAIN, leave_out=leave_out).train
    taken = np.zeros(len(train), bool)
    videos: dict[tuple[str, int], list[int]] = {}
    for row in np.argsort(train.frame, kind="stable"):
        videos.setdefault((str(train.video[row]), int(train.person[row])), []).append(int(row))
    for rows in videos.values():
        taken[rows[::2] if len(rows) > FEW_FACES else rows] = True
    return train.select(taken)


def _keras_model(card: ModelCard, weights: Path) -> Any:
    """The model of a card; TensorFlow leaves the GPU to PyTorch."""
    tf.config.set_visible_devices([], "GPU")
    model = build(card.architecture, card.network, size=SIDE)
    load_weights(model, weights)
    return model


def _arguments() -> Any:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("datasets", nargs="+", type=Path, metavar="DATASET")
    parser.add_argument(
        "--init", required=True, metavar="NAME|PATH", help="a MesoLite to go on from"
    )
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FOLDER")
    parser.add_argument("--minutes", type=float, default=10.5)
    parser.add_argument("--leave-out", action="append", default=[], metavar="METHOD")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    return parser.parse_args()


if __name__ == "__main__":
    main()
