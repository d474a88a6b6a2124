"""How good scores are: the field's figures, their uncertainty, and how two models differ.

numpy and scikit-learn only. Fake is the positive class and every probability is P(fake). Point
values come from scikit-learn; a bootstrap needs them a thousand times over, so the same figures
exist once more as sums over a matrix of resampling weights (`_resampled`), which the tests hold to
scikit-learn's `sample_weight`. A figure that cannot be known, an AUC over one class say, is None.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sk

from mesovid.settings import ScanSettings

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Names = npt.NDArray[np.str_]
Cluster = Literal["video", "group"]

# equal widths of P(fake), closed on the left; the last one closed on both sides
CALIBRATION_BINS = 10
MIN_FACES = ScanSettings().min_faces  # fewer of a person, or of a whole video, are not judged
COVERAGE = 0.95  # of every interval
_Z = NormalDist().inv_cdf((1 + COVERAGE) / 2)
_BLOCK = 2_000_000  # weights held at once by a bootstrap; 16 MB


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scored crops, or scored videos: n rows, one array a column."""

    fake: Flags  # (n,) the truth
    probability: Floats  # (n,) P(fake), as the model gives it
    video: Names  # (n,) the full video key
    person: Integers  # (n,) id within the video
    method: Names  # (n,) of manipulation; anything for reals
    # (n,) what must not be thought independent: an identity, a source clip; the video where unknown
    group: Names
    original: Names  # (n,) video key of a fake's original; "" where there is none
    min_faces: Integers  # (n,) fewer faces of a person of this video, or of it all, are not judged

    def __len__(self) -> int:
        return len(self.fake)

    @classmethod
    def of(
        cls,
        fake: npt.ArrayLike,
        probability: npt.ArrayLike,
        video: Sequence[str] | Names | None = None,
        *,
        person: npt.ArrayLike | None = None,
        method: Sequence[str] | Names | None = None,
        group: Sequence[str | None] | Names | None = None,
        original: Sequence[str | None] | Names | None = None,
        min_faces: int | Sequence[int] = MIN_FACES,
    ) -> Self:
        """Fill in what is not given.

        Each row is then a video of its own, with one person, one method and a group equal to the
        video. All rows of a video have one `min_faces`.

        Raises ValueError when lengths differ or a probability is not a finite number in [0, 1].
        """
        flags = np.asarray(fake, dtype=bool)
        count = len(flags)
        values = np.asarray(probability, dtype=np.float64)
        videos = np.asarray(
            [str(i) for i in range(count)] if video is None else video, dtype=np.str_
        )
        groups = [None] * count if group is None else list(group)
        scores = cls(
            fake=flags,
            probability=values,
            video=videos,
            person=np.zeros(count, np.int64)
            if person is None
            else np.asarray(person, dtype=np.int64),
            method=np.asarray([""] * count if method is None else method, dtype=np.str_),
            group=np.asarray([g or v for g, v in zip(groups, videos, strict=True)], dtype=np.str_),
            original=np.asarray(
                [o or "" for o in ([""] * count if original is None else original)], dtype=np.str_
            ),
            min_faces=np.full(count, min_faces, np.int64)
            if isinstance(min_faces, int)
            else np.asarray(min_faces, np.int64),
        )
        if lengths := {len(getattr(scores, field.name)) for field in dataclasses.fields(cls)} - {
            count
        }:
            raise ValueError(
                f"{count} labels but columns of {', '.join(map(str, sorted(lengths)))} rows"
            )
        if not np.all((values >= 0) & (values <= 1)):
            raise ValueError(
                "probabilities must lie in [0, 1]; one is "
                f"{values[~((values >= 0) & (values <= 1))][0]}"
            )
        return scores

    def select(self, rows: Flags | Integers) -> Self:
        """The rows of a mask or of indices."""
        return type(self)(
            **{field.name: getattr(self, field.name)[rows] for field in dataclasses.fields(self)}
        )

    def with_probability(self, probability: Floats) -> Self:
        """The same rows as another model scored them."""
        return dataclasses.replace(self, probability=np.asarray(probability, dtype=np.float64))

    def per_video(self) -> Self:
        """One row a video, as `verdict.judge` has it.

        A person's score is the mean over their faces; the video takes the most suspicious person.

        People seen in fewer than `min_faces` faces have no say: a stray detection must not judge a
        video. Where nobody was seen in as many, all faces are judged as one; where they are too few
        together, `too_few` says so. Rows follow the order of video keys.
        """
        _, first = np.unique(self.video, return_index=True)
        mean = self.mean_of(self.probability)
        # a mean of ones can exceed one by a rounding error
        return dataclasses.replace(self.select(first), probability=np.clip(mean, 0.0, 1.0))

    def mean_of(self, values: Floats) -> Floats:
        """The mean of a value of each row over the faces that each video is judged by."""
        rows, video = self._counted(), self._video_ids()
        sums = np.bincount(video[rows], weights=values[rows])
        return np.asarray(sums / np.bincount(video[rows]), np.float64)

    def _counted(self) -> Flags:
        """(n,) whether a face is of the person by whom its video is judged; of all where nobody is
        seen often enough.
        """
        video = self._video_ids()
        people, first, of_row = np.unique(
            np.stack([video, self.person], axis=1), axis=0, return_index=True, return_inverse=True
        )
        of_row = of_row.ravel()
        faces = np.bincount(of_row)
        mean = np.bincount(of_row, weights=self.probability) / faces
        mean[faces < self.min_faces[first]] = -1
        order = np.lexsort((mean, people[:, 0]))
        last = order[np.append(np.diff(people[order, 0]) > 0, [True] * bool(len(order)))]
        counted: Flags = (of_row == last[video]) | (mean[last] < 0)[video]
        return counted

    def too_few(self) -> Flags:
        """For each row of `per_video`, whether its faces are too few for a verdict."""
        _, first, faces = np.unique(self.video, return_index=True, return_counts=True)
        few: Flags = faces < self.min_faces[first]
        return few

    def _video_ids(self) -> Integers:
        return np.unique(self.video, return_inverse=True)[1].ravel().astype(np.int64)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval; None what cannot be known."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """As plain JSON values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Measures:
    """The figures of one model on one set of crops or videos."""

    reals: int
    fakes: int
    threshold: float  # P(fake) from which a row is called fake
    auc: Estimate
    eer: Estimate  # equal error rate: mean of fpr and fnr where they differ least
    eer_threshold: float | None
    average_precision: Estimate
    log_loss: Estimate  # natural logarithm, as in DFDC
    brier: Estimate
    calibration_error: Estimate
    accuracy: Estimate
    precision: Estimate
    recall: Estimate
    f1: Estimate
    false_alarms: Estimate  # fraction of reals called fake

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dataclasses.asdict(self)


