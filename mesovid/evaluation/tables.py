"""An evaluation as tables, and a table as text, Markdown or HTML.

What is shown is decided once for all formats.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress

from mesovid.evaluation.evaluate import (
    Evaluation,
    MethodMeasures,
    ModelEvaluation,
    Robustness,
    VerdictRates,
)
from mesovid.evaluation.metrics import CALIBRATION_BINS, Difference, Estimate, Measures
from mesovid.report.table import Table, text_table

UNKNOWN = "–"
MISTAKES = 8  # shown in text; the page and the sheet show all that were kept
FIGURE_NAMES = (
    ("auc", "AUC"),
    ("eer", "Equal error rate"),
    ("average_precision", "Average precision"),
    ("accuracy", "Accuracy"),
    ("precision", "Precision"),
    ("recall", "Recall at the threshold"),
    ("f1", "F1"),
    ("false_alarms", "False alarms at the threshold"),
    ("log_loss", "Log loss"),
    ("brier", "Brier score"),
    ("calibration_error", "Calibration error"),
)


def all_tables(evaluation: Evaluation) -> tuple[Table, ...]:
    """Everything that an evaluation found, as tables; those that would be empty are left out."""
    found = [
        _figures("Videos", evaluation, [model.videos for model in evaluation.models]),
        *_crops(evaluation),
        *_methods(evaluation),
        *_verdicts(evaluation),
        *_pairs(evaluation),
        *_robustness(evaluation),
        *_comparisons(evaluation),
    ]
    return tuple(found)


def heading(evaluation: Evaluation) -> tuple[str, ...]:
    """What was measured and how, a line each."""
    videos, crops = evaluation.models[0].videos, evaluation.models[0].crops
    names = ", ".join("unnamed" if split is None else split for split in evaluation.splits)
    settings = evaluation.settings
    drawn = "videos" if settings.cluster == "video" else "groups of videos"
    return (
        f"{evaluation.root}, split {names}: {_count(videos.reals, 'real')} and "
        f"{_count(videos.fakes, 'fake')} videos, {crops.reals + crops.fakes:,} faces",
        (
            f"Every score is P(fake). In brackets: 95 % intervals, {settings.resamples:,} "
            f"bootstrap resamples over {drawn}."
        ),
        "Models: "
        + "; ".join(
            (
                f"{model.model.name} (threshold {model.model.threshold:.3f}{_band(model)}, sha256 "
                f"{model.model.sha256[:12]})"
            )
            for model in evaluation.models
        ),
    )


def excluded_line(evaluation: Evaluation) -> str:
    """One sentence on crops that could not be used; empty when there is none."""
    if not evaluation.excluded:
        return ""
    first = evaluation.excluded[0]
    more = f", and {len(evaluation.excluded) - 1:,} more" if len(evaluation.excluded) > 1 else ""
    return f"Left out: {first.file}: {first.reason}{more}."


def to_text(evaluation: Evaluation) -> str:
    """For a terminal."""
    parts = ["\n".join(heading(evaluation))]
    if warning := [*evaluation.notes, *filter(None, [excluded_line(evaluation)])]:
        parts.append("\n".join(f"Note: {line}" for line in warning))
    parts += [text_table(table) for table in all_tables(evaluation)]
    parts += [text_table(_mistakes(model)) for model in evaluation.models if model.mistakes]
    return "\n\n".join(parts) + "\n"


def estimate(value: Estimate, *, percent: bool = False) -> str:
    """`0.912 [0.853, 0.961]`, or `4.2 % [1.1, 9.0]`."""
    if value.value is None:
        return UNKNOWN
    if value.low is None or value.high is None:
        return f"{value.value:.1%}".replace("%", " %") if percent else f"{value.value:.3f}"
    if percent:
        return f"{100 * value.value:.1f} % [{100 * value.low:.1f}, {100 * value.high:.1f}]"
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


def difference(value: Difference | None) -> str:
    """`-0.031 [-0.060, -0.004]`."""
    return UNKNOWN if value is None else f"{value.value:+.3f} [{value.low:+.3f}, {value.high:+.3f}]"


def _figures(title: str, evaluation: Evaluation, measures: Sequence[Measures]) -> Table:
    rows = [
        (label, *(estimate(getattr(each, name)) for each in measures))
        for name, label in FIGURE_NAMES
        if any(getattr(each, name).value is not None for each in measures)
    ]
    bins = f"{CALIBRATION_BINS} bins of P(fake), reals and fakes weigh the same"
    known = measures[0].calibration_error.value is not None and title == "Videos"
    note = f"Calibration error: {bins}; of few videos it is high by chance alone." if known else ""
    return Table(
        title, ("", *(model.model.name for model in evaluation.models)), tuple(rows), note=note
    )


def _crops(evaluation: Evaluation) -> Iterator[Table]:
    first = evaluation.models[0]
    if len(first.scores) > len(first.video_scores):
        yield _figures("Single faces", evaluation, [model.crops for model in evaluation.models])


def _methods(evaluation: Evaluation) -> Iterator[Table]:
    methods = {each.method for each in evaluation.models[0].methods}
    if methods == {"fake"}:  # one method, without a name: all that there is to say stands above
        return
    rows = [
        _method(model.methods[i], model.model.name)
        for i in range(len(evaluation.models[0].methods))
        for model in evaluation.models
        if model.methods[i].videos.auc.value is not None
    ]
    if rows:
        header = (
            "Method",
            "Model",
            "Videos",
            "Video AUC",
            "EER",
            "Average precision",
            "Single-face AUC",
        )
        yield Table("Methods, each against all reals", header, tuple(rows), names=2)


def _method(each: MethodMeasures, model: str) -> tuple[str, ...]:
    return (
        each.method,
        model,
        f"{each.videos.fakes:,}",
        estimate(each.videos.auc),
        estimate(each.videos.eer),
        estimate(each.videos.average_precision),
        estimate(each.crops.auc),
    )


def _verdicts(evaluation: Evaluation) -> Iterator[Table]:
    rows = [
        _verdict(model.verdicts[i], model.model.name)
        for i in range(len(evaluation.models[0].verdicts))
        for model in evaluation.models
    ]
    cleared = any(each.cleared.value for model in evaluation.models for each in model.verdicts)
    note = (
        "As a scan says it of faces that are large enough; uncertain: inside the band of the "
        f"model's card{'; no sign: of what the model can see' if cleared else ''}. Intervals here "
        "are Wilson's."
    )
    yield verdict_table(rows, note)


def verdict_table(rows: Sequence[tuple[str, ...]], note: str = "") -> Table:
    """Rows of truth, model, videos, and the fractions with each verdict.

    Those of uncertain ones without a sign, and of no verdict, go where there are none.
    """
    header = (
        "Truth",
        "Model",
        "Videos",
        "Called fake",
        "Uncertain",
        "- no sign",
        "Called real",
        "No verdict",
    )
    kept = [
        name not in ("- no sign", "No verdict")
        or any(row[place] != UNKNOWN and not row[place].startswith("0.0 %") for row in rows)
        for place, name in enumerate(header)
    ]
    shown, *lines = (tuple(compress(row, kept)) for row in (header, *rows))
    return Table("Verdicts on videos", shown, tuple(lines), names=2, note=note)


def _verdict(each: VerdictRates, model: str) -> tuple[str, ...]:
    shares = (each.called_fake, each.uncertain, each.cleared, each.called_real, each.no_verdict)
    return each.name, model, f"{each.videos:,}", *(estimate(one, percent=True) for one in shares)


def _pairs(evaluation: Evaluation) -> Iterator[Table]:
    rows = [
        (model.model.name, f"{model.pairs.count:,}", estimate(model.pairs.accuracy, percent=True))
        for model in evaluation.models
        if model.pairs
    ]
    if rows:
        yield Table(
            "A fake above its own original", ("Model", "Pairs", "Fraction of pairs"), tuple(rows)
        )


def _robustness(evaluation: Evaluation) -> Iterator[Table]:
    rows = []
    for i, damaged in enumerate(evaluation.models[0].robustness):
        if damaged.videos.auc.value is not None:
            rows += [_damaged(model, model.robustness[i]) for model in evaluation.models]
    if rows:
        header = (
            "Damage",
            "Model",
            "Video AUC",
            "Change",
            "Single-face AUC",
            "False alarms",
            "Recall",
        )
        note = (
            "Of crops at the size they had in their video, not of whole videos. Change: paired "
            "bootstrap."
        )
        yield Table("Robustness", header, tuple(rows), names=2, note=note)


def _damaged(model: ModelEvaluation, damaged: Robustness) -> tuple[str, ...]:
    return (
        str(damaged.degradation),
        model.model.name,
        estimate(damaged.videos.auc),
        difference(damaged.change),
        estimate(damaged.crops.auc),
        estimate(damaged.videos.false_alarms, percent=True),
        estimate(damaged.videos.recall, percent=True),
    )


def _comparisons(evaluation: Evaluation) -> Iterator[Table]:
    names = dict(FIGURE_NAMES)
    rows = [
        (
            f"{each.model} less {each.other}",
            names[one.figure],
            difference(one),
            f"{one.p_value:.3f}",
        )
        for each in evaluation.comparisons
        for one in each.differences
    ]
    if rows:
        header = ("Models", "Of videos", "Difference", "p")
        note = "Paired bootstrap: both models on the same resampled videos. p is two-sided."
        yield Table("Comparison", header, tuple(rows), names=2, note=note)


def _mistakes(model: ModelEvaluation) -> Table:
    rows = [
        (
            f"{each.probability:.3f}",
            "fake" if each.fake else "real",
            each.method if each.fake else "",
            each.video,
        )
        for each in model.mistakes[:MISTAKES]
    ]
    return Table(
        f"Worst mistakes of {model.model.name}",
        ("P(fake)", "Truth", "Method", "Video"),
        tuple(rows),
        names=4,
    )


def _band(model: ModelEvaluation) -> str:
    return (
        f", uncertain {model.uncertain[0]:.3f} to {model.uncertain[1]:.3f}"
        if model.uncertain
        else ""
    )


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}"
