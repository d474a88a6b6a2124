"""Measures models on a dataset, without TensorFlow.

ONNX Runtime scores its crops, and the scores are turned into figures.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mesovid.align import transform
from mesovid.dataset.labels import FAKE
from mesovid.dataset.manifest import CropEntry, Dataset, digest
from mesovid.dataset.splits import linked_sets
from mesovid.errors import DatasetError, InputError, without_path
from mesovid.evaluation.degrade import Degradation, degrade, parse
from mesovid.evaluation.metrics import (
    MIN_FACES,
    Cluster,
    Difference,
    Estimate,
    Floats,
    Measures,
    Pairs,
    Scores,
    by_method,
    compare,
    fraction,
    measure,
    paired,
)
from mesovid.models.card import ModelCard
from mesovid.models.classifier import Classifier
from mesovid.pictures import read_crop, resized
from mesovid.records import ModelRef, Pixels
from mesovid.settings import EvaluateSettings, Geometry
from mesovid.verdict import MIN_RUN, Rule, cleared_of, label_at

ALL_FAKES = "all fakes"
PREFERRED_SPLITS = ("test", "dev", "valid")
Progress = Callable[[int], None]  # told of each batch how many crops it held


@dataclass(frozen=True, slots=True)
class Excluded:
    """A crop that could not be scored, and why."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class VerdictRates:
    """What a model's verdicts on videos of one kind are, with Wilson intervals."""

    name: str  # "real", a method, or "all fakes", which comes before several methods
    fake: bool
    videos: int
    called_fake: Estimate
    uncertain: Estimate  # inside the band of the model's card
    cleared: Estimate  # of all: uncertain, without a sign of what the model can see
    called_real: Estimate
    no_verdict: Estimate  # too few faces


@dataclass(frozen=True, slots=True)
class MethodMeasures:
    """One method's fakes against all reals."""

    method: str
    videos: Measures
    crops: Measures


@dataclass(frozen=True, slots=True)
class Robustness:
    """The figures on damaged crops, and how they differ from those on the clean ones."""

    degradation: Degradation
    videos: Measures
    crops: Measures
    change: Difference | None  # of the video AUC; None where there is no AUC


@dataclass(frozen=True, slots=True)
class Mistake:
    """A video on the wrong side, with its most misleading crop."""

    video: str
    fake: bool  # the truth
    method: str
    probability: float  # P(fake) of the video
    file: str  # of the crop, relative to the dataset
    crop_probability: float


@dataclass(frozen=True, slots=True, eq=False)
class ModelEvaluation:
    """Everything found out about one model."""

    model: ModelRef
    # band of the card, where no threshold of one's own was given
    uncertain: tuple[float, float] | None
    scores: Scores  # a row a crop
    video_scores: Scores  # a row a video
    videos: Measures
    crops: Measures
    methods: tuple[MethodMeasures, ...]
    verdicts: tuple[VerdictRates, ...]
    pairs: Pairs | None
    robustness: tuple[Robustness, ...]
    mistakes: tuple[Mistake, ...]  # worst first


