"""`mesovid scan`: is a face in these videos faked?"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

from mesovid.cli.options import complete_models, settings_options
from mesovid.cli.process import STDOUT, ended_by, say, uninterrupted
from mesovid.cli.sections import Sections
from mesovid.files import Lines, check_output, is_file_or_none, reported, whole
from mesovid.folders import LINK
from mesovid.names import shown
from mesovid.settings import (
    BatchSettings,
    FaceSettings,
    RuntimeSettings,
    SampleSettings,
    ScanSettings,
)

if TYPE_CHECKING:
    from mesovid.archive import Archive
    from mesovid.evidence.pages import Pages
    from mesovid.records import Failure, Scan
    from mesovid.report import Writer
    from mesovid.scanner import OnCrops, Options

FAKE_FOUND = 3  # exit status with --fail-on fake
FORMATS = ("text", "table", "json", "jsonl", "csv")
MANY_ROWS = 8  # inputs from which a line each tells more than a paragraph each
MANY = 20  # videos from which a rate says something
# outcome -> how the summary calls it, in its order
OUTCOMES = {
    "fake": "fake",
    "uncertain": "uncertain",
    "real": "real",
    "no_face": "no face",
    "too_few_faces": "too few faces",
    "error": "failed",
}
WIDEST_NAME = 32  # characters of the worst video's name beside the bar
TABLES = (".parquet", ".sqlite", ".sqlite3", ".db")  # made of recorded results
LATER = "make the pages afterwards: mesovid report results.jsonl -o DIR"
KINDS_SHOWN = 8  # kinds of files and linked folders that are named as passed over


class DashedFiles(Sections):
    """Takes an argument that begins with a dash for a file where a file of that name exists."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        dashed = [arg.startswith("-") and arg != "-" and os.path.isfile(arg) for arg in args]
        return super().parse_args(
            ctx, [f".{os.sep}{arg}" if yes else arg for arg, yes in zip(args, dashed, strict=True)]
        )


