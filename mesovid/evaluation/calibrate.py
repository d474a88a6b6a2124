"""Makes probabilities that hold from scores on validation videos.

Threshold and uncertain band follow from a stated rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from mesovid.dataset.labels import FAKE
from mesovid.dataset.manifest import CropEntry, Dataset, digest, names_of
from mesovid.errors import DatasetError, ModelError, SettingsError
from mesovid.evaluation.evaluate import Excluded, check_geometry, in_tracks, score
from mesovid.evaluation.metrics import Names, Scores
from mesovid.models.card import PANEL, Calibration, ModelCard, card_at, find_card, logit
from mesovid.models.classifier import Classifier, load_model
from mesovid.models.curves import read_curves
from mesovid.models.publish import write_copy
from mesovid.settings import CalibrateSettings, EvaluateSettings

Floats = npt.NDArray[np.float64]

HELD_BACK = ("dev", "test")  # splits that no rule may be learned on
SCALE = 10_000  # threshold and band go to the card with four decimals
MISSES = 0.10  # fraction of the fake videos that may lie below the uncertain band
VALID = "valid"  # the split that is calibrated on where none is named


@dataclass(frozen=True, slots=True)
class Decision:
    """How a model's scores are read: goes to its card."""

    calibration: Calibration
    threshold: float
    uncertain: tuple[float, float] | None
    rule: str


def calibrate(
    model: str | Path,
    datasets: Sequence[Dataset],
    folder: str | Path,
    *,
    name: str | None = None,
    settings: CalibrateSettings | None = None,
    on_crops: Callable[[int], None] = lambda _: None,
) -> tuple[ModelCard, tuple[Excluded, ...]]:
    """Calibrate a model anew and write it under another name to a folder.

    Its weights stay as they are. Threshold and band are chosen by `decide` on what `validation`
    takes of all datasets together. The card's figures go: they were measured with the probabilities
    before. The name is NAME-calibrated where none is given; two models of one name and the same
    weights could not be told apart. Gives the card and the crops that could not be read; `on_crops`
    hears of each batch how many it held.

    Raises ModelError for a panel, SettingsError for the name that the model has, and DatasetError
    for datasets that do not fit.
    """
    source = find_card(model)
    card = card_at(source)
    if card.architecture == PANEL:
        raise ModelError(
            f"{card.name} is a panel; its rule is learned by `mesovid models panel` alone"
        )
    name = name or f"{card.name}-calibrated"
    if name == card.name:
        raise SettingsError(
            f"name is {name!r}, which the model has; another is needed, or results of both would"
            " look like those of one"
        )
    classifier = load_model(source)
    settings = settings or CalibrateSettings()
    crops = [validation(dataset, settings.split) for dataset in datasets]
    scores, homes, excluded = _scores(classifier.uncalibrated(), datasets, crops, on_crops)
    decision = decide(scores, settings.false_alarms, homes)
    recorded = [
        {"name": each, "digest": digest(dataset)}
        for each, dataset in zip(names_of(datasets), datasets, strict=True)
    ]
    card = replace(
        card,
        name=name,
        calibration=decision.calibration,
        threshold=decision.threshold,
        uncertain=decision.uncertain,
        rule=decision.rule,
        training={
            **card.training,
            "calibrated": {
                "datasets": recorded,
                "crops": len(scores),
                "split": settings.split or VALID,
            },
        },
        figures=(),
    )
    drawn = replace(read_curves(source, classifier.ref.sha256), measured=())
    write_copy(source, card, Path(folder), drawn)
    return card, excluded


def validation(dataset: Dataset, split: str | None = None) -> list[CropEntry]:
    """The crops of a dataset that a model is calibrated on, those of a person together.

    They are those of a split, `valid` by default, or all where there are no splits. DatasetError
    for a split that is not there, or is for measuring.
    """
    if split in HELD_BACK:
        raise DatasetError(f"split {split} is for measuring; calibrate on valid, or on train")
    crops = dataset.of_split(split or VALID)
    if not crops and split is None and dataset.splits == (None,):
        crops = dataset.of_split(None)
    if not crops:
        names = ", ".join(str(each) for each in dataset.splits if each is not None)
        raise DatasetError(
            f"{dataset.root} has no split {split or VALID} but {names or 'no face'}; calibration"
            " needs videos that the model did not learn from and is not measured on: name their"
            " split by --split"
        )
    return in_tracks(crops)


def _scores(
    classifier: Classifier,
    datasets: Sequence[Dataset],
    chosen: Sequence[Sequence[CropEntry]],
    on_crops: Callable[[int], None],
) -> tuple[Scores, Names, tuple[Excluded, ...]]:
    """Scores of the chosen crops, the dataset of each, and the crops that cannot be read."""
    for dataset in datasets:
        check_geometry(dataset, classifier)
    crops: list[tuple[str, CropEntry]] = []
    probability: list[Floats] = []
    excluded: list[Excluded] = []
    for name, dataset, own in zip(names_of(datasets), datasets, chosen, strict=True):
        scored = score(dataset, own, [classifier], (), EvaluateSettings(), on_crops)
        crops += [(name, crop) for crop in scored.crops]
        probability.append(scored.probabilities[0][0][:, 0])
        excluded += scored.excluded
    fake = [crop.label == FAKE for _, crop in crops]
    if len(set(fake)) < 2:
        missing = "real" if any(fake) else "fake"
        raise DatasetError(
            f"no {missing} face among the {len(fake)} validation crops; calibration needs both"
        )
    scores = Scores.of(
        fake,
        np.concatenate(probability),
        [f"{name}/{crop.video}" for name, crop in crops],
        person=[crop.person for _, crop in crops],
    )
    return scores, np.array([name for name, _ in crops]), tuple(excluded)


