"""From the scores of single faces to the answer for a video. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Protocol, Self

import numpy as np

from mesovid.records import FaceScore, Label, Person, Segment, Verdict
from mesovid.settings import ScanSettings

MIN_RUN = 2  # suspicious samples in a row that make a segment
LIKE_THE_LARGEST = 2 / 3  # of the largest person's size: who is smaller stands behind
# `align.detail` below which a face is too blurred to judge. Of the faces that models learned from
# (FF++ c23, DFDC, LFW, UTKFace) 99 of 100 have more, as have all of 416 faces of fakes looked at; a
# real face blurred by 2 % of its width has less, and Meso-4 takes every such face for a fake.
LEAST_DETAIL = 0.15


@dataclass(frozen=True, slots=True)
class Voice:
    """What one model of a panel has to say."""

    name: str
    decides: bool = True  # the panel's score is the highest of those that do
    # P(fake) of a person: without as much from it, nothing is called fake
    assents_from: float | None = None
    assents_to: tuple[str, ...] = ()  # whose findings it is asked about; (): everybody's
    # of one that decides: P(fake) of a person, from which nobody is asked about its finding
    sure_from: float | None = None
    finds: str = ""  # what it looks for
    clears_below: float | None = None  # P(fake) of a person, below which there is no sign of that

    @classmethod
    def of(cls, member: OneOfPanel) -> Self:
        """The voice of a panel's member."""
        return cls(
            member.name,
            member.decides,
            member.assents_from,
            member.assents_to,
            member.sure_from,
            member.finds,
            member.clears_below,
        )

    def is_asked(self, finding: str) -> bool:
        """Whether it must agree with what a model of the panel finds."""
        return self.assents_from is not None and finding in (self.assents_to or (finding,))

    def is_sure(self, value: float) -> bool:
        """Whether nobody is asked when it says this much of a person."""
        return self.sure_from is not None and value >= self.sure_from


class OneOfPanel(Protocol):
    """What a rule reads of a panel's member."""

    @property
    def name(self) -> str: ...
    @property
    def decides(self) -> bool: ...
    @property
    def assents_from(self) -> float | None: ...
    @property
    def assents_to(self) -> tuple[str, ...]: ...
    @property
    def sure_from(self) -> float | None: ...
    @property
    def finds(self) -> str: ...
    @property
    def clears_below(self) -> float | None: ...


class Card(Protocol):
    """What a rule reads of a model's card."""

    @property
    def threshold(self) -> float: ...
    @property
    def uncertain(self) -> tuple[float, float] | None: ...
    @property
    def smallest_face(self) -> float | None: ...
    @property
    def finds(self) -> str: ...
    @property
    def clears_below(self) -> float | None: ...
    @property
    def members(self) -> Sequence[OneOfPanel]: ...


