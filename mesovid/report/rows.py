"""A result as a row of a table: the same columns in CSV, Parquet and SQLite."""

from __future__ import annotations

import os
import re
from typing import Any

from mesovid.names import as_text, shown
from mesovid.provenance import in_words
from mesovid.records import Failure, Scan

# column -> the type of its values; any of them may be None, where nothing is known
COLUMNS: dict[str, type] = {
    "path": str,
    "status": str,
    "verdict": str,
    "fake_probability": float,
    "threshold": float,
    "people": int,
    "scored_faces": int,
    "sampled_frames": int,
    "duration": float,
    "width": int,
    "height": int,
    "model": str,
    "model_sha256": str,
    "seconds": float,
    "reason": str,
    "error": str,
    "warnings": str,
    "path_bytes": str,
    "cleared": str,
    "declared": str,
}
# what a spreadsheet takes for the beginning of a formula
_FORMULA = re.compile(r"[=+\-@\t\r]")


def row_of(result: Scan | Failure) -> dict[str, Any]:
    """The cells of a result, by column.

    `path_bytes` has a path's bytes where it is no text (see `mesovid.names`).
    """
    row = dict.fromkeys(COLUMNS) | (
        _failed(result) if isinstance(result, Failure) else _scanned(result)
    )
    path = row["path"]
    text: dict[str, Any] = as_text(row)
    return text if text["path"] == path else text | {"path_bytes": _bytes_of(path)}


def csv_cells(row: dict[str, Any]) -> list[Any]:
    """The cells of a row as they stand in CSV, which knows text alone and which spreadsheets open.

    Nothing is an empty cell. Controls are escaped, so that a row is a line. A text that a
    spreadsheet would take for a formula gets an apostrophe in front, a path `./`, by which it is
    the same file. Where `path` is not the file's name letter by letter, `path_bytes` has its bytes.
    """
    path = row["path"]
    shown_path = shown(path)
    if _FORMULA.match(shown_path):
        shown_path = f".{os.sep}{shown_path}"
    given = {"path": shown_path}
    if shown_path != path and row["path_bytes"] is None:
        given["path_bytes"] = _bytes_of(path)
    return [_cell(value) for value in (row | given).values()]


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return "" if value is None else value
    text = shown(value)
    return f"'{text}" if _FORMULA.match(text) else text


def _bytes_of(path: Any) -> str:
    return os.fsencode(path).hex()


def _scanned(scan: Scan) -> dict[str, Any]:
    video, verdict = scan.video, scan.verdict
    return {
        "path": video.path,
        "status": verdict.status,
        "verdict": verdict.label,
        "fake_probability": _rounded(verdict.fake_probability, 6),
        "threshold": scan.model.threshold,
        "people": len(scan.people),
        "scored_faces": len(scan.scores),
        "sampled_frames": len(scan.sampled),
        "duration": _rounded(video.duration, 3),
        "width": video.width,
        "height": video.height,
        "model": scan.model.name,
        "model_sha256": scan.model.sha256,
        "seconds": _rounded(scan.seconds.get("total"), 4),
        "reason": verdict.reason,
        "cleared": " | ".join(verdict.cleared) or None,
        "warnings": " | ".join(scan.warnings) or None,
        "declared": " | ".join(map(in_words, scan.declared)) or None,
    }


def _failed(failure: Failure) -> dict[str, Any]:
    return {"path": failure.path, "status": "error", "error": failure.error}


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