FIGURES = tuple(field.name for field in dataclasses.fields(Measures) if field.type == "Estimate")


def auc(fake: npt.ArrayLike, probability: npt.ArrayLike) -> float | None:
    """Area under the ROC curve; None when one class is missing."""
    flags = np.asarray(fake, dtype=bool)
    if flags.all() or not flags.any():
        return None
    return float(sk.roc_auc_score(flags, np.asarray(probability)))


def video_auc(
    fake: npt.ArrayLike,
    probability: npt.ArrayLike,
    video: Sequence[str] | Names,
    person: npt.ArrayLike | None = None,
) -> float | None:
    """AUC over videos, each judged by `Scores.per_video`; None when one class is missing."""
    videos = Scores.of(fake, probability, video, person=person).per_video()
    return auc(videos.fake, videos.probability)


def equal_error(fake: Flags, probability: Floats) -> tuple[float, float]:
    """Equal error rate and its threshold.

    There |fnr - fpr| is least over the scores; the rate is the mean of both.
    """
    fpr, tpr, thresholds = sk.roc_curve(fake, probability, drop_intermediate=False)
    at = int(np.argmin(np.abs(1 - tpr - fpr)))
    return float((1 - tpr[at] + fpr[at]) / 2), float(min(thresholds[at], 1.0))


def calibration_error(fake: Flags, probability: Floats) -> float:
    """Expected calibration error: the mean of |fraction of fakes - mean P(fake)| over bins.

    Bins are those of `reliability` and count by their weight.

    With few rows it is biased upwards. Of one class alone it would only be a mean score, so
    `measure` leaves it unknown there.
    """
    share, mean, weight = reliability(fake, probability)
    return float(np.sum(weight * np.abs(share - mean)))


