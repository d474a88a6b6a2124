"""Compares rules that pool the scores of a video's frames, by video AUC.

    python benchmarks/pooling.py MODEL DATASET [--split dev]

Besides the rules of `mesovid scan --aggregate`: the mean logit, the mean weighted by how sure each
face is, and the standard deviation over frames. Prints a markdown table; intervals are 95 %, by
bootstrap over videos.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from mesovid.dataset.manifest import read_dataset  # noqa: E402
from mesovid.errors import MesovidError  # noqa: E402
from mesovid.evaluation.evaluate import choose_splits, in_tracks, score, scores_of  # noqa: E402
from mesovid.evaluation.metrics import measure  # noqa: E402
from mesovid.models.card import logit  # noqa: E402
from mesovid.models.classifier import load_model  # noqa: E402
from mesovid.models.inputs import sigmoid  # noqa: E402
from mesovid.settings import EvaluateSettings  # noqa: E402
from mesovid.verdict import AGGREGATES  # noqa: E402

Floats = npt.NDArray[np.float64]


def sure_first(values: Floats) -> float:
    """Mean logit, each weighted by its own size: faces that say nothing count for nothing."""
    logits = logit(values)
    return float(sigmoid(np.average(logits, weights=np.abs(logits) + 1e-9)))


RULES: dict[str, Callable[[Floats], float]] = AGGREGATES | {
    "mean logit": lambda values: float(sigmoid(logit(values).mean())),
    "sure faces first": sure_first,
    "standard deviation": lambda values: float(values.std()),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--split")
    given = parser.parse_args()
    try:
        classifier, dataset = load_model(given.model), read_dataset(given.dataset)
        splits = choose_splits(dataset, given.split)
    except MesovidError as error:
        sys.exit(str(error))
    crops = in_tracks(dataset.of_split(*splits))
    print(f"{classifier.card.name} on {dataset.root.name}, split {', '.join(map(str, splits))}\n")
    print("| frames pooled by | video AUC |\n| --- | ---: |")
    scored = score(dataset, crops, [classifier], (), EvaluateSettings())
    faces = scores_of(scored.crops, scored.probabilities[0][0][:, 0])
    for name, rule in RULES.items():
        pooled = np.empty(len(faces))
        for track in set(zip(faces.video, faces.person, strict=True)):
            rows = (faces.video == track[0]) & (faces.person == track[1])
            pooled[rows] = rule(faces.probability[rows])
        videos = faces.with_probability(pooled).per_video()
        found = measure(videos, classifier.card.threshold).auc
        print(
            f"| {name.replace('_', ' ')} | {found.value:.3f} [{found.low:.3f}, {found.high:.3f}] |",
            flush=True,
        )


if __name__ == "__main__":
    main()
