"""`mesovid degrade`: damaged copies of videos, to see what a detector withstands."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mesovid.cli.options import class_options, refuse_inside
from mesovid.cli.process import ended_by, progress, say
from mesovid.errors import DatasetError, SettingsError

if TYPE_CHECKING:
    from mesovid.dataset.sources import Options


@click.command()
@click.argument("source", type=click.Path())
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FOLDER",
    type=click.Path(file_okay=False),
    help="New folder for the copies, or one to finish.",
)
@click.option(
    "--damage",
    required=True,
    metavar="KIND:AMOUNT,...",
    help=(
        "One after the other: h264:CRF (last), jpeg:QUALITY, resize:FACTOR (down and up again), "
        "fit:PX (the shorter side of larger videos), blur:SIGMA, noise:SIGMA, brightness:FACTOR "
        "or gamma:EXPONENT."
    ),
)
@click.option("--split", help="Copy this split of the collection alone.")
@class_options
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Processes. Default: one a core."
)
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def command(
    source: str,
    output: str,
    damage: str,
    split: str | None,
    workers: int | None,
    quiet: bool,
    options: Options,
) -> None:
    """Write damaged copies of a collection's videos.

    SOURCE is a collection as for `mesovid extract`, which reads the copies too. Stopped at any
    moment, the same command goes on where it was.

    \b
    mesovid degrade FaceForensics++ -o damaged/h264-35 --damage h264:35
    mesovid degrade FaceForensics++ -o alike --damage fit:224,h264:28
    mesovid extract damaged/h264-35 -o datasets/h264-35
    mesovid evaluate meso4 datasets/h264-35
    """
    from mesovid.dataset.layouts import gather
    from mesovid.evaluation.degrade import parse
    from mesovid.evaluation.degrade_videos import degrade_videos

    damages = parse(damage)
    if not damages:
        raise SettingsError(f"--damage takes at least one kind, such as h264:35; got {damage!r}")
    refuse_inside(output, [source])
    gathered = gather([source], options)
    found = gathered.sources
    chosen = [one for one in found if split in (None, one.split)]
    if not chosen:
        splits = ", ".join(sorted({one.split for one in found if one.split})) or "none"
        raise DatasetError(f"{source} has no video of split {split!r}; it has {splits}")
    try:
        with progress(len(chosen), "video", quiet) as on_done:
            copies = degrade_videos(
                chosen,
                Path(output),
                damages,
                workers or os.cpu_count() or 1,
                lambda _: on_done(1),
            )
    except KeyboardInterrupt as stop:
        raise ended_by(stop, f"the same command goes on where it was ({output})") from stop
    failed = [copy for copy in copies if copy.error]
    for copy in failed:
        say(f"{copy.video}: {copy.error}")
    for problem in gathered.problems:
        say(f"{problem.name}: {problem.why}")
    sys.exit(int(bool(failed or gathered.problems)))
