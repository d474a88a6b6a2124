"""What the curves of an evaluation are made of, as numbers: ROC, reliability, and the report by
class."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import metrics as sk

from mesovid.evaluation.metrics import Floats, Scores, reliability

MOST_POINTS = 100  # of a ROC curve; what lies between them is left out
DIGITS = 5


def curves(videos: Scores, threshold: float) -> dict[str, Any]:
    """Of one model's scores of videos: `roc` and `reliability`, None where one class is missing,
    and `report`, the counts and fractions of each class at the threshold."""
    both = bool(videos.fake.any() and not videos.fake.all())
    return {
        "roc": _roc(videos) if both else None,
        "reliability": _reliability(videos) if both else None,
        "report": _report(videos, threshold),
    }


def _roc(videos: Scores) -> dict[str, list[float]]:
    """From the strictest threshold to the most lenient: the fraction of reals and of fakes called
    fake."""
    alarms, hits, thresholds = sk.roc_curve(videos.fake, videos.probability)
    kept = np.unique(np.linspace(0, len(alarms) - 1, MOST_POINTS).round().astype(int))
    return {
        "false_alarms": _plain(alarms[kept]),
        "recall": _plain(hits[kept]),
        # the first stands for calling nothing fake: sklearn says infinity
        "threshold": _plain(np.minimum(thresholds[kept], 1)),
    }


def _reliability(videos: Scores) -> list[dict[str, float]]:
    share, mean, weight = reliability(videos.fake, videos.probability)
    columns = zip(_plain(mean), _plain(share), _plain(weight), strict=True)
    return [{"mean": m, "fakes": s, "weight": w} for m, s, w in columns]


def _report(videos: Scores, threshold: float) -> dict[str, dict[str, float | int | None]]:
    called = videos.probability >= threshold
    return {
        name: _class(truth, given)
        for name, truth, given in (
            ("fake", videos.fake, called),
            ("real", ~videos.fake, ~called),
        )
    }


def _class(truth: Any, given: Any) -> dict[str, float | int | None]:
    """As in a classification report; None where nothing was of the class, or called so."""
    right = int((truth & given).sum())
    support, named = int(truth.sum()), int(given.sum())
    precision = right / named if named else None
    recall = right / support if support else None
    f1 = 2 * right / (support + named) if support and named else None
    return {"precision": precision, "recall": recall, "f1": f1, "videos": support}


def _plain(values: Floats) -> list[float]:
    return [round(float(value), DIGITS) for value in values]
