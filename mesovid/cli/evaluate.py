"""`mesovid evaluate`: how good are these models on this dataset?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mesovid.cli.options import class_options, complete_models, settings_options
from mesovid.cli.process import STDOUT, progress, say
from mesovid.cli.sections import Sections
from mesovid.files import check_output, reported, write_whole
from mesovid.names import as_text, is_utf8
from mesovid.settings import EvaluateSettings, RuntimeSettings

if TYPE_CHECKING:
    from mesovid.dataset.sources import Options
    from mesovid.evaluation.evaluate import Evaluation

TABLES = (".json", ".jsonl", ".csv", ".txt")  # suffixes of the files by which a dataset is read


@click.command(
    cls=Sections,
    sections={
        "Result": (
            "--format",
            "--output",
            "--html",
            "--plots",
            "--scoreboard",
            "--title",
            "--quiet",
        ),
        "Data": ("--label", "--follow-links"),
    },
)
@click.argument("words", nargs=-1, metavar="MODEL... DATASET", shell_complete=complete_models)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="What the result looks like.",
)
@click.option(
    "-o", "--output", type=click.Path(), help="Write the result to this file; - is standard output."
)
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Also write a page with plots and the worst mistakes; it needs no other file.",
)
@click.option(
    "--plots",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="Also write the plots and a sheet of the worst mistakes as PNG files.",
)
@click.option(
    "--scoreboard",
    type=click.Path(dir_okay=False),
    metavar="FILE.md",
    help="Also put the figures on a scoreboard of several sets, kept in FILE.md and FILE.json.",
)
@click.option(
    "--title", help="Name of this set on the scoreboard.  [default: the dataset's folder and split]"
)
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@class_options
@settings_options(EvaluateSettings)
@settings_options(RuntimeSettings)
def command(
    words: tuple[str, ...],
    format_: str,
    output: str | None,
    page: str | None,
    plots: str | None,
    scoreboard: str | None,
    title: str | None,
    quiet: bool,
    options: Options,
    **settings: Any,
) -> None:
    """Measure models on a dataset.

    MODEL is a name, a path or a run folder; several are compared, each with the first. DATASET is a
    folder made by `mesovid extract`, or one of class folders (real, fake and their synonyms,
    optionally under train, valid, test).

    \b
    mesovid evaluate meso4 datasets/mine
    mesovid evaluate meso4 runs/mine datasets/mine --split dev --html report.html
    """
    if len(words) < 2:
        raise click.UsageError(
            "name at least one model, then a dataset: mesovid evaluate meso4 DATASET"
        )
    if scoreboard and not scoreboard.endswith(".md"):
        raise click.UsageError(f"--scoreboard {scoreboard}: it must end in .md")
    target = None if output in STDOUT else output
    _check_outputs(
        words, target, page, scoreboard, scoreboard and scoreboard.removesuffix(".md") + ".json"
    )
    evaluation = _evaluate(
        words[:-1],
        words[-1],
        options,
        quiet,
        settings["evaluate_settings"],
        settings["runtime_settings"],
    )
    _write(evaluation, format_, target)
    if page:
        from mesovid.evaluation.page import to_html

        _write_file(Path(page), to_html(evaluation).encode(errors="backslashreplace"))
    if plots:
        _write_plots(evaluation, Path(plots))
    if scoreboard:
        from mesovid.evaluation.scoreboard import add

        add(Path(scoreboard), title or _title(evaluation), evaluation)


def _evaluate(
    models: tuple[str, ...],
    folder: str,
    options: Options,
    quiet: bool,
    settings: EvaluateSettings,
    runtime: RuntimeSettings,
) -> Evaluation:
    from mesovid.dataset.manifest import read_datasets
    from mesovid.evaluation.evaluate import choose_splits, evaluate
    from mesovid.models.classifier import load_model

    classifiers = [load_model(model, runtime) for model in models]
    (dataset,) = read_datasets([folder], options)
    splits = choose_splits(dataset, settings.split)
    crops = len(dataset.of_split(*splits))
    if not quiet and not settings.split:
        named = ", ".join(
            "without a split" if split is None else f"of split {split}" for split in splits
        )
        say(f"measuring on the {crops:,} faces {named}")
    with progress(crops, "face", quiet) as on_crops:
        return evaluate(dataset, classifiers, settings, on_crops)


def _write(evaluation: Evaluation, format_: str, output: str | None) -> None:
    from mesovid.evaluation.results import to_json
    from mesovid.evaluation.tables import to_text

    if format_ == "json":
        plain = output is None and not is_utf8(sys.stdout)
        text = json.dumps(as_text(to_json(evaluation)), indent=1, ensure_ascii=plain) + "\n"
    else:
        text = to_text(evaluation)
    if output is None:
        click.echo(text, nl=False)
    else:
        _write_file(Path(output), text.encode(errors="backslashreplace"))


def _write_plots(evaluation: Evaluation, folder: Path) -> None:
    from mesovid.evaluation.plots import mistakes_sheet, plots

    for name, picture in plots(evaluation).items():
        _write_file(folder / f"{name}.png", picture)
    for model in evaluation.models:
        if model.mistakes:
            suffix = f"_{model.model.name}" if len(evaluation.models) > 1 else ""
            _write_file(
                folder / f"mistakes{suffix}.png", mistakes_sheet(evaluation, model.mistakes)
            )


def _write_file(path: Path, content: bytes) -> None:
    with reported(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)


def _check_outputs(words: tuple[str, ...], *paths: str | None) -> None:
    """Refuse outputs that cannot be written or lie over the dataset or a model."""
    from mesovid.models.card import SUFFIXES, find_card

    inputs = [find_card(model).with_suffix(suffix) for model in words[:-1] for suffix in SUFFIXES]
    dataset = Path(words[-1])
    if dataset.is_dir():
        inputs += [path for path in dataset.iterdir() if path.suffix in TABLES]
    for path in paths:
        if path is not None:
            check_output(path, inputs, parents=True)


def _title(evaluation: Evaluation) -> str:
    return " ".join(
        [evaluation.root.resolve().name, *(split for split in evaluation.splits if split)]
    )
