"""`mesovid predict`: are these faces, already cropped, fake?"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from mesovid.cli.options import class_options, complete_models, settings_options
from mesovid.cli.process import STDOUT, say
from mesovid.cli.sections import Sections
from mesovid.files import check_output, reported, write_whole
from mesovid.names import as_text, is_utf8, shown, with_bytes
from mesovid.settings import PredictSettings, RuntimeSettings

if TYPE_CHECKING:
    from mesovid.evaluation.predict import Prediction


@click.command(
    cls=Sections,
    sections={
        "Result": ("--format", "--output"),
        "Faces": ("--label", "--follow-links"),
    },
)
@click.argument("model", shell_complete=complete_models)
@click.argument("faces", nargs=-1, required=True, metavar="FACES...", type=click.Path())
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "jsonl", "csv"]),
    default="text",
    show_default=True,
    help="What the result looks like.",
)
@click.option(
    "-o", "--output", type=click.Path(), help="Write the result to this file; - is standard output."
)
@class_options
@settings_options(PredictSettings)
@settings_options(RuntimeSettings)
def command(
    model: str,
    faces: tuple[str, ...],
    format_: str,
    output: str | None,
    **settings: Any,
) -> None:
    """Score faces that are already cropped: files, or folders of them.

    MODEL is a name, a path or a run folder. The faces should be cut as the model wants them, as
    `mesovid extract` does it; for whole pictures and videos use `mesovid scan`. Where folders are
    called real and fake (or a synonym), a classification report follows.

    \b
    Exit status: 0 all scored, 1 some file could not be read, or has no label
    beside others that have one, 2 wrong usage.
    """
    from mesovid.evaluation.predict import find_faces, predict, report
    from mesovid.models.classifier import load_model
    from mesovid.verdict import Rule

    chosen: PredictSettings = settings["predict_settings"]
    classifier = load_model(model, settings["runtime_settings"])
    found, problems = find_faces(faces, classifier, settings["options"])
    target = None if output in STDOUT else output
    if target is not None:
        check_output(target, [path for path, _ in found])
    predictions = list(predict(found, classifier, chosen))
    _write(_FORMATS[format_](predictions, target is None and not is_utf8(sys.stdout)), target)
    size = classifier.card.geometry.size
    if resized := sum(prediction.resized for prediction in predictions):
        noun = "face" if resized == 1 else "faces"
        say(f"{resized:,} {noun} resized to {size}x{size}")
    if table := report(predictions, Rule.of(classifier.card, chosen.threshold).threshold):
        # beside a machine's format, stdout carries only the result
        click.echo(f"\n{table}", err=format_ != "text" or target is not None)
    failed = [prediction for prediction in predictions if prediction.error]
    for prediction in failed:
        say(f"{prediction.path}: {prediction.error}")
    for problem in problems:
        say(f"{problem.name}: {problem.why}")
    sys.exit(1 if failed or problems else 0)


def _text(predictions: list[Prediction], _ascii: bool) -> str:
    lines = [
        f"{prediction.label:9}  {prediction.fake_probability:.3f}  {shown(prediction.path)}"
        for prediction in predictions
        if prediction.error is None
    ]
    return "".join(f"{line}\n" for line in lines)


def _json(predictions: list[Prediction], ascii_: bool) -> str:
    rows = [_plain(prediction) for prediction in predictions]
    return json.dumps(rows, indent=1, ensure_ascii=ascii_) + "\n"


def _jsonl(predictions: list[Prediction], ascii_: bool) -> str:
    rows = map(_plain, predictions)
    return "".join(json.dumps(row, ensure_ascii=ascii_) + "\n" for row in rows)


def _csv(predictions: list[Prediction], _ascii: bool) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["path", "label", "fake_probability", "truth", "error"])
    for each in predictions:
        writer.writerow(
            as_text([each.path, each.label, each.fake_probability, each.truth, each.error])
        )
    return stream.getvalue()


# the result as text; JSON in ASCII where it is asked, for a stdout that is not in UTF-8
_FORMATS = {"text": _text, "json": _json, "jsonl": _jsonl, "csv": _csv}


def _plain(prediction: Prediction) -> dict[str, Any]:
    return with_bytes(
        {key: value for key, value in dataclasses.asdict(prediction).items() if key != "resized"}
    )


def _write(text: str, output: str | None) -> None:
    if output is None:
        click.echo(text, nl=False)
        return
    with reported(output):
        write_whole(output, text.encode(errors="backslashreplace"))
