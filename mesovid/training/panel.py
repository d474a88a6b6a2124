"""Makes a panel: models under one name.

Its rule is learned on faces that none of them was trained on.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mesovid.dataset.manifest import CropEntry, Dataset, digest, read_dataset
from mesovid.errors import DatasetError, InputError, ModelError, TrainingError
from mesovid.evaluation.calibrate import HELD_BACK
from mesovid.evaluation.evaluate import check_geometry
from mesovid.models.card import PANEL, Member, ModelCard, logit
from mesovid.models.classifier import Classifier, load_model
from mesovid.models.inputs import sigmoid
from mesovid.pictures import read_crop
from mesovid.settings import PanelSettings, RuntimeSettings
from mesovid.training.samples import videos_learned
from mesovid.verdict import Rule, Voice, label_at

AT_ONCE = 32  # faces
LEVELS = np.round(np.arange(100) / 100, 2)
LEAST = 0.5  # level from which a model may be heard
PARTS = 20  # of the false alarms allowed, tried from all of them down to none

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelJob:
    """All that making a panel is asked to do. Models are given by name or path."""

    datasets: Sequence[Path]
    folder: Path
    name: str
    decide: Sequence[str]  # whose highest score is the panel's
    # who must agree before anything is called fake: whose findings it is asked about; () is all
    assent: Mapping[str, Sequence[str]] = field(default_factory=dict)
    show: Sequence[str] = ()  # who is scored and shown alone
    # what each model looks for, by the name given
    finds: Mapping[str, str] = field(default_factory=dict)
    settings: PanelSettings = field(default_factory=PanelSettings)


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What m models say of the k faces of n videos."""

    fake: Flags  # (n,)
    # (n,) the dataset, and the part of it that the video came from
    sources: tuple[frozenset[str], ...]
    unseen: Flags  # (n, m) by the model in its training
    faces: Floats  # (k, m) P(fake)
    of: npt.NDArray[np.int_]  # (k,) the video of each

    def unseen_by(self, models: Sequence[int]) -> Flags:
        """The videos that none of these models learned from, (n,)."""
        return np.asarray(self.unseen[:, list(models)].all(axis=1), bool)

    def means(self, faces: Floats) -> Floats:
        """The mean over each video's faces, (n, ...) of (k, ...)."""
        sums = np.zeros((len(self.fake), *faces.shape[1:]))
        np.add.at(sums, self.of, faces)
        counts = np.bincount(self.of, minlength=len(self.fake))
        return sums / counts.reshape(-1, *(1,) * (faces.ndim - 1))


@dataclass(frozen=True, slots=True)
class Seat:
    """What is asked of a model in a panel, and from which of its scores on it is heard."""

    place: int  # among the models heard
    card: ModelCard
    decides: bool
    asked: tuple[int, ...] = ()  # of one that decides: who must agree