@dataclass(frozen=True, slots=True)
class Rule:
    """How scores become a verdict: from the model's card and the user's options."""

    threshold: float  # P(fake) from which a video is called fake
    band: tuple[float, float] | None  # P(fake) between these, both included, is uncertain
    aggregate: str = "mean"  # a name in AGGREGATES
    min_faces: int = 3  # fewer faces of a person are not judged
    # px; of people whose faces are smaller in the median, nothing is certain
    smallest_face: float | None = None
    least_detail: float | None = None  # of faces with less in the median, nothing is certain
    members: tuple[Voice, ...] = ()  # of a panel
    finds: str = ""  # what a single model looks for
    clears_below: float | None = None  # P(fake) of a person, below which there is no sign of that

    @classmethod
    def of(
        cls,
        card: Card,
        threshold: float | None = None,
        *,
        aggregate: str = "mean",
        min_faces: int = 1,
    ) -> Self:
        """The rule of a model's card.

        A threshold of the user's own switches off all that makes a verdict uncertain.
        """
        voices = tuple(map(Voice.of, card.members))
        if threshold is not None:
            silent = tuple(replace(voice, assents_from=None, clears_below=None) for voice in voices)
            return cls(threshold, None, aggregate, min_faces, members=silent)
        return cls(
            card.threshold,
            card.uncertain,
            aggregate,
            min_faces,
            card.smallest_face,
            LEAST_DETAIL,
            voices,
            card.finds,
            card.clears_below,
        )

    @classmethod
    def of_scan(cls, card: Card, settings: ScanSettings, *, picture: bool) -> Self:
        """The rule of a scan: a picture shows each face once, and all of them count."""
        return cls.of(
            card,
            settings.threshold,
            aggregate=settings.aggregate,
            min_faces=1 if picture else settings.min_faces,
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """What `judge` finds: the verdict and what it rests on."""

    verdict: Verdict
    people: tuple[Person, ...]
    segments: tuple[Segment, ...]


def judge(scores: Sequence[FaceScore], rule: Rule) -> Judgement:
    """Judge a video by its faces' probabilities.

    Scores are aggregated per person, and the video takes its most suspicious person, because one
    swapped face among many real ones must not be diluted. People with fewer than `rule.min_faces`
    faces have no say; where nobody has enough but all faces together are, as in an hour of cuts
    seen in 32 frames, the faces are judged as one. Fewer is no verdict at all. Beside larger
    people, those whose faces are smaller than what the model learned from lend the video no score;
    where they alone look faked, it is `uncertain` at most, as it is where all faces are that small.
    Blurred faces count as small ones do; where they are smaller than sharp ones besides, they have
    no say.
    """
    people = _people(scores, rule)
    segments = _segments(_sharp(scores, rule), rule)
    if not scores:
        verdict = Verdict(
            None, None, "no_face", "No face was found in the frames that were looked at."
        )
    elif len(scores) < rule.min_faces:
        counted = f"Only {_count(len(scores), 'face')} found"
        verdict = Verdict(
            None, None, "too_few_faces", f"{counted}; a verdict needs {rule.min_faces}."
        )
    else:
        verdict = _verdict(scores, people, segments, rule)
    return Judgement(verdict, people, segments)


MEANS_LITTLE = ", so that its score means little"  # ends the reason where frames are unreliable


def distrusted(verdict: Verdict, why: str) -> Verdict:
    """The verdict on a video whose frames cannot be relied on: `why` says so."""
    if verdict.label is None:
        return verdict
    return replace(verdict, label="uncertain", reason=why + MEANS_LITTLE, cleared=())


def why_distrusted(verdict: Verdict) -> str | None:
    """Why the frames of a video cannot be relied on, as `distrusted` put it.

    None where they can.
    """
    return (
        verdict.reason.removesuffix(MEANS_LITTLE) if verdict.reason.endswith(MEANS_LITTLE) else None
    )


def silent(scores: Sequence[FaceScore], people: Sequence[Person], rule: Rule) -> dict[int, str]:
    """Why people have no say in the verdict of `judge`, by id: too few faces, too small, too
    blurred; those who have one are left out."""
    looks = {id_: _look(faces) for id_, faces in _by_person(scores)}
    judged = [person for person in people if person.faces >= rule.min_faces]
    deciding = {person.id for person in _by_look(judged, looks, rule)[0]}
    return {
        person.id: "too few faces"
        if person.faces < rule.min_faces
        else "too blurred"
        if looks[person.id].is_blurred(rule)
        else "too small"
        for person in people
        if person.id not in deciding
    }


def _verdict(
    scores: Sequence[FaceScore], people: Sequence[Person], segments: Sequence[Segment], rule: Rule
) -> Verdict:
    judged = [person for person in people if person.faces >= rule.min_faces]
    looks = {id_: _look(faces) for id_, faces in _by_person(scores)}
    rivals, others = _by_look(judged, looks, rule)
    if rivals:
        chosen = max(rivals, key=lambda person: person.fake_probability)
        probability, look, members = chosen.fake_probability, looks[chosen.id], chosen.members
        who = f"the {_count(chosen.faces, 'face')}"
        if len(people) > 1:
            who += f" of person {chosen.id}"
        rest = "" if len(rivals) == 1 else f", the most suspicious of {len(rivals)} people,"
    else:
        probability = aggregate([score.fake_probability for score in scores], rule.aggregate)
        look, members = _look(scores), _of_members(scores, rule)
        who, rest = f"{len(scores)} faces that could not be followed from frame to frame", ""
    label, where = label_at(probability, rule, members)
    if look.is_small(rule):
        label = "uncertain"
        where = (
            f"but of {look.size:.0f} px they are smaller than the {rule.smallest_face:.0f} px "
            "that this model can judge"
        )
    elif look.is_blurred(rule):
        label, where = "uncertain", "but they are too blurred for this model to judge"
    elif label == "real":
        label, beside = _beside(rivals, others, looks, rule)
        where += beside
    how = {"mean": "on average", "median": "in the median"}.get(
        rule.aggregate, f"by {rule.aggregate}"
    )
    reason = f"{who}{rest} scored P(fake) {probability:.2f} {how}, {where}."
    # a swap that lasts a moment hardly moves the mean
    cleared = () if label == "fake" or segments else _cleared(rivals, others, looks, rule)
    verdict = Verdict(label, probability, "ok", reason[0].upper() + reason[1:], cleared)
    if sign := no_sign(verdict):
        verdict = replace(
            verdict, reason=f"{verdict.reason} {sign}: such faces seldom score so low."
        )
    return replace(verdict, reason=verdict.reason + _spoke(members, rule))


def no_sign(verdict: Verdict) -> str:
    """What an uncertain verdict finds no sign of, in words; nothing where of nothing."""
    if verdict.label != "uncertain" or not verdict.cleared:
        return ""
    return f"No sign of {' or '.join(verdict.cleared)}"


def _cleared(
    rivals: Sequence[Person], others: Sequence[Person], looks: Mapping[int, _Look], rule: Rule
) -> tuple[str, ...]:
    """What there is no sign of in anybody who can be judged, nor in those who cannot.

    Nothing where nobody can be judged. Blurred people behind sharp ones do not count.
    """
    unclear = (looks[each.id].is_small(rule) or looks[each.id].is_blurred(rule) for each in rivals)
    if not rivals or any(unclear):
        return ()
    seen = (*rivals, *_before(rivals, others, looks, rule))
    found = [cleared_of(each.fake_probability, rule, each.members) for each in seen]
    return tuple(what for what in found[0] if all(what in each for each in found))


def cleared_of(probability: float, rule: Rule, members: Sequence[float] = ()) -> tuple[str, ...]:
    """What a person's faces show no sign of; `members` is what each model of a panel says."""
    if not rule.members:
        clears = rule.clears_below is not None and probability < rule.clears_below
        return (rule.finds,) if clears else ()
    said = zip(rule.members, members, strict=False)
    return tuple(
        voice.finds
        for voice, value in said
        if voice.clears_below is not None and value < voice.clears_below
    )


def _spoke(members: Sequence[float], rule: Rule) -> str:
    """Of a panel, which of its models was heard, and what the others said."""
    if not members:
        return ""
    said = list(zip(rule.members, members, strict=True))
    deciding = [(voice.name, value) for voice, value in said if voice.decides]
    others = [(voice.name, value) for voice, value in said if not voice.decides]
    if len(deciding) == 1:
        gives = "".join(f"; {name} gives {value:.2f}" for name, value in others)
        return f" The score is {deciding[0][0]}'s{gives}."
    votes, rest = (
        ", ".join(f"{name} {value:.2f}" for name, value in part) for part in (deciding, others)
    )
    return (
        f" Of its models {heard(said)} was heard, the most suspicious "
        f"({votes}{f'; beside it {rest}' if rest else ''})."
    )


def heard(said: Sequence[tuple[Voice, float]]) -> str:
    """The model of a panel whose finding counts: the most suspicious of those that decide."""
    return max((value, voice.name) for voice, value in said if voice.decides)[1]


def _dissent(members: Sequence[float], rule: Rule) -> str | None:
    """The first model of a panel that does not agree that somebody is faked, in words.

    None where somebody is: a member that alone finds so decides, unless it is not sure and one that
    is asked about its findings does not agree. Where none finds so alone, the most suspicious
    counts. `members` are the members' scores, in order; a face of no panel has none.
    """
    said = list(zip(rule.members, members, strict=False))
    if not said:
        return None
    finding = [voice.name for voice, value in said if voice.decides and value >= rule.threshold]
    objections = [_objection(said, name) for name in finding or [heard(said)]]
    return objections[0] if all(objections) else None


def _objection(said: Sequence[tuple[Voice, float]], finding: str) -> str | None:
    if any(voice.name == finding and voice.is_sure(value) for voice, value in said):
        return None
    for voice, value in said:
        if voice.is_asked(finding) and value < (voice.assents_from or 0.0):
            return (
                f"but {voice.name} with {value:.2f} does not agree, as it would from "
                f"{voice.assents_from:.2f} on"
            )
    return None


def _of_members(faces: Sequence[FaceScore], rule: Rule) -> tuple[float, ...]:
    """What each model of a panel says of these faces together; nothing for a single model."""
    return tuple(
        aggregate(values, rule.aggregate)
        for values in zip(*(face.members for face in faces), strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Look:
    """How well faces can be seen, in the median."""

    size: float  # px, the longer side of a box
    detail: float | None  # `align.detail`; None where it was not measured

    def is_small(self, rule: Rule) -> bool:
        return rule.smallest_face is not None and self.size < rule.smallest_face

    def is_blurred(self, rule: Rule) -> bool:
        if self.detail is None or rule.least_detail is None:
            return False
        return self.detail < rule.least_detail


def _look(faces: Sequence[FaceScore]) -> _Look:
    details = [face.detail for face in faces if face.detail is not None]
    size = float(np.median([face.face.side for face in faces]))
    return _Look(size, float(np.median(details)) if details else None)


def _by_look(
    judged: Sequence[Person], looks: Mapping[int, _Look], rule: Rule
) -> tuple[list[Person], list[Person]]:
    """Those who decide, and the rest: whose faces are too small or too blurred for the model.

    Where it can judge nobody's, the largest of the sharp ones decide, or of all.
    """
    sharp = [person for person in judged if not looks[person.id].is_blurred(rule)] or judged
    deciding = [person for person in sharp if not looks[person.id].is_small(rule)]
    if not deciding:
        largest = max((looks[person.id].size for person in sharp), default=0.0)
        deciding = [
            person for person in sharp if looks[person.id].size >= LIKE_THE_LARGEST * largest
        ]
    return deciding, [person for person in judged if person not in deciding]


def _beside(
    rivals: Sequence[Person], others: Sequence[Person], looks: Mapping[int, _Look], rule: Rule
) -> tuple[Label, str]:
    """What those who cannot be judged make of a video that is real otherwise, and why.

    Blur says nothing of a face, and people who are blurred and smaller stand behind: a portrait
    with a soft background stays real. Others who look faked leave it uncertain.
    """
    faked = [person for person in others if label_at(person.fake_probability, rule)[0] == "fake"]
    if not faked:
        return "real", ""
    suspects = _before(rivals, faked, looks, rule)
    worst = max(suspects or faked, key=lambda person: person.fake_probability)
    look = looks[worst.id]
    fault = "are too blurred" if look.is_blurred(rule) else f"of {look.size:.0f} px are too small"
    said = (
        f"person {worst.id}, whose faces {fault} for this model, scored "
        f"{worst.fake_probability:.2f}"
    )
    if suspects:
        return "uncertain", f", but {said}"
    return "real", f"; {said}, which does not count"


def _before(
    rivals: Sequence[Person], others: Sequence[Person], looks: Mapping[int, _Look], rule: Rule
) -> list[Person]:
    """The others without those who stand blurred behind the ones who decide."""
    front = LIKE_THE_LARGEST * max(looks[person.id].size for person in rivals)
    return [
        person
        for person in others
        if not looks[person.id].is_blurred(rule) or looks[person.id].size >= front
    ]


def _sharp(scores: Sequence[FaceScore], rule: Rule) -> list[FaceScore]:
    """The faces of people that are not too blurred."""
    return [
        face
        for _, faces in _by_person(scores)
        if not _look(faces).is_blurred(rule)
        for face in faces
    ]


def label_at(probability: float, rule: Rule, members: Sequence[float] = ()) -> tuple[Label, str]:
    """The label of a probability, and in words where it lies.

    `members` is what each model of a panel says, where it is known.
    """
    if rule.band is not None and rule.band[0] <= probability <= rule.band[1]:
        low, high = rule.band
        return "uncertain", f"between {low:.2f} and {high:.2f}, where this model cannot tell"
    if probability >= rule.threshold:
        where = f"at or above the threshold of {rule.threshold:.2f}"
        if why := _dissent(members, rule):
            return "uncertain", f"{where}, {why}"
        return "fake", where
    if rule.band is not None and probability < rule.band[0]:
        return "real", f"below {rule.band[0]:.2f}, from where on this model cannot tell"
    return "real", f"below the threshold of {rule.threshold:.2f}"


def aggregate(values: Sequence[float], name: str) -> float:
    """One number for a person's frame scores, within their range.

    `name` is a key of AGGREGATES; `values` is not empty.
    """
    array = np.asarray(values, dtype=np.float64)
    # summation may round past the largest value
    return float(np.clip(AGGREGATES[name](array), array.min(), array.max()))


def _top_third(values: np.ndarray) -> float:
    count = -(-len(values) // 3)  # rounded up: at least one
    return float(np.sort(values)[-count:].mean())


def _trimmed_mean(values: np.ndarray) -> float:
    cut = len(values) // 10
    return float(np.sort(values)[cut : len(values) - cut].mean())


AGGREGATES: dict[str, Callable[[np.ndarray], float]] = {
    "mean": lambda values: float(values.mean()),
    "median": lambda values: float(np.median(values)),
    "trimmed_mean": _trimmed_mean,  # without the highest and the lowest tenth
    "top_third": _top_third,  # mean of the highest third
    "max": lambda values: float(values.max()),
}


def _people(scores: Sequence[FaceScore], rule: Rule) -> tuple[Person, ...]:
    people = []
    for id_, faces in _by_person(scores):
        probability = aggregate([face.fake_probability for face in faces], rule.aggregate)
        times = faces[0].time, faces[-1].time
        people.append(Person(id_, probability, len(faces), *times, _of_members(faces, rule)))
    return tuple(people)


def _segments(scores: Sequence[FaceScore], rule: Rule) -> tuple[Segment, ...]:
    """Runs of MIN_RUN and more successive samples of one person at or above the threshold.

    The worst comes first.
    """
    segments = []
    for id_, faces in _by_person(scores):
        for suspicious, run in groupby(
            faces, key=lambda face: face.fake_probability >= rule.threshold
        ):
            members = list(run)
            if suspicious and len(members) >= MIN_RUN:
                mean = aggregate([face.fake_probability for face in members], "mean")
                segments.append(Segment(members[0].time, members[-1].time, id_, mean))
    return tuple(sorted(segments, key=lambda segment: (-segment.fake_probability, segment.start)))


def _by_person(scores: Sequence[FaceScore]) -> list[tuple[int, list[FaceScore]]]:
    """Each person's scores in order of time; people by id."""
    ordered = sorted(scores, key=lambda score: (score.person, score.index))
    return [(id_, list(group)) for id_, group in groupby(ordered, key=lambda score: score.person)]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
