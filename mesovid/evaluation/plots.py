"""Curves of an evaluation as PNG pictures. matplotlib is imported when the first one is drawn."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import numpy as np
from sklearn import metrics as sk

from mesovid.errors import InputError
from mesovid.evaluation.degrade import severity
from mesovid.evaluation.evaluate import Evaluation, Mistake, ModelEvaluation
from mesovid.evaluation.metrics import reliability
from mesovid.opencv import cv2
from mesovid.pictures import encode, read_crop, resized
from mesovid.records import Pixels
from mesovid.report.look import FAKE, INK, LINES, MUTED, PLOT, REAL, STROKES

_DPI = 200
_COLUMNS = 4  # most panels in a row
_TILE, _LABEL = 144, 34  # px, of the sheet of faces


def plots(evaluation: Evaluation) -> dict[str, bytes]:
    """PNG pictures by name; those that cannot be drawn are left out.

    Names: `roc`, `precision_recall`, `reliability`, `scores`, `robustness`.
    """
    measured = evaluation.models[0].videos
    found = {"scores": _drawn(_scores, evaluation.models, len(evaluation.models))}
    if measured.reals and measured.fakes:
        found["roc"] = _drawn(_roc, evaluation.models)
        found["precision_recall"] = _drawn(_precision_recall, evaluation.models)
        found["reliability"] = _drawn(_reliability, evaluation.models)
        if evaluation.models[0].robustness:
            kinds = {damaged.degradation.kind for damaged in evaluation.models[0].robustness}
            found["robustness"] = _drawn(_robustness, evaluation.models, max(3, len(kinds)))
    return found


def mistakes_sheet(evaluation: Evaluation, mistakes: Sequence[Mistake], columns: int = 6) -> bytes:
    """The faces of mistakes as one PNG, each with its P(fake) and what it truly is."""
    rows = -(-len(mistakes) // columns)
    page = np.full((rows * (_TILE + _LABEL), min(columns, len(mistakes)) * _TILE, 3), 255, np.uint8)
    for i, mistake in enumerate(mistakes):
        top, left = i // columns * (_TILE + _LABEL), i % columns * _TILE
        page[top : top + _TILE, left : left + _TILE] = thumbnail(evaluation, mistake)
        truth = mistake.method if mistake.fake else "real"
        text = f"{mistake.crop_probability:.2f}  {truth}"
        place = (left + 4, top + _TILE + 22)
        cv2.putText(page, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (60, 60, 60), 1, cv2.LINE_AA)
    return encode(page)


def thumbnail(evaluation: Evaluation, mistake: Mistake) -> Pixels:
    """The crop of a mistake, small; blank when its file has gone meanwhile."""
    try:
        return resized(read_crop(evaluation.root / mistake.file), _TILE)
    except InputError:
        return np.full((_TILE, _TILE, 3), 230, np.uint8)


def _drawn(
    draw: Callable[[Any, Sequence[ModelEvaluation]], None],
    models: Sequence[ModelEvaluation],
    panels: int = 0,
) -> bytes:
    """A figure as PNG: one small square plot.

    With `panels` it is a row of plots over a page's width, and `draw` gets an array.
    """
    with _calm():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        rows = -(-panels // _COLUMNS)
        size = (10.6, 2.7 * rows) if panels else (3.4, 3.3)  # inches
        figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        columns = min(panels, _COLUMNS)
        axes: Any = (
            figure.subplots(rows, columns, squeeze=False).ravel() if panels else figure.subplots()
        )
        if panels:
            for spare in axes[panels:]:
                spare.set_axis_off()
        draw(axes[:panels] if panels else axes, models)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


@contextmanager
def _calm() -> Iterator[None]:
    """The look that all plots share."""
    from matplotlib import rc_context

    with rc_context(PLOT):
        yield


def _roc(axes: Any, models: Sequence[ModelEvaluation]) -> None:
    for model in models:
        scores = model.video_scores
        fpr, tpr, _ = sk.roc_curve(scores.fake, scores.probability)
        axes.plot(fpr, tpr, label=f"{model.model.name}, AUC {model.videos.auc.value:.3f}", zorder=3)
    if len(models) == 1:
        _roc_of_methods(axes, models[0])
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=(0, (4, 4)))
    axes.set(xlabel="Reals called fake", ylabel="Fakes called fake", title="ROC over videos")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.legend(loc="lower right")


def _roc_of_methods(axes: Any, model: ModelEvaluation) -> None:
    videos = model.video_scores
    methods = model.methods if len(model.methods) > 1 else ()
    for each, colour, stroke in zip(methods, LINES[1:], STROKES[1:], strict=False):
        part = videos.select(~videos.fake | (videos.method == each.method))
        fpr, tpr, _ = sk.roc_curve(part.fake, part.probability)
        label = f"{each.method}, {each.videos.auc.value:.3f}"
        axes.plot(fpr, tpr, label=label, linewidth=1.1, color=colour, linestyle=stroke)


def _precision_recall(axes: Any, models: Sequence[ModelEvaluation]) -> None:
    for model in models:
        scores = model.video_scores
        precision, recall, _ = sk.precision_recall_curve(scores.fake, scores.probability)
        label = f"{model.model.name}, average {model.videos.average_precision.value:.3f}"
        axes.plot(recall, precision, label=label, drawstyle="steps-post", zorder=3)
    base = models[0].videos.fakes / (models[0].videos.fakes + models[0].videos.reals)
    axes.axhline(base, color=MUTED, linewidth=0.8, linestyle=(0, (4, 4)))
    axes.set(xlabel="Recall", ylabel="Precision", title="Precision and recall over videos")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.legend(loc="lower left")


def _reliability(axes: Any, models: Sequence[ModelEvaluation]) -> None:
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=(0, (4, 4)))
    for model in models:
        scores = model.video_scores
        share, mean, weight = reliability(scores.fake, scores.probability)
        sizes = 10 + 130 * weight / weight.max()
        (line,) = axes.plot(mean, share, linewidth=1.2, alpha=0.7)
        label = f"{model.model.name}, error {model.videos.calibration_error.value:.3f}"
        axes.scatter(
            mean, share, s=sizes, color=line.get_color(), alpha=0.75, linewidth=0, label=label
        )
    axes.set(
        xlabel="Mean P(fake) of the bin",
        ylabel="Fraction of fakes in the bin",
        title="Reliability over videos",
    )
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    legend = axes.legend(loc="upper left")
    for handle in legend.legend_handles:
        handle.set_sizes([30])


def _scores(axes: Any, models: Sequence[ModelEvaluation]) -> None:
    for panel, model in zip(axes, models, strict=True):
        scores = model.video_scores
        bins = np.linspace(0, 1, 26)
        for fake, colour, label in ((False, REAL, "real"), (True, FAKE, "fake")):
            values = scores.probability[scores.fake == fake]
            if len(values):
                weights = np.full(len(values), 100 / len(values))
                panel.hist(values, bins=bins, weights=weights, color=colour, alpha=0.6, label=label)
        if model.uncertain:
            panel.axvspan(*model.uncertain, color=MUTED, alpha=0.15, linewidth=0, label="uncertain")
        panel.axvline(
            model.model.threshold, color=INK, linewidth=1, linestyle=(0, (4, 3)), label="threshold"
        )
        panel.set(
            xlabel="P(fake)",
            ylabel="Videos of the class, %",
            xlim=(0, 1),
            title=f"Scores of {model.model.name}",
        )
        panel.legend()


def _robustness(axes: Any, models: Sequence[ModelEvaluation]) -> None:
    order = sorted(range(len(models[0].robustness)), key=lambda i: _severity_key(models[0], i))
    groups = groupby(order, key=lambda i: models[0].robustness[i].degradation.kind)
    for panel, (kind, members) in zip(axes, groups, strict=False):
        rows = list(members)
        ticks = ["clean", *(f"{models[0].robustness[i].degradation.amount:g}" for i in rows)]
        for model in models:
            steps = [model.videos.auc, *(model.robustness[i].videos.auc for i in rows)]
            values = [step.value for step in steps]
            line = panel.plot(values, marker="o", markersize=4, label=model.model.name)[0]
            low, high = [step.low for step in steps], [step.high for step in steps]
            panel.fill_between(
                range(len(steps)), low, high, color=line.get_color(), alpha=0.12, linewidth=0
            )
        panel.set(ylim=(0.35, 1.02), title=kind, ylabel="Video AUC", xlabel="Severity")
        panel.set_xticks(range(len(ticks)), ticks)
        panel.axhline(0.5, color=MUTED, linewidth=0.8, linestyle=(0, (4, 4)))
    for spare in axes[len({damaged.degradation.kind for damaged in models[0].robustness}) :]:
        spare.set_axis_off()
    axes[0].legend(loc="lower left")


def _severity_key(model: ModelEvaluation, i: int) -> tuple[str, float]:
    degradation = model.robustness[i].degradation
    return degradation.kind, severity(degradation)
