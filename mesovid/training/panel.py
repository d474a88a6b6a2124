"""Makes a panel: models under one name.

Its rule is learned on faces that none of them was trained on.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mesovid.dataset.manifest import CropEntry, Dataset, digest, read_dataset
from mesovid.errors import DatasetError, InputError, ModelError, TrainingError
from mesovid.evaluation.calibrate import HELD_BACK, MISSES
from mesovid.evaluation.evaluate import check_geometry
from mesovid.models.card import PANEL, Member, ModelCard
from mesovid.models.classifier import Classifier, load_model
from mesovid.pictures import read_crop
from mesovid.settings import PanelSettings, RuntimeSettings

AT_ONCE = 32  # faces
STEP = 0.01  # of a level of assent

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelJob:
    """All that making a panel is asked to do. Models are given by name or path."""

    datasets: Sequence[Path]  # of faces that no member learned from
    folder: Path
    name: str
    decide: Sequence[str]  # whose highest score is the panel's
    assent: Sequence[str] = ()  # who must agree before anything is called fake
    show: Sequence[str] = ()  # who is scored and shown alone
    # what each model looks for, by the name given
    finds: dict[str, str] = field(default_factory=dict)
    settings: PanelSettings = field(default_factory=PanelSettings)


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What the models say of n videos, the mean over each one's faces."""

    fake: Flags  # (n,)
    panel: Floats  # (n,) the highest of those that decide
    assent: Floats  # (n, those asked)
    # (n,) the dataset, and the part of it that the video came from
    sources: tuple[frozenset[str], ...]


def make_panel(
    job: PanelJob, on_faces: Callable[[int, int], None] = lambda _done, _of: None
) -> ModelCard:
    """Learn the rule and write the card. `on_faces` hears how many faces were judged, of how many.

    What the deciding models' cards call fake stays so (of several, the highest threshold counts)
    where those asked for their assent give it: each from the lowest level on at which no source has
    more false alarms than allowed. A source is a dataset, and each of its collections that has
    enough real videos to tell. What is called real must score below almost all fakes of each
    dataset.

    Raises DatasetError or ModelError for what cannot be used, TrainingError when no level of assent
    is enough.
    """
    if not job.decide:
        raise TrainingError("no model decides; name at least one")
    names = dict.fromkeys((*job.assent, *job.show, *job.decide))
    loaded = {name: load_model(name, RuntimeSettings(threads=1)) for name in names}
    judges = list(loaded.values())
    deciders = {loaded[name].card.name for name in job.decide}
    asked = [loaded[name].card.name for name in job.assent]
    datasets = [read_dataset(path) for path in job.datasets]
    heard = _listen(datasets, judges, deciders, asked, job, on_faces)
    threshold = max(judge.card.threshold for judge in judges if judge.card.name in deciders)
    levels = _levels(heard, threshold, job.settings.false_alarms, asked)
    low = min(threshold, _lowest(heard, MISSES))
    members = tuple(
        Member(
            name=judge.card.name,
            sha256=str(judge.card.sha256["onnx"]),
            finds=job.finds.get(judge.card.name, ""),
            decides=judge.card.name in deciders,
            assents_from=levels.get(judge.card.name),
        )
        for judge in judges
    )
    called = (heard.panel >= threshold) & _agreed(heard, [levels[name] for name in asked])
    card = ModelCard(
        name=job.name,
        summary=f"a panel of {', '.join(member.name for member in members)}",
        architecture=PANEL,
        geometry=judges[0].card.geometry,
        threshold=threshold,
        uncertain=(low, threshold) if low < threshold else None,
        smallest_face=max((judge.card.smallest_face or 0.0 for judge in judges), default=0.0)
        or None,
        members=members,
        rule=_said(heard, called, low, levels, job),
        training={
            "datasets": [
                {"name": each.root.resolve().name, "digest": digest(each)} for each in datasets
            ]
        },
        licence="; ".join(
            dict.fromkeys(judge.card.licence for judge in judges if judge.card.licence)
        ),
        limits=" ".join(
            f"{judge.card.name}: {judge.card.limits}"
            for judge in judges
            if judge.card.name in deciders
        ),
    )
    job.folder.mkdir(parents=True, exist_ok=True)
    card.write(job.folder)
    return card


def _listen(
    datasets: Sequence[Dataset],
    judges: Sequence[Classifier],
    deciders: set[str],
    asked: Sequence[str],
    job: PanelJob,
    on_faces: Callable[[int, int], None],
) -> Heard:
    videos: dict[tuple[int, str], list[CropEntry]] = defaultdict(list)
    for number, dataset in enumerate(datasets):
        for judge in judges:
            check_geometry(dataset, judge)
        for crop in dataset.crops:
            if crop.split not in HELD_BACK:
                videos[number, crop.video].append(crop)
    chosen = [
        (number, video, crop)
        for (number, video), crops in videos.items()
        for crop in _evenly(crops, job.settings.frames)
    ]
    if not chosen:
        raise DatasetError(f"no face outside of the splits {' and '.join(HELD_BACK)}")
    said = np.empty((len(chosen), len(judges)))
    for start in range(0, len(chosen), AT_ONCE):
        part = chosen[start : start + AT_ONCE]
        crops = np.stack([_read(datasets[number], crop, judges[0]) for number, _, crop in part])
        said[start : start + len(part)] = np.stack([judge(crops) for judge in judges], axis=1)
        on_faces(start + len(part), len(chosen))
    keys = list(videos)
    place = {key: row for row, key in enumerate(keys)}
    of = np.array([place[number, video] for number, video, _ in chosen])
    decide = np.array([judge.card.name in deciders for judge in judges])
    columns = [said[:, decide].max(axis=1), *(said[:, _of(judges, name)] for name in asked)]
    means = [np.bincount(of, column) / np.bincount(of) for column in columns]
    first = [videos[key][0] for key in keys]
    homes = [datasets[number].root.resolve().name for number, _ in keys]
    return Heard(
        fake=np.array([crop.label == "fake" for crop in first]),
        panel=means[0],
        assent=np.stack(means[1:], axis=1) if asked else np.empty((len(keys), 0)),
        sources=tuple(
            frozenset({home, f"{home}/{crop.collection}"} if crop.collection else {home})
            for home, crop in zip(homes, first, strict=True)
        ),
    )


