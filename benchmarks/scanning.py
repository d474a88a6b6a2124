"""Measures what `mesovid scan` says of a labelled collection.

It scans whole videos with everybody in them, by the models' own thresholds.

    python benchmarks/scanning.py FaceForensics++ --split dev --model meso4 --model mesolite
    python benchmarks/scanning.py CLIPS --label real

`mesovid evaluate` measures the main person of each video of a dataset. A scan meets the others too.
Prints a markdown table; intervals are 95 %, by bootstrap over videos, Wilson's for shares of
verdicts. A video without a verdict has no part in the AUC and is counted in the last column.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from mesovid import Scanner  # noqa: E402
from mesovid.batch import scan_all  # noqa: E402
from mesovid.dataset.labels import parse_labels  # noqa: E402
from mesovid.dataset.layouts import gather  # noqa: E402
from mesovid.dataset.sources import Source  # noqa: E402
from mesovid.errors import InputError, MesovidError  # noqa: E402
from mesovid.evaluation.metrics import (  # noqa: E402
    Estimate,
    Scores,
    by_method,
    fraction,
    measure,
    paired,
)
from mesovid.evaluation.tables import estimate  # noqa: E402
from mesovid.records import Failure, Scan, Verdict  # noqa: E402
from mesovid.report.table import Table, markdown_table  # noqa: E402

HEADER = (
    "Fakes",
    "Model",
    "Real + fake videos",
    "Video AUC",
    "Fake above its original",
    "Reals called fake",
    "Fakes called fake",
    "Reals uncertain",
    "Fakes uncertain",
    "No verdict",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="a collection as for mesovid extract")
    parser.add_argument("--split", help="this split of the collection alone")
    parser.add_argument("--label", action="append", default=[], help="as for mesovid extract")
    parser.add_argument("--model", action="append", help="default: meso4")
    given = parser.parse_args()
    rows = []
    try:
        found = gather([given.source], labels=parse_labels(given.label)).sources
        sources = [one for one in found if given.split in (None, one.split) and len(one.files) == 1]
        if not sources:
            raise InputError(f"{given.source} has no video of split {given.split!r}")
        for model in given.model or ["meso4"]:
            rows += measured(model, sources)
    except MesovidError as error:
        sys.exit(str(error))
    print(markdown_table(Table("", HEADER, tuple(rows), names=2)))


def measured(model: str, sources: Sequence[Source]) -> list[tuple[str, ...]]:
    """A row for all fakes, and one for each method."""
    scanner = Scanner(model)
    threshold, name = scanner.classifier.card.threshold, scanner.classifier.card.name
    results = scan_all([str(source.files[0]) for source in sources], scanner)
    pairs = [(source, verdict_of(result)) for source, result in zip(sources, results, strict=True)]
    judged = [
        (source, verdict) for source, verdict in pairs if verdict.fake_probability is not None
    ]
    if not judged:
        raise InputError("no video has a verdict")
    scores = Scores.of(
        [source.label == "fake" for source, _ in judged],
        [verdict.fake_probability for _, verdict in judged],
        [source.video for source, _ in judged],
        method=[source.method or "" for source, _ in judged],
        original=[source.original for source, _ in judged],
    )
    groups = [("all", scores), *by_method(scores)]
    rows = []
    for method, chosen in groups if len(groups) > 2 else groups[:1]:
        figures, beside = measure(chosen, threshold), paired(chosen)
        of_method = [pair for pair in pairs if method == "all" or pair[0].method in (None, method)]
        real = [verdict for source, verdict in of_method if source.label == "real"]
        fake = [verdict for source, verdict in of_method if source.label == "fake"]
        rows.append((
            method, name, f"{len(real):,} + {len(fake):,}", estimate(figures.auc),
            estimate(beside.accuracy, percent=True) if beside else estimate(Estimate(None)),
            *(called(group, label) for label in ("fake", "uncertain") for group in (real, fake)),
            str(sum(verdict.label is None for verdict in real + fake)),
        ))  # fmt: skip
    return rows


def verdict_of(result: Scan | Failure) -> Verdict:
    """What was said of one video; one that cannot be read has none, and is named on stderr."""
    if isinstance(result, Scan):
        return result.verdict
    print(result.error, file=sys.stderr)
    return Verdict(None, None, "error", result.error)


def called(verdicts: Sequence[Verdict], label: str) -> str:
    """The fraction of the verdicts with this label."""
    return estimate(
        fraction(sum(verdict.label == label for verdict in verdicts), len(verdicts)), percent=True
    )


if __name__ == "__main__":
    main()
