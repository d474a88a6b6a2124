"""`mesovid scan`: is a face in these videos faked?"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

from mesovid.cli.options import complete_models, settings_options
from mesovid.cli.process import STDOUT, ended_by, say, uninterrupted
from mesovid.files import Lines, check_output, reported, whole
from mesovid.settings import FaceSettings, RuntimeSettings, SampleSettings, ScanSettings

if TYPE_CHECKING:
    from mesovid.evidence.pages import Pages
    from mesovid.records import Failure, Scan
    from mesovid.report import Writer
    from mesovid.scanner import OnCrops

FAKE_FOUND = 3  # exit status with --fail-on fake
KINDS_SHOWN = 8  # kinds of files and linked folders that are named as passed over


class DashedFiles(click.Command):
    """Takes an argument that begins with a dash for a file where a file of that name exists."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        dashed = [arg.startswith("-") and arg != "-" and os.path.isfile(arg) for arg in args]
        return super().parse_args(
            ctx, [f".{os.sep}{arg}" if yes else arg for arg, yes in zip(args, dashed, strict=True)]
        )


@click.command(cls=DashedFiles)
@click.argument("inputs", nargs=-1, metavar="INPUT...", type=click.Path())
@click.option("--follow-links", is_flag=True, help="In a folder, follow links to folders elsewhere.")
@click.option("--from-file", "lists", multiple=True, metavar="LIST", type=click.Path(), help="Read inputs from this file, one a line.")  # fmt: skip
@click.option("--format", "format_", type=click.Choice(["text", "json", "jsonl", "csv"]), default="text", show_default=True, help="What the result looks like.")  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(), help="Write the result to this file; - is standard output."
)
@click.option(
    "--fail-on", type=click.Choice(["fake"]), help=f"Exit with status {FAKE_FOUND} when a video is fake."
)
@click.option(
    "--save-faces",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="Keep the aligned faces as PNG files.",
)
@click.option(
    "--report",
    type=click.Path(),
    metavar="PAGE.html|DIR",
    help="Write a page that shows a person why; of several inputs an index, with a page each.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress, no summary.")
