"""Work that is asked for now and then, each in a process of its own: models that are imported, and
reports. A file that crashes what reads it takes that process along and not the server."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from mesovid.errors import MesovidError
from mesovid.pool import Crash, Limits, run
from mesovid.records import Failure, Scan
from mesovid.serve.problems import ProblemError
from mesovid.settings import IMAGENET_DEVIATION, IMAGENET_MEAN, Geometry

_log = logging.getLogger(__name__)

WAIT = 30.0  # seconds that a request waits for the one before it
SECONDS = 300.0  # that such work may take
KERAS_SUFFIXES = (".h5", ".hdf5", ".keras")
MODEL_SUFFIXES = frozenset([".onnx", *KERAS_SUFFIXES])

Request = TypeVar("Request")
_turn = threading.Semaphore(1)


def once(work: Callable[[Request], Any], request: Request) -> Any:
    """What `work` gives in a new process; one at a time. ProblemError when it fails."""
    if not _turn.acquire(timeout=WAIT):
        raise ProblemError(
            "busy", "the server is making something else", headers={"retry-after": "10"}
        )
    try:
        outcomes = [outcome for _, outcome in run([request], work, 1, Limits(timeout=SECONDS))]
    finally:
        _turn.release()
    return outcomes[0]


# --- models ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """A model's file, and how it is to be read."""

    file: Path
    folder: Path
    name: str
    output: Literal["fake", "real"]
    geometry: Geometry
    architecture: str | None
    activation: str | None
    formats: dict[str, Any]  # of .onnx files, as for `import_onnx`
    imagenet: bool


def import_model(request: ImportRequest) -> str | Failure:
    """Import a model as `mesovid models import` does; the name of its card, or why not."""
    try:
        return _imported(request)
    except (MesovidError, ValueError) as error:
        return Failure(request.name, _without(str(error), request.file))
    except OSError as error:
        return Failure(request.name, f"it cannot be written ({error.strerror})")
    except Exception as error:
        _log.exception("a defect met in an import")
        return Failure(request.name, f"unexpected {type(error).__name__}")


def _imported(request: ImportRequest) -> str:
    if request.file.suffix == ".onnx":
        from mesovid.models.foreign import import_onnx

        formats = dict(request.formats)
        if request.imagenet:
            formats |= {"mean": IMAGENET_MEAN, "deviation": IMAGENET_DEVIATION}
        card = import_onnx(
            request.file,
            output=request.output,
            geometry=request.geometry,
            folder=request.folder,
            name=request.name,
            **formats,
        )
    else:
        from mesovid.models.export import import_model as import_weights

        assert request.architecture is not None  # the route has looked
        card = import_weights(
            request.file,
            architecture=request.architecture,
            output=request.output,
            activation=request.activation or "relu",  # type: ignore[arg-type]
            name=request.name,
            folder=request.folder,
            geometry=request.geometry,
        )
    return card.name


def _without(text: str, path: Path) -> str:
    """A message that names the file and not where it lies."""
    return text.replace(f"{path.parent}/", "").replace(str(path.parent), "").replace("\n", " ")


# --- reports --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """A scan, where its clip lies now, and where the page is to go."""

    scan: Scan
    clip: Path | None
    model: str
    page: Path


def write_report(request: ReportRequest) -> Failure | None:
    """Write a scan's page as `mesovid scan --report` does; its faces are cut out of the clip."""
    from mesovid.evidence.pages import Pages

    try:
        pages = Pages(request.page, single=True, models=[request.model])
        pages.add(request.scan, clip=str(request.clip) if request.clip else None)
        pages.close()
    except MesovidError as error:
        return Failure(request.scan.video.path, _without(str(error), request.page))
    except Exception as error:
        _log.exception("a defect met in a report")
        return Failure(request.scan.video.path, f"unexpected {type(error).__name__}")
    return None


def outcome_of(found: Any, kind: str) -> Any:
    """What the work gave; ProblemError of this kind when it failed or crashed."""
    if isinstance(found, Failure):
        raise ProblemError(kind, found.error)
    if isinstance(found, Crash):
        raise ProblemError(kind, found.reason)
    return found


def renamed(scan: Scan, path: str) -> Scan:
    """The same scan of a file elsewhere."""
    return replace(scan, video=replace(scan.video, path=path))