@dataclass(frozen=True, slots=True)
class Comparison:
    """One model less another, on the same videos."""

    model: str
    other: str
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Several models on one dataset."""

    root: Path
    layout: str
    geometry: Geometry | None
    digest: str
    splits: tuple[str | None, ...]
    settings: EvaluateSettings
    excluded: tuple[Excluded, ...]
    notes: tuple[str, ...]  # what a reader must know, one sentence each
    models: tuple[ModelEvaluation, ...]
    comparisons: tuple[Comparison, ...]  # each model against the first


def evaluate(
    dataset: Dataset,
    classifiers: Sequence[Classifier],
    settings: EvaluateSettings | None = None,
    progress: Progress = lambda _: None,
) -> Evaluation:
    """Measure each classifier on the dataset's crops.

    Raises DatasetError when a split is not there, when no crop is readable or when the crops were
    cut otherwise than a model wants them, and SettingsError for an unknown degradation.
    """
    settings = settings or EvaluateSettings()
    degradations = parse(settings.degrade or "")
    for classifier in classifiers:
        check_geometry(dataset, classifier)
    splits = choose_splits(dataset, settings.split)
    crops = in_tracks(dataset.of_split(*splits))
    scored = score(dataset, crops, classifiers, degradations, settings, progress)
    if not scored.crops:
        first = scored.excluded[0]
        raise DatasetError(f"{dataset.root}: no crop could be read; {first.file}: {first.reason}")
    models = tuple(
        _evaluated(classifier, scored.crops, probabilities, degradations, settings)
        for classifier, probabilities in zip(classifiers, scored.probabilities, strict=True)
    )
    return Evaluation(
        root=dataset.root,
        layout=dataset.layout,
        geometry=dataset.geometry,
        digest=digest(dataset),
        splits=splits,
        settings=settings,
        excluded=scored.excluded,
        notes=_notes(dataset, splits, models, settings),
        models=models,
        comparisons=_comparisons(models, settings),
    )


def check_geometry(dataset: Dataset, classifier: Classifier) -> None:
    """Raise DatasetError when a dataset's crops were cut otherwise than the model wants.

    Unknown geometry passes.
    """
    if dataset.geometry is None:
        return
    if differences := geometry_differences(dataset.geometry, classifier.card):
        raise DatasetError(
            f"the crops of {dataset.root} do not fit {classifier.card.name}: {differences};"
            f" extract them again with --geometry {classifier.card.name}"
        )


def geometry_differences(found: Geometry, card: ModelCard) -> str:
    """Where crops were cut otherwise than a model wants, both values named; empty when nowhere."""
    return "; ".join(
        f"{name.replace('_', ' ')} is {getattr(found, name)}, {card.name} wants {value}"
        for name, value in card.geometry.to_dict().items()
        if getattr(found, name) != value
    )


def choose_splits(dataset: Dataset, asked: str | None) -> tuple[str | None, ...]:
    """The splits to measure on.

    DatasetError for one that is not there, and when only `train` could be taken.
    """
    there = dataset.splits
    names = ", ".join(str(split) for split in there if split is not None) or "none"
    if asked == "all":
        return there
    if asked is not None:
        wanted = tuple(
            "valid" if part in ("val", "validation") else part for part in asked.split(",")
        )
        if missing := [split for split in wanted if split not in there]:
            raise DatasetError(
                f"{dataset.root} has no split {missing[0]!r}; it has {names}; or take all"
            )
        return wanted
    for split in PREFERRED_SPLITS:
        if split in there:
            return (split,)
    if there == (None,):
        return there
    raise DatasetError(
        f"{dataset.root} has no split test, dev or valid but {names}; name one with --split"
    )


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What `score` gives: the crops that could be read, and their probabilities."""

    crops: tuple[CropEntry, ...]
    # [model][clean, then each degradation] -> (n, 1 + members) as `classify` has it
    probabilities: tuple[tuple[Floats, ...], ...]
    excluded: tuple[Excluded, ...]


def score(
    dataset: Dataset,
    crops: Sequence[CropEntry],
    classifiers: Sequence[Classifier],
    degradations: Sequence[Degradation],
    settings: EvaluateSettings,
    progress: Progress = lambda _: None,
) -> Scored:
    """P(fake) of every readable crop by every model, clean and damaged.

    Crops of one person must lie together.
    """
    good: list[CropEntry] = []
    excluded: list[Excluded] = []
    parts: list[list[list[Floats]]] = [
        [[] for _ in range(1 + len(degradations))] for _ in classifiers
    ]
    size = dataset.geometry.size if dataset.geometry else None
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for batch in _batches(crops, settings.batch_size):
            pending = [pool.submit(read_crop, dataset.path(crop), size) for crop in batch]
            read: list[tuple[CropEntry, Pixels]] = []
            for crop, pixels in zip(batch, pending, strict=True):
                try:
                    read.append((crop, pixels.result()))
                except InputError as error:
                    reason = without_path(error, dataset.path(crop))
                    excluded.append(Excluded(crop.file, reason))
            progress(len(batch))
            if not read:
                continue
            good += [crop for crop, _ in read]
            for number, versions in enumerate(_versions(read, degradations, dataset.geometry)):
                for classifier, part in zip(classifiers, parts, strict=True):
                    part[number].append(classify(classifier, versions, settings.batch_size))
    joined = tuple(
        tuple(np.concatenate(chunks) if chunks else np.zeros((0, 1)) for chunks in part)
        for part in parts
    )
    return Scored(tuple(good), joined, tuple(excluded))


