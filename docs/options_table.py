"""mkdocs hook: fills pages with what stands elsewhere.

That is every option, from `mesovid.settings`, and CONTRIBUTING.md.
"""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

from mesovid import settings

MARK = "<!-- options -->"
CONTRIBUTING_MARK = "<!-- contributing -->"
CONTRIBUTING = Path(__file__).resolve().parent.parent / "CONTRIBUTING.md"
# settings class -> the commands that take it
COMMANDS = {
    "ScanSettings": "scan, serve",
    "SampleSettings": "scan, extract, explain",
    "FaceSettings": "scan, extract, explain",
    "BatchSettings": "scan",
    "RuntimeSettings": "all that run a network",
    "ExtractSettings": "extract",
    "Geometry": "extract --geometry, models import --geometry",
    "EvaluateSettings": "evaluate",
    "PredictSettings": "predict",
    "CalibrateSettings": "models calibrate",
    "PanelSettings": "models panel",
    "TrainSettings": "train",
    "AugmentSettings": "train",
    "NetworkSettings": "train",
    "ServeSettings": "serve",
    "ExplainSettings": "explain",
}


def on_page_markdown(markdown: str, **_more: Any) -> str:
    """The page with its mark replaced."""
    if CONTRIBUTING_MARK in markdown:
        return CONTRIBUTING.read_text(encoding="utf-8")
    return markdown.replace(MARK, tables()) if MARK in markdown else markdown


def tables() -> str:
    """A heading and a table for each class of settings, in the order of the file."""
    found = [
        cls
        for _, cls in inspect.getmembers(settings, inspect.isclass)
        if issubclass(cls, settings.Settings) and cls is not settings.Settings
    ]
    found.sort(key=lambda cls: inspect.getsourcelines(cls)[1])
    return "\n\n".join(_table(cls) for cls in found)


def _table(cls: type[settings.Settings]) -> str:
    """A class with its options, under a heading for each of its parts where it has several."""
    title = COMMANDS.get(cls.__name__, cls.__name__)
    first = (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")
    lines = [f"## {title} {{ #{cls.__name__.lower()} }}", "", first]
    several = len(cls.headings) > 1
    part: str | None = None
    for field in dataclasses.fields(cls):
        if not field.metadata:
            continue
        if (heading := cls.heading_of(field.name)) != part:
            lines += ["", f"### {heading}"] if several else []
            lines += ["", "| option | default | allowed | meaning |", "| --- | --- | --- | --- |"]
            part = heading
        lines.append(
            f"| `--{field.name.replace('_', '-')}` | {_shown(field.default)} | {_range(field)} | "
            f"{_cell(field.metadata['help'])} |"
        )
    return "\n".join(lines)


def _shown(default: Any) -> str:
    if default is None:
        return ""
    return {True: "yes", False: "no"}[default] if isinstance(default, bool) else f"`{default}`"


def _range(field: dataclasses.Field[Any]) -> str:
    about = field.metadata
    if allowed := settings.choices(field):
        return ", ".join(allowed)
    least, most = about["at_least"], about["at_most"]
    parts = [
        f"from {least:g}" if least is not None else "",
        f"to {most:g}" if most is not None else "",
    ]
    return " ".join(part for part in parts if part)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
