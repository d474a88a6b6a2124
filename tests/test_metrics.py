"""The figures agree with scikit-learn, also on resamples.

The intervals hold what they promise.
"""

from __future__ import annotations

import dataclasses
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from mesovid.evaluation import metrics
from mesovid.evaluation.evaluate import _not_to_clear, _verdict_rates
from mesovid.evaluation.metrics import FIGURES, Scores
from mesovid.records import Face, FaceScore
from mesovid.verdict import Rule, judge


def random_scores(seed: int, count: int = 80, ties: bool = False) -> Scores:
    rng = np.random.default_rng(seed)
    fake = rng.random(count) < 0.4
    fake[:2] = [True, False]
    probability = np.clip(rng.normal(0.4 + 0.2 * fake, 0.3), 0, 1)
    return Scores.of(fake, probability.round(1) if ties else probability)


@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
@pytest.mark.parametrize("seed", range(5))
def test_figures_agree_with_scikit_learn(seed: int, ties: bool) -> None:
    scores = random_scores(seed, ties=ties)
    fake, p = scores.fake, scores.probability
    called = p >= 0.45
    found = metrics.measure(scores, 0.45, resamples=20)
    expected = {
        "auc": sk.roc_auc_score(fake, p),
        "average_precision": sk.average_precision_score(fake, p),
        "log_loss": sk.log_loss(fake, p),
        "brier": sk.brier_score_loss(fake, p),
        "accuracy": sk.accuracy_score(fake, called),
        "precision": sk.precision_score(fake, called),
        "recall": sk.recall_score(fake, called),
        "f1": sk.f1_score(fake, called),
        "false_alarms": 1 - sk.recall_score(fake, called, pos_label=False),
    }
    for name, value in expected.items():
        assert getattr(found, name).value == pytest.approx(value), name
    assert (found.fakes, found.reals) == (fake.sum(), (~fake).sum())


@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
def test_a_resample_scores_as_scikit_learn_weights_it(ties: bool) -> None:
    scores = random_scores(7, ties=ties)
    fake, p = scores.fake, scores.probability
    (weights,) = metrics._weights(fake, scores.video, 30, seed=3)
    found = dict(zip(FIGURES, metrics._resampled(fake, p, 0.45, weights).T, strict=True))
    for row, weight in enumerate(weights):
        called = p >= 0.45
        rows = np.repeat(np.arange(len(p)), weight.astype(int))
        expected = {
            "auc": sk.roc_auc_score(fake, p, sample_weight=weight),
            "average_precision": sk.average_precision_score(fake, p, sample_weight=weight),
            "log_loss": sk.log_loss(fake, p, sample_weight=weight),
            "brier": sk.brier_score_loss(fake, p, sample_weight=weight),
            "accuracy": sk.accuracy_score(fake, called, sample_weight=weight),
            "precision": sk.precision_score(fake, called, sample_weight=weight),
            "recall": sk.recall_score(fake, called, sample_weight=weight),
            "f1": sk.f1_score(fake, called, sample_weight=weight),
            # written here for want of one in scikit-learn, so against the unweighted form on the
            # drawn rows
            "eer": metrics.equal_error(fake[rows], p[rows])[0],
            "calibration_error": metrics.calibration_error(fake[rows], p[rows]),
            "false_alarms": called[rows][~fake[rows]].mean(),
        }
        assert set(expected) == set(FIGURES)
        for name, value in expected.items():
            assert found[name][row] == pytest.approx(value), name


@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
@settings(max_examples=50, deadline=None)
def test_turning_the_scores_round_turns_the_auc_round(seed: int, count: int) -> None:
    scores = random_scores(seed, count)
    area = metrics.auc(scores.fake, scores.probability)
    assert area is not None
    assert metrics.auc(scores.fake, 1 - scores.probability) == pytest.approx(1 - area)


@pytest.mark.parametrize(
    ("fake", "probability", "rate"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], 0.0),
        ([0, 0, 1, 1], [0.8, 0.9, 0.1, 0.2], 1.0),
        ([0, 0, 1, 1], [0.1, 0.7, 0.6, 0.9], 0.5),
        ([0, 1], [0.5, 0.5], 0.5),
    ],
    ids=["apart", "upside_down", "one_swapped", "tied"],
)
def test_equal_error_rate_of_small_cases(
    fake: list[int], probability: list[float], rate: float
) -> None:
    assert metrics.equal_error(np.array(fake, bool), np.array(probability))[0] == pytest.approx(
        rate
    )


