"""`mesovid models`: the detectors at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import click

from mesovid.cli.options import (
    GEOMETRY_HELP,
    PAPER,
    class_options,
    complete_models,
    geometry_of,
    settings_options,
)
from mesovid.cli.process import progress, say
from mesovid.cli.sections import Sections
from mesovid.settings import (
    ACTIVATIONS,
    COLOURS,
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    LAYOUTS,
    SCORES,
    Activation,
    CalibrateSettings,
    NetworkSettings,
    PanelSettings,
)

if TYPE_CHECKING:
    from mesovid.dataset.sources import Options
    from mesovid.models.card import ModelCard


@click.group(invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List, show, import and calibrate models."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_models)


@command.command("list")
def list_models() -> None:
    """List the models that ship with mesovid."""
    from mesovid.models.card import available

    for card in available():
        click.echo(f"{card.name:16} {card.architecture:16} {card.summary}")


@command.command("show")
@click.argument("name", metavar="NAME|PATH", shell_complete=complete_models)
@click.option(
    "--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True
)
def show(name: str, format_: str) -> None:
    """Print the card of a model.

    It says what the model is, what it was trained on, how good it is and where it fails.
    """
    from mesovid.models.card import read_card

    card = read_card(name)
    if format_ == "json":
        click.echo(json.dumps(card.to_dict(), indent=1, ensure_ascii=False))
    else:
        click.echo("\n".join(_lines(card.to_dict())))


def _lines(value: object, indent: int = 0) -> list[str]:
    """An object as indented `key: value` lines, without the punctuation of JSON."""
    space = "  " * indent
    if isinstance(value, dict):
        lines = []
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                lines += [f"{space}{key}:", *_lines(item, indent + 1)]
            else:
                lines.append(f"{space}{key}: {_plain(item)}")
        return lines
    if isinstance(value, list):
        if all(not isinstance(item, (dict, list)) for item in value):
            return [space + ", ".join(_plain(item) for item in value)]
        return [line for item in value for line in _lines(item, indent)]
    return [space + _plain(value)]


def _plain(value: object) -> str:
    if value is None or value in ({}, []):
        return "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@command.command(
    "import",
    cls=Sections,
    sections={
        "Model": ("--output", "--name", "--to", "--geometry"),
        "Keras weights": ("--architecture", "--activation"),
        "ONNX file": (
            "--scores",
            "--colour",
            "--layout",
            "--range",
            "--mean",
            "--deviation",
            "--imagenet",
        ),
    },
)
@click.argument("file", type=click.Path())
@click.option(
    "--output",
    type=click.Choice(["fake", "real"]),
    required=True,
    help="What the network's output tells; of two numbers, what the second one tells.",
)
@click.option("--name", help="Name of the model. Default: the file's.")
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False),
    default=".",
    show_default=True,
    help="Folder for the model's files.",
)
@click.option("--geometry", multiple=True, metavar="MODEL|KEY=VALUE", help=GEOMETRY_HELP)
@click.option("--architecture", help="The network that they belong to, such as meso4.")
@click.option(
    "--activation",
    type=click.Choice(ACTIVATIONS),
    help="Activation of the network. Default: relu.",
)
@click.option(
    "--scores",
    type=click.Choice(SCORES),
    help="The kind of number that it gives. Default: read off the graph.",
)
@click.option("--colour", type=click.Choice(COLOURS), help="Order of the colours. Default: RGB.")
@click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    help="Order of the axes. Default: read off the graph.",
)
@click.option(
    "--range",
    "input_range",
    nargs=2,
    type=float,
    metavar="LOW HIGH",
    help="What 0 and 255 become. Default: 0 1.",
)
@click.option(
    "--mean",
    nargs=3,
    type=float,
    metavar="R G B",
    help="Taken off after that, in the network's order of colours.",
)
@click.option("--deviation", nargs=3, type=float, metavar="R G B", help="Divided by after that.")
@click.option("--imagenet", is_flag=True, help="Mean .485 .456 .406 and deviation .229 .224 .225.")
def import_(
    file: str,
    output: Literal["fake", "real"],
    name: str | None,
    folder: str,
    geometry: tuple[str, ...],
    architecture: str | None,
    activation: str | None,
    imagenet: bool,
    **formats: Any,
) -> None:
    """Take a detector that was trained elsewhere.

    FILE is an .onnx file of any network from one face to one or two numbers (exported from PyTorch,
    say), or Keras weights (.h5 by layer order, .hdf5, .keras) of a known architecture. Nothing in a
    Keras file is run; only its arrays are read.
    """
    given = {key: value for key, value in formats.items() if value is not None}
    if Path(file).suffix.lower() == ".onnx":
        if architecture or activation:
            raise click.UsageError(
                "--architecture and --activation are for Keras weights; leave them out"
            )
        card = _import_onnx(file, output, name, folder, geometry, given, imagenet)
    else:
        if given or imagenet:
            option = next(iter(given), "imagenet").removeprefix("input_")
            raise click.UsageError(f"--{option} is for .onnx files; {file} is none")
        if not architecture:
            raise click.UsageError("Keras weights need --architecture, such as meso4")
        from mesovid.models.architectures import check_architecture

        network = NetworkSettings(activation=cast("Activation", activation or "relu"))
        cut = geometry_of(geometry or (PAPER,))
        check_architecture(architecture, network, cut.size)

        from mesovid.models.export import import_model  # TensorFlow, seconds

        card = import_model(
            file,
            architecture=architecture,
            output=output,
            activation=network.activation,
            name=name,
            folder=folder,
            geometry=cut,
        )
    path = Path(folder) / f"{card.name}.json"
    click.echo(
        f"imported {card.name}: {card.geometry.size} px, {card.layout}, {card.colour}, "
        f"{card.scores} of {card.output}; scan with it: mesovid scan --model {path} ..."
    )


def _import_onnx(
    file: str,
    output: Literal["fake", "real"],
    name: str | None,
    folder: str,
    geometry: tuple[str, ...],
    formats: dict[str, Any],
    imagenet: bool,
) -> ModelCard:
    from mesovid.models.foreign import import_onnx

    if imagenet:
        if "mean" in formats or "deviation" in formats:
            raise click.UsageError("--imagenet sets --mean and --deviation; give one or the other")
        formats |= {"mean": IMAGENET_MEAN, "deviation": IMAGENET_DEVIATION}
    try:
        return import_onnx(
            file, output=output, name=name, folder=folder, geometry=geometry_of(geometry), **formats
        )
    except ValueError as error:  # of the formats
        raise click.UsageError(str(error)) from error


@command.command("publish")
@click.argument("model", metavar="NAME|PATH")
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False),
    required=True,
    help="Folder for the model's three files.",
)
@click.option(
    "--scoreboard",
    type=click.Path(dir_okay=False),
    help="Put the figures of this scoreboard into the card.",
)
@click.option("--summary", help="What the model is, in one line.")
@click.option("--licence", help="Terms of the model and of its training data.")
@click.option("--limits", help="Where the model must not be trusted.")
@click.option(
    "--real-below",
    type=float,
    help="P(fake) below which alone a video is called real; a lower one.",
)
@click.option(
    "--finds",
    metavar="WORDS",
    help="What the model looks for, such as 'swapped faces'. With --real-below, the level that it "
    "had is kept as the one below which there is no sign of that.",
)
def publish(model: str, folder: str, **given: Any) -> None:
    """Copy a trained model to a folder.

    The figures of `mesovid evaluate --scoreboard` go into its card.
    """
    from mesovid.models.publish import publish

    card = publish(model, folder, **given)
    click.echo(
        f"{card.name}: {len(card.figures)} figures; show them: mesovid models show "
        f"{Path(folder) / card.name}.json"
    )


@command.command(
    "calibrate",
    cls=Sections,
    sections={
        "Model": ("--to", "--name"),
        "Data": ("--label", "--follow-links"),
    },
)
@click.argument("model", metavar="NAME|PATH", shell_complete=complete_models)
@click.argument("datasets", nargs=-1, required=True, metavar="DATASET...", type=click.Path())
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False),
    required=True,
    metavar="FOLDER",
    help="Folder for the calibrated model's files.",
)
@click.option("--name", help="Name of the calibrated model. Default: NAME-calibrated.")
@class_options
@settings_options(CalibrateSettings)
def calibrate(
    model: str,
    datasets: tuple[str, ...],
    folder: str,
    name: str | None,
    options: Options,
    calibrate_settings: CalibrateSettings,
) -> None:
    """Calibrate a model on validation videos.

    Its weights stay as they are; what is written is a model whose probabilities hold on videos like
    these, with a threshold and an uncertain band. DATASET is a folder made by `mesovid extract`, or
    one of class folders. The videos should be none that the model learned from and none that it
    will be measured on.

    \b
    mesovid models calibrate models/detector.json datasets/mine --to models/calibrated
    """
    from mesovid.dataset.manifest import read_datasets
    from mesovid.evaluation.calibrate import calibrate, validation

    read = read_datasets(datasets, options)
    with progress(
        sum(len(validation(each, calibrate_settings.split)) for each in read), "face"
    ) as on_crops:
        card, excluded = calibrate(
            model,
            read,
            folder,
            name=name,
            settings=calibrate_settings,
            on_crops=on_crops,
        )
    for crop in excluded:
        say(f"left out: {crop.file} {crop.reason}")
    click.echo(
        f"{card.name}: threshold {card.threshold:g}; {card.rule};"
        f" scan with it: mesovid scan --model {Path(folder) / card.name}.json ..."
    )


@command.command(
    "panel",
    cls=Sections,
    sections={
        "Panel": ("--output", "--name"),
        "Members": ("--decide", "--assent", "--show", "--finds"),
    },
)
@click.argument("datasets", nargs=-1, required=True, metavar="DATASET...", type=click.Path())
@click.option(
    "-o",
    "--output",
    "folder",
    required=True,
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="Folder for the panel's card.",
)
@click.option("--name", default="panel", show_default=True, help="Name of the panel.")
@click.option(
    "--decide",
    multiple=True,
    required=True,
    metavar="NAME|PATH",
    shell_complete=complete_models,
    help="A model whose score counts; of several, the highest. May be given several times.",
)
@click.option(
    "--assent",
    multiple=True,
    metavar="NAME[=DECIDER]",
    shell_complete=complete_models,
    help="A model that must agree before anything is called fake, or what that one finds.",
)
@click.option(
    "--show",
    multiple=True,
    metavar="NAME|PATH",
    shell_complete=complete_models,
    help="A model that is scored and shown, and has no say.",
)
@click.option(
    "--finds", multiple=True, metavar="NAME=WORDS", help="What a model looks for, in a word or two."
)
@settings_options(PanelSettings)
def panel(
    datasets: tuple[str, ...],
    folder: str,
    name: str,
    assent: tuple[str, ...],
    finds: tuple[str, ...],
    panel_settings: PanelSettings,
    **given: Any,
) -> None:
    """Put several models under one name.

    Their rule is learned on faces that none of them was trained on.

    DATASET is a folder made by `mesovid extract`; its dev and test splits are left alone. Only a
    card is written: the models stay where they are, and the card holds on to these very weights.

    \b
    mesovid models panel datasets/modern -o runs/panel --decide mesolite --assent meso4
    mesovid scan clip.mp4 --model runs/panel
    """
    from mesovid.training.panel import PanelJob, assents_of, finds_of, make_panel

    job = PanelJob(
        datasets=[Path(path) for path in datasets],
        folder=Path(folder),
        name=name,
        assent=assents_of(assent),
        finds=finds_of(finds),
        settings=panel_settings,
        **given,
    )
    card = make_panel(job)
    click.echo(f"{card.name}: {card.rule}")
