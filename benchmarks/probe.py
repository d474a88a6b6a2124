"""Measures what a collection's format gives away, with a classifier that sees no face.

It sees size, sharpness, bitrate and borders.

    python benchmarks/probe.py COLLECTION                    # cross-validated over groups
    python benchmarks/probe.py COLLECTION --copies COPIES    # after the same resizing and coding

A detector that does no better than this may have learned the page and not the trace. Prints a
markdown table: AUC of a logistic regression on all of it, learned on one part of the groups and
measured on the rest, then of each feature alone (the larger of both directions). `--copies` is a
folder that `mesovid degrade` made of the collection.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mesovid.dataset.layouts import gather  # noqa: E402
from mesovid.dataset.sources import Source  # noqa: E402
from mesovid.errors import MesovidError  # noqa: E402
from mesovid.evaluation.metrics import Scores, measure  # noqa: E402
from mesovid.evaluation.tables import estimate  # noqa: E402
from mesovid.report.table import Table, markdown_table  # noqa: E402

FEATURES = (
    "width",
    "height",
    "frames",
    "bits a pixel",
    "sharpness",
    "noise",
    "dark border",
    "flat border",
)
FOLDS = 5
LOOKED_AT = 8  # frames
BORDER = 4  # px
Floats = npt.NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("collection", type=Path)
    parser.add_argument("--copies", type=Path, help="measure these copies instead")
    given = parser.parse_args()
    try:
        sources = [
            source for source in gather([given.collection]).sources if len(source.files) == 1
        ]
    except MesovidError as error:
        sys.exit(str(error))
    rows = []
    for split in sorted({source.split or "all" for source in sources}):
        part = [source for source in sources if (source.split or "all") == split]
        places = [
            given.copies / f"{source.video}.mp4" if given.copies else source.files[0]
            for source in part
        ]
        if all(place.is_file() for place in places):
            rows += measured(split, part, np.array([features(place) for place in places]))
    if not rows:
        sys.exit(f"no split of {given.collection} is whole in {given.copies}")
    header = ("Split", "Seen", "Real + fake", "AUC")
    print(markdown_table(Table("", header, tuple(rows), names=2)))


def features(path: Path) -> Floats:
    """Of one clip (len(FEATURES),), without looking for a face."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        width, height, bits = stream.width, stream.height, 0
        sharpness, noise, dark, flat, frames = [], [], [], [], 0
        for packet in container.demux(stream):
            bits += 8 * packet.size
            for frame in packet.decode():
                frames += 1
                if len(sharpness) < LOOKED_AT:
                    grey = frame.to_ndarray(format="gray").astype(np.float32)
                    fine = cv2.Laplacian(grey, cv2.CV_32F)
                    edge = np.concatenate(
                        [
                            grey[:BORDER].ravel(),
                            grey[-BORDER:].ravel(),
                            grey[:, :BORDER].ravel(),
                            grey[:, -BORDER:].ravel(),
                        ]
                    )
                    sharpness.append(np.log(fine.var() + 1))
                    noise.append(np.log(np.median(np.abs(fine)) + 1))
                    dark.append(np.mean(edge < 16))
                    flat.append(np.log(edge.std() + 1))
    means = [float(np.mean(values)) for values in (sharpness, noise, dark, flat)]
    return np.array(
        [width, height, frames, np.log(bits / (width * height * max(frames, 1))), *means]
    )


def measured(split: str, sources: Sequence[Source], seen: Floats) -> list[tuple[str, ...]]:
    """A row for all features together, and one for each."""
    fake = np.array([source.label == "fake" for source in sources])
    if fake.all() or not fake.any():
        return []
    groups = np.array(
        [source.group or source.target or source.original or source.video for source in sources]
    )
    model = make_pipeline(
        QuantileTransformer(n_quantiles=20, output_distribution="normal", random_state=0),
        StandardScaler(),
        LogisticRegression(class_weight="balanced", max_iter=1000),
    )
    guess = cross_val_predict(
        model, seen, fake, groups=groups, cv=GroupKFold(FOLDS), method="predict_proba"
    )
    rows = [("all together", guess[:, 1])]
    for name, values in zip(FEATURES, seen.T, strict=True):
        rows.append((name, rankdata(values) / len(values)))
    counted = f"{int((~fake).sum())} + {int(fake.sum())}"
    return [(split, name, counted, auc_of(fake, values, groups, name)) for name, values in rows]


def auc_of(
    fake: npt.NDArray[np.bool_], values: Floats, groups: npt.NDArray[np.str_], name: str
) -> str:
    """The AUC; of a single feature whichever direction is better."""
    scores = Scores.of(fake, values, group=list(groups))
    found = measure(scores, 0.5, cluster="group").auc
    if name in FEATURES and found.value is not None and found.value < 0.5:
        found = measure(scores.with_probability(1 - values), 0.5, cluster="group").auc
    return estimate(found)


if __name__ == "__main__":
    main()
