"""Makes a model of its own out of a run.

Its card holds the figures that were measured on other data.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mesovid.errors import ModelError
from mesovid.models import curves
from mesovid.models.card import SUFFIXES, Figure, ModelCard, find_card, model_files, read_card
from mesovid.texts import parse_json

PROTOCOL = "mesovid evaluate; bootstrap over videos"


def publish(
    model: str | Path,
    folder: str | Path,
    *,
    scoreboard: str | Path | None = None,
    summary: str | None = None,
    licence: str | None = None,
    limits: str | None = None,
    real_below: float | None = None,
    finds: str | None = None,
) -> ModelCard:
    """Copy a model to `folder` and fill in its card.

    Figures come from a scoreboard's .json; words are taken where given. `real_below` is the P(fake)
    below which alone a video is called real, no higher than it was: for fakes that a model cannot
    see score like what is true. `finds` is what it can see, in a word or two; below the level that
    it had for real before, a scan says that there is no sign of that.

    Figures of the same set and metric are replaced, others kept. The course of its training and the
    curves of what was measured go to a file beside the card. Raises ModelError when the
    scoreboard does not hold this very model, told by its name and the sha256 of its weights, or
    cannot be read.
    """
    source, folder = find_card(model), Path(folder)
    card = read_card(source)
    if card.members and scoreboard is not None:
        raise ModelError(
            f"{card.name} is a panel; a scoreboard knows a model by its weights, and a panel has "
            "none"
        )
    words: dict[str, Any] = {
        "summary": summary,
        "licence": licence,
        "limits": limits,
        "finds": finds,
    }
    card = replace(card, **{key: value for key, value in words.items() if value is not None})
    if real_below is not None:
        card = _more_careful(card, real_below)
    drawn = curves.read_curves(source, card.sha256.get("onnx", ""))
    if scoreboard is not None:
        figures, measured = _figures(Path(scoreboard), card)
        card = replace(card, figures=_merged(card.figures, figures))
        drawn = replace(drawn, measured=curves.merged(drawn.measured, measured))
    write_copy(source, card, folder, drawn)
    return card


def _more_careful(card: ModelCard, real_below: float) -> ModelCard:
    low, high = card.uncertain or (card.threshold, card.threshold)
    if not 0 <= real_below <= low:
        raise ModelError(
            f"{card.name} calls real what is below {low:g}; --real-below {real_below:g} must lie "
            "between 0 and that"
        )
    rule = f"{card.rule}; real only below {real_below:g}, lowered since"
    clears_below = card.clears_below
    if clears_below is None and card.finds and not card.members:
        clears_below = low
    return replace(card, uncertain=(real_below, high), rule=rule, clears_below=clears_below)


def write_copy(source: Path, card: ModelCard, folder: Path, drawn: curves.Curves) -> None:
    """Write a model with the weights of `source` (its card's path) and another card."""
    kept = [suffix for suffix in SUFFIXES if source.with_suffix(suffix).is_file()]
    some = bool(drawn.epochs or drawn.measured)
    with model_files(folder, card.name, [*([curves.SUFFIX] if some else []), *kept]) as work:
        for suffix in kept:
            if suffix != ".json":
                shutil.copyfile(source.with_suffix(suffix), work / f"{card.name}{suffix}")
        if some:
            drawn.write(work / f"{card.name}{curves.SUFFIX}")
        card.write(work)


def _figures(
    scoreboard: Path, card: ModelCard
) -> tuple[tuple[Figure, ...], tuple[curves.Values, ...]]:
    """What a scoreboard says of a model, and its curves."""
    try:
        entries = parse_json(scoreboard.with_suffix(".json").read_text(encoding="utf-8"))["entries"]
        # a calibrated model has the weights of another
        own = [
            entry
            for entry in entries
            if entry["sha256"] == card.sha256["onnx"] and entry.get("name", card.name) == card.name
        ]
        figures = tuple(figure for entry in own for figure in _of(entry))
        measured = curves.measured_of(own, card.sha256["onnx"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{scoreboard} holds no scoreboard of `mesovid evaluate` ({error})"
        ) from error
    if not figures:
        raise ModelError(
            f"{scoreboard} has no figures of {card.name} with these weights; evaluate it first"
        )
    return figures, measured


def _of(entry: Mapping[str, Any]) -> list[Figure]:
    """What a card tells of one set.

    How well it ranks, overall and by method, and what it says at its threshold.
    """
    counted = (
        f"{entry['videos']['reals']} real and {entry['videos']['fakes']} fake videos or pictures"
    )
    protocol = f"{PROTOCOL}; {counted}; dataset {entry['dataset']['digest'][:12]}"
    found = [_figure(entry, "video AUC", entry["videos"]["auc"], protocol)]
    found += [
        _figure(entry, "video AUC", method["videos"]["auc"], protocol, method["method"])
        for method in entry["methods"]
        if len(entry["methods"]) > 1
    ]
    if entry["pairs"]:
        found.append(
            _figure(entry, "fake above its own original", entry["pairs"]["accuracy"], protocol)
        )
    if entry["videos"]["fakes"] and entry["videos"]["reals"]:
        found.append(
            _figure(entry, "calibration error", entry["videos"]["calibration_error"], protocol)
        )
    # none on a scoreboard from before there was such a figure
    shares = [call.get("cleared") or {"value": None} for call in entry["verdicts"]]
    clears = any(share["value"] for share in shares)
    for call in entry["verdicts"]:
        found.append(
            _figure(entry, "share called fake", call["called_fake"], protocol, call["name"])
        )
        found.append(_figure(entry, "share uncertain", call["uncertain"], protocol, call["name"]))
        if clears:
            found.append(_figure(entry, "share cleared", call["cleared"], protocol, call["name"]))
    return [figure for figure in found if figure is not None]


def _figure(
    entry: Mapping[str, Any],
    metric: str,
    estimate: Mapping[str, Any],
    protocol: str,
    subset: str = "all",
) -> Figure | None:
    if estimate["value"] is None:
        return None
    value, low, high = (
        None if estimate[key] is None else round(estimate[key], 4)
        for key in ("value", "low", "high")
    )
    assert value is not None  # checked above
    return Figure(entry["set"], metric, value, subset, low, high, protocol)


def _merged(old: tuple[Figure, ...], new: tuple[Figure, ...]) -> tuple[Figure, ...]:
    replaced = {(figure.data, figure.metric, figure.subset) for figure in new}
    return (
        *(figure for figure in old if (figure.data, figure.metric, figure.subset) not in replaced),
        *new,
    )
