"""An evaluation as a job: `mesovid evaluate`'s own code, in a process of its own."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mesovid.dataset.manifest import read_dataset
from mesovid.errors import MesovidError
from mesovid.models.classifier import load_model
from mesovid.records import Failure
from mesovid.serve.jobs import Job
from mesovid.serve.worker import CANCEL, CANCELLED, EVENTS, CancelError
from mesovid.settings import EvaluateSettings, RuntimeSettings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """What the worker is given."""

    folder: Path
    card: Path
    set: str  # what the dataset is called
    root: Path
    settings: EvaluateSettings
    runtime: RuntimeSettings


@dataclass(slots=True, eq=False, kw_only=True)
class EvaluationJob(Job):
    """One evaluation that was asked for."""

    model: str
    set: str
    card: Path
    root: Path
    settings: EvaluateSettings
    runtime: RuntimeSettings
    result: dict[str, Any] | None = field(default=None)

    def request(self) -> EvaluationRequest:
        return EvaluationRequest(
            self.folder, self.card, self.set, self.root, self.settings, self.runtime
        )

    def finish(self, outcome: dict[str, Any]) -> None:
        self.result = outcome


def work(request: EvaluationRequest) -> dict[str, Any] | Failure:
    """Measure a model on a set; the tables as JSON values."""
    # imported by the worker alone: it takes a second, which the start of the server must not
    from mesovid.evaluation.evaluate import choose_splits, evaluate
    from mesovid.evaluation.results import to_json

    with (request.folder / EVENTS).open("a", encoding="utf-8") as events:
        done = 0

        def say(faces: int) -> None:
            nonlocal done
            if (request.folder / CANCEL).exists():
                raise CancelError
            done += faces
            events.write(json.dumps({"event": "running", "faces": done, "of": total}) + "\n")
            events.flush()

        try:
            classifier = load_model(request.card, request.runtime)
            dataset = read_dataset(request.root, whole=False)
            splits = choose_splits(dataset, request.settings.split)
            total = len(dataset.of_split(*splits))
            say(0)
            found = to_json(evaluate(dataset, [classifier], request.settings, say), scores=False)
        except CancelError:
            return Failure(request.set, CANCELLED)
        except MesovidError as error:
            return Failure(request.set, _plain(str(error), request))
        except Exception as error:
            _log.exception("a defect met in an evaluation")
            return Failure(request.set, f"unexpected {type(error).__name__}")
    found["dataset"]["path"] = request.set
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def _plain(text: str, request: EvaluationRequest) -> str:
    """A message that names the set and not where it lies."""
    return text.replace(str(request.root), request.set).replace("\n", " ")
