"""What a run needs before its first step, and all that can be wrong with it.

Everything here works without TensorFlow, whose import takes seconds: what cannot be trained is
refused at once, before anything is written. Models to start from and teachers are read once.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mesovid.dataset.manifest import Dataset, digest, read_datasets
from mesovid.errors import TrainingError
from mesovid.models.architectures import check_architecture
from mesovid.models.card import FOREIGN, PANEL, ModelCard, card_at, find_card, read_card
from mesovid.models.classifier import Classifier, load_model
from mesovid.models.weights import Arrays, read_once
from mesovid.settings import Geometry, RuntimeSettings
from mesovid.training.job import Reporter, TrainJob, held_back
from mesovid.training.run_folder import RunFolder
from mesovid.training.sampler import Sampler
from mesovid.training.samples import TrainingData, training_data


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """A model to start from."""

    card: ModelCard
    layers: Sequence[Arrays]
    sha256: str  # of the file that they were read from


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Prepared:
    """A run that can begin, or go on."""

    job: TrainJob
    datasets: Sequence[Dataset]
    data: TrainingData
    sampler: Sampler
    starts: Sequence[Start]
    teacher: Classifier | None
    plan: dict[str, Any]  # everything that decides the run's outcome, as JSON values
    folder: RunFolder
    caveats: Sequence[str]  # sentences on what the figures of the model will be worth


def prepare(job: TrainJob) -> Prepared:
    """Read all that a run rests on, its folder as it was left included. Nothing is written.

    Raises SettingsError, ModelError, DatasetError or TrainingError with one line.
    """
    check_architecture(job.train.architecture, job.network)
    if job.train.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise TrainingError("--tensorboard needs a package: pip install mesovid[tensorboard]")
    read = {name: _start(name, job) for name in dict.fromkeys(job.starts)}
    starts = [read[name] for name in job.starts]
    # on one thread: batches are made side by side
    teacher = load_model(job.teacher, RuntimeSettings(threads=1)) if job.teacher else None
    datasets = read_datasets(job.datasets, job.options)
    left_out = [name for name, weight in job.weights.items() if not weight]
    data = training_data(datasets, job.train, _geometry(starts), left_out)
    check_architecture(job.train.architecture, job.network, data.geometry.size)
    if teacher is not None and teacher.card.geometry != data.geometry:
        raise TrainingError(
            f"the teacher {teacher.card.name} cuts faces otherwise than these were cut; it cannot"
            " judge them"
        )
    weights = {name: weight for name, weight in job.weights.items() if weight}
    sampler = Sampler(data.train, job.train, weights)
    plan = {
        "name": job.name,
        "datasets": [
            {"name": each.root.resolve().name, "digest": digest(each)} for each in datasets
        ],
        "geometry": data.geometry.to_dict(),
        "train": job.train.to_dict(),
        "augment": job.augment.to_dict(),
        "network": job.network.to_dict(),
        "weights": dict(job.weights),
        "start": [{"model": start.card.name, "sha256": start.sha256} for start in starts],
        "teacher": _named(teacher) if teacher else None,
    }
    models = [start.card for start in read.values()] + ([teacher.card] if teacher else [])
    return Prepared(
        job=job,
        datasets=datasets,
        data=data,
        sampler=sampler,
        starts=starts,
        teacher=teacher,
        plan=plan,
        folder=RunFolder(job.folder, plan, override=job.override),
        caveats=_known_already(models, data),
    )


def finished(prepared: Prepared, reporter: Reporter) -> ModelCard | None:
    """The card of the run's model where nothing is left to do, which is said."""
    if not prepared.folder.finished:
        return None
    reporter.say(f"{prepared.job.folder} is finished; more epochs take --override")
    return read_card(prepared.job.folder)


def _start(name: str, job: TrainJob) -> Start:
    path = find_card(name)
    card = card_at(path)
    if card.architecture in (PANEL, FOREIGN):
        kind = "a panel" if card.architecture == PANEL else "an imported .onnx file"
        raise TrainingError(f"{card.name} is {kind}; training starts from a model of mesovid's own")
    if (card.architecture, card.network.activation) != (
        job.train.architecture,
        job.network.activation,
    ):
        raise TrainingError(
            f"{card.name} is a {card.architecture} with {card.network.activation}, training asks"
            f" for a {job.train.architecture} with {job.network.activation}; both must be equal to"
            " start from it"
        )
    weights = path.with_suffix(".keras")
    layers, sha256 = read_once(weights)
    if (wanted := card.sha256.get("keras")) not in (None, sha256):
        raise TrainingError(
            f"{weights} is not the file that its card names (sha256 {sha256[:12]}..., card"
            f" {str(wanted)[:12]}...); it is damaged or was replaced"
        )
    return Start(card, layers, sha256)


def _geometry(starts: Sequence[Start]) -> Geometry | None:
    """That of the models to start from. TrainingError when they cut faces differently."""
    for start in starts:
        if start.card.geometry != starts[0].card.geometry:
            raise TrainingError(
                f"{start.card.name} and {starts[0].card.name} cut faces differently; weights of"
                " such models have no mean"
            )
    return starts[0].card.geometry if starts else None


def _named(teacher: Classifier) -> dict[str, str]:
    """A teacher's name and the sha256 of what can be trained on, or of what runs if it has none."""
    card = teacher.card
    return {"model": card.name, "sha256": card.sha256.get("keras", teacher.ref.sha256)}


def _known_already(models: Sequence[ModelCard], data: TrainingData) -> list[str]:
    """What to say of starts and teachers that may have learned from this run's validation."""
    mine, notes = held_back(data), []
    for card in models:
        learned = {each["name"] for each in card.training.get("datasets", ())}
        theirs = card.training.get("held_back", {})
        if known := sorted(
            name for name in mine if name in learned and theirs.get(name) != mine[name]
        ):
            notes.append(
                f"{card.name} may have learned from videos of {', '.join(known)} that validate "
                "this run, which makes threshold and figures too good; train both with one --seed"
            )
    return notes