@click.command(
    cls=DashedFiles,
    sections={
        "Inputs": ("--from-file", "--follow-links", "--on-workers", "--watch"),
        "Result": (
            "--format",
            "--output",
            "--restart",
            "--retry-failed",
            "--report",
            "--annotate",
            "--save-faces",
            "--fail-on",
            "--quiet",
            "--verbose",
        ),
    },
)
@click.argument("inputs", nargs=-1, metavar="INPUT...", type=click.Path())
@click.option("--follow-links", is_flag=True, help="In a folder, follow links that lead out of it.")
@click.option(
    "--on-workers",
    is_flag=True,
    help="Inputs lie on the machines of the cluster, which find them; for --engine ray.",
)
@click.option(
    "--from-file",
    "lists",
    multiple=True,
    metavar="LIST",
    type=click.Path(),
    help="Read inputs from this file, one a line.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help=(
        "What the result looks like. Default: by the suffix of -o, else text, of 8 inputs and "
        "more a table."
    ),
)
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    help=(
        "Write the result to this file; - is standard output. With .jsonl the same command goes "
        "on after a stop."
    ),
)
@click.option(
    "--watch",
    is_flag=True,
    help="Scan what arrives in a folder, until stopped; needs a .jsonl file.",
)
@click.option("--restart", is_flag=True, help="Start anew with a .jsonl file, not go on with it.")
@click.option("--retry-failed", is_flag=True, help="Scan again what a .jsonl file holds as failed.")
@click.option(
    "--fail-on",
    type=click.Choice(["fake"]),
    help=f"Exit with status {FAKE_FOUND} when a video is fake.",
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
@click.option(
    "--annotate",
    type=click.Path(dir_okay=False),
    metavar="CLIP.mp4",
    help="Write the video again with boxes, people and scores drawn in; for one video.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress, no summary.")
@click.option("-v", "--verbose", is_flag=True, help="Show the time that each stage took.")
@settings_options(ScanSettings, complete={"model": complete_models})
@settings_options(SampleSettings)
@settings_options(FaceSettings)
@settings_options(RuntimeSettings)
@settings_options(BatchSettings)
def command(
    inputs: tuple[str, ...],
    follow_links: bool,
    on_workers: bool,
    lists: tuple[str, ...],
    format_: str | None,
    output: str | None,
    watch: bool,
    restart: bool,
    retry_failed: bool,
    fail_on: str | None,
    save_faces: str | None,
    report: str | None,
    annotate: str | None,
    quiet: bool,
    verbose: bool,
    **settings: Any,
) -> None:
    """Say of videos and pictures whether a face in them is faked.

    INPUT is a video, a picture, a folder that is searched through, a glob pattern, s3://BUCKET/KEY
    or what lies below it (pip install mesovid[remote]), or - for a list on standard input. Every
    score is P(fake), from 0 (real) to 1 (fake).

    \b
    Exit status: 0 all scanned (finding no face is an answer), 1 some input failed,
    2 wrong usage, 3 a fake was found and --fail-on fake was given.
    """
    if not inputs and not lists:
        raise click.UsageError(
            "name at least one video, picture or folder, or a list with --from-file"
        )
    from mesovid.batch import find_inputs

    if output in STDOUT:
        output = None
    asked = format_
    format_ = format_ or _format_of(output)
    _check_no_table(output)
    lasting = format_ == "jsonl" and output is not None and is_file_or_none(output)
    if (restart or retry_failed or watch) and not lasting:
        raise click.UsageError(
            "--watch, --restart and --retry-failed are for results in a file: -o results.jsonl"
        )
    if on_workers and watch:
        raise click.UsageError("--watch looks at folders of this machine, without --on-workers")
    if watch and (lists or report or not all(map(os.path.isdir, inputs))):
        raise click.UsageError("--watch is for folders alone, without lists and --report")
    if report and settings["batch_settings"].workers:
        raise click.UsageError(f"--report keeps faces in this process, without --workers; {LATER}")
    skipped: list[tuple[str, str]] = []
    finder = _finder(settings) if on_workers else find_inputs
    paths = finder(
        inputs, lists, follow_links=follow_links, on_skip=lambda *path_why: skipped.append(path_why)
    )
    if format_ == "text" and not asked and len(paths) >= MANY_ROWS and not verbose:
        format_ = "table"
    named = [path if isinstance(path, str) else path.path for path in paths]
    if output is not None:
        check_output(output, [*lists, *named])
    pages = _pages(report, len(paths) == 1, settings["scan_settings"].model)
    if pages is not None:
        check_output(pages.index, [*lists, *named, *([output] if output else [])], parents=True)
    if annotate is not None:
        _check_annotated(annotate, [*lists, *named], len(paths))
    stop: KeyboardInterrupt | None = None
    with _Results(format_, output, len(paths), quiet, verbose, lasting) as out:
        if lasting:
            options = _options(settings)
            archive = _archive(str(output), options, restart, retry_failed, paths)
            paths = out.go_on(paths, archive)
            if pages is not None and out.done:
                raise click.UsageError(
                    f"{output} holds results already, and --report shows this run; {LATER}"
                )
            if annotate is not None and out.done:
                raise click.UsageError(
                    f"{output} holds results already, and --annotate shows this run; add --restart"
                )
        try:
            if watch:
                scans = _watched(inputs, archive, settings, save_faces, follow_links)
            else:
                keeper = pages.keeper if pages else None
                scans = _scans(paths, settings, save_faces, keeper, in_order=not lasting)
            with closing(scans) as results:
                for result in results:
                    out.add(result)
                    if pages is not None:
                        pages.add(result)
                    if annotate is not None:
                        _annotate(result, annotate, settings["scan_settings"].model, quiet)
        except KeyboardInterrupt as signal:  # what is done is written to its end
            stop = signal
    if pages is not None:
        pages.close()
    if stop is not None:
        again = "; the same command goes on" if lasting else ""
        of = "" if watch else f" of {out.total}"
        raise ended_by(stop, f"{out.done}{of} inputs were scanned{again}") from stop
    out.summarize(skipped)
    sys.exit(FAKE_FOUND if fail_on and out.count("fake") else int(out.count("error") > 0))


def _scans(
    paths: Sequence[str | Failure],
    settings: dict[str, Any],
    save_faces: str | None,
    keeper: OnCrops | None,
    in_order: bool,
) -> Generator[Scan | Failure, None, None]:
    """The results, from this process or from several."""
    from mesovid.batch import engine_of, scan_all, scan_in_processes, workers_for
    from mesovid.pool import Limits
    from mesovid.scanner import Scanner

    if not paths:  # all are done
        return
    batch: BatchSettings = settings["batch_settings"]
    if keeper and batch.engine != "local":
        raise click.UsageError(f"--report keeps faces in this process, without --engine; {LATER}")
    options = _options(settings)
    workers = 0 if keeper else workers_for(len(paths), batch.workers)
    if workers or batch.engine != "local":
        yield from scan_in_processes(
            paths,
            options,
            workers=workers if batch.engine == "local" else min(batch.workers or 0, len(paths)),
            limits=Limits(batch.timeout, batch.memory_limit),
            save_faces=save_faces,
            in_order=in_order,
            engine=engine_of(batch, options.runtime.device),
            fetch_limit=batch.fetch_limit,
        )
        return
    if batch.memory_limit is not None:
        raise click.UsageError(
            "--memory-limit is for scans in processes of their own; add --workers 1"
        )
    scanner = Scanner.of(options)
    watchers = [watcher for watcher in (_saver(save_faces), keeper) if watcher is not None]

    def on_crops(*seen: Any) -> None:
        for watcher in watchers:
            watcher(*seen)

    yield from scan_all(
        paths, scanner, on_crops if watchers else None, fetch_limit=batch.fetch_limit
    )


def _watched(
    folders: Sequence[str],
    archive: Archive,
    settings: dict[str, Any],
    save_faces: str | None,
    follow_links: bool,
) -> Generator[Scan | Failure, None, None]:
    """The results of what arrives, without end."""
    from mesovid.batch import arrivals, engine_of, scan_in_processes
    from mesovid.pool import Limits

    batch: BatchSettings = settings["batch_settings"]
    local = batch.engine == "local"
    options = _options(settings)
    yield from scan_in_processes(
        arrivals(
            folders, lambda path: archive.outcome(path) is not None, follow_links=follow_links
        ),
        options,
        workers=batch.workers or (1 if local else 0),
        limits=Limits(batch.timeout, batch.memory_limit),
        save_faces=save_faces,
        in_order=False,
        engine=engine_of(batch, options.runtime.device),
    )


def _options(settings: dict[str, Any]) -> Options:
    from mesovid.scanner import Options

    return Options(
        settings["scan_settings"],
        settings["sample_settings"],
        settings["face_settings"],
        settings["runtime_settings"],
    )


def _finder(settings: dict[str, Any]) -> Callable[..., list[str | Failure]]:
    """Finds inputs where the workers are."""
    from mesovid.batch import engine_of, find_on_workers

    batch: BatchSettings = settings["batch_settings"]
    if batch.engine == "local":
        raise click.UsageError("--on-workers is for the machines of a cluster; add --engine ray")
    return partial(find_on_workers, engine=engine_of(batch, "cpu"))


def _archive(
    file: str,
    options: Options,
    restart: bool,
    retry_failed: bool,
    inputs: Sequence[str | Failure],
) -> Archive:
    """The file of results that this run goes on with."""
    from mesovid.archive import Archive
    from mesovid.models.classifier import load_model

    ref = load_model(options.scan.model, options.runtime).ref
    recorded = options.to_dict() | {"model": ref.name}
    return Archive(file, ref.sha256, recorded, retry=retry_failed, restart=restart, inputs=inputs)


def _format_of(output: str | None) -> str:
    """What a file's name asks for."""
    suffix = os.path.splitext(output or "")[1][1:].lower()
    return suffix if suffix in FORMATS else "text"


def _check_no_table(output: str | None) -> None:
    """Raise UsageError for the name of a table that only `mesovid report` makes.

    A run could not go on with it.
    """
    suffix = os.path.splitext(output or "")[1].lower()
    if suffix in TABLES:
        raise click.UsageError(
            f"-o {output}: scan into a .jsonl file, which a run can go on with, and make the table"
            f" of it: mesovid report results.jsonl -o {output}"
        )


class _Results:
    """Writes results as they come, counts them, and shows progress.

    Progress goes to stderr when that is a terminal.

    To be used with `with`, at whose end the document is complete: an array of JSON is closed,
    however few results it has.
    """

    def __init__(
        self,
        format_: str,
        output: str | None,
        total: int,
        quiet: bool,
        verbose: bool,
        lasting: bool,
    ) -> None:
        self._format = format_
        self._output = output
        self.total = total
        self._quiet = quiet
        self._detail = verbose
        self._outcomes: Counter[str] = Counter()
        self._worst = -1.0  # P(fake) of the most suspicious video of this run
        self._hours = 0.0  # of video, scanned in this run
        self._stack = ExitStack()
        self._bar: Any = None
        self._lasting = lasting
        self._before = 0  # inputs that an earlier run scanned
        self._began = time.monotonic()
        self._write: Callable[[Scan | Failure], object]

    def __enter__(self) -> Self:
        from mesovid.report import WRITERS

        with uninterrupted(), ExitStack() as stack:
            if self.total > 1 and not self._quiet and sys.stderr.isatty():
                from tqdm import tqdm

                bar = tqdm(total=self.total, unit="video", file=sys.stderr, leave=False)
                self._bar = stack.enter_context(bar)
            if self._lasting:
                self._stack = stack.pop_all()
                return self
            stream = stack.enter_context(_opened(self._output, self._format))
            color = stream.isatty() and not os.environ.get("NO_COLOR")
            several = self.total > 1
            writer: Writer = WRITERS[self._format](
                stream, color=color, detail=self._detail, several=several
            )
            stack.callback(writer.close)
            self._write = writer.write
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with uninterrupted():
            self._stack.__exit__(kind, error, trace)

    def go_on(self, paths: Sequence[str | Failure], archive: Archive) -> list[str | Failure]:
        """Write to an archive from here on.

        Gives the inputs that it does not hold yet, and counts those that it holds.
        """
        self._stack.enter_context(reported(self._output or "the results"))
        self._stack.enter_context(archive)
        self._write = archive.add
        left: list[str | Failure] = []
        for path in paths:
            outcome = archive.outcome(path if isinstance(path, str) else path.path)
            if outcome is None:
                left.append(path)
            else:
                self._outcomes[outcome] += 1
        self._before = self.done
        if self._bar is not None:  # what was there before says nothing of the time that is left
            self._bar.initial = self._bar.n = self._before
            self._bar.refresh()
        return left

    def add(self, result: Scan | Failure) -> None:
        from mesovid.records import Failure

        # the bar steps aside while a line is written
        with (
            uninterrupted(),
            type(self._bar).external_write_mode() if self._bar is not None else nullcontext(),
        ):
            self._write(result)
            self._outcomes[_outcome(result)] += 1
            if isinstance(result, Failure):
                if self._output is not None and not self._quiet:
                    say(result.error)
            else:
                self._hours += (result.video.duration or 0.0) / 3600
                self._note(result)
        if self._bar is not None:
            self._bar.update()

    def _note(self, scan: Scan) -> None:
        """Show the most suspicious video so far beside the bar."""
        probability = scan.verdict.fake_probability
        if self._bar is None or probability is None or probability <= self._worst:
            return
        self._worst = probability
        name = shown(os.path.basename(scan.video.path))
        if len(name) > WIDEST_NAME:
            name = f"{name[: WIDEST_NAME // 2]}...{name[3 - WIDEST_NAME // 2 :]}"
        self._bar.set_postfix_str(f"worst {probability:.2f} {name}", refresh=False)

    @property
    def done(self) -> int:
        return self._outcomes.total()

    def count(self, outcome: str) -> int:
        return self._outcomes[outcome]

    def summarize(self, skipped: Sequence[tuple[str, str]]) -> None:
        if self._quiet:
            return
        if skipped:
            say(_passed_over(skipped))
        if self.total > 1:
            click.echo(self._summary(), err=True)

    def _summary(self) -> str:
        """How many of each outcome, and how fast they came."""
        failed = self.count("error")
        counted = ", ".join(
            f"{self.count(outcome):,} {name}"
            for outcome, name in OUTCOMES.items()
            if self.count(outcome) and outcome != "error"
        )
        scanned = f"{self.done - failed:,} scanned" + (f" ({counted})" if counted else "")
        parts = [f"{self.done:,} inputs: {scanned}" + (f", {failed:,} failed" if failed else "")]
        if self._before:
            parts.append(f"{self._before:,} of them were done before")
        new = self.done - self._before
        if new >= MANY:
            minutes = max(time.monotonic() - self._began, 1e-9) / 60
            hours = self._hours / minutes
            shown_hours = f"{hours:,.1f}" if hours >= 1 else f"{hours:.2g}"
            of_video = f", {shown_hours} hours of video" if hours else ""
            parts.append(f"{new / minutes:,.0f} videos a minute{of_video}")
        return "; ".join(parts)


def _outcome(result: Scan | Failure) -> str:
    """As an archive calls it."""
    from mesovid.records import Failure

    if isinstance(result, Failure):
        return "error"
    return result.verdict.label or result.verdict.status


@contextmanager
def _opened(output: str | None, format_: str) -> Iterator[Any]:
    """Where the result goes.

    JSON is nothing before its end, so it is written whole. The others grow by whole lines.
    """
    if output is None:
        yield sys.stdout
        return
    with reported(output):
        if format_ == "json":
            with (
                whole(output) as partial,
                partial.open("w", encoding="utf-8", newline="") as stream,
            ):
                yield stream
        else:
            with Lines(output) as lines:
                yield lines


def _passed_over(skipped: Sequence[tuple[str, str]]) -> str:
    """One line: other kinds of files by their number, the rest by name."""
    by_name = [os.path.isdir(path) or why.startswith(LINK) for path, why in skipped]
    kinds = Counter(why for (_, why), named in zip(skipped, by_name, strict=True) if not named)
    parts = [f"{count:,} {why}" for why, count in kinds.most_common(KINDS_SHOWN)]
    if more := sum(kinds.values()) - sum(count for _, count in kinds.most_common(KINDS_SHOWN)):
        parts.append(f"{more:,} of other kinds")
    links = [f"{path}: {why}" for (path, why), named in zip(skipped, by_name, strict=True) if named]
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


def _check_annotated(target: str, inputs: Sequence[str], number: int) -> None:
    from mesovid.evidence.annotate import check_target
    from mesovid.remote import Listed

    if number != 1:
        raise click.UsageError(f"--annotate writes one clip, of one video; {number} were named")
    if any(isinstance(name, Listed) for name in inputs):
        raise click.UsageError("--annotate needs the video on this machine; download it first")
    check_target(target, inputs)


def _annotate(result: Scan | Failure, target: str, model: str, quiet: bool) -> None:
    """Write the clip of --annotate; there is none of an input that could not be scanned."""
    from mesovid.evidence.annotate import annotate
    from mesovid.models.card import read_card
    from mesovid.records import Failure

    if isinstance(result, Failure):
        return
    card = read_card(model)
    own = result.settings.get("threshold") is not None
    written = annotate(
        result, target, band=None if own else card.uncertain, smallest_face=card.smallest_face
    )
    if not quiet:
        say(f"{target}: {written}")


def _saver(folder: str | None) -> Any:
    """Writes each face as <folder>/<video>/<frame>_<person>_<P(fake)>.png."""
    if folder is None:
        return None
    from mesovid.report.faces import FaceSaver

    return FaceSaver(folder)