def classify(classifier: Classifier, images: Sequence[Pixels], batch_size: int) -> Floats:
    """P(fake) of crops, and beside it what each model of a panel says: (n, 1 + members).

    Crops that are not of the model's size are resized.
    """
    size = classifier.card.geometry.size
    found = [np.zeros((0, 1 + len(classifier.card.members)))]
    for start in range(0, len(images), batch_size):
        pixels = np.stack([resized(image, size) for image in images[start : start + batch_size]])
        found.append(np.column_stack(classifier.with_members(pixels)))
    return np.concatenate(found)


def _groups(crops: Sequence[CropEntry]) -> list[str]:
    """The set of related videos of each crop.

    Videos are related by an original, a group or a person.
    """
    one_each = {crop.video: crop for crop in crops}
    names = {crop.video: tied[0].video for tied in linked_sets(one_each.values()) for crop in tied}
    return [names[crop.video] for crop in crops]


def scores_of(
    crops: Sequence[CropEntry], probability: Floats, min_faces: int = MIN_FACES
) -> Scores:
    """The crops' columns with their probabilities.

    As in a scan, a picture shows each face once and all of them count.
    """
    return Scores.of(
        [crop.label == FAKE for crop in crops],
        probability,
        [crop.video for crop in crops],
        person=[crop.person for crop in crops],
        method=[_method(crop) for crop in crops],
        group=_groups(crops),
        original=[crop.original for crop in crops],
        min_faces=[1 if crop.time is None else min_faces for crop in crops],
    )


def _method(crop: CropEntry) -> str:
    return crop.method or ("fake" if crop.label == FAKE else "")


def in_tracks(crops: Sequence[CropEntry]) -> list[CropEntry]:
    """Crops of one person of one video together, in order of time."""
    return sorted(crops, key=lambda crop: (crop.video, crop.person, crop.frame))


def _track(crop: CropEntry) -> tuple[str, int]:
    return crop.video, crop.person


def _batches(crops: Sequence[CropEntry], size: int) -> Iterator[list[CropEntry]]:
    """Whole tracks, as many as it takes to reach `size` crops."""
    batch: list[CropEntry] = []
    for _, track in groupby(crops, key=_track):
        batch += track
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch


def _versions(
    read: Sequence[tuple[CropEntry, Pixels]],
    degradations: Sequence[Degradation],
    geometry: Geometry | None,
) -> Iterator[list[Pixels]]:
    """The images as they are, then damaged by each degradation, a track at a time."""
    yield [image for _, image in read]
    for degradation in degradations:
        damaged: list[Pixels] = []
        for _, track in groupby(read, key=lambda item: _track(item[0])):
            crops, images = zip(*track, strict=True)
            damaged += degrade(images, degradation, [native_side(crop, geometry) for crop in crops])
        yield damaged


def native_side(crop: CropEntry, geometry: Geometry | None) -> float | None:
    """How many px of its video a crop's side covers.

    None where its landmarks or geometry are unknown.
    """
    if geometry is None or crop.landmarks is None:
        return None
    matrix = transform(np.asarray(crop.landmarks, dtype=np.float32), geometry)
    return float(geometry.size / np.hypot(matrix[0, 0], matrix[0, 1]))


