"""Finds the folders that ship with mesovid.

They lie inside the installed package, or beside it in a checkout.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def trained_models() -> Path:
    """The folder of shipped models and of the detector's networks."""
    return _folder("trained_models")


def pipelines() -> Path:
    """The folder of shipped recipes."""
    return _folder("pipelines")


def _folder(name: str) -> Path:
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name