def decide(
    scores: Scores,
    false_alarms: float,
    dataset: Names | None = None,
    varied: Scores | None = None,
) -> Decision:
    """Fit a calibration to the raw scores of validation crops.

    Threshold and band are chosen on their videos.

    `varied`, if given, are the scores of the same crops varied as in training, and take their place
    in the calibration: what validates is of the people and cameras that were learned from, and a
    calibration on it is too sure of others (Tomani et al. 2021, arXiv 2012.10988, perturb it to the
    same end).

    The threshold is one half, or higher where more than `false_alarms` of the real videos would lie
    above: of all, and of those of each dataset (`dataset` names that of each row) with enough of
    them to tell, because a large one must not hide that a model cries wolf on a small one. The band
    reaches down from it to where `MISSES` of the fake videos lie below; above the band a video is
    fake, below it real.
    """
    calibration = fit_calibration(varied or scores)
    videos = scores.with_probability(calibration(scores.probability)).per_video()
    reals, fakes = videos.probability[~videos.fake], videos.probability[videos.fake]
    sets = _by_dataset(videos, scores, dataset, false_alarms)
    threshold = max(
        0.5, *(_rounded_up(_exceeded_by(part, false_alarms)) for part in (reals, *sets))
    )
    low = min(threshold, _rounded_down(-_exceeded_by(-fakes, MISSES)))
    rule = (
        f"on {len(reals)} real and {len(fakes)} fake validation videos: at most "
        f"{100 * false_alarms:g}% of the real ones"
        f"{f', and of each of {len(sets)} datasets,' if len(sets) > 1 else ''}"
        f" lie above the threshold ({np.mean(reals > threshold):.1%} do), which is at least 0.5; "
        "the uncertain band reaches"
        f" down to where at most {100 * MISSES:g}% of the fake ones lie below "
        f"({np.mean(fakes < low):.1%} do);"
        f" above it {np.mean(fakes > threshold):.0%} of the fakes are called fake"
        f"{'; probabilities are calibrated on their faces varied as in training' if varied else ''}"
    )
    return Decision(calibration, threshold, (low, threshold) if low < threshold else None, rule)


def _by_dataset(videos: Scores, rows: Scores, dataset: Names | None, share: float) -> list[Floats]:
    """P(fake) of the real videos of each dataset that has at least one for each `share`."""
    if dataset is None or not share:
        return []
    home = dict(zip(rows.video.tolist(), dataset.tolist(), strict=True))
    homes = np.array([home[video] for video in videos.video.tolist()])
    parts = [videos.probability[~videos.fake & (homes == name)] for name in np.unique(homes)]
    return [part for part in parts if len(part) * share >= 1]


def fit_calibration(scores: Scores) -> Calibration:
    """The calibration under which the mean over a video's faces has the least log loss.

    It is Platt's (1999), a scale and a shift of logits; there is none where a class is missing.

    Real and fake videos weigh the same in total: the probability holds for one as likely as the
    other, since nobody knows how many fakes a user's folder has. Targets are Platt's, too, which
    keeps separable scores from becoming certain.
    """
    if scores.fake.all() or not scores.fake.any():
        return Calibration()
    x = logit(scores.probability)
    video, of_row = np.unique(scores.video, return_inverse=True)
    faces = np.bincount(of_row)
    fake = np.zeros(len(video), bool)
    fake[of_row] = scores.fake
    target = np.where(fake, (fake.sum() + 1) / (fake.sum() + 2), 1 / ((~fake).sum() + 2))
    weight = np.where(fake, 0.5 / fake.sum(), 0.5 / (~fake).sum())

    def loss(parameters: Floats) -> float:
        scale, shift = math.exp(parameters[0]), parameters[1]
        face = 0.5 * (1 + np.tanh(0.5 * (scale * x + shift)))
        p = np.clip(np.bincount(of_row, weights=face) / faces, 1e-12, 1 - 1e-12)
        return float(-np.sum(weight * (target * np.log(p) + (1 - target) * np.log1p(-p))))

    best = minimize(
        loss,
        np.zeros(2),
        method="Nelder-Mead",
        options={"xatol": 1e-4, "fatol": 1e-8, "maxiter": 2000},
    )
    scale, shift = math.exp(float(np.clip(best.x[0], -5, 3))), float(np.clip(best.x[1], -20, 20))
    return Calibration("platt", scale, shift)


def _exceeded_by(values: Floats, share: float) -> float:
    """The least of the values that at most `share` of them exceed."""
    ordered = np.sort(values)[::-1]
    return float(ordered[min(int(share * len(ordered) + 1e-9), len(ordered) - 1)])


def _rounded_up(value: float) -> float:
    return min(1.0, math.ceil(value * SCALE) / SCALE)


def _rounded_down(value: float) -> float:
    return max(0.0, math.floor(value * SCALE) / SCALE)