def _evaluated(
    classifier: Classifier,
    crops: Sequence[CropEntry],
    probabilities: Sequence[Floats],
    degradations: Sequence[Degradation],
    settings: EvaluateSettings,
) -> ModelEvaluation:
    rule = Rule.of(classifier.card, settings.threshold)
    blank = scores_of(crops, np.zeros(len(crops)), settings.min_faces)
    clean, *damaged = (blank.with_probability(each[:, 0]) for each in probabilities)
    members = np.column_stack([clean.mean_of(each) for each in probabilities[0].T])[:, 1:]
    videos, few = clean.per_video(), clean.too_few()
    ruler = _Ruler(rule.threshold, settings.resamples, settings.seed, settings.cluster)
    of_videos, of_crops = ruler.both(clean)
    return ModelEvaluation(
        model=dataclasses.replace(classifier.ref, threshold=rule.threshold),
        uncertain=rule.band,
        scores=clean,
        video_scores=videos,
        videos=of_videos,
        crops=of_crops,
        methods=tuple(
            MethodMeasures(
                method, *((of_videos, of_crops) if len(part) == len(clean) else ruler.both(part))
            )
            for method, part in by_method(clean)
        ),
        verdicts=_verdict_rates(videos, members, few, _not_to_clear(clean, rule), rule),
        pairs=paired(
            videos, resamples=settings.resamples, seed=settings.seed, cluster=settings.cluster
        ),
        robustness=tuple(
            _robustness(degradation, scores, videos, ruler)
            for degradation, scores in zip(degradations, damaged, strict=True)
        ),
        mistakes=_mistakes(crops, clean, videos.select(~few), rule.threshold, settings.mistakes),
    )


@dataclass(frozen=True, slots=True)
class _Ruler:
    """How everything of one model is measured."""

    threshold: float
    resamples: int
    seed: int
    cluster: Cluster

    def both(self, crops: Scores) -> tuple[Measures, Measures]:
        """The figures of videos and of single crops, the same where each video is one crop."""
        videos = crops.per_video()
        of_videos = self.measure(videos)
        return of_videos, of_videos if len(videos) == len(crops) else self.measure(crops)

    def measure(self, scores: Scores) -> Measures:
        return measure(
            scores, self.threshold, resamples=self.resamples, seed=self.seed, cluster=self.cluster
        )

    def change(
        self, scores: Scores, other: Floats, figures: Sequence[str]
    ) -> tuple[Difference, ...]:
        both = (self.threshold, self.threshold)
        return compare(
            scores,
            other,
            both,
            figures=figures,
            resamples=self.resamples,
            seed=self.seed,
            cluster=self.cluster,
        )


def _robustness(
    degradation: Degradation, scores: Scores, clean: Scores, ruler: _Ruler
) -> Robustness:
    videos = scores.per_video()
    change = ruler.change(videos, clean.probability, ("auc",))
    return Robustness(degradation, *ruler.both(scores), change[0] if change else None)


def _not_to_clear(crops: Scores, rule: Rule) -> set[str]:
    """The videos of which a scan says no "no sign": somebody is suspicious in successive crops, or
    nobody has faces enough. Crops of a person lie in order of time.
    """
    suspicious: dict[tuple[str, int], list[bool]] = {}
    enough: set[str] = set()
    for video, person, probability, least in zip(
        crops.video, crops.person, crops.probability, crops.min_faces, strict=True
    ):
        track = suspicious.setdefault((video, person), [])
        track.append(probability >= rule.threshold)
        if len(track) >= least:
            enough.add(video)
    stretched = {
        video
        for (video, _), track in suspicious.items()
        if any(high and len(list(run)) >= MIN_RUN for high, run in groupby(track))
    }
    return stretched | (set(crops.video) - enough)