def test_calibration_error_weighs_bins_and_classes() -> None:
    # the one fake weighs 1/2, the three reals 1/6 each. Bin 2 at .25: weight 5/6, share of fakes
    # .6; bin 9 at 1: a real, 1/6
    fake, p = np.array([True, False, False, False]), np.array([0.25, 0.25, 0.25, 1.0])
    share, mean, weight = metrics.reliability(fake, p)
    assert share == pytest.approx([0.6, 0.0])
    assert mean == pytest.approx([0.25, 1.0])
    assert weight == pytest.approx([5 / 6, 1 / 6])
    assert metrics.calibration_error(fake, p) == pytest.approx(5 / 6 * (0.6 - 0.25) + 1 / 6 * 1.0)


def test_calibration_error_does_not_depend_on_how_many_fakes_there_are() -> None:
    scores = random_scores(2)
    more = scores.select(np.concatenate([np.arange(80), np.repeat(np.flatnonzero(scores.fake), 3)]))
    assert metrics.calibration_error(more.fake, more.probability) == pytest.approx(
        metrics.calibration_error(scores.fake, scores.probability)
    )


def test_honest_probabilities_are_calibrated() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(200_000)
    assert metrics.calibration_error(rng.random(200_000) < p, p) < 0.005


def test_one_class_leaves_the_ranking_unknown() -> None:
    found = metrics.measure(Scores.of([False] * 4, [0.1, 0.2, 0.3, 0.9]), 0.5, resamples=50)
    assert (
        found.auc.value
        is found.eer.value
        is found.average_precision.value
        is found.recall.value
        is None
    )
    assert found.auc.low is None
    assert found.false_alarms.value == 0.25
    assert metrics.auc([True, True], [0.1, 0.2]) is None


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(ValueError, match="no scores"):
        metrics.measure(Scores.of([], []), 0.5)


@pytest.mark.parametrize("value", [1.2, -0.1, float("nan")])
def test_a_probability_out_of_range_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        Scores.of([True, False], [0.5, value])


def test_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="2 labels but columns of 3 rows"):
        Scores.of([True, False], [0.1, 0.2, 0.3])


def test_a_video_takes_its_most_suspicious_person() -> None:
    scores = Scores.of(
        [True] * 6 + [False] * 3,
        [0.1, 0.2, 0.3, 0.8, 0.9, 1.0, 0.3, 0.4, 0.5],
        ["b"] * 6 + ["a"] * 3,
        person=[0, 0, 0, 1, 1, 1, 0, 0, 0],
    )
    videos = scores.per_video()
    assert list(videos.video) == ["a", "b"]
    assert videos.probability == pytest.approx([0.4, 0.9])
    assert list(videos.fake) == [False, True]


def test_a_stray_detection_does_not_judge_a_video() -> None:
    scores = Scores.of([False] * 4, [0.1, 0.1, 0.1, 1.0], ["a"] * 4, person=[0, 0, 0, 1])
    assert scores.per_video().probability == pytest.approx([0.1])
    each_counts = dataclasses.replace(scores, min_faces=np.ones(4, np.int64))
    assert each_counts.per_video().probability == pytest.approx([1.0])
    nobody_has_three = scores.select(np.array([2, 3]))
    assert nobody_has_three.per_video().probability == pytest.approx([0.55])
    assert [list(each.too_few()) for each in (scores, nobody_has_three)] == [[False], [True]]


def test_pictures_beside_videos_need_one_face() -> None:
    scores = Scores.of(
        [False] * 5,
        [0.1, 0.9, 0.1, 0.1, 0.7],
        ["picture", "picture", "video", "video", "video"],
        person=[0, 1, 0, 0, 1],
        min_faces=[1, 1, 3, 3, 3],
    )
    assert scores.per_video().probability == pytest.approx([0.9, 0.3])
    assert list(scores.too_few()) == [False, False]


def test_videos_of_one_name_in_two_folders_stay_apart() -> None:
    fake, p = [True, True, False, False], [0.9, 0.8, 0.1, 0.2]
    videos = Scores.of(fake, p, ["df/000", "df/000", "real/000", "real/000"]).per_video()
    assert videos.probability == pytest.approx([0.85, 0.15])
    assert metrics.video_auc(fake, p, ["df/000", "df/000", "real/000", "real/000"]) == 1.0


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 2), st.floats(0, 1)), min_size=1, max_size=30
    )
)
def test_a_video_lies_between_its_faces(rows: list[tuple[int, int, float]]) -> None:
    names = [str(video) for video, _, _ in rows]
    p = np.array([value for _, _, value in rows])
    scores = Scores.of([True] * len(rows), p, names, person=[person for _, person, _ in rows])
    for name, value in zip(scores.per_video().video, scores.per_video().probability, strict=True):
        inside = p[np.array(names) == name]
        assert inside.min() - 1e-12 <= value <= inside.max() + 1e-12