@click.option("-v", "--verbose", is_flag=True, help="Show the time that each stage took.")
@settings_options(ScanSettings, complete={"model": complete_models})
@settings_options(SampleSettings)
@settings_options(FaceSettings)
@settings_options(RuntimeSettings)
def command(
    inputs: tuple[str, ...],
    follow_links: bool,
    lists: tuple[str, ...],
    format_: str,
    output: str | None,
    fail_on: str | None,
    save_faces: str | None,
    report: str | None,
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

    skipped: list[tuple[str, str]] = []
    paths = find_inputs(
        inputs, lists, follow_links=follow_links, on_skip=lambda *path_why: skipped.append(path_why)
    )
    named = [path if isinstance(path, str) else path.path for path in paths]
    if output is not None and output not in STDOUT:
        check_output(output, [*lists, *named])
    pages = _pages(report, len(paths) == 1, settings["scan_settings"].model)
    if pages is not None:
        check_output(pages.index, [*lists, *named, *([output] if output else [])], parents=True)
    scanner = Scanner(
        settings["scan_settings"].model,
        scan_settings=settings["scan_settings"],
        sample_settings=settings["sample_settings"],
        face_settings=settings["face_settings"],
        runtime_settings=settings["runtime_settings"],
    )
    watchers: list[OnCrops] = [saver] if (saver := _saver(save_faces)) is not None else []
    if pages is not None:
        watchers.append(pages.keeper)

    def on_crops(*seen: Any) -> None:
        for watcher in watchers:
            watcher(*seen)

    stop: KeyboardInterrupt | None = None
    with _Results(format_, output, len(paths), quiet, verbose) as out:
        try:
            for result in scan_all(paths, scanner, on_crops if watchers else None):
                out.add(result)
                if pages is not None:
                    pages.add(result)
        except KeyboardInterrupt as signal:  # what is done is written to its end
            stop = signal
    if pages is not None:
        pages.close()
    if stop is not None:
        raise ended_by(stop, f"{out.done} of {len(paths)} inputs were scanned") from stop
    out.summarize(skipped)
    sys.exit(FAKE_FOUND if fail_on and out.count("fake") else int(out.count("failed") > 0))


class _Results:
    """Writes results as they come, with progress on stderr when that is a terminal, and counts them.

    To be used with `with`, at whose end the document is complete: an array of JSON is closed, however few results it has.
    """

    def __init__(self, format_: str, output: str | None, total: int, quiet: bool, verbose: bool) -> None:
        self._format = format_
        self._output = None if output in STDOUT else output
        self._total = total
        self._quiet = quiet
        self._detail = verbose
        self._verdicts: list[str] = []
        self._stack = ExitStack()
        self._bar: Any = None
        self._writer: Writer

    def __enter__(self) -> Self:
        from mesovid.report import WRITERS

        with uninterrupted(), ExitStack() as stack:
            stream = stack.enter_context(_opened(self._output, self._format))
            if self._total > 1 and not self._quiet and sys.stderr.isatty():
                from tqdm import tqdm

                bar = tqdm(total=self._total, unit="video", file=sys.stderr, leave=False)
                self._bar = stack.enter_context(bar)
            color = stream.isatty() and not os.environ.get("NO_COLOR")
            several = self._total > 1
            self._writer = WRITERS[self._format](stream, color=color, detail=self._detail, several=several)
            stack.callback(self._writer.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with uninterrupted():
            self._stack.__exit__(kind, error, trace)

    def add(self, result: Scan | Failure) -> None:
        from mesovid.records import Failure

        failure = result if isinstance(result, Failure) else None
        # the bar steps aside while a line is written
        with (
            uninterrupted(),
            type(self._bar).external_write_mode() if self._bar is not None else nullcontext(),
        ):
            self._writer.write(result)
            self._verdicts.append("failed" if failure else result.verdict.label or "no verdict")  # type: ignore[union-attr]
            if failure and self._output is not None and not self._quiet:
                say(failure.error)
        if self._bar is not None:
            self._bar.update()

    @property
    def done(self) -> int:
        return len(self._verdicts)

    def count(self, verdict: str) -> int:
        return self._verdicts.count(verdict)

    def summarize(self, skipped: Sequence[tuple[str, str]]) -> None:
        if self._quiet:
            return
        if skipped:
            say(_passed_over(skipped))
        if self._total > 1:
            kinds = ("fake", "uncertain", "real", "no verdict", "failed")
            counted = ", ".join(f"{self.count(kind)} {kind}" for kind in kinds if self.count(kind))
            click.echo(f"{self.done} inputs: {counted}", err=True)


@contextmanager
def _opened(output: str | None, format_: str) -> Iterator[Any]:
    """Where the result goes. JSON is nothing before its end, so it is written whole; the others grow by whole lines."""
    if output is None:
        yield sys.stdout
        return
    with reported(output):
        if format_ == "json":
            with whole(output) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
                yield stream
        else:
            with Lines(output) as lines:
                yield lines


def _passed_over(skipped: Sequence[tuple[str, str]]) -> str:
    """One line: other kinds of files by their number, the rest by name."""
    kinds = Counter(why for path, why in skipped if not os.path.isdir(path))
    parts = [f"{count:,} {why}" for why, count in kinds.most_common(KINDS_SHOWN)]
    if more := sum(kinds.values()) - sum(count for _, count in kinds.most_common(KINDS_SHOWN)):
        parts.append(f"{more:,} of other kinds")
    links = [f"{path}: {why}" for path, why in skipped if os.path.isdir(path)]
    parts += links[:KINDS_SHOWN]
    if len(links) > KINDS_SHOWN:
        parts.append(f"{len(links) - KINDS_SHOWN} links more")
    return f"passed over in folders: {', '.join(parts)}"


def _pages(place: str | None, single: bool, model: str) -> Pages | None:
    """Writes the pages of --report."""
    if place is None:
        return None
    from mesovid.evidence.pages import Pages

    return Pages(place, single=single, models=[model], scanning=True)


def _saver(folder: str | None) -> Any:
    """Writes each face as <folder>/<video>/<frame>_<person>_<P(fake)>.png."""
    if folder is None:
        return None
    from mesovid.report.faces import FaceSaver

    return FaceSaver(folder)
