"""The state of a run between two epochs, in one file that is either whole or not there."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mesovid.errors import TrainingError
from mesovid.files import whole
from mesovid.texts import parse_json

Arrays = list[npt.NDArray[Any]]

FILE = "checkpoint.npz"
PREVIOUS = "checkpoint.previous.npz"


@dataclass(frozen=True, slots=True)
class Epoch:
    """A line of `history.csv`."""

    epoch: int  # from 1
    learning_rate: float  # of its last step
    loss: float  # mean over its batches
    accuracy: float  # of training faces at one half
    val_loss: float  # log loss over validation videos
    val_auc: float | None  # over validation videos
    val_frame_auc: float | None
    seconds: float  # everything included
    images_per_second: float  # of its training part


@dataclass(frozen=True, slots=True)
class State:
    """Everything a run needs to go on as if it had never stopped.

    Random numbers follow from seed and epoch.
    """

    history: tuple[Epoch, ...]
    best: int  # epoch that is kept as the model; 0: none yet
    model: Arrays  # all variables, those of its random generators included
    optimizer: Arrays
    average: Arrays  # the averaged weights; none without averaging

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)


def save(state: State, folder: Path) -> None:
    """Write the state and keep the one before."""
    parts = {"model": state.model, "optimizer": state.optimizer, "average": state.average}
    arrays = {
        f"{part}_{number}": array
        for part, values in parts.items()
        for number, array in enumerate(values)
    }
    about = {"history": [asdict(epoch) for epoch in state.history], "best": state.best}
    with whole(folder / FILE) as partial:
        with partial.open("wb") as file:
            np.savez(file, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        if (folder / FILE).exists():
            os.replace(folder / FILE, folder / PREVIOUS)


def load(folder: Path) -> State | None:
    """The last state that was written whole; None when the run has not finished an epoch yet.

    A file that was damaged later gives way to the one before it. Raises TrainingError when both are
    damaged.
    """
    there = [folder / name for name in (FILE, PREVIOUS) if (folder / name).exists()]
    for path in there:
        try:
            return _read(path)
        except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, MemoryError):
            continue
        except (zipfile.BadZipFile, NotImplementedError):
            continue
    if there:
        raise TrainingError(
            f"the checkpoints in {folder} are damaged; train into another folder, or delete them "
            "to begin again"
        )
    return None


def _read(path: Path) -> State:
    # opened here: numpy forgets to close a path that it cannot make sense of
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        if any(each.compress_type != zipfile.ZIP_STORED for each in file.zip.infolist()):
            raise ValueError("it is packed, and `save` packs nothing")
        about = parse_json(str(file["about"]))
        model, optimizer, average = (
            _numbered(file, part) for part in ("model", "optimizer", "average")
        )
    return State(
        tuple(Epoch(**line) for line in about["history"]),
        int(about["best"]),
        model,
        optimizer,
        average,
    )


def _numbered(file: Any, part: str) -> Arrays:
    names: Sequence[str] = [name for name in file.files if name.startswith(f"{part}_")]
    return [file[f"{part}_{number}"] for number in range(len(names))]
