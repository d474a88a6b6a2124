"""mesovid: is a face in this video faked?

    >>> import mesovid
    >>> mesovid.scan("clip.mp4").verdict.label
    >>> scanner = mesovid.Scanner("meso4", frames=64)  # keeps the networks loaded

The names below are imported when they are first used, so that `import mesovid` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mesovid.batch import scan_all
    from mesovid.errors import MesovidError
    from mesovid.models.classifier import load_model
    from mesovid.records import Failure, Scan, Verdict
    from mesovid.report.reader import read_results
    from mesovid.scanner import Scanner, scan
    from mesovid.video import probe, sample

__version__ = "0.1.0"
__all__ = [
    "Failure",
    "MesovidError",
    "Scan",
    "Scanner",
    "Verdict",
    "load_model",
    "probe",
    "read_results",
    "sample",
    "scan",
    "scan_all",
]

_HOMES = {
    "Failure": "records",
    "MesovidError": "errors",
    "Scan": "records",
    "Scanner": "scanner",
    "Verdict": "records",
    "load_model": "models.classifier",
    "probe": "video",
    "read_results": "report.reader",
    "sample": "video",
    "scan": "scanner",
    "scan_all": "batch",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562).

    `scan` is the function, although a module of that name exists: `from mesovid.scanner import ...`
    still finds it.
    """
    if name not in _HOMES:
        raise AttributeError(f"module 'mesovid' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"mesovid.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
