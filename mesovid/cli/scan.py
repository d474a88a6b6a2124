"""`mesovid scan`: is a face in these videos faked?"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, Any

import click

from mesovid.cli.options import complete_models, settings_options
from mesovid.settings import FaceSettings, RuntimeSettings, SampleSettings, ScanSettings

if TYPE_CHECKING:
    from mesovid.records import Failure, Scan

FAKE_FOUND = 3  # exit status with --fail-on fake


class DashedFiles(click.Command):
    """Takes an argument that begins with a dash for a file where a file of that name exists."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        dashed = [arg.startswith("-") and arg != "-" and os.path.isfile(arg) for arg in args]
        return super().parse_args(
            ctx, [f".{os.sep}{arg}" if yes else arg for arg, yes in zip(args, dashed, strict=True)]
        )


@click.command(cls=DashedFiles)
@click.argument("inputs", nargs=-1, metavar="INPUT...", type=click.Path())
@click.option("--from-file", "lists", multiple=True, metavar="LIST", type=click.Path(), help="Read inputs from this file, one a line.")  # fmt: skip
@click.option("--format", "format_", type=click.Choice(["text", "json", "jsonl", "csv"]), default="text", show_default=True, help="What the result looks like.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write the result to this file.")
@click.option(
    "--fail-on", type=click.Choice(["fake"]), help=f"Exit with status {FAKE_FOUND} when a video is fake."
)
@click.option(
    "--save-faces",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="Keep the aligned faces as PNG files.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress, no summary.")
@click.option("-v", "--verbose", is_flag=True, help="Show the time that each stage took.")
@settings_options(ScanSettings, complete={"model": complete_models})
@settings_options(SampleSettings)
@settings_options(FaceSettings)
@settings_options(RuntimeSettings)
def command(
    inputs: tuple[str, ...],
    lists: tuple[str, ...],
    format_: str,
    output: str | None,
    fail_on: str | None,
    save_faces: str | None,
    quiet: bool,
    verbose: bool,
    **settings: Any,
) -> None:
    """Say of videos and pictures whether a face in them is faked.

    INPUT is a video, a picture, a folder that is searched through, a glob pattern, or - for a list on standard input. Every
    score is P(fake), from 0 (real) to 1 (fake).

    \b
    Exit status: 0 all scanned (finding no face is an answer), 1 some input failed,
    2 wrong usage, 3 a fake was found and --fail-on fake was given.
    """
    if not inputs and not lists:
        raise click.UsageError("name at least one video, picture or folder, or a list with --from-file")
    from mesovid.batch import find_inputs, scan_all
    from mesovid.scanner import Scanner

    paths = find_inputs(inputs, lists)
    scanner = Scanner(
        settings["scan_settings"].model,
        scan_settings=settings["scan_settings"],
        sample_settings=settings["sample_settings"],
        face_settings=settings["face_settings"],
        runtime_settings=settings["runtime_settings"],
    )
    with ExitStack() as stack:
        saver = _saver(save_faces)
        out = _Results(stack, format_, output, len(paths), quiet, verbose)
        for result in scan_all(paths, scanner, saver):
            out.add(result)
    out.summarize()
    sys.exit(FAKE_FOUND if fail_on and out.count("fake") else int(out.count("failed") > 0))


class _Results:
    """Writes results as they come, with progress on stderr when that is a terminal, and counts them."""

    def __init__(
        self, stack: ExitStack, format_: str, output: str | None, total: int, quiet: bool, verbose: bool
    ) -> None:
        from mesovid.report import WRITERS

        self._quiet = quiet
        self._total = total
        self._verdicts: list[str] = []
        self._to_file = output is not None
        stream = stack.enter_context(_opened(output))
        self._bar = None
        if total > 1 and not quiet and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = stack.enter_context(tqdm(total=total, unit="video", file=sys.stderr, leave=False))
        color = stream.isatty() and "NO_COLOR" not in os.environ
        self._writer = WRITERS[format_](stream, color=color, detail=verbose)
        stack.callback(self._writer.close)

    def add(self, result: Scan | Failure) -> None:
        from mesovid.records import Failure

        failed = isinstance(result, Failure)
        self._verdicts.append(
            "failed" if isinstance(result, Failure) else result.verdict.label or "no verdict"
        )
        # the bar steps aside while a line is written
        with type(self._bar).external_write_mode() if self._bar is not None else nullcontext():
            self._writer.write(result)
            if failed and self._to_file and not self._quiet:
                click.echo(f"mesovid: {result.error}", err=True)  # type: ignore[union-attr]
        if self._bar is not None:
            self._bar.update()

    def count(self, verdict: str) -> int:
        return self._verdicts.count(verdict)

    def summarize(self) -> None:
        if self._total < 2 or self._quiet:
            return
        kinds = ("fake", "uncertain", "real", "no verdict", "failed")
        counted = ", ".join(f"{self.count(kind)} {kind}" for kind in kinds if self.count(kind))
        click.echo(f"{len(self._verdicts)} inputs: {counted}", err=True)


def _opened(output: str | None) -> Any:
    if output is None:
        return nullcontext(sys.stdout)
    try:
        return open(output, "w", encoding="utf-8", newline="")
    except OSError as error:
        raise click.UsageError(f"cannot write {output}: {error.strerror}") from error


def _saver(folder: str | None) -> Any:
    """Writes each face as <folder>/<video>/<frame>_<person>_<P(fake)>.png."""
    if folder is None:
        return None
    from mesovid.report.faces import FaceSaver

    return FaceSaver(folder)
