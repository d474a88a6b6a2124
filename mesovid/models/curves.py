"""How a model's training went and how it measures, as numbers: of its run's folder, or of the file
that was put beside its card when it was published."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mesovid.errors import ModelError
from mesovid.files import write_whole
from mesovid.texts import parse_json

KIND = "mesovid curves"
SCHEMA = 1
SUFFIX = ".curves.json"
HISTORY, RUN = "history.csv", "run.json"  # of a run's folder, as `mesovid.training` writes them

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Curves:
    """What is recorded of one model; empty where nothing is."""

    sha256: str = ""  # of the .onnx file that all of it is about
    epochs: tuple[Values, ...] = ()  # lines of `history.csv`, with null where nothing was measured
    best_epoch: int | None = None  # the one that was kept
    # a set each: its name, and `roc`, `reliability` and `report` of `mesovid.evaluation.curves`
    measured: tuple[Values, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "kind": KIND,
            "schema": SCHEMA,
            "sha256": self.sha256,
            "epochs": [dict(line) for line in self.epochs],
            "best_epoch": self.best_epoch,
            "measured": [dict(each) for each in self.measured],
        }

    def write(self, path: Path) -> None:
        text = json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)
        write_whole(path, (text + "\n").encode())


def read_curves(card: Path, sha256: str) -> Curves:
    """What lies beside a card about the weights with this hash; empty where nothing does.

    ModelError for files that are damaged.
    """
    beside = card.with_name(card.stem + SUFFIX)
    if beside.is_file():
        found = _published(beside)
        if found.sha256 == sha256:  # else it tells of other weights of this name
            return found
    epochs, best = _of_run(card)
    return Curves(sha256, epochs, best)


def measured_of(entries: Sequence[Values], sha256: str) -> tuple[Values, ...]:
    """The curves of a scoreboard's entries that are of these weights."""
    return tuple(
        {"set": entry["set"], "digest": entry["dataset"]["digest"], **entry["curves"]}
        for entry in entries
        if entry["sha256"] == sha256 and "curves" in entry
    )


def merged(old: Sequence[Values], new: Sequence[Values]) -> tuple[Values, ...]:
    """New curves in place of those of the same set."""
    replaced = {each["set"] for each in new}
    return (*(each for each in old if each.get("set") not in replaced), *new)


def _published(path: Path) -> Curves:
    try:
        values = parse_json(path.read_text(encoding="utf-8"))
        if values["kind"] != KIND or values["schema"] != SCHEMA:
            raise ValueError(f"kind {values['kind']!r}, schema {values['schema']!r}")
        best = values["best_epoch"]
        return Curves(
            str(values["sha256"]),
            tuple(dict(line) for line in values["epochs"]),
            None if best is None else int(best),
            tuple(dict(each) for each in values["measured"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} does not hold the curves of a model ({error})") from error


def _of_run(card: Path) -> tuple[tuple[Values, ...], int | None]:
    """The history of the run that made this model; nothing where the folder is no run's, or that of
    another model."""
    history, run = card.with_name(HISTORY), card.with_name(RUN)
    if not (history.is_file() and run.is_file()):
        return (), None
    try:
        about = parse_json(run.read_text(encoding="utf-8"))
        if about["model"] != card.stem:
            return (), None
        with history.open(newline="", encoding="utf-8") as file:
            lines = [
                {key: _number(text) for key, text in line.items()} for line in csv.DictReader(file)
            ]
        best = about.get("best_epoch")
        return tuple(lines), int(best) if best else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise ModelError(f"{history} is not the history of a run ({error})") from error


def _number(text: str | None) -> float | None:
    if text is None or text == "":
        return None
    value = float(text)
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and "." not in text else value