def test_each_method_is_measured_against_all_reals() -> None:
    scores = Scores.of(
        [0, 0, 1, 1, 1], [0.1, 0.6, 0.5, 0.9, 0.8], method=["", "", "f2f", "df", "df"]
    )
    found = {
        name: metrics.auc(part.fake, part.probability) for name, part in metrics.by_method(scores)
    }
    assert found == {"df": 1.0, "f2f": 0.5}


def test_the_bootstrap_is_seeded_and_keeps_both_classes() -> None:
    scores = Scores.of([True] + [False] * 30, [0.6, *np.linspace(0, 1, 30)])
    one, again, other = (
        metrics.resample(scores, 0.5, resamples=300, seed=seed) for seed in (1, 1, 2)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert not np.isnan(one[:, FIGURES.index("auc")]).any()


def test_blocks_do_not_change_the_bootstrap_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_BLOCK", 500)
    assert metrics.resample(random_scores(0), 0.5, resamples=101).shape == (101, len(FIGURES))


def test_crops_of_one_video_widen_the_interval() -> None:
    base = random_scores(5, 60)
    # sixteen equal crops a video know no more than one
    copies = base.select(np.repeat(np.arange(60), 16))
    alone = metrics.measure(base, 0.5, resamples=600).auc
    clustered = metrics.measure(copies, 0.5, resamples=600).auc
    apart = metrics.measure(Scores.of(copies.fake, copies.probability), 0.5, resamples=600).auc
    assert clustered.value == pytest.approx(alone.value)
    assert _width(clustered) == pytest.approx(_width(alone), rel=0.2)
    assert _width(apart) < 0.5 * _width(alone)


def test_groups_of_both_classes_are_drawn_whole() -> None:
    fake = np.tile([False, True], 20)
    scores = Scores.of(fake, np.linspace(0, 1, 40), group=[f"id{i // 2}" for i in range(40)])
    (weights,) = metrics._weights(scores.fake, scores.group, 50, seed=0)
    assert np.array_equal(weights[:, 0::2], weights[:, 1::2])
    assert (weights.sum(axis=1) == 40).all()


def test_intervals_cover_the_truth_about_95_times_of_100() -> None:
    """Binormal scores, whose AUC and accuracy are known; `benchmarks/bootstrap.py` looks longer."""
    distance, trials = 1.2, 150
    truth = {"auc": NormalDist().cdf(distance / 2**0.5), "accuracy": NormalDist().cdf(distance / 2)}
    covered = dict.fromkeys(truth, 0)
    rng = np.random.default_rng(11)
    fake = np.arange(120) % 2 == 0
    for trial in range(trials):
        raw = rng.normal(fake * distance - distance / 2)
        found = metrics.measure(
            Scores.of(fake, 1 / (1 + np.exp(-raw))), 0.5, resamples=300, seed=trial
        )
        for name, value in truth.items():
            estimate = getattr(found, name)
            covered[name] += estimate.low <= value <= estimate.high
    for name, count in covered.items():
        assert 0.90 <= count / trials <= 0.99, name


def test_a_model_does_not_differ_from_itself() -> None:
    scores = random_scores(1)
    for found in metrics.compare(scores, scores.probability, resamples=50):
        assert (found.value, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_pairing_sees_a_difference_that_two_intervals_hide() -> None:
    rng = np.random.default_rng(4)
    fake = np.arange(200) % 2 == 0
    hard = rng.normal(size=200)  # what makes a video hard is shared by both models
    better, worse = (1 / (1 + np.exp(-(hard + fake * shift))) for shift in (1.1, 0.9))
    scores = Scores.of(fake, better)
    found = metrics.compare(scores, worse, figures=("auc",), resamples=400)[0]
    alone = metrics.measure(scores, 0.5, resamples=400).auc
    assert found.figure == "auc"
    assert 0 < found.low < found.value < found.high
    assert found.p_value < 0.05
    assert found.value < _width(alone) / 2  # each interval alone would hold the other's value


def test_a_comparison_leaves_out_what_is_unknown() -> None:
    scores = Scores.of([False] * 10, np.linspace(0, 0.9, 10))
    assert [found.figure for found in metrics.compare(scores, scores.probability / 2)] == [
        "accuracy"
    ]


def test_pairs_compare_a_fake_with_its_own_original() -> None:
    scores = Scores.of(
        [0, 0, 1, 1, 1, 1],
        [0.3, 0.6, 0.4, 0.5, 0.6, 0.9],
        ["r1", "r2", "a", "b", "c", "d"],
        original=["", "", "r1", "r2", "r2", "elsewhere"],
    )
    found = metrics.paired(scores, resamples=200)
    assert found is not None
    assert found.count == 3
    assert found.accuracy.value == pytest.approx((1 + 0 + 0.5) / 3)
    assert metrics.paired(scores.select(~scores.fake)) is None


@pytest.mark.parametrize(("hits", "count"), [(0, 1600), (3, 20), (20, 20)])
def test_a_share_never_claims_to_be_certain(hits: int, count: int) -> None:
    found = metrics.fraction(hits, count)
    assert found.value == hits / count
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.high - found.low > 1 / count
    assert metrics.fraction(0, 0).value is None


def test_a_perfect_score_is_not_certain() -> None:
    scores = Scores.of([False] * 10 + [True] * 10, np.linspace(0, 1, 20))
    found = metrics.measure(scores, 0.5, resamples=50)
    for name in ("auc", "accuracy", "recall", "precision"):
        estimate = getattr(found, name)
        assert estimate.value == estimate.high == 1, name
        assert 0.6 < estimate.low < 0.95, name


def test_cases_that_hang_together_count_as_fewer() -> None:
    hits = [True] * 30 + [False] * 10
    alone = metrics.rate(hits, [f"video {i}" for i in range(40)])
    together = metrics.rate(hits, [f"person {i // 10}" for i in range(40)])
    assert alone.value == together.value == 0.75
    assert (alone.low, alone.high) == pytest.approx(
        (metrics.fraction(30, 40).low, metrics.fraction(30, 40).high), abs=0.03
    )
    assert together.low < alone.low - 0.1
    # one person tells little, however often seen
    assert metrics.rate([True] * 9, ["one"] * 9).low < 0.3
    assert metrics.rate([], []).value is None


@given(st.floats(0, 1), st.integers(1, 10_000))
def test_a_share_lies_in_its_interval(p: float, count: int) -> None:
    low, high = metrics._wilson(p, count)
    assert 0 <= low <= p <= high <= 1


def _width(estimate: metrics.Estimate) -> float:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low


@given(
    people=st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=6), min_size=1, max_size=4),
    min_faces=st.integers(1, 4),
)
def test_a_video_gets_the_probability_and_the_label_that_a_scan_gives_it(
    people: list[list[float]], min_faces: int
) -> None:
    """The verdict as `verdict.judge` has it.

    It is the most suspicious person with enough faces, or all faces as one.
    """
    points = np.array([[10, 20], [30, 20], [20, 30], [12, 40], [28, 40]], np.float32)
    face = Face((0, 0, 120, 120), 0.99, points)
    rows = [(person, value) for person, values in enumerate(people) for value in values]
    scores = [FaceScore(i, i / 25, face, person, value) for i, (person, value) in enumerate(rows)]
    rule = Rule(
        threshold=0.6, band=(0.4, 0.6), min_faces=min_faces, finds="swaps", clears_below=0.5
    )
    judgement = judge(scores, rule)
    verdict = judgement.verdict
    crops = Scores.of(
        [True] * len(rows),
        [value for _, value in rows],
        ["v"] * len(rows),
        person=[person for person, _ in rows],
        min_faces=min_faces,
    )
    videos = crops.per_video()
    (rates,) = _verdict_rates(
        videos, np.zeros((1, 0)), crops.too_few(), _not_to_clear(crops, rule), rule
    )
    if verdict.fake_probability is None:
        assert verdict.status == "too_few_faces"
        assert (verdict.label, rates.no_verdict.value) == (None, 1.0)
        assert rates.called_fake.value == rates.uncertain.value == rates.called_real.value == 0.0
        return
    assert abs(verdict.fake_probability - float(videos.probability[0])) < 1e-12
    assert rates.no_verdict.value == 0.0
    counted = {"fake": rates.called_fake, "uncertain": rates.uncertain, "real": rates.called_real}
    edge = min(abs(verdict.fake_probability - value) for value in (0.4, 0.5, 0.6))
    if edge > 1e-9:
        cleared = verdict.label == "uncertain" and bool(verdict.cleared)
        assert rates.cleared.value == float(cleared)
    if edge > 1e-9:  # both means are sums in another order
        assert {name: share.value for name, share in counted.items()} == {
            name: float(name == verdict.label) for name in counted
        }
