"""Which crops make up each batch of an epoch.

A pure function of seed and epoch, so that a run can stop and go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mesovid.errors import TrainingError
from mesovid.settings import TrainSettings
from mesovid.training.samples import SELF_BLEND, Flags, Integers, Samples

REAL = "real"  # what real crops are called in weights
DRAWN = 64  # faces from which the one that fits another best is taken


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """One batch: rows of the samples, and what is made of them."""

    seed: tuple[int, int, int]  # seed, epoch, number: of everything random in making it
    rows: Integers  # (b,)
    fake: Flags  # (b,)
    blend: Flags  # (b,) make a fake of this real crop
    # (b,) and of this one: a blend's donor, the original under a partial fake; its own row where
    # there is none
    other: Integers
    alike: Flags  # (b,) blended onto itself, as its pair is, before it is varied
    paired: bool  # row i of the first half is the fake of row i of the second

    @property
    def made(self) -> Flags:
        """Which are not shown as they lie in the dataset (b,)."""
        return np.asarray(self.blend | (self.other != self.rows))


class Sampler:
    """Plans epochs over the training samples."""

    def __init__(
        self, samples: Samples, settings: TrainSettings, weights: Mapping[str, float] | None = None
    ) -> None:
        self._samples = samples
        self._settings = settings
        self._reals = np.flatnonzero(~samples.fake)
        self._strata = _strata(samples, weights or {})
        self._partner = _Partners(samples) if settings.pairs else None
        self._donor = _Donors(samples) if settings.swap else None

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return self._settings.steps or max(1, len(self._samples) // self._settings.batch_size)

    def epoch(self, number: int) -> list[Batch]:
        """The batches of one epoch, counted from 0."""
        settings = self._settings
        rng = np.random.default_rng([settings.seed, number, 1])
        half = settings.batch_size // 2
        count = half * self.steps
        blend = rng.random(count) < settings.self_blend
        fakes = np.empty(count, np.int64)
        fakes[blend] = self._draw(REAL, int(blend.sum()), rng)
        fakes[~blend] = self._draw("fake", int((~blend).sum()), rng)
        if self._partner is None:
            reals = self._draw(REAL, (settings.batch_size - half) * self.steps, rng)
        else:
            reals = np.where(blend, fakes, self._partner(fakes, rng))
        others = np.where(
            blend, self._donors(number, fakes, blend), self._shown_beside(number, fakes, reals)
        )
        by_step = (
            fakes.reshape(self.steps, half),
            blend.reshape(self.steps, half),
            others.reshape(self.steps, half),
            self._alike(number, blend).reshape(self.steps, half),
            reals.reshape(self.steps, -1),
        )
        return [
            self._half_fake(number, step, *parts)
            for step, parts in enumerate(zip(*by_step, strict=True))
        ]

    def _donors(self, epoch: int, fakes: Integers, blend: Flags) -> Integers:
        """Whose face each fake shows: its own or, in some blends, another person's."""
        donors = fakes.copy()
        if self._donor is not None:
            rng = np.random.default_rng([self._settings.seed, epoch, 2])
            for place in np.flatnonzero(blend & (rng.random(len(fakes)) < self._settings.swap)):
                donors[place] = self._donor(int(fakes[place]), rng)
        return donors

    def _shown_beside(self, epoch: int, fakes: Integers, reals: Integers) -> Integers:
        """What shows beside a part of each fake.

        Nothing but itself, or now and then its pair, where that shows its original.
        """
        if not self._settings.partial:
            return fakes
        rng = np.random.default_rng([self._settings.seed, epoch, 3])
        known = self._samples.original[fakes] == self._samples.video[reals]
        return np.where(known & (rng.random(len(fakes)) < self._settings.partial), reals, fakes)

    def _alike(self, epoch: int, blend: Flags) -> Flags:
        """Which of the fakes, none of them a blend already, are blended as their pairs are."""
        rng = np.random.default_rng([self._settings.seed, epoch, 4])
        return np.asarray(~blend & (rng.random(len(blend)) < self._settings.alike))

    def _half_fake(
        self,
        epoch: int,
        step: int,
        fakes: Integers,
        blend: Flags,
        others: Integers,
        alike: Flags,
        reals: Integers,
    ) -> Batch:
        count = len(fakes) + len(reals)
        return Batch(
            seed=(self._settings.seed, epoch, step),
            rows=np.concatenate([fakes, reals]),
            fake=np.arange(count) < len(fakes),
            blend=np.concatenate([blend, np.zeros(len(reals), bool)]),
            other=np.concatenate([others, reals]),
            alike=np.concatenate(
                [alike, alike if self._partner is not None else np.zeros(len(reals), bool)]
            ),
            paired=self._partner is not None,
        )

    def _draw(self, label: str, count: int, rng: np.random.Generator) -> Integers:
        """Rows of one label: strata by their weights.

        Within each every crop comes once before one comes twice.
        """
        if not count:
            return np.empty(0, np.int64)
        strata = self._strata[label]
        chances = np.array([stratum.weight for stratum in strata])
        chosen = rng.choice(len(strata), size=count, p=chances / chances.sum())
        rows = np.empty(count, np.int64)
        for number, stratum in enumerate(strata):
            places = np.flatnonzero(chosen == number)
            rows[places] = _cycled(stratum.rows, len(places), rng)
        return rows


