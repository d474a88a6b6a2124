"""Calibration recovers what was distorted, and the threshold keeps the false alarms it promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesovid.evaluation.calibrate import MISSES, decide, fit_calibration
from mesovid.evaluation.metrics import Scores
from mesovid.models.card import logit
from mesovid.models.inputs import sigmoid
from mesovid.settings import FALSE_ALARMS


def videos(
    count: int, *, scale: float = 1.0, shift: float = 0.0, faces: int = 4, seed: int = 0
) -> Scores:
    """Videos whose faces have one true P(fake) each; the scores are that, distorted."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.02, 0.98, count)
    fake = rng.random(count) < truth
    raw = sigmoid((logit(truth) - shift) / scale)
    names = [f"v{number}" for number in range(count)]
    return Scores.of(np.repeat(fake, faces), np.repeat(raw, faces), np.repeat(names, faces))


def test_platt_recovers_scale_and_shift() -> None:
    found = fit_calibration(videos(4000, scale=2.0, shift=-1.0))
    assert found.scale == pytest.approx(2.0, rel=0.1)
    assert found.shift == pytest.approx(-1.0, abs=0.15)


def test_more_fakes_than_reals_do_not_move_it() -> None:
    scores = videos(4000, scale=2.0, shift=-1.0)
    reals = np.flatnonzero(~scores.fake)
    some = np.union1d(np.flatnonzero(scores.fake), reals[: len(reals) // 8])
    found = fit_calibration(scores.select(some))
    assert found.scale == pytest.approx(2.0, rel=0.2)
    assert found.shift == pytest.approx(-1.0, abs=0.4)


def test_separable_scores_do_not_become_certain() -> None:
    fake = np.arange(20) < 10
    scores = Scores.of(fake, np.where(fake, 0.99, 0.01), [f"v{number}" for number in range(20)])
    calibrated = fit_calibration(scores)(scores.probability)
    assert 0.8 < calibrated[fake].min() < 0.99
    assert 0.01 < calibrated[~fake].max() < 0.2


def test_one_class_is_left_uncalibrated() -> None:
    found = fit_calibration(Scores.of([True, True], [0.2, 0.3], ["a", "b"]))
    assert (found.method, found.scale, found.shift) == ("none", 1.0, 0.0)


@settings(max_examples=30, deadline=None)
@given(st.integers(5, 200), st.integers(0, 10_000), st.sampled_from([0.0, 0.05, 0.2]))
def test_no_more_reals_than_promised_lie_above_the_threshold(
    count: int, seed: int, share: float
) -> None:
    scores = videos(count, seed=seed, scale=1.5)
    if scores.fake.all() or not scores.fake.any():
        return
    decision = decide(scores, share)
    probability = decision.calibration(scores.probability)
    judged = scores.with_probability(probability).per_video()
    reals, fakes = judged.probability[~judged.fake], judged.probability[judged.fake]
    assert decision.threshold >= 0.5
    assert (reals > decision.threshold).mean() <= share
    low = decision.uncertain[0] if decision.uncertain else decision.threshold
    assert low <= decision.threshold
    assert (fakes < low).mean() <= MISSES


def test_a_good_model_has_its_threshold_at_one_half_and_no_band() -> None:
    fake = np.arange(60) < 30
    probability = np.where(fake, 0.9, 0.1)
    names = [f"v{number}" for number in range(60)]
    decision = decide(Scores.of(fake, probability, names), FALSE_ALARMS)
    assert decision.threshold == 0.5
    assert decision.uncertain is None


def test_the_rule_is_said_in_words_and_numbers() -> None:
    decision = decide(videos(400), FALSE_ALARMS)
    assert "validation videos: at most 5% of the real ones lie above the threshold" in decision.rule
    assert decision.uncertain is not None
    assert decision.uncertain[1] == decision.threshold
    strict = decide(videos(400), 0.005)
    assert "at most 0.5% of the real ones" in strict.rule


def test_varied_faces_calibrate_and_plain_ones_set_the_threshold() -> None:
    """Faces that are harder to tell apart when varied make probabilities less sure.

    Who is called fake stays as it was.
    """
    plain, varied = videos(400, scale=2.0, seed=3), videos(400, scale=0.7, seed=3)
    as_they_are, decided = decide(plain, FALSE_ALARMS), decide(plain, FALSE_ALARMS, None, varied)
    assert decided.calibration == fit_calibration(varied)
    assert decided.calibration.scale < as_they_are.calibration.scale
    assert decided.rule.endswith("calibrated on their faces varied as in training")
    judged = [
        plain.with_probability(each.calibration(plain.probability)).per_video().probability
        > each.threshold
        for each in (as_they_are, decided)
    ]
    assert np.array_equal(*judged)
    assert judged[0][~plain.per_video().fake].mean() <= FALSE_ALARMS
    assert judged[1][~plain.per_video().fake].mean() <= FALSE_ALARMS


def test_a_small_dataset_keeps_its_own_false_alarms() -> None:
    """1,000 quiet reals of one set do not hide that half of another's 40 would be called fake."""
    rng = np.random.default_rng(0)
    reals = np.concatenate([rng.uniform(0.05, 0.3, 1000), rng.uniform(0.3, 0.9, 40)])
    fakes = rng.uniform(0.6, 0.95, 200)
    names = [f"v{number}" for number in range(1240)]
    scores = Scores.of(np.arange(1240) >= 1040, np.concatenate([reals, fakes]), names)
    home = np.array(["large"] * 1000 + ["small"] * 40 + ["large"] * 200)
    together, each = decide(scores, FALSE_ALARMS), decide(scores, FALSE_ALARMS, home)
    small = each.calibration(reals[1000:])
    assert np.mean(small > each.threshold) <= FALSE_ALARMS < np.mean(small > together.threshold)
    assert "each of 2 datasets" in each.rule


def test_a_dataset_too_small_to_tell_has_no_say() -> None:
    scores = Scores.of(
        [False] * 60 + [True] * 60,
        [0.2] * 50 + [0.99] * 3 + [0.2] * 7 + [0.9] * 60,
        [f"v{i}" for i in range(120)],
    )
    home = np.array(["large"] * 50 + ["tiny"] * 3 + ["large"] * 67)
    assert decide(scores, FALSE_ALARMS, home).threshold == decide(scores, FALSE_ALARMS).threshold