def make_panel(
    job: PanelJob, on_faces: Callable[[int, int], None] = lambda _done, _of: None
) -> ModelCard:
    """Learn the rule and write the card. `on_faces` hears how many faces were judged, of how many.

    Each deciding model is heard from a level of its own, and those asked about its findings assent
    from one of theirs, or are not asked from a higher one on, where it is sure: of the levels at
    which of no source more of the real videos are called fake than allowed, those with the most
    fakes found. The highest of the deciding models' levels is the panel's threshold, to which the
    others' scores are moved. A source is a dataset, and each of its collections that has enough
    real videos to tell. What is called real must score below almost all fakes of each dataset. A
    video is heard of a model only where the model did not learn from it, as far as its card tells:
    what its start had learned from does not stand there.

    Raises DatasetError or ModelError for what cannot be used, TrainingError when no level is
    enough.
    """
    if not job.decide:
        raise TrainingError("no model decides; name at least one")
    loaded = {name: load_model(name, RuntimeSettings(threads=1)) for name in _names(job)}
    judges = list(loaded.values())
    seats = _seats(job, {name: judge.card for name, judge in loaded.items()})
    datasets = [read_dataset(path) for path in job.datasets]
    heard = _listen(datasets, judges, job, on_faces)
    allowed = job.settings.false_alarms
    rows = heard.unseen_by([seat.place for seat in seats if seat.decides])
    for part in range(PARTS, -1, -1):
        members, threshold = _members(heard, seats, job, allowed * part / PARTS)
        panel, called = _called(heard, members, threshold)
        groups = _groups(heard, allowed, rows)
        if all(called[rows].mean() <= allowed for rows in groups.values()):
            break
    else:
        raise TrainingError(_too_many(groups, called, allowed, "all deciding models together"))
    low = min(threshold, _lowest(heard, panel, rows, job.settings.misses))
    card = ModelCard(
        name=job.name,
        summary=f"a panel of {', '.join(member.name for member in members)}",
        architecture=PANEL,
        geometry=judges[0].card.geometry,
        threshold=threshold,
        uncertain=(low, threshold) if low < threshold else None,
        # who is asked for assent only ever holds back
        smallest_face=max(seat.card.smallest_face or 0.0 for seat in seats if seat.decides) or None,
        members=members,
        rule=_said(heard, panel, called, rows, low, members, threshold, job.settings),
        training={
            "datasets": [
                {"name": each.root.resolve().name, "digest": digest(each)} for each in datasets
            ]
        },
        licence="; ".join(
            dict.fromkeys(judge.card.licence for judge in judges if judge.card.licence)
        ),
        limits=" ".join(f"{seat.card.name}: {seat.card.limits}" for seat in seats if seat.decides),
    )
    job.folder.mkdir(parents=True, exist_ok=True)
    card.write(job.folder)
    return card


def _seats(job: PanelJob, cards: Mapping[str, ModelCard]) -> list[Seat]:
    places = {name: place for place, name in enumerate(cards)}
    for name, findings in job.assent.items():
        for finding in findings:
            if finding not in job.decide:
                raise ModelError(
                    f"{name} is asked about what {finding} finds, which does not decide;"
                    f" those that do: {', '.join(job.decide)}"
                )
    return [
        Seat(
            place,
            cards[name],
            name in job.decide,
            tuple(
                places[other]
                for other, findings in job.assent.items()
                if name in job.decide and name in (findings or job.decide)
            ),
        )
        for name, place in places.items()
    ]