def reliability(fake: Flags, probability: Floats) -> tuple[Floats, Floats, Floats]:
    """The fraction of fakes, the mean P(fake) and the weight of each bin that holds rows.

    Weights add up to one.

    `CALIBRATION_BINS` bins of equal width over P(fake) (not over the confidence of the called class
    as in Guo et al. 2017): they see a detector that is too sure of fakes and too unsure of reals.
    Fakes and reals weigh one half each in all, as in the calibration of the models: nobody knows
    how many fakes a user's folder has, and the figure must not depend on how many a test set has.
    """
    inside = _bins(probability)
    row = _balanced(fake, np.ones((1, len(fake))))[0]
    weight, sums, hits = (
        np.bincount(inside, weights=row * values, minlength=CALIBRATION_BINS).astype(np.float64)
        for values in (np.ones(len(fake)), probability, fake)
    )
    held = weight > 0
    return hits[held] / weight[held], sums[held] / weight[held], weight[held]


def measure(
    scores: Scores,
    threshold: float,
    *,
    resamples: int = 1000,
    seed: int = 0,
    cluster: Cluster = "video",
) -> Measures:
    """Every figure of `scores` with its bootstrap interval over videos, or over groups.

    Raises ValueError when there is no row.
    """
    if not len(scores):
        raise ValueError("no scores to measure")
    values = _values(scores, threshold)
    draws = resample(scores, threshold, resamples=resamples, seed=seed, cluster=cluster)
    cases = _cases(scores, threshold, cluster)
    estimates = {
        name: _estimate(name, value, draws[:, i], cases)
        for i, (name, value) in enumerate(values.items())
    }
    both = values["auc"] is not None
    return Measures(
        reals=int((~scores.fake).sum()),
        fakes=int(scores.fake.sum()),
        threshold=threshold,
        eer_threshold=equal_error(scores.fake, scores.probability)[1] if both else None,
        **estimates,
    )


def by_method(scores: Scores) -> Iterator[tuple[str, Scores]]:
    """Each method's fakes together with all reals; nothing where there is no fake."""
    for method in np.unique(scores.method[scores.fake]):
        yield str(method), scores.select(~scores.fake | (scores.method == method))


@dataclass(frozen=True, slots=True)
class Difference:
    """One model's figure less another's on the same rows, by the paired bootstrap."""

    figure: str
    value: float
    low: float
    high: float
    p_value: (
        float  # two-sided: twice the smaller fraction of resamples on either side of no difference
    )


def compare(
    scores: Scores,
    other: Floats,
    thresholds: tuple[float, float] = (0.5, 0.5),
    *,
    figures: Sequence[str] = ("auc", "eer", "average_precision", "accuracy"),
    resamples: int = 1000,
    seed: int = 0,
    cluster: Cluster = "video",
) -> tuple[Difference, ...]:
    """How much better `scores` are than `other` on the same rows.

    A figure that is unknown is left out.

    Both see the same resamples, so that what makes a set easy or hard for both cancels out.
    """
    rival = scores.with_probability(other)
    mine, theirs = _values(scores, thresholds[0]), _values(rival, thresholds[1])
    options: Any = {"resamples": resamples, "seed": seed, "cluster": cluster}
    draws = resample(scores, thresholds[0], **options) - resample(rival, thresholds[1], **options)
    found = []
    for name in figures:
        a, b = mine[name], theirs[name]
        if a is None or b is None:
            continue
        column = draws[:, FIGURES.index(name)]
        low, high = _percentiles(column)
        tail = min(float(np.mean(column <= 0)), float(np.mean(column >= 0)))
        found.append(
            Difference(name, a - b, low, high, p_value=max(min(1.0, 2 * tail), 1 / len(column)))
        )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Pairs:
    """How often a fake scores above its very own original."""

    count: int
    accuracy: Estimate


