"""The folder of a training run: what it was asked, how far it came, what it made.

Every file in it is whole or not there.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from mesovid import __version__
from mesovid.errors import TrainingError
from mesovid.files import FULL_DISK, whole
from mesovid.settings import AugmentSettings, NetworkSettings, Settings, TrainSettings
from mesovid.texts import parse_json
from mesovid.training.checkpoint import Epoch

RUN = "run.json"
HISTORY = "history.csv"
CURVES = "curves.png"
BEST, LAST = "best.keras", "last.keras"
KIND = "mesovid run"

# these change how fast a run is, not what comes out of it
FREE = frozenset({"workers", "cache", "device", "tensorboard"})
# parts of a plan that are settings
PARTS: Mapping[str, type[Settings]] = {
    "train": TrainSettings,
    "augment": AugmentSettings,
    "network": NetworkSettings,
}
PACKAGES = ("tensorflow", "keras", "numpy", "opencv-python", "onnx", "onnxruntime", "scikit-learn")

Plan = Mapping[str, Any]  # everything that decides a run's outcome, as JSON values


class RunFolder:
    """One run on disk."""

    def __init__(self, path: Path, plan: Plan, *, override: bool = False) -> None:
        """Look at a folder: new, or that of a run to go on with. Nothing is written yet.

        Raises TrainingError when the folder holds something else, or a run of another plan and
        `override` is not given.
        """
        self.path = path
        with writing(path):
            about = self._read()
        if about is None:
            about = {
                "kind": KIND,
                "status": "running",
                "plan": dict(plan),
                "environment": environment(),
            }
        elif changes := _changes(_complete(about["plan"]), _complete(plan)):
            if not override:
                raise TrainingError(
                    f"{path} holds a run of other settings: {'; '.join(changes)}; name another "
                    "folder, or go on with the new ones by --override"
                )
            about["overridden"] = [*about.get("overridden", []), *changes]
            about |= {"plan": dict(plan), "status": "running"}
        self._about = about

    def begin(self) -> None:
        """Make the folder, or write down what the run is asked now."""
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._write()

    @property
    def finished(self) -> bool:
        """Whether the run came to its end, model and all."""
        return bool(self._about["status"] == "finished")

    def note(self, **values: Any) -> None:
        """Put further facts into `run.json`."""
        self._about |= values
        with writing(self.path):
            self._write()

    def write_history(self, history: Sequence[Epoch]) -> None:
        """Rewrite `history.csv`."""
        names = [field.name for field in dataclasses.fields(Epoch)]
        with (
            whole(self.path / HISTORY) as partial,
            partial.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(_rounded(dataclasses.asdict(epoch)) for epoch in history)

    def _read(self) -> dict[str, Any] | None:
        file = self.path / RUN
        if not file.exists():
            if any(self.path.glob("*.json")) or any(self.path.glob("*.keras")):
                raise TrainingError(
                    f"{self.path} holds something else than a training run; name another folder"
                )
            return None
        try:
            about = parse_json(file.read_text(encoding="utf-8"))
            plan = about["plan"]
            parts = [plan, *(plan.get(name, {}) for name in PARTS)]
            if about["kind"] != KIND or not all(isinstance(part, dict) for part in parts):
                raise ValueError
            if not isinstance(about["status"], str):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TrainingError(
                f"{file} is damaged or not that of a training run; name another folder"
            ) from error
        return dict(about)

    def _write(self) -> None:
        with whole(self.path / RUN) as partial:
            partial.write_text(
                json.dumps(self._about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
            )


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns what goes wrong with the disk into a TrainingError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL_DISK:
            raise TrainingError(
                f"the disk of {folder} is full; make room and run the same command again: it goes "
                "on where it stopped"
            ) from error
        raise TrainingError(f"cannot write to {folder} ({error.strerror or error})") from error


def environment() -> dict[str, Any]:
    """Versions, machine and time: what may be asked when figures differ."""
    return {
        "mesovid": __version__,
        "revision": _revision(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "packages": {name: _version(name) for name in PACKAGES},
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _revision() -> str | None:
    """The git commit of the code, marked when it has been changed since.

    None outside of a checkout.
    """
    here = Path(__file__).resolve().parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=here, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def _complete(plan: Plan) -> Plan:
    """The plan of another version with every option that is, or was, at the value it has unsaid."""
    settings = {
        name: {**cls.dropped, **cls().to_dict(), **plan.get(name, {})}
        for name, cls in PARTS.items()
    }
    return {**plan, **settings}


def _changes(old: Plan, new: Plan) -> list[str]:
    """What differs, one `name old (now new)` each."""
    found = []
    for key in sorted(set(old) | set(new)):
        before, after = old.get(key), new.get(key)
        if key in FREE or before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += _changes(before, after)
        else:
            found.append(f"{key.replace('_', '-')} {_short(before)} (now {_short(after)})")
    return found


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _rounded(line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: f"{value:.6g}" if isinstance(value, float) else value for key, value in line.items()
    }