def _of(judges: Sequence[Classifier], name: str) -> int:
    return next(place for place, judge in enumerate(judges) if judge.card.name == name)


def _evenly(crops: Sequence[CropEntry], count: int) -> Iterator[CropEntry]:
    ordered = sorted(crops, key=lambda crop: (crop.frame, crop.person))
    for place in np.unique(
        np.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().astype(int)
    ):
        yield ordered[place]


def _read(dataset: Dataset, crop: CropEntry, judge: Classifier) -> npt.NDArray[np.uint8]:
    try:
        return read_crop(dataset.path(crop), judge.card.geometry.size)
    except InputError as error:
        raise DatasetError(str(error)) from error


def _levels(heard: Heard, threshold: float, share: float, asked: Sequence[str]) -> dict[str, float]:
    """The score from which each asked model agrees.

    It is the lowest, equal for all, that keeps the false alarms of every source.
    """
    groups = _groups(heard, share)
    for step in range(round(1 / STEP) + 1):
        level = round(step * STEP, 2)
        called = ~heard.fake & (heard.panel >= threshold) & _agreed(heard, [level] * len(asked))
        if all(called[rows].mean() <= share for rows in groups.values()):
            return dict.fromkeys(asked, level)
        if not asked:
            break
    worst = max(groups, key=lambda name: called[groups[name]].mean())
    raise TrainingError(
        f"of the real videos of {worst} {called[groups[worst]].mean():.0%} are called fake, "
        f"{share:.0%} are allowed; "
        f"{'no level of assent is enough' if asked else 'name a model whose assent is asked'}"
    )


def _agreed(heard: Heard, levels: Sequence[float]) -> Flags:
    return np.asarray((heard.assent >= np.asarray(levels)).all(axis=1), bool)


def _groups(heard: Heard, share: float) -> dict[str, Flags]:
    """The real videos of each source that has enough of them to tell."""
    names = sorted({name for each in heard.sources for name in each})
    rows = {
        name: np.array([name in each for each in heard.sources]) & ~heard.fake for name in names
    }
    return {name: row for name, row in rows.items() if row.sum() * share >= 1}


def _lowest(heard: Heard, share: float) -> float:
    """The score below which at most so many of the fake videos of each dataset lie.

    The lowest over datasets, rounded down.
    """
    homes = sorted({name for each in heard.sources for name in each if "/" not in name})
    lows = []
    for home in homes:
        fakes = np.sort(
            heard.panel[heard.fake & np.array([home in each for each in heard.sources])]
        )
        if len(fakes):
            lows.append(float(fakes[min(int(share * len(fakes) + 1e-9), len(fakes) - 1)]))
    if not lows:
        raise TrainingError(
            "no fake face: what may be called real is learned from the scores of fakes"
        )
    return math.floor(min(lows) * 10_000) / 10_000


def _said(heard: Heard, called: Flags, low: float, levels: dict[str, float], job: PanelJob) -> str:
    """The rule in words, with what it does on the videos that it was learned on."""
    groups = _groups(heard, job.settings.false_alarms)
    worst = max(groups, key=lambda name: called[groups[name]].mean()) if groups else None
    reals, fakes = ~heard.fake, heard.fake
    asked = " and ".join(f"{name} says {level:.2f} or more" for name, level in levels.items())
    return (
        f"on {int(reals.sum())} real and {int(fakes.sum())} fake videos that no member was "
        "trained on: fake at the deciding models' own"
        f" threshold{f', where {asked}' if asked else ''}; so {called[reals].mean():.1%} of the "
        "real ones are called fake, of no source"
        f" with enough of them more than {job.settings.false_alarms:.0%}"
        f"{f' (most, {called[groups[worst]].mean():.1%}, of {worst})' if worst else ''}, and "
        f"{called[fakes].mean():.1%} of the fakes;"
        f" real below {low:g}, where at most {MISSES:.0%} of the fakes of each dataset lie"
        f" ({np.mean(heard.panel[reals] < low):.0%} of the reals do)"
    )


def finds_of(texts: Sequence[str]) -> dict[str, str]:
    """`mesolite=blended faces` by name. Raises ModelError for what has another form."""
    found = {}
    for text in texts:
        name, equals, words = text.partition("=")
        if not (name and equals and words.strip()):
            raise ModelError(
                f"--finds {text!r}: write NAME=WORDS, such as 'mesolite=blended faces'"
            )
        found[name] = words.strip()
    return found