def paired(
    scores: Scores, *, resamples: int = 1000, seed: int = 0, cluster: Cluster = "video"
) -> Pairs | None:
    """The fraction of fakes above their own originals, ties counting half.

    None where no fake's original was scored.

    `scores` has one row a video. Fakes of one original (or of one group) are resampled together.
    """
    row_of = {str(video): row for row, video in enumerate(scores.video) if not scores.fake[row]}
    rows = [i for i in np.flatnonzero(scores.fake) if str(scores.original[i]) in row_of]
    if not rows:
        return None
    fakes = scores.select(np.asarray(rows))
    reals = scores.select(np.asarray([row_of[str(scores.original[i])] for i in rows]))
    above = (fakes.probability > reals.probability) + 0.5 * (fakes.probability == reals.probability)
    names = reals.video if cluster == "video" else reals.group
    draws = np.concatenate(
        [
            weights @ above / weights.sum(axis=1)
            for weights in _weights(fakes.fake, names, resamples, seed)
        ]
    )
    value = float(above.mean())
    return Pairs(
        len(rows), Estimate(value, *_bounded(value, draws, len(rows), len(set(names.tolist()))))
    )


def fraction(hits: int, count: int) -> Estimate:
    """A fraction of independent cases with its Wilson score interval; None of none."""
    return Estimate(hits / count, *_wilson(hits / count, count)) if count else Estimate(None)


def rate(
    hits: npt.ArrayLike, cluster: Sequence[str] | Names, *, resamples: int = 1000, seed: int = 0
) -> Estimate:
    """The fraction of cases that hit, with an interval; None of no cases.

    Cases of one cluster, such as a person, may depend on each other.

    Wilson's interval at the number of cases that the bootstrap over clusters speaks for: never more
    than there are.
    """
    flags = np.asarray(hits, dtype=bool)
    names = np.asarray(cluster, dtype=np.str_)
    if not len(flags):
        return Estimate(None)
    value = float(flags.mean())
    weights = _weights(np.ones(len(flags), bool), names, resamples, seed)
    draws = np.concatenate([block @ flags / block.sum(axis=1) for block in weights])
    return Estimate(value, *_bounded(value, draws, len(flags), len(np.unique(names))))


def resample(
    scores: Scores,
    threshold: float,
    *,
    resamples: int = 1000,
    seed: int = 0,
    cluster: Cluster = "video",
) -> Floats:
    """Every figure of `FIGURES` on each bootstrap resample: (resamples, figures).

    It is NaN where it is unknown.

    Whole clusters are drawn with replacement, those with reals, with fakes and with both apart, so
    that no resample loses a class. The same seed draws the same rows for every model.
    """
    names = scores.video if cluster == "video" else scores.group
    blocks = [
        _resampled(scores.fake, scores.probability, threshold, weights)
        for weights in _weights(scores.fake, names, resamples, seed)
    ]
    return np.concatenate(blocks)


def _values(scores: Scores, threshold: float) -> dict[str, float | None]:
    """Every figure of `FIGURES`, by scikit-learn where it has it."""
    fake, p = scores.fake, scores.probability
    called = p >= threshold
    both = fake.any() and not fake.all()
    return {
        "auc": auc(fake, p),
        "eer": equal_error(fake, p)[0] if both else None,
        "average_precision": float(sk.average_precision_score(fake, p)) if both else None,
        "log_loss": float(sk.log_loss(fake, p, labels=[False, True])),
        "brier": float(sk.brier_score_loss(fake, p, pos_label=True)),
        "calibration_error": calibration_error(fake, p) if both else None,
        "accuracy": float(sk.accuracy_score(fake, called)),
        "precision": float(sk.precision_score(fake, called)) if both and called.any() else None,
        "recall": float(sk.recall_score(fake, called)) if fake.any() else None,
        "f1": float(sk.f1_score(fake, called)) if both else None,
        "false_alarms": float(called[~fake].mean()) if not fake.all() else None,
    }


def _weights(fake: Flags, cluster: Names, resamples: int, seed: int) -> Iterator[Floats]:
    """Blocks (b, n) of how often each row was drawn, `resamples` in all."""
    _, of_row = np.unique(cluster, return_inverse=True)
    of_row = of_row.ravel()
    count = int(of_row.max()) + 1
    holds_fake, holds_real = (
        np.bincount(of_row, weights=flags, minlength=count) > 0 for flags in (fake, ~fake)
    )
    strata = [np.flatnonzero(holds_fake & ~holds_real), np.flatnonzero(holds_real & ~holds_fake)]
    strata.append(np.flatnonzero(holds_fake & holds_real))
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // len(fake))
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = np.zeros((rows, count))
        for members in strata:
            if len(members):
                drawn[:, members] = _counts(rng, len(members), rows)
        yield drawn[:, of_row]


