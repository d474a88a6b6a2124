"""`mesovid predict`: are these faces, already cropped, fake?"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mesovid.cli.options import class_options, complete_models, settings_options
from mesovid.settings import RuntimeSettings

if TYPE_CHECKING:
    from mesovid.evaluation.predict import Prediction


@click.command()
@click.argument("model", shell_complete=complete_models)
@click.argument("faces", nargs=-1, required=True, metavar="FACES...", type=click.Path())
@click.option("--format", "format_", type=click.Choice(["text", "json", "jsonl", "csv"]), default="text", show_default=True, help="What the result looks like.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write the result to this file.")
@click.option("--batch-size", type=click.IntRange(1, 4096), default=64, show_default=True, help="Faces that pass the network at once.")  # fmt: skip
@class_options
@settings_options(RuntimeSettings)
def command(
    model: str, faces: tuple[str, ...], format_: str, output: str | None, batch_size: int, **settings: Any
) -> None:
    """Score faces that are already cropped: files, or folders of them.

    MODEL is a name, a path or a run folder. The faces should be cut as the model wants them, as `mesovid extract` does it; for
    whole pictures and videos use `mesovid scan`. Where folders are called real and fake (or a synonym), a classification report
    follows.

    \b
    Exit status: 0 all scored, 1 some file could not be read, or has no label
    beside others that have one, 2 wrong usage.
    """
    from mesovid.evaluation.predict import find_faces, predict, report
    from mesovid.models.classifier import load_model

    classifier = load_model(model, settings["runtime_settings"])
    found, problems = find_faces(faces, classifier, settings["options"])
    predictions = list(predict(found, classifier, batch_size))
    _write(_FORMATS[format_](predictions), output)
    size = classifier.card.geometry.size
    if resized := sum(prediction.resized for prediction in predictions):
        noun = "face" if resized == 1 else "faces"
        click.echo(f"mesovid: {resized:,} {noun} resized to {size}x{size}", err=True)
    if table := report(predictions, classifier.card.threshold):
        # beside a machine's format, stdout carries only the result
        click.echo(f"\n{table}", err=format_ != "text" or output is not None)
    failed = [prediction for prediction in predictions if prediction.error]
    for prediction in failed:
        click.echo(f"mesovid: {prediction.path} {prediction.error}", err=True)
    for problem in problems:
        click.echo(f"mesovid: {problem.name}: {problem.why}", err=True)
    sys.exit(1 if failed or problems else 0)


def _text(predictions: list[Prediction]) -> str:
    lines = [
        f"{prediction.label:9}  {prediction.fake_probability:.3f}  {prediction.path}"
        for prediction in predictions
        if prediction.error is None
    ]
    return "".join(f"{line}\n" for line in lines)


def _json(predictions: list[Prediction]) -> str:
    return json.dumps([_plain(prediction) for prediction in predictions], indent=1, ensure_ascii=False) + "\n"


def _jsonl(predictions: list[Prediction]) -> str:
    return "".join(json.dumps(_plain(prediction), ensure_ascii=False) + "\n" for prediction in predictions)


def _csv(predictions: list[Prediction]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["path", "label", "fake_probability", "truth", "error"])
    for each in predictions:
        writer.writerow([each.path, each.label, each.fake_probability, each.truth, each.error])
    return stream.getvalue()


_FORMATS = {"text": _text, "json": _json, "jsonl": _jsonl, "csv": _csv}


def _plain(prediction: Prediction) -> dict[str, Any]:
    return {key: value for key, value in dataclasses.asdict(prediction).items() if key != "resized"}


def _write(text: str, output: str | None) -> None:
    if output is None:
        click.echo(text, nl=False)
        return
    from mesovid.errors import InputError

    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {output} ({error.strerror})") from error
