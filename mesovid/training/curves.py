"""The course of a training run as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mesovid.report.look import MUTED, PLOT
from mesovid.training.checkpoint import Epoch


def draw(history: Sequence[Epoch], best: int, path: Path) -> None:
    """Draw loss, accuracy, AUC and learning rate over the epochs, as a PNG.

    The kept epoch is marked.
    """
    from matplotlib import rc_context

    with rc_context(PLOT):
        _draw(history, best, path)


def _draw(history: Sequence[Epoch], best: int, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(10.6, 3.2), layout="constrained")
    loss, score, rate = figure.subplots(1, 3)
    epochs = [line.epoch for line in history]
    _lines(
        loss,
        "Loss",
        epochs,
        {
            "training": [line.loss for line in history],
            "validation videos": [line.val_loss for line in history],
        },
    )
    _lines(
        score,
        "How good",
        epochs,
        {
            "training accuracy": [line.accuracy for line in history],
            "validation AUC, videos": [line.val_auc for line in history],
            "validation AUC, faces": [line.val_frame_auc for line in history],
        },
    )
    _lines(rate, "Learning rate", epochs, {"": [line.learning_rate for line in history]})
    rate.set_yscale("log")
    for axes in (loss, score, rate):
        axes.set_xlabel("Epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if best:
            axes.axvline(best, color=MUTED, linestyle=":", zorder=0)
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png", dpi=120)


def _lines(axes: Any, title: str, epochs: list[int], columns: dict[str, list[Any]]) -> None:
    axes.set_title(title)
    for name, values in columns.items():
        known = [
            (epoch, value) for epoch, value in zip(epochs, values, strict=True) if value is not None
        ]
        axes.plot(*zip(*known, strict=True) if known else ([], []), marker=".", label=name or None)
    if any(columns):
        axes.legend()
