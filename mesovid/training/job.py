"""What a training run is asked to do, and how the card of its model tells it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mesovid.boxes import side
from mesovid.dataset.manifest import Dataset
from mesovid.dataset.sources import Options
from mesovid.errors import SettingsError
from mesovid.evaluation.calibrate import Decision
from mesovid.evaluation.metrics import Scores, measure
from mesovid.models.card import Figure, ModelCard
from mesovid.settings import AugmentSettings, NetworkSettings, TrainSettings
from mesovid.training.run_folder import environment
from mesovid.training.samples import TrainingData


@dataclass(frozen=True, slots=True)
class Reporter:
    """Where a run tells how it goes: whole sentences, and steps within an epoch."""

    say: Callable[[str], None] = lambda _message: None
    # epoch, batches done, batches of it
    step: Callable[[int, int, int], None] = lambda _epoch, _done, _of: None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainJob:
    """All that a training run is asked to do. SettingsError where that contradicts itself."""

    datasets: Sequence[Path]
    folder: Path
    name: str  # of the model
    options: Options = field(default_factory=Options)  # what the datasets' classes mean
    train: TrainSettings = field(default_factory=TrainSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    # of datasets and methods in balanced batches
    weights: Mapping[str, float] = field(default_factory=dict)
    starts: Sequence[str] = ()  # models to start from, by name or path: the mean of their weights
    teacher: str | None = None  # model whose scores are taught beside the labels, by name or path
    override: bool = False  # go on with a run of other settings

    def __post_init__(self) -> None:
        if not (self.train.epochs or self.starts):
            raise SettingsError(
                "with --epochs 0 there is nothing but what --init names; it names no model"
            )
        if self.teacher and not self.train.epochs:
            raise SettingsError("with --epochs 0 nothing is taught; leave --teacher out")
        if not self.teacher and self.train.distillation != TrainSettings().distillation:
            raise SettingsError("--distillation is a teacher's share; name one by --teacher")


def describe(
    job: TrainJob,
    data: TrainingData,
    datasets: Sequence[Dataset],
    decision: Decision,
    scores: Scores,
    history: Mapping[str, Any],
    caveats: Sequence[str],
) -> ModelCard:
    """The card of a run's model, but for its weight files.

    `scores` are the raw ones of the validation crops, `history` is the run's plan and how many
    epochs it took, and `caveats` are sentences, such as those of `prepare`.
    """
    methods = sorted({str(method) for method in data.train.method if method})
    limits = (
        "Measured on its own validation videos only; on manipulations it has not seen it is less "
        "reliable."
    )
    return ModelCard(
        name=job.name,
        summary=(
            f"{job.train.architecture} trained on "
            f"{', '.join(each.root.resolve().name for each in datasets)}"
        ),
        architecture=job.train.architecture,
        network=job.network,
        geometry=data.geometry,
        threshold=decision.threshold,
        uncertain=decision.uncertain,
        smallest_face=_smallest_face(datasets),
        rule=decision.rule,
        calibration=decision.calibration,
        training={
            **history,
            "crops": {"train": len(data.train), "valid": len(data.valid)},
            "methods": methods,
            "held_back": held_back(data),
            "environment": environment(),
        },
        figures=_figures(scores, decision, job.train),
        licence="that of the data it was trained on",
        limits=" ".join((limits, *(f"{caveat}." for caveat in caveats))),
    )


def held_back(data: TrainingData) -> dict[str, str]:
    """For each dataset, a sha256 of which real videos validate.

    Runs with equal ones learned from none of each other's.
    """
    reals = data.valid.select(~data.valid.fake)
    return {
        str(name): hashlib.sha256(
            "\n".join(sorted(set(reals.video[reals.dataset == name]))).encode()
        ).hexdigest()
        for name in np.unique(reals.dataset)
    }


def _smallest_face(datasets: Sequence[Dataset]) -> float | None:
    """The size in px that 99 of 100 training faces have.

    It is that of the dataset with the smallest faces.
    """
    smallest = []
    for dataset in datasets:
        learned = (crop.box for crop in dataset.crops if crop.split in ("train", None))
        if sizes := [side(box) for box in learned if box is not None]:
            smallest.append(float(np.percentile(sizes, 1)))
    return round(min(smallest), 1) if smallest else None


def _figures(scores: Scores, decision: Decision, settings: TrainSettings) -> tuple[Figure, ...]:
    """Video AUC of the validation half: all methods, and each alone against all reals."""
    calibrated = scores.with_probability(decision.calibration(scores.probability)).per_video()
    methods = sorted({str(method) for method in calibrated.method[calibrated.fake]})
    subsets = [("all", np.ones(len(calibrated), bool))]
    if len(methods) > 1:
        subsets += [
            (method, ~calibrated.fake | (calibrated.method == method)) for method in methods
        ]
    chosen = "the last epoch" if settings.keep == "last" else "the epoch was chosen on these videos"
    if not settings.epochs:
        chosen = "the start's weights"
    protocol = f"up to {settings.valid_frames} crops a person, mean; {chosen}"
    figures = []
    for name, rows in subsets:
        found = measure(calibrated.select(rows), decision.threshold).auc
        if found.value is not None:
            figures.append(
                Figure(
                    "validation", "video AUC", found.value, name, found.low, found.high, protocol
                )
            )
    return tuple(figures)