def _verdict_rates(
    videos: Scores,
    members: Floats,
    few: npt.NDArray[np.bool_],
    unclear: Container[str],
    rule: Rule,
) -> tuple[VerdictRates, ...]:
    """How often videos are called what.

    Those of `few` have too few faces for a verdict; of those of `unclear` nothing is cleared.
    """
    labels = np.array(
        [
            "none" if none else label_at(float(probability), rule, said)[0]
            for probability, said, none in zip(videos.probability, members, few, strict=True)
        ]
    )
    cleared = np.array(
        [
            video not in unclear and bool(cleared_of(float(probability), rule, said))
            for video, probability, said in zip(
                videos.video, videos.probability, members, strict=True
            )
        ]
    )
    unsure = labels == "uncertain"
    shown = (labels == "fake", unsure, unsure & cleared, labels == "real", labels == "none")
    methods = np.unique(videos.method[videos.fake])
    kinds: list[tuple[str, bool, npt.NDArray[np.bool_]]] = [("real", False, ~videos.fake)]
    if len(methods) > 1:
        kinds.append((ALL_FAKES, True, videos.fake))
    kinds += [(name, True, videos.fake & (videos.method == name)) for name in methods]
    return tuple(
        VerdictRates(
            str(name),
            fake,
            count,
            *(fraction(int(hit[rows].sum()), count) for hit in shown),
        )
        for name, fake, rows in kinds
        if (count := int(rows.sum()))
    )


def _mistakes(
    crops: Sequence[CropEntry], scores: Scores, videos: Scores, threshold: float, most: int
) -> tuple[Mistake, ...]:
    """Videos on the wrong side of the threshold, farthest first.

    Each is shown by its crop that misled most.
    """
    wrong = np.flatnonzero((videos.probability >= threshold) != videos.fake)
    farthest = wrong[np.argsort(-np.abs(videos.probability[wrong] - threshold), kind="stable")][
        :most
    ]
    found = []
    for row in farthest:
        fake = bool(videos.fake[row])
        rows = np.flatnonzero(scores.video == videos.video[row])
        worst = rows[
            np.argmin(scores.probability[rows]) if fake else np.argmax(scores.probability[rows])
        ]
        found.append(
            Mistake(
                video=str(videos.video[row]),
                fake=fake,
                method=_method(crops[worst]),
                probability=float(videos.probability[row]),
                file=crops[worst].file,
                crop_probability=float(scores.probability[worst]),
            )
        )
    return tuple(found)


def _comparisons(
    models: Sequence[ModelEvaluation], settings: EvaluateSettings
) -> tuple[Comparison, ...]:
    first, *others = models
    return tuple(
        Comparison(
            other.model.name,
            first.model.name,
            compare(
                other.video_scores,
                first.video_scores.probability,
                (other.model.threshold, first.model.threshold),
                resamples=settings.resamples,
                seed=settings.seed,
                cluster=settings.cluster,
            ),
        )
        for other in others
    )


def _notes(
    dataset: Dataset,
    splits: Sequence[str | None],
    models: Sequence[ModelEvaluation],
    settings: EvaluateSettings,
) -> tuple[str, ...]:
    notes = []
    if dataset.geometry is None:
        notes.append(
            "How these crops were cut is unknown; they were taken as they are and resized to the "
            "models' input size. Scores depend on it."
        )
    if "train" in splits:
        notes.append(
            "The train split is among those measured; figures on data that a model has seen say "
            "little."
        )
    elif "valid" in splits:
        notes.append(
            "Models trained here chose their threshold and calibration on this valid split, and "
            "look better for it."
        )
    videos = models[0].videos
    if not videos.reals or not videos.fakes:
        only = "real" if videos.reals else "fake"
        notes.append(
            f"All faces are {only}: there is no AUC, only the fraction that is called fake."
        )
    if settings.degrade:
        notes.append(
            "Degradations were applied to the crops at the size they had in their video, not to "
            "the videos themselves."
        )
    return tuple(notes)
