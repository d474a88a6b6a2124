"""Counts how often the 95 % intervals of `mesovid evaluate` hold the truth, in a simulation.

    python benchmarks/bootstrap.py [TRIALS]

Binormal scores: reals around -d/2, fakes around +d/2, unit variance, eight noisy frames a video.
AUC and accuracy of such videos are known in closed form. Prints a markdown table.
"""

from __future__ import annotations

import sys
from statistics import NormalDist

import numpy as np

from mesovid.evaluation.metrics import Scores, measure

FRAMES = 8
NOISE = 0.5  # standard deviation of a frame around its video, in units of the videos' own
SETS = ((12, 12), (12, 47), (50, 50), (500, 500))  # reals, fakes


def main(trials: int = 500) -> None:
    print(
        f"| reals | fakes | true AUC | covered | true accuracy | covered |  ({trials} trials, "
        "1000 resamples)"
    )
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for reals, fakes in SETS:
        for distance in (0.5, 1.5, 3.0):
            report(reals, fakes, distance, trials)


def report(reals: int, fakes: int, distance: float, trials: int) -> None:
    """Print one row: the share of `trials` whose interval holds the truth."""
    deviation = np.hypot(1, NOISE / FRAMES**0.5)  # of a video's mean
    truth = {
        "auc": NormalDist().cdf(distance / deviation / 2**0.5),
        "accuracy": NormalDist().cdf(distance / deviation / 2),
    }
    covered = dict.fromkeys(truth, 0)
    rng = np.random.default_rng(reals + fakes + int(10 * distance))
    fake = np.arange(reals + fakes) >= reals
    for trial in range(trials):
        raw = rng.normal(fake * distance - distance / 2, deviation)
        found = measure(Scores.of(fake, 1 / (1 + np.exp(-raw))), 0.5, resamples=1000, seed=trial)
        for name, value in truth.items():
            estimate = getattr(found, name)
            covered[name] += estimate.low <= value <= estimate.high
    cells = " | ".join(f"{truth[name]:.3f} | {covered[name] / trials:.1%}" for name in truth)
    print(f"| {reals} | {fakes} | {cells} |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
