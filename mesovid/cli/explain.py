"""`mesovid explain`: why do these faces get the scores they get?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mesovid.cli.options import complete_models, settings_options
from mesovid.cli.process import say
from mesovid.cli.sections import Sections
from mesovid.settings import ExplainSettings, FaceSettings, RuntimeSettings, SampleSettings

if TYPE_CHECKING:
    from mesovid.explain.explainer import Explainer
    from mesovid.explain.telling import Gathering


@click.command(
    cls=Sections,
    sections={
        "Inputs and result": ("--output", "--crops"),
    },
)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...", type=click.Path())
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="DIR",
    type=click.Path(),
    help="New folder for the page, the pictures and the numbers.",
)
@click.option(
    "--crops",
    is_flag=True,
    help=(
        "The pictures are faces already cut as the model wants them (see `mesovid scan "
        "--save-faces`)."
    ),
)
@settings_options(ExplainSettings, complete={"model": complete_models})
@settings_options(SampleSettings)
@settings_options(FaceSettings)
@settings_options(RuntimeSettings, skip=("runtime",))
def command(inputs: tuple[str, ...], output: str, crops: bool, **settings: Any) -> None:
    """Show why faces get their scores, and what a network makes of them.

    INPUT is a video, a picture, or a folder that is searched through. Of all faces in it, the most
    and the least suspicious are explained: what the score hangs on, how the sum came about, and the
    maps of every layer. DIR/index.html shows it all; pictures and numbers lie beside it.

    \b
    Exit status: 0 all looked at, 1 some input failed or no face was found, 2 wrong usage.
    """
    from mesovid.batch import find_inputs
    from mesovid.explain.explainer import Explainer
    from mesovid.explain.folder import check_folder, write_explanation
    from mesovid.explain.telling import Gathering

    chosen: ExplainSettings = settings["explain_settings"]
    folder = Path(output)
    check_folder(folder)
    explainer = Explainer(chosen.model, settings["runtime_settings"])
    found = Gathering(chosen.show, explainer.card.smallest_face)
    paths = find_inputs(inputs)
    failures = _look_at_crops(paths, explainer, found) if crops else _scan(paths, found, settings)
    for failure in failures:
        say(failure)
    if not found.seen:
        if not failures:
            say(f"no face found in {', '.join(inputs)}; nothing to explain{_hint(crops)}")
        sys.exit(1)
    page = write_explanation(folder, explainer, found.chosen(), found.sample(), chosen, failures)
    click.echo(page)
    sys.exit(int(bool(failures)))


def _scan(inputs: list[Any], found: Gathering, settings: dict[str, Any]) -> list[str]:
    """Find and judge the faces of videos and pictures.

    Gives the inputs that could not be looked at, each with the reason.
    """
    from mesovid.batch import scan_all
    from mesovid.records import Failure
    from mesovid.scanner import Scanner

    scanner = Scanner(
        settings["explain_settings"].model,
        sample_settings=settings["sample_settings"],
        face_settings=settings["face_settings"],
        runtime_settings=settings["runtime_settings"],
    )
    return [
        result.error for result in scan_all(inputs, scanner, found) if isinstance(result, Failure)
    ]


def _look_at_crops(inputs: list[Any], explainer: Explainer, found: Gathering) -> list[str]:
    """Judge pictures that are faces already."""
    from mesovid.errors import InputError
    from mesovid.explain.telling import read_face
    from mesovid.records import Failure

    failures = []
    for each in inputs:
        if isinstance(each, Failure):
            failures.append(each.error)
            continue
        try:
            found.add(read_face(each, explainer))
        except InputError as error:
            failures.append(str(error))
    return failures


def _hint(crops: bool) -> str:
    return "" if crops else " (if they are faces already cut, add --crops)"
