"""`mesovid extract`: a dataset of aligned faces from a collection of videos or pictures."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mesovid.cli.options import (
    GEOMETRY_HELP,
    class_options,
    geometry_of,
    refuse_inside,
    settings_options,
)
from mesovid.cli.process import ended_by, say
from mesovid.cli.sections import Sections
from mesovid.dataset.layouts import AUTO, LAYOUTS
from mesovid.names import shown
from mesovid.settings import (
    BatchSettings,
    ExtractSettings,
    FaceSettings,
    RuntimeSettings,
    SampleSettings,
)

if TYPE_CHECKING:
    from mesovid.dataset.cutter import Result
    from mesovid.dataset.extract import Extraction
    from mesovid.dataset.sources import Options


@click.command(
    cls=Sections,
    sections={
        "Collection": ("--layout", "--splits", "--label", "--follow-links"),
        "Dataset": ("--output", "--sheet", "--quiet", "--workers"),
        "Geometry": ("--geometry",),
    },
)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", type=click.Path())
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="DATASET",
    type=click.Path(),
    help="New folder for the dataset, or one to finish.",
)
@click.option(
    "--layout",
    type=click.Choice([AUTO, *LAYOUTS]),
    default=AUTO,
    show_default=True,
    help="How the collection is laid out.",
)
@click.option(
    "--splits",
    metavar="FILE",
    type=click.Path(exists=True),
    help="Official splits: a file {split: [paths or pairs]}, or a folder of such.",
)
@click.option("--geometry", multiple=True, metavar="MODEL|KEY=VALUE", help=GEOMETRY_HELP)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    metavar="N",
    help="Processes; 0 works in this one. Default: one a core, on a Ray cluster one a processor.",
)
@click.option(
    "--sheet", metavar="PNG", type=click.Path(dir_okay=False), help="Also write a contact sheet."
)
@click.option("-q", "--quiet", is_flag=True, help="No progress, no table.")
@class_options
@settings_options(ExtractSettings)
@settings_options(SampleSettings)
@settings_options(FaceSettings, skip=("faces",))
@settings_options(RuntimeSettings, skip=("threads",))
@settings_options(BatchSettings, skip=("workers", "timeout", "memory_limit", "fetch_limit"))
def command(
    sources: tuple[str, ...],
    output: str,
    layout: str,
    splits: str | None,
    geometry: tuple[str, ...],
    workers: int | None,
    sheet: str | None,
    quiet: bool,
    options: Options,
    **settings: Any,
) -> None:
    """Build a dataset of aligned faces from collections of videos or pictures.

    SOURCE is FaceForensics++, Celeb-DF, DFDC, class folders such as real/ and fake/, or a table
    manifest.csv or .jsonl with columns file and label (and video, original, split, identity, group,
    method where known). Stopped at any moment, the same command goes on where it was.

    \b
    Exit status: 0 all done (a video without faces is an answer), 1 something
    failed and the rest is done, 2 wrong usage.
    """
    from mesovid.batch import engine_of
    from mesovid.dataset.cutter import CutSettings
    from mesovid.dataset.extract import extract
    from mesovid.dataset.layouts import gather
    from mesovid.dataset.show import write_sheet

    refuse_inside(output, sources)
    chosen = CutSettings(
        geometry=geometry_of(geometry),
        sample=settings["sample_settings"],
        faces=settings["face_settings"],
        runtime=settings["runtime_settings"],
        extract=settings["extract_settings"],
    )
    lists = Path(splits) if splits else None
    gathered = gather(sources, options, layout=layout, lists=lists)
    progress = _Progress(quiet)
    batch: BatchSettings = settings["batch_settings"]
    if workers is None:
        workers = (os.cpu_count() or 1) if batch.engine == "local" else 0
    try:
        extraction = extract(
            gathered,
            output,
            chosen,
            workers=workers,
            engine=engine_of(batch, chosen.runtime.device),
            on_start=progress.start,
            on_results=progress.add,
        )
    except KeyboardInterrupt as stop:
        progress.close()
        raise ended_by(stop, f"the same command goes on where it was ({output})") from stop
    progress.close()
    if not quiet:
        _summarize(extraction, progress)
    if sheet is not None:
        write_sheet(extraction.dataset, sheet)
    for failure in extraction.failures if quiet else ():
        say(f"{failure.name}: {failure.why}")
    sys.exit(int(bool(extraction.failures)))


class _Progress:
    """Videos done, rate and time left on stderr, when that is a terminal."""

    def __init__(self, quiet: bool) -> None:
        self._bar: Any = None
        self._shown = not quiet and sys.stderr.isatty()
        self._began = time.monotonic()
        self.crops = 0  # of this run
        self.seconds = 0.0

    def start(self, total: int, done: int) -> None:
        self._began = time.monotonic()
        if self._shown:
            from tqdm import tqdm

            self._bar = tqdm(total=total, initial=done, unit="video", file=sys.stderr, leave=False)

    def add(self, results: Sequence[Result]) -> None:
        self.crops += sum(len(result.crops) for result in results)
        if self._bar is not None:
            self._bar.set_postfix_str(f"{self.crops} crops", refresh=False)
            self._bar.update(len(results))

    def close(self) -> None:
        self.seconds = time.monotonic() - self._began
        if self._bar is not None:
            self._bar.close()


def _summarize(extraction: Extraction, progress: _Progress) -> None:
    from mesovid.dataset.show import losses, table

    click.echo(table(extraction.dataset.crops))
    if text := losses(extraction.results, extraction.problems):
        click.echo(text)
    for note in extraction.notes:
        click.echo(shown(f"note: {note}"))
    if extraction.leaks:
        first = "; ".join(map(str, extraction.leaks[:3]))
        click.echo(
            f"note: these splits share what they should not, in {len(extraction.leaks)} places: "
            f"{shown(first)}"
        )
    if progress.crops:
        rate = progress.crops / max(progress.seconds, 1e-9)
        click.echo(
            f"{progress.crops} crops in {progress.seconds:.1f} s, {rate:.1f} a second", err=True
        )
