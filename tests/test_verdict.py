"""Scores become verdicts by the rules of the design."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesovid.models.card import ModelCard
from mesovid.records import Face, FaceScore, Verdict
from mesovid.verdict import AGGREGATES, Rule, Voice, aggregate, distrusted, judge, why_distrusted

RULE = Rule(threshold=0.5, band=(0.4, 0.6))
FACE = Face((0, 0, 50, 50), 0.99, np.zeros((5, 2), np.float32))
PROBABILITIES = st.lists(st.floats(0, 1), min_size=1, max_size=60)


def scores(*probabilities: float, person: int = 0) -> list[FaceScore]:
    return [
        FaceScore(index * 10, index / 3, FACE, person, value)
        for index, value in enumerate(probabilities)
    ]


@pytest.mark.parametrize(
    ("values", "label"),
    [((0.9, 0.8, 1.0), "fake"), ((0.1, 0.2, 0.0), "real"), ((0.5, 0.5, 0.5), "uncertain")],
)
def test_one_person_is_judged_by_the_mean(values: tuple[float, ...], label: str) -> None:
    verdict = judge(scores(*values), RULE).verdict
    assert (verdict.status, verdict.label) == ("ok", label)
    assert verdict.fake_probability == pytest.approx(np.mean(values))


def test_frames_that_cannot_be_relied_on_are_uncertain() -> None:
    sure = judge(scores(0.9, 0.9, 0.9), RULE).verdict
    verdict = distrusted(sure, "its colours are stored strangely")
    assert (verdict.status, verdict.label, verdict.fake_probability) == (
        "ok",
        "uncertain",
        sure.fake_probability,
    )
    assert verdict.reason == "its colours are stored strangely, so that its score means little"
    none = judge([], RULE).verdict
    assert distrusted(none, "its colours are stored strangely") == none


SEES = replace(RULE, finds="swaps", clears_below=0.5)
SIGN = "No sign of swaps: such faces seldom score so low."


def sized(faces: list[FaceScore], side: float, detail: float | None = None) -> list[FaceScore]:
    face = Face((0, 0, side, side), 0.99, np.zeros((5, 2), np.float32))
    return [replace(each, face=face, detail=detail) for each in faces]


@pytest.mark.parametrize(
    ("value", "label", "cleared"),
    [
        (0.1, "real", ("swaps",)),
        (0.45, "uncertain", ("swaps",)),
        (0.5, "uncertain", ()),
        (0.9, "fake", ()),
    ],
)
def test_a_low_score_is_no_sign_of_what_the_model_sees(
    value: float, label: str, cleared: tuple[str, ...]
) -> None:
    verdict = judge(scores(*[value] * 3), SEES).verdict
    assert (verdict.label, verdict.cleared) == (label, cleared)
    assert (SIGN in verdict.reason) == (label == "uncertain" and bool(cleared))
    assert judge(scores(*[value] * 3), RULE).verdict.cleared == ()
    assert distrusted(verdict, "its frames are damaged").cleared == ()


def test_who_cannot_be_judged_is_not_cleared() -> None:
    small = replace(SEES, smallest_face=60.0, least_detail=0.15)
    low, high = scores(*[0.45] * 4), scores(*[0.7] * 4, person=1)
    assert judge(low, small).verdict.cleared == ()  # 50 px
    assert judge(sized(low, 80), small).verdict.cleared == ("swaps",)
    assert judge(sized(low, 80, 0.1), small).verdict.cleared == ()  # blurred
    # a small one beside a large one has no say, and may be what is faked
    assert judge(sized(low, 80) + sized(high, 40), small).verdict.cleared == ()
    # unless it stands blurred behind
    assert judge(sized(low, 80) + sized(high, 40, 0.1), small).verdict.cleared == ("swaps",)
    # faces that nobody could follow are several people's
    apart = [replace(score, person=index) for index, score in enumerate(sized(low, 80))]
    verdict = judge(apart, small).verdict
    assert (verdict.label, verdict.cleared) == ("uncertain", ())


def test_a_suspicious_moment_is_a_sign() -> None:
    quiet = [0.3] * 10 + [0.9] + [0.3] * 4  # a single frame is chance
    assert judge(scores(*quiet), replace(SEES, band=(0.2, 0.6))).verdict.cleared == ("swaps",)
    moment = [0.3] * 10 + [0.9] * 2 + [0.3] * 4
    verdict = judge(scores(*moment), replace(SEES, band=(0.2, 0.6))).verdict
    assert (verdict.label, verdict.cleared) == ("uncertain", ())
    assert "No sign" not in verdict.reason


def test_everybody_must_be_cleared_by_each_model() -> None:
    voices = (
        Voice("a", finds="swaps", clears_below=0.45),
        Voice("b", finds="avatars", clears_below=0.45),
        Voice("c", decides=False, finds="noise"),
    )
    rule = replace(RULE, members=voices)

    def said(person: int, *values: float) -> list[FaceScore]:
        return [replace(s, members=values) for s in scores(*[max(values[:2])] * 3, person=person)]

    assert judge(said(0, 0.44, 0.1, 0.1), rule).verdict.cleared == ("swaps", "avatars")
    assert judge(said(0, 0.46, 0.1, 0.1), rule).verdict.cleared == ("avatars",)
    both = said(0, 0.46, 0.1, 0.1) + said(1, 0.1, 0.45, 0.1)
    assert judge(both, rule).verdict.cleared == ()
    reason = judge(said(0, 0.44, 0.1, 0.1), rule).verdict.reason
    assert "No sign of swaps or avatars: such faces seldom score so low. Of its models" in reason


def test_a_threshold_of_ones_own_clears_nobody() -> None:
    card = ModelCard(
        name="m", architecture="meso4", uncertain=(0.1, 0.5), finds="swaps", clears_below=0.3
    )
    assert judge(scores(0.2, 0.2, 0.2), Rule.of(card)).verdict.cleared == ("swaps",)
    assert judge(scores(0.2, 0.2, 0.2), Rule.of(card, 0.5)).verdict.cleared == ()


def test_one_fake_among_real_people_is_not_diluted() -> None:
    found = (
        scores(*[0.1] * 20, person=0)
        + scores(*[0.2] * 20, person=1)
        + scores(*[0.95] * 5, person=2)
    )
    judgement = judge(found, RULE)
    assert judgement.verdict.label == "fake"
    assert judgement.verdict.fake_probability == pytest.approx(0.95)
    assert [person.faces for person in judgement.people] == [20, 20, 5]
    assert "person 2" in judgement.verdict.reason


def test_a_person_with_too_few_faces_has_no_say() -> None:
    judgement = judge(scores(*[0.1] * 9) + scores(0.99, 0.99, person=1), RULE)
    assert judgement.verdict.label == "real"
    assert len(judgement.people) == 2


def test_faces_that_nobody_could_link_are_judged_as_one() -> None:
    found = [replace(score, person=index) for index, score in enumerate(scores(*[0.9] * 12))]
    verdict = judge(found, RULE).verdict
    assert verdict.label == "fake"
    assert "could not be followed" in verdict.reason


def test_no_faces_is_no_verdict() -> None:
    judgement = judge([], RULE)
    assert judgement.verdict.status == "no_face"
    assert judgement.verdict.label is None
    assert judgement.verdict.fake_probability is None


def test_too_few_faces_is_no_verdict() -> None:
    verdict = judge(scores(0.9, 0.9), RULE).verdict
    assert (verdict.status, verdict.label, verdict.fake_probability) == (
        "too_few_faces",
        None,
        None,
    )
    assert "2 faces" in verdict.reason
    assert "3" in verdict.reason


@pytest.mark.parametrize(
    ("value", "label"), [(0.4, "uncertain"), (0.6, "uncertain"), (0.39, "real"), (0.61, "fake")]
)
def test_the_band_holds_both_its_ends(value: float, label: str) -> None:
    assert judge(scores(*[value] * 4), RULE).verdict.label == label


def test_without_a_band_the_threshold_decides() -> None:
    assert judge(scores(*[0.5] * 4), replace(RULE, band=None)).verdict.label == "fake"


def test_segments_are_runs_of_suspicious_samples_worst_first() -> None:
    judgement = judge(scores(0.1, 0.7, 0.7, 0.1, 0.9, 0.1, 0.9, 0.95, 0.9), RULE)
    assert [(round(s.start * 3), round(s.end * 3)) for s in judgement.segments] == [(6, 8), (1, 2)]
    assert judgement.segments[0].fake_probability == pytest.approx(np.mean([0.9, 0.95, 0.9]))


@pytest.mark.parametrize("name", AGGREGATES)
@given(values=PROBABILITIES)
def test_an_aggregate_lies_between_its_values(name: str, values: list[float]) -> None:
    assert min(values) <= aggregate(values, name) <= max(values)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("mean", 0.5), ("median", 0.55), ("trimmed_mean", 0.5), ("top_third", 0.925), ("max", 1.0)],
)
def test_aggregates(name: str, expected: float) -> None:
    values = [0.0, 0.1, 0.2, 0.3, 0.5, 0.6, 0.6, 0.8, 0.9, 1.0]
    assert aggregate(values, name) == pytest.approx(
        expected if name != "top_third" else np.mean([0.6, 0.8, 0.9, 1.0])
    )


@given(values=st.lists(st.floats(0, 1), min_size=3, max_size=40))
def test_with_one_person_the_verdict_is_the_plain_average(values: list[float]) -> None:
    assert judge(scores(*values), RULE).verdict.fake_probability == pytest.approx(np.mean(values))


def test_faces_smaller_than_the_learned_ones_are_uncertain_at_most() -> None:
    rule = Rule(0.7, (0.4, 0.7), smallest_face=100)  # faces here have 50 px
    for value in (0.05, 0.99):
        verdict = judge(scores(value, value, value), rule).verdict
        assert (verdict.label, verdict.fake_probability) == ("uncertain", pytest.approx(value))
        assert "of 50 px they are smaller than the 100 px" in verdict.reason
    assert judge(scores(0.99, 0.99, 0.99), Rule(0.7, None)).verdict.label == "fake"


@pytest.mark.parametrize(
    ("small", "large", "label", "probability"),
    [
        (0.99, 0.1, "uncertain", 0.1),
        (0.6, 0.1, "real", 0.1),
        (0.99, 0.9, "fake", 0.9),
        (0.1, 0.9, "fake", 0.9),
    ],
)
def test_small_faces_decide_nothing_beside_large_ones(
    small: float, large: float, label: str, probability: float
) -> None:
    face = replace(FACE, box=(0, 0, 200, 200))
    big = [replace(score, face=face) for score in scores(large, large, large, person=1)]
    verdict = judge(
        [*scores(small, small, small), *big], Rule(0.7, (0.4, 0.7), smallest_face=100)
    ).verdict
    assert (verdict.label, verdict.fake_probability) == (label, pytest.approx(probability))
    told = (
        "person 0, whose faces of 50 px are too small for this model, scored 0.99" in verdict.reason
    )
    assert told == (label == "uncertain")


@pytest.mark.parametrize(("length", "probability"), [(45, 0.95), (25, 0.2)])
def test_where_all_faces_are_small_those_like_the_largest_decide(
    length: int, probability: float
) -> None:
    face = replace(FACE, box=(0, 0, length, length))  # the others have 50 px
    other = [replace(score, face=face) for score in scores(*[0.95] * 3, person=1)]
    verdict = judge(
        [*scores(0.2, 0.2, 0.2), *other], Rule(0.7, (0.4, 0.7), smallest_face=100)
    ).verdict
    assert (verdict.label, verdict.fake_probability) == ("uncertain", pytest.approx(probability))
    assert "smaller than the 100 px" in verdict.reason


def seen(
    *probabilities: float, person: int = 0, size: float = 200, detail: float | None = 0.3
) -> list[FaceScore]:
    """Scores of a person whose faces are so large, px, and so sharp."""
    face = replace(FACE, box=(0, 0, size, size))
    return [
        replace(score, face=face, detail=detail) for score in scores(*probabilities, person=person)
    ]


SEEING = Rule(0.7, (0.4, 0.7), smallest_face=100, least_detail=0.15)


@pytest.mark.parametrize(
    ("behind", "label"),
    [
        ({"size": 120, "detail": 0.1}, "real"),
        ({"size": 60, "detail": 0.1}, "real"),
        ({"size": 180, "detail": 0.1}, "uncertain"),
        ({"size": 60, "detail": 0.3}, "uncertain"),
        ({"size": 60, "detail": None}, "uncertain"),
        ({"size": 120, "detail": 0.3}, "fake"),
        ({"size": 120, "detail": None}, "fake"),
    ],
    ids=[
        "blurred",
        "blurred and small",
        "blurred in front",
        "small",
        "small, unknown",
        "sharp",
        "unknown",
    ],
)
def test_blurred_people_behind_a_sharp_one_decide_nothing(
    behind: dict[str, float], label: str
) -> None:
    found = seen(0.1, 0.1, 0.1) + seen(0.99, 0.99, 0.99, person=1, **behind)
    judgement = judge(found, SEEING)
    assert judgement.verdict.label == label
    assert judgement.verdict.fake_probability == pytest.approx(0.99 if label == "fake" else 0.1)
    told = "person 1, whose faces are too blurred for this model, scored 0.99"
    assert (told in judgement.verdict.reason) == (behind["detail"] == 0.1)
    assert ("which does not count" in judgement.verdict.reason) == (label == "real")
    assert bool(judgement.segments) == (behind["detail"] != 0.1)
    assert len(judgement.people) == 2


@pytest.mark.parametrize("probability", [0.05, 0.99])
def test_where_all_are_blurred_nothing_is_certain(probability: float) -> None:
    verdict = judge(seen(*[probability] * 4, detail=0.1), SEEING).verdict
    assert (verdict.label, verdict.fake_probability) == ("uncertain", pytest.approx(probability))
    assert "too blurred for this model to judge" in verdict.reason
    assert (
        judge(seen(*[0.99] * 4, detail=0.1), replace(SEEING, least_detail=None)).verdict.label
        == "fake"
    )


def test_the_sharp_one_decides_among_people_too_small_to_judge() -> None:
    found = seen(0.2, 0.2, 0.2, size=40) + seen(0.99, 0.99, 0.99, person=1, size=45, detail=0.1)
    verdict = judge(found, SEEING).verdict
    assert (verdict.label, verdict.fake_probability) == ("uncertain", pytest.approx(0.2))


def test_a_blurred_moment_does_not_blur_a_person() -> None:
    found = seen(0.99, 0.99, 0.99) + [
        replace(score, index=99) for score in seen(0.99, 0.99, detail=0.05)
    ]
    assert judge(found, SEEING).verdict.label == "fake"


def test_a_doubt_is_known_again_from_the_verdict() -> None:
    sound = Verdict("fake", 0.9, "ok", "The 8 faces scored P(fake) 0.90 on average.")
    assert why_distrusted(sound) is None
    found = distrusted(sound, "Its colours cannot be converted")
    assert (found.label, why_distrusted(found)) == ("uncertain", "Its colours cannot be converted")