def _counts(rng: np.random.Generator, size: int, rows: int) -> Integers:
    """How often each of `size` things comes up in `size` draws with replacement: (rows, size)."""
    picks = rng.integers(0, size, (rows, size)) + np.arange(rows)[:, None] * size
    return np.bincount(picks.ravel(), minlength=rows * size).reshape(rows, size)


def _resampled(fake: Flags, p: Floats, threshold: float, weights: Floats) -> Floats:
    """The figures of `_values` for each row of `weights` (b, n): (b, figures)."""
    fakes, reals = weights @ fake, weights @ ~fake
    total = fakes + reals
    called = p >= threshold
    tp, fp = weights @ (called & fake), weights @ (called & ~fake)
    clipped = np.clip(p, np.finfo(p.dtype).eps, 1 - np.finfo(p.dtype).eps)
    area, eer, precision_mean = _ranking(fake, p, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        figures: dict[str, Floats] = {
            "auc": area,
            "eer": eer,
            "average_precision": precision_mean,
            "log_loss": weights @ -np.log(np.where(fake, clipped, 1 - clipped)) / total,
            "brier": weights @ (fake - p) ** 2 / total,
            "calibration_error": _gaps(fake, p, weights),
            "accuracy": (tp + reals - fp) / total,
            "precision": tp / (tp + fp),
            "recall": tp / fakes,
            "f1": 2 * tp / (tp + fp + fakes),
            "false_alarms": fp / reals,
        }
    return np.stack([figures[name] for name in FIGURES], axis=1)


def _ranking(fake: Flags, p: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """AUC, EER and average precision for each row of `weights`; NaN where a class is missing."""
    unknown = np.full(len(weights), np.nan)
    if fake.all() or not fake.any():
        return unknown, unknown, unknown
    order = np.argsort(-p, kind="stable")
    starts = np.flatnonzero(np.diff(p[order], prepend=np.inf))  # first row of each distinct score
    ordered = weights[:, order]
    of_fakes = np.add.reduceat(ordered * fake[order], starts, axis=1)
    of_reals = np.add.reduceat(ordered * ~fake[order], starts, axis=1)
    tp, fp = np.cumsum(of_fakes, axis=1), np.cumsum(of_reals, axis=1)
    fakes, reals = tp[:, -1:], fp[:, -1:]
    with np.errstate(invalid="ignore"):
        area = np.sum(of_reals * (tp - of_fakes / 2), axis=1) / (fakes * reals)[:, 0]
        # a score that was not drawn changes neither count and so adds nothing
        precision_mean = (
            np.sum(np.where(of_fakes > 0, of_fakes * tp / (tp + fp), 0.0), axis=1) / fakes[:, 0]
        )
    # the point where nothing is called fake belongs to the curve: fpr 0, fnr 1
    fpr, fnr = np.pad(fp / reals, ((0, 0), (1, 0))), 1 - np.pad(tp / fakes, ((0, 0), (1, 0)))
    at = np.argmin(np.abs(fnr - fpr), axis=1)[:, None]
    eer = (np.take_along_axis(fpr, at, axis=1) + np.take_along_axis(fnr, at, axis=1))[:, 0] / 2
    return area, eer, precision_mean


def _gaps(fake: Flags, p: Floats, weights: Floats) -> Floats:
    """The calibration error for each row of `weights`: (b,)."""
    inside = np.eye(CALIBRATION_BINS)[_bins(p)] * (fake - p)[:, None]
    return np.asarray(np.abs(_balanced(fake, weights) @ inside).sum(axis=1), dtype=np.float64)


def _balanced(fake: Flags, weights: Floats) -> Floats:
    """The weights (b, n), scaled so that each class adds up to one half in each row.

    Rows with one class add up to one.
    """
    fakes, reals = weights[:, fake].sum(axis=1), weights[:, ~fake].sum(axis=1)
    classes = (fakes > 0).astype(np.float64) + (reals > 0)
    with np.errstate(divide="ignore"):
        scale = np.where(fake, (1 / (classes * fakes))[:, None], (1 / (classes * reals))[:, None])
    balanced: Floats = np.where(weights > 0, weights, 0.0) * scale
    return balanced


def _bins(probability: Floats) -> Integers:
    """The calibration bin of each probability: 0 for [0, 0.1) ... 9 for [0.9, 1]."""
    return np.minimum((probability * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)


@dataclass(frozen=True, slots=True)
class _Cases:
    """How many independent cases a figure could rest on at most: rows, and clusters of them."""

    fakes: int
    reals: int
    called: int
    fake_clusters: int
    real_clusters: int

    def of(self, name: str) -> tuple[float, float]:
        """A figure's cases if all rows were independent, and if those of a cluster were equal."""
        fakes, reals = float(self.fakes), float(self.reals)
        match name:
            case "auc":
                return _auc_cases(fakes, reals), _auc_cases(self.fake_clusters, self.real_clusters)
            case "eer" | "accuracy":
                return fakes + reals, self.fake_clusters + self.real_clusters
            case "false_alarms":
                return reals, self.real_clusters
            case "precision":
                return self.called, min(self.called, self.fake_clusters + self.real_clusters)
        return fakes, self.fake_clusters


def _cases(scores: Scores, threshold: float, cluster: Cluster) -> _Cases:
    names = scores.video if cluster == "video" else scores.group
    return _Cases(
        fakes=int(scores.fake.sum()),
        reals=int((~scores.fake).sum()),
        called=int((scores.probability >= threshold).sum()),
        fake_clusters=len(np.unique(names[scores.fake])),
        real_clusters=len(np.unique(names[~scores.fake])),
    )


def _auc_cases(fakes: float, reals: float) -> float:
    """How many tosses of a coin an AUC near 0 or 1 is worth.

    The variance of an AUC A there is A (1 - A) over this number.

    Hanley and McNeil's variance with the sample sizes evened out, Newcombe 2006 (doi
    10.1002/sim.2324), method 5.
    """
    return fakes * reals / (1 + max(0.0, (fakes + reals) / 2 - 1) / 2)


_BOUNDED = frozenset(FIGURES) - {"log_loss", "brier", "calibration_error"}


def _estimate(name: str, value: float | None, draws: Floats, cases: _Cases) -> Estimate:
    """A value with its 95 % interval from the bootstrap's `draws`."""
    if value is None or np.isnan(draws).all():
        return Estimate(value)
    if name in _BOUNDED:
        return Estimate(value, *_bounded(value, draws, *cases.of(name)))
    if name == "calibration_error":
        # resampling adds noise to every bin and so always to this figure; its spread is what the
        # interval is after
        draws = np.maximum(draws - np.mean(draws) + value, 0.0)
    return Estimate(value, *_percentiles(draws))


def _bounded(value: float, draws: Floats, rows: float, clusters: float) -> tuple[float, float]:
    """Wilson's interval of a fraction.

    The number of cases is what the bootstrap's variance speaks for.

    Plain percentiles fail where a good detector lives: at an AUC of 0.98 over 24 videos they held
    the truth 61 times of 100, and at a figure of exactly 0 or 1 they claim certainty
    (`benchmarks/bootstrap.py`).
    """
    variance = float(np.nanvar(draws)) * clusters / max(clusters - 1.0, 1.0)
    count = value * (1 - value) / variance if variance > 0 and 0 < value < 1 else clusters
    return _wilson(value, max(1.0, min(count, rows)))


def _wilson(p: float, count: float) -> tuple[float, float]:
    """Wilson's score interval of a fraction p of `count` cases; `count` need not be whole."""
    z2 = _Z * _Z
    centre = (p + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z / (1 + z2 / count) * math.sqrt(p * (1 - p) / count + z2 / (4 * count * count))
    # the bounds hold p itself, whatever the rounding
    return min(p, max(0.0, centre - half)), max(p, min(1.0, centre + half))


def _percentiles(draws: Floats) -> tuple[float, float]:
    low, high = np.nanpercentile(draws, [50 * (1 - COVERAGE), 50 * (1 + COVERAGE)])
    return float(low), float(high)