def _listen(
    datasets: Sequence[Dataset],
    judges: Sequence[Classifier],
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
    if not videos:
        raise DatasetError(f"no face outside of the splits {' and '.join(HELD_BACK)}")
    learned = [[videos_learned(dataset, judge.card) for judge in judges] for dataset in datasets]
    keys = list(videos)
    unseen = np.array(
        [[video not in learned[number][k] for k in range(len(judges))] for number, video in keys]
    )
    decide = [k for k, name in enumerate(_names(job)) if name in job.decide]
    heard = [row for row in range(len(keys)) if unseen[row, decide].any()]
    if not heard:
        raise DatasetError("the deciding models learned from every one of these videos")
    keys, unseen = [keys[row] for row in heard], unseen[heard]
    chosen = [
        (row, key[0], crop)
        for row, key in enumerate(keys)
        for crop in _evenly(videos[key], job.settings.frames)
    ]
    faces = np.empty((len(chosen), len(judges)))
    for start in range(0, len(chosen), AT_ONCE):
        part = chosen[start : start + AT_ONCE]
        crops = np.stack([_read(datasets[number], crop, judges[0]) for _, number, crop in part])
        faces[start : start + len(part)] = np.stack([judge(crops) for judge in judges], axis=1)
        on_faces(start + len(part), len(chosen))
    first = [videos[key][0] for key in keys]
    homes = [datasets[number].root.resolve().name for number, _ in keys]
    return Heard(
        fake=np.array([crop.label == "fake" for crop in first]),
        sources=tuple(
            frozenset({home, f"{home}/{crop.collection}"} if crop.collection else {home})
            for home, crop in zip(homes, first, strict=True)
        ),
        unseen=unseen,
        faces=faces,
        of=np.array([row for row, _, _ in chosen]),
    )


def _names(job: PanelJob) -> list[str]:
    return list(dict.fromkeys((*job.assent, *job.show, *job.decide)))


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


def _members(
    heard: Heard,
    seats: Sequence[Seat],
    job: PanelJob,
    share: float,
) -> tuple[tuple[Member, ...], float]:
    """The members, heard from levels at which each alone has no more false alarms than `share` of
    any source, and the panel's threshold.
    """
    scores, allowed = heard.means(heard.faces), job.settings.false_alarms
    levels = {
        seat.place: _level(heard, scores, seat, share, allowed) for seat in seats if seat.decides
    }
    assents: dict[int, float] = {}
    for seat in seats:
        for place in seat.asked:
            assents[place] = max(levels[seat.place].assent, assents.get(place, 0.0))
    threshold = max(level.heard for level in levels.values())
    given = _names(job)
    shifts = {
        place: math.ceil(1e4 * float(logit(threshold) - logit(level.heard)) - 1e-6) / 1e4
        for place, level in levels.items()
    }  # rounded up: a score of the level is the threshold, and not a hair below it
    members = tuple(
        Member(
            name=seat.card.name,
            sha256=str(seat.card.sha256["onnx"]),
            finds=job.finds.get(given[seat.place], seat.card.finds),
            decides=seat.decides,
            assents_from=_moved(assents.get(seat.place), shifts.get(seat.place, 0.0)),
            assents_to=tuple(
                seats[given.index(name)].card.name for name in job.assent.get(given[seat.place], ())
            ),
            sure_from=_moved(levels[seat.place].sure, shifts[seat.place]) if seat.decides else None,
            clears_below=_clears_below(seat.card, shifts[seat.place], threshold)
            if seat.decides
            else None,
            shift=shifts.get(seat.place, 0.0),
        )
        for seat in seats
    )
    return members, threshold


def _moved(level: float | None, shift: float) -> float | None:
    """A level on the common scale."""
    return level if level is None or not shift else float(sigmoid(logit(level) + shift))


def _clears_below(card: ModelCard, shift: float, threshold: float) -> float | None:
    """The level below which a model clears, on the common scale and no higher than the threshold.

    None where it never says so.
    """
    level = _moved(card.clears_below, shift)
    return None if level is None else min(level, threshold)


@dataclass(frozen=True, slots=True)
class Level:
    """From which scores on a model is heard, those asked about its findings assent, all alike, and
    nobody is asked.
    """

    heard: float
    assent: float
    sure: float | None  # None: they are always asked


def _level(heard: Heard, scores: Floats, seat: Seat, share: float, allowed: float) -> Level:
    """The level of a model that decides.

    Of the levels at which of no source more than `share` of the real videos are called fake, those
    with the most fakes called so; of equal ones, those that ask most, and of these the lowest of
    the deciding model. Where no source has enough real videos to tell, it is the threshold of the
    model's card.
    """
    groups = _groups(heard, allowed, heard.unseen_by([seat.place, *seat.asked]))
    # those asked may know them, so that they assent too often: it makes asking look better
    fakes = heard.fake & heard.unseen_by([seat.place])
    least = scores[:, list(seat.asked)].min(axis=1) if seat.asked else np.ones(len(scores))
    own = scores[:, seat.place]
    levels = LEVELS[LEVELS >= LEAST] if groups else np.array([seat.card.threshold])
    surest = levels[:0:-1] if seat.asked else levels[:0]
    best: tuple[float, Level] | None = None
    for sure in (math.inf, *surest):
        alone = own >= sure
        if any(alone[group].mean() > share for group in groups.values()):
            break
        for level in levels[levels < float(sure)]:
            found = own >= level
            for assent in LEVELS if seat.asked else (0.0,):
                called = found & (alone | (least >= assent))
                if all(called[group].mean() <= share for group in groups.values()):
                    caught = float(called[fakes].mean()) if fakes.any() else 0.0
                    if best is None or caught > best[0]:
                        ever = None if sure == math.inf else float(sure)
                        best = caught, Level(float(level), float(assent), ever)
                    break  # a higher level of assent only loses fakes
    if best is None:
        raise TrainingError(_too_many(groups, called, share, seat.card.name))
    return best[1]


def _too_many(groups: Mapping[str, Flags], called: Flags, share: float, who: str) -> str:
    worst = max(groups, key=lambda name: called[groups[name]].mean())
    return (
        f"of the real videos of {worst} {who} calls {called[groups[worst]].mean():.0%} fake at any "
        f"level; {100 * share:.3g}% are allowed"
    )


def _called(heard: Heard, members: Sequence[Member], threshold: float) -> tuple[Floats, Flags]:
    """The panel's score of each video (n,), and whether the rule of a scan calls it fake (n,)."""
    apart = np.stack([member(heard.faces[:, k]) for k, member in enumerate(members)], axis=1)
    decide = [member.decides for member in members]
    panel = heard.means(apart[:, decide].max(axis=1))
    voices = tuple(Voice.of(member) for member in members)
    rule = Rule(threshold, None, members=voices)
    said = heard.means(apart)
    return panel, np.array(
        [
            label_at(float(score), rule, row)[0] == "fake"
            for score, row in zip(panel, said, strict=True)
        ]
    )


def _groups(heard: Heard, share: float, rows: Flags | None = None) -> dict[str, Flags]:
    """The real videos of each source that has enough of them to tell, among `rows`."""
    names = sorted({name for each in heard.sources for name in each})
    among = ~heard.fake if rows is None else ~heard.fake & rows
    found = {name: np.array([name in each for each in heard.sources]) & among for name in names}
    return {name: row for name, row in found.items() if row.sum() * share >= 1}


def _lowest(heard: Heard, panel: Floats, rows: Flags, share: float) -> float:
    """The score below which at most so many of the fake videos of each dataset lie.

    The lowest over datasets, rounded down.
    """
    homes = sorted({name for each in heard.sources for name in each if "/" not in name})
    lows = []
    for home in homes:
        among = heard.fake & rows & np.array([home in each for each in heard.sources])
        fakes = np.sort(panel[among])
        if len(fakes):
            lows.append(float(fakes[min(int(share * len(fakes) + 1e-9), len(fakes) - 1)]))
    if not lows:
        raise TrainingError(
            "no fake face: what may be called real is learned from the scores of fakes"
        )
    return math.floor(min(lows) * 10_000) / 10_000


def _said(
    heard: Heard,
    panel: Floats,
    called: Flags,
    rows: Flags,
    low: float,
    members: Sequence[Member],
    threshold: float,
    settings: PanelSettings,
) -> str:
    """The rule in words, with what it does on the videos that no deciding member learned from."""
    groups = _groups(heard, settings.false_alarms, rows)
    worst = max(groups, key=lambda name: called[groups[name]].mean()) if groups else None
    reals, fakes = ~heard.fake & rows, heard.fake & rows
    levels = " or ".join(
        f"{member.name} says {member.level(threshold):.2f} or more"
        + _where(member, members)
        + _alone(member)
        for member in members
        if member.decides
    )
    allowed, missed = (f"{100 * each:.3g}" for each in (settings.false_alarms, settings.misses))
    return (
        f"on {int(reals.sum())} real and {int(fakes.sum())} fake videos that no deciding member was"
        f" trained on: fake where {levels}; so {called[reals].mean():.1%} of the real ones are"
        f" called fake, of no source with enough of them more than {allowed}%"
        f"{f' (most, {called[groups[worst]].mean():.1%}, of {worst})' if worst else ''}, and "
        f"{called[fakes].mean():.1%} of the fakes;"
        f" real below {low:g}, where at most {missed}% of the fakes of each dataset lie"
        f" ({np.mean(panel[reals] < low):.0%} of the reals do)"
    )


def _alone(member: Member) -> str:
    return "" if member.sure_from is None else f", or {member.level(member.sure_from):.2f} alone"


def _where(member: Member, members: Sequence[Member]) -> str:
    asked = [
        f"{other.name} {other.assents_from:.2f} or more"
        for other in members
        if Voice.of(other).is_asked(member.name)
    ]
    return f" and {' and '.join(asked)}" if asked else ""


def assents_of(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Whose findings a model is asked about, by its name: `meso4`, or `meso4=mesolite`."""
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, _, finding = text.partition("=")
        before = found.get(name)
        if not name or text.endswith("=") or (before is not None and not (before and finding)):
            raise ModelError(
                f"--assent {text!r}: write NAME, or NAME=DECIDER for each of those it is asked "
                "about, such as 'meso4=mesolite'"
            )
        found[name] = (*(before or ()), finding) if finding else ()
    return found


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