@dataclass(frozen=True, slots=True, eq=False)
class _Stratum:
    rows: Integers
    weight: float


def _strata(samples: Samples, weights: Mapping[str, float]) -> dict[str, list[_Stratum]]:
    """The fakes by dataset and method, the reals by dataset.

    Each is as likely as its weights' product says.
    """
    strata: dict[str, list[_Stratum]] = {REAL: [], "fake": []}
    kinds = sorted(set(zip(samples.dataset, samples.method, samples.fake, strict=True)))
    known = {str(name) for dataset, method, _ in kinds for name in (dataset, method) if name} | {
        REAL,
        SELF_BLEND,
    }
    if unknown := sorted(set(weights) - known):
        raise TrainingError(
            f"no dataset or method {unknown[0]!r} to weigh; there are {', '.join(sorted(known))}"
        )
    for dataset, method, fake in kinds:
        rows = np.flatnonzero(
            (samples.dataset == dataset) & (samples.method == method) & (samples.fake == fake)
        )
        weight = weights.get(str(dataset), 1.0) * weights.get(str(method), 1.0)
        strata["fake" if fake else REAL].append(_Stratum(rows, weight))
    return strata


def _cycled(rows: Integers, count: int, rng: np.random.Generator) -> Integers:
    """So many of the rows: one random order after the other."""
    rounds = [rng.permutation(rows) for _ in range(-(-count // max(len(rows), 1)))]
    return np.concatenate([*rounds, np.empty(0, np.int64)])[:count]


class _Partners:
    """Finds a real crop to each fake: of its own original, nearest in time.

    Any real one where that is unknown.
    """

    def __init__(self, samples: Samples) -> None:
        self._reals = np.flatnonzero(~samples.fake)
        self._candidates = _originals(samples)

    def __call__(self, fakes: Integers, rng: np.random.Generator) -> Integers:
        anyone = rng.choice(self._reals, len(fakes))
        return np.array(
            [
                self._candidates.get(int(fake), other)
                for fake, other in zip(fakes, anyone, strict=True)
            ],
            np.int64,
        )


def _originals(samples: Samples) -> dict[int, int]:
    """Row of a fake -> row of the crop of its original nearest in time.

    The same person's if there is one.
    """
    by_video: dict[str, list[int]] = {}
    for row in np.flatnonzero(~samples.fake):
        by_video.setdefault(str(samples.video[row]), []).append(int(row))
    found = {}
    for row in np.flatnonzero(samples.fake):
        rows: Sequence[int] = by_video.get(str(samples.original[row]), ())
        if rows:
            person, frame = samples.person[row], samples.frame[row]
            found[int(row)] = min(
                rows,
                key=lambda real: (
                    samples.person[real] != person,
                    abs(int(samples.frame[real] - frame)),
                ),
            )
    return found


class _Donors:
    """Finds another person whose face fits onto one.

    Of some drawn at random, it is the one with the nearest landmarks.
    """

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._known = np.asarray(np.isfinite(samples.landmarks).all(axis=(1, 2)))
        self._rows = np.flatnonzero(~samples.fake & self._known)

    def __call__(self, row: int, rng: np.random.Generator) -> int:
        """A row; the face's own where no other is known."""
        landmarks, group = self._samples.landmarks, self._samples.group
        if not self._known[row] or not len(self._rows):
            return row
        drawn = rng.choice(self._rows, DRAWN)
        others = drawn[np.not_equal(group[drawn], group[row])]
        if not len(others):
            return row
        distance = np.abs(landmarks[others] - landmarks[row]).sum(axis=(1, 2))
        return int(others[np.argmin(distance)])
