"""A scoreboard: one Markdown file of several models on several sets.

Each evaluation adds to it.

Beside `FILE.md` lies `FILE.json` with the figures; the Markdown is written anew from it each time.
Measuring a model on a set again replaces what was there, so that a benchmark can be run as often as
one likes.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

from mesovid.errors import InputError
from mesovid.evaluation.evaluate import ALL_FAKES, Evaluation
from mesovid.evaluation.metrics import Difference, Estimate
from mesovid.evaluation.results import to_json
from mesovid.evaluation.tables import UNKNOWN, difference, estimate, verdict_table
from mesovid.files import write_whole
from mesovid.report.table import Table, markdown_table
from mesovid.texts import parse_json

SCHEMA = 1
_OVERVIEW = (
    "Set",
    "Model",
    "Real + fake videos",
    "Video AUC",
    "Face AUC",
    "Fake above its original",
    "Reals called fake",
    "Fakes called fake",
    "Calibration error",
)
_HEAD = (
    "Written by `mesovid evaluate --scoreboard`; the figures lie in `{data}`. Every score is "
    "P(fake). In brackets: 95 % intervals, by bootstrap over videos, Wilson's for fractions of "
    "verdicts. Called fake: at the threshold of the model's card, outside of its uncertain band."
)

# a set's title, and what the board and a card say of one model of `results.to_json` on it
Entry = dict[str, Any]
_SHAPE: dict[str, Any] = {
    "set": None,
    "name": None,
    "sha256": None,
    "dataset": {"digest": None, "splits": None},
    "notes": None,
    "videos": {"reals": None, "fakes": None, "auc": None, "calibration_error": None},
    "crops": {"auc": None},
    "pairs": {"accuracy": None},
    "methods": {
        "method": None,
        "videos": {"fakes": None, "auc": None, "eer": None},
        "crops": {"auc": None},
    },
    "verdicts": {
        "name": None,
        "fake": None,
        "videos": None,
        "called_fake": None,
        "uncertain": None,
        "cleared": None,
        "called_real": None,
        "no_verdict": None,
    },
    "robustness": {
        "degradation": None,
        "videos": {"auc": None, "false_alarms": None, "recall": None},
        "change": None,
    },
    "curves": None,
}
_LATER = frozenset(["curves"])  # boards written before do without


def add(file: Path, title: str, evaluation: Evaluation) -> None:
    """Put an evaluation on the scoreboard under the name of its set.

    InputError when the figures beside it are damaged.
    """
    data = file.with_suffix(".json")
    entries = _read(data)
    for new in _entries(title, evaluation):
        place = [i for i, old in enumerate(entries) if _key(old) == _key(new)]
        if place:
            entries[place[0]] = new
        else:
            entries.append(new)
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    write_whole(data, f'{{"schema": {SCHEMA}, "entries": [\n{lines}\n]}}\n'.encode())
    write_whole(file, to_markdown(entries, data.name).encode())


def to_markdown(entries: list[Entry], data: str) -> str:
    """The whole file: an overview, then a section for each set."""
    overview = Table(
        "Overview", _OVERVIEW, tuple(_overview_row(entry) for entry in entries), names=2
    )
    parts = ["# Scoreboard", _paragraph(_HEAD.format(data=data)), markdown_table(overview)]
    for title in dict.fromkeys(entry["set"] for entry in entries):
        parts += _section(title, [entry for entry in entries if entry["set"] == title])
    return "\n\n".join(parts) + "\n"


def _entries(title: str, evaluation: Evaluation) -> list[Entry]:
    found = to_json(evaluation, scores=False)
    shared = {"set": title, "dataset": found["dataset"], "notes": found["notes"]}
    return [_shaped(shared | model) for model in found["models"]]


def _shaped(value: Any, shape: Any = _SHAPE) -> Any:
    """What `shape` has of a JSON value, and of each value of a list; all of it where that is None.

    An older board holds everything that was found then, which did not count videos without a
    verdict.
    """
    if shape is None or value is None:
        return value
    if isinstance(value, list):
        return [_shaped(item, shape) for item in value]
    if shape is _SHAPE["verdicts"]:
        value = {"no_verdict": None, "cleared": None} | value
    kept = [key for key in shape if key in value or key not in _LATER]
    return {key: _shaped(value[key], shape[key]) for key in kept}


def _key(entry: Entry) -> tuple[str, str]:
    return entry["set"], entry["name"]


def _read(data: Path) -> list[Entry]:
    if not data.is_file():
        return []
    try:
        content = parse_json(data.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise ValueError(f"schema {content['schema']!r}; this mesovid writes {SCHEMA}")
        return [_shaped(entry) for entry in content["entries"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{data} holds no scoreboard ({error}); move it away to begin a new one"
        ) from error


def _overview_row(entry: Entry) -> tuple[str, ...]:
    videos = entry["videos"]
    reals = [call for call in entry["verdicts"] if not call["fake"]]
    fakes = [call for call in entry["verdicts"] if call["fake"]]  # all of them first
    return (
        entry["set"],
        entry["name"],
        f"{videos['reals']:,} + {videos['fakes']:,}",
        _figure(videos["auc"]),
        _figure(entry["crops"]["auc"]),
        _share(entry["pairs"]["accuracy"]) if entry["pairs"] else UNKNOWN,
        _share(reals[0]["called_fake"]) if reals else UNKNOWN,
        _share(fakes[0]["called_fake"]) if fakes else UNKNOWN,
        _figure(videos["calibration_error"]),
    )


def _section(title: str, entries: list[Entry]) -> list[str]:
    first = entries[0]
    splits = ", ".join(split or "unnamed" for split in first["dataset"]["splits"])
    digests = ", ".join(dict.fromkeys(entry["dataset"]["digest"][:12] for entry in entries))
    models = "; ".join(f"{entry['name']} sha256 {entry['sha256'][:12]}" for entry in entries)
    notes = dict.fromkeys(note for entry in entries for note in entry["notes"])
    parts = [
        f"## {title}",
        _paragraph(f"Split {splits}, dataset sha256 {digests}; {models}."),
        *map(_paragraph, notes),
    ]
    for table in (_methods(entries), _verdicts(entries), _robustness(entries)):
        if table.rows:
            parts += [f"**{table.title}**", markdown_table(table)]
    return parts


def _paragraph(text: str) -> str:
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)


def _methods(entries: list[Entry]) -> Table:
    rows = [
        (
            method["method"],
            entry["name"],
            f"{method['videos']['fakes']:,}",
            _figure(method["videos"]["auc"]),
            _figure(method["videos"]["eer"]),
            _figure(method["crops"]["auc"]),
        )
        for entry in entries
        for method in entry["methods"]
        if method["videos"]["auc"]["value"] is not None and method["method"] != "fake"
    ]
    header = ("Method", "Model", "Videos", "Video AUC", "EER", "Face AUC")
    by_method = sorted(rows, key=lambda row: row[0])
    return Table("Methods, each against all reals", header, tuple(by_method), names=2)


def _verdicts(entries: list[Entry]) -> Table:
    rows = [
        (
            call["name"],
            entry["name"],
            f"{call['videos']:,}",
            _share(call["called_fake"]),
            _share(call["uncertain"]),
            _share(call["cleared"]) if call["cleared"] else UNKNOWN,
            _share(call["called_real"]),
            _share(call["no_verdict"]) if call["no_verdict"] else UNKNOWN,
        )
        for entry in entries
        for call in entry["verdicts"]
    ]
    return verdict_table(
        sorted(rows, key=lambda row: (row[0] != "real", row[0] != ALL_FAKES, row[0]))
    )


def _robustness(entries: list[Entry]) -> Table:
    rows = [
        (
            damaged["degradation"],
            entry["name"],
            _figure(damaged["videos"]["auc"]),
            difference(Difference(**damaged["change"]) if damaged["change"] else None),
            _share(damaged["videos"]["false_alarms"]),
            _share(damaged["videos"]["recall"]),
        )
        for entry in entries
        for damaged in entry["robustness"]
    ]
    header = ("Damage to the crops", "Model", "Video AUC", "Change", "False alarms", "Recall")
    order = {row[0]: i for i, row in reversed(list(enumerate(rows)))}
    by_damage = sorted(rows, key=lambda row: order[row[0]])
    return Table("Robustness", header, tuple(by_damage), names=2)


def _figure(values: dict[str, float | None]) -> str:
    return estimate(Estimate(**values))


def _share(values: dict[str, float | None]) -> str:
    return estimate(Estimate(**values), percent=True)
