"""Makes batches for the network.

Threads of tf.data read, blend and vary crops while it trains on the last ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from mesovid.errors import MesovidError
from mesovid.opencv import cv2
from mesovid.records import Pixels
from mesovid.settings import AugmentSettings
from mesovid.training.augment import augment
from mesovid.training.blend import Blended, partial_fake, self_blend, swap_blend
from mesovid.training.sampler import Batch
from mesovid.training.samples import CropReader, Samples

Floats = npt.NDArray[np.float32]

AHEAD = 2  # batches that wait ready, beyond those being made
# blended and varied validation faces are the same in every epoch and run
VALIDATION_SEED = 1_000_003


@dataclass(frozen=True, slots=True)
class Teacher:
    """A model whose scores are taught beside the labels.

    Distillation: Hinton et al. 2015, arXiv 1503.02531.

    It sees each face as the pupil does, varied and blended (Beyer et al. 2022, arXiv 2106.05237).
    """

    score: Callable[[Pixels], npt.NDArray[np.float64]]  # P(fake) (n,) of crops; safe for threads
    share: float  # of a target that it gives


@dataclass(frozen=True, slots=True, eq=False)
class Feed:
    """Turns plans of batches into arrays, in parallel and in order."""

    samples: Samples
    reader: CropReader
    augmentation: AugmentSettings
    size: int  # px
    workers: int  # threads; 0: one a core
    teacher: Teacher | None = None

    def train(self, plan: Sequence[Batch]) -> Iterator[tuple[Any, Any, Any]]:
        """Tensors of each batch: crops uint8 (b, s, s, 3), labels and targets float32 (b,)."""

        def make(number: int) -> tuple[Pixels, Floats, Floats]:
            batch = plan[number]
            crops, labels = self.batch(batch), batch.fake.astype(np.float32)
            return crops, labels, self._targets(crops, labels)

        return self._in_parallel(make, len(plan), (tf.uint8, tf.float32, tf.float32))

    def once(self, batch_size: int, *, varied: bool = False) -> Iterator[tuple[Any]]:
        """Tensors (crops,) of all samples in order, as they are or varied.

        Blended and varied ones come out alike each time.
        """

        def make(number: int) -> tuple[Pixels]:
            rows = range(number * batch_size, min((number + 1) * batch_size, len(self.samples)))
            return (np.stack([self._varied(row) if varied else self._plain(row) for row in rows]),)

        return self._in_parallel(make, -(-len(self.samples) // batch_size), (tf.uint8,))

    def batch(self, batch: Batch) -> Pixels:
        """The crops of one planned batch.

        Members of a pair vary alike, so that only the manipulation tells them apart.
        """
        half, made = len(batch.rows) // 2, batch.made
        crops = np.empty((len(batch.rows), self.size, self.size, 3), np.uint8)
        for place, row in enumerate(batch.rows):
            member = place % half if batch.paired else place
            pair = np.random.default_rng([*batch.seed, member])
            crop = self.blended(batch, place).fake if made[place] else self.reader[int(row)]
            if batch.alike[place]:
                alike = np.random.default_rng([*batch.seed, member, 2])
                crop = self_blend(crop, self.samples.landmarks[row], alike).fake
            crops[place] = augment(crop, self.augmentation, pair)
        return crops

    def blended(self, batch: Batch, place: int) -> Blended:
        """The fake that a planned batch has made at a place, before it is varied."""
        row, other = int(batch.rows[place]), int(batch.other[place])
        rng, landmarks = np.random.default_rng([*batch.seed, place, 1]), self.samples.landmarks
        if not batch.blend[place]:
            return partial_fake(
                self.reader[row], landmarks[row], self.reader[other], landmarks[other], rng
            )
        if other != row:
            return swap_blend(
                self.reader[row], landmarks[row], self.reader[other], landmarks[other], rng
            )
        return self_blend(self.reader[row], landmarks[row], rng)

    def _targets(self, crops: Pixels, labels: Floats) -> Floats:
        if self.teacher is None:
            return labels
        taught = self.teacher.score(crops).astype(np.float32)
        return labels + np.float32(self.teacher.share) * (taught - labels)

    def _plain(self, row: int) -> Pixels:
        if not self.samples.blend[row]:
            return self.reader[row]
        rng = np.random.default_rng([VALIDATION_SEED, row])
        return self_blend(self.reader[row], self.samples.landmarks[row], rng).fake

    def _varied(self, row: int) -> Pixels:
        return augment(
            self._plain(row), self.augmentation, np.random.default_rng([VALIDATION_SEED, row, 1])
        )

    def _in_parallel(
        self, make: Callable[[int], tuple[Any, ...]], count: int, types: tuple[Any, ...]
    ) -> Iterator[Any]:
        """Results of make(0), make(1)...

        An error inside comes out as itself, not as TensorFlow's account of it.
        """
        cv2.setNumThreads(1)  # the parallelism is that of whole batches
        raised: list[MesovidError] = []
        # TensorFlow never lets go of a function that it was given: emptied at the end, it keeps no
        # crops in memory
        held = [make]

        def guarded(number: npt.NDArray[np.int64]) -> tuple[Any, ...]:
            wanted = held[:]
            if not wanted:  # prefetched, and nobody waits for it any more
                return tuple(np.zeros(0, each.as_numpy_dtype) for each in types)
            try:
                return wanted[0](int(number))
            except MesovidError as error:
                raised.append(error)
                raise

        workers = self.workers or os.cpu_count() or 1
        options = tf.data.Options()
        options.deterministic = True
        numbers = tf.data.Dataset.range(count).with_options(options)
        # tf.data would run a stateful function one call at a time; this one depends on its number
        # alone
        batches = numbers.map(
            lambda number: tf.numpy_function(guarded, [number], list(types), stateful=False),
            num_parallel_calls=workers,
        )
        try:
            yield from batches.prefetch(AHEAD)
        except tf.errors.OpError as error:
            if raised:
                raise raised[0] from error
            raise
        finally:
            held.clear()
