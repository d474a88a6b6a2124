"""`mesovid train`: from datasets to a model with a card."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from mesovid.cli.options import class_options, complete_models, settings_options
from mesovid.cli.process import ended_by
from mesovid.cli.sections import Sections
from mesovid.settings import AugmentSettings, NetworkSettings, TrainSettings


@click.command(
    cls=Sections,
    sections={
        "Run": ("--output", "--name", "--override", "--quiet"),
        "Network": ("--init",),
        "Data": ("--label", "--follow-links", "--weight"),
        "What is learned": ("--teacher",),
    },
)
@click.argument("datasets", nargs=-1, required=True, metavar="DATASET...", type=click.Path())
@click.option(
    "-o",
    "--output",
    "folder",
    required=True,
    metavar="RUN",
    type=click.Path(file_okay=False),
    help="Folder of the run; a run that is there is continued.",
)
@click.option("--name", help="Name of the model.  [default: the folder's]")
@click.option(
    "--init",
    "starts",
    multiple=True,
    metavar="NAME|PATH",
    shell_complete=complete_models,
    help=(
        "Model to start from. Given several times: the mean of the models' weights, one that is "
        "named twice counting twice."
    ),
)
@click.option(
    "--teacher",
    metavar="NAME|PATH",
    shell_complete=complete_models,
    help="Model whose scores are taught beside the labels; see --distillation.",
)
@click.option(
    "--weight",
    "weights",
    multiple=True,
    metavar="NAME=NUMBER",
    help=(
        "How often faces of a dataset or method come in balanced batches, against 1; 0 leaves "
        "them out. May be given several times."
    ),
)
@click.option(
    "--override", is_flag=True, help="Go on with a run that was begun with other settings or data."
)
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@class_options
@settings_options(TrainSettings)
@settings_options(NetworkSettings)
@settings_options(AugmentSettings)
def command(
    datasets: tuple[str, ...],
    folder: str,
    name: str | None,
    starts: tuple[str, ...],
    teacher: str | None,
    weights: tuple[str, ...],
    override: bool,
    quiet: bool,
    **settings: Any,
) -> None:
    """Train a detector.

    DATASET is a folder made by `mesovid extract`, or one of class folders (real, fake and their
    synonyms, optionally under train and valid). A run that was stopped, even killed, goes on when
    the same command is given again.

    \b
    mesovid train datasets/mine -o runs/mine
    mesovid train datasets/reals -o runs/blended --self-blend 1
    mesovid train datasets/mine -o runs/mean --init runs/first --init runs/second --epochs 0
    mesovid scan clip.mp4 --model runs/mine
    """
    parsed = _weights(weights)
    name = _name(name, folder)

    from mesovid.training.job import TrainJob
    from mesovid.training.prepare import finished, prepare

    job = TrainJob(
        datasets=[Path(path) for path in datasets],
        options=settings["options"],
        folder=Path(folder),
        name=name,
        train=settings["train_settings"],
        augment=settings["augment_settings"],
        network=settings["network_settings"],
        weights=parsed,
        starts=starts,
        teacher=teacher,
        override=override,
    )
    progress = _Progress(quiet)
    reporter = progress.reporter()
    try:
        prepared = prepare(job)
        card = finished(prepared, reporter)
        if card is None:
            from mesovid.training.fit import run  # TensorFlow, seconds

            card = run(prepared, reporter)
    except KeyboardInterrupt as stop:
        raise ended_by(
            stop, f"the same command goes on after the last whole epoch ({folder})"
        ) from stop
    finally:
        progress.close()
    click.echo(
        f"{card.name}: threshold {card.threshold:g}; scan with it: mesovid scan --model {folder} "
        "..."
    )


TAKEN = ("run", "best", "last")  # files of a run folder that a model's would replace


def _name(given: str | None, folder: str) -> str:
    """The model's name: the folder's where none is given.

    Its card `NAME.json` lies beside the run's own `run.json`.
    """
    name = given or Path(folder).resolve().name
    if given is None and name in ("", *TAKEN):
        return "model"
    if name in TAKEN or name.startswith(".") or set(name) & set('/\\:*?"<>|'):
        raise click.UsageError(
            f"--name {name}: a model cannot be called so; it becomes the name of three files"
        )
    return name


def _weights(texts: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, number in map(_weight, texts):
        if found.setdefault(name, number) != number:
            raise click.UsageError(
                f"--weight {name} is {found[name]:g} and {number:g}; give it once"
            )
    return found


def _weight(text: str) -> tuple[str, float]:
    name, _, value = text.rpartition("=")
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not name or not 0 <= number < float("inf"):
        raise click.UsageError(
            f"--weight {text}: write NAME=NUMBER, such as Deepfakes=2; 0 leaves it out"
        )
    return name, number


class _Progress:
    """Sentences on stderr, and a bar within an epoch when it is a terminal."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None

    def reporter(self) -> Any:
        from mesovid.training.job import Reporter

        return Reporter() if self._quiet else Reporter(self._say, self._step)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _say(self, message: str) -> None:
        self.close()
        click.echo(message, err=True)

    def _step(self, epoch: int, done: int, of: int) -> None:
        if not sys.stderr.isatty():
            return
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(total=of, desc=f"epoch {epoch}", unit="batch", leave=False)
        self._bar.update(done - self._bar.n)
