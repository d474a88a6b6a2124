"""`mesovid report`: pages or a table of results that were recorded earlier."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from mesovid.cli.process import say

if TYPE_CHECKING:
    from mesovid.files import Kind
    from mesovid.report.writers import Result


BAD_SHOWN = 5  # lines that are no results and are told one by one


@click.command()
@click.argument("results", metavar="RESULTS", type=click.Path())
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    metavar="DIR|PAGE.html|TABLE",
    help=(
        "Folder for the index and the pages, or the page itself; or a table: .csv, .parquet, "
        ".sqlite."
    ),
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME|PATH",
    help="A model of your own that judged: its card has the error rates. Shipped ones are known.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress, no summary.")
def command(results: str, output: str, models: tuple[str, ...], quiet: bool) -> None:
    """Make pages, or a table, of recorded results.

    RESULTS is what `mesovid scan --format jsonl` (or json) wrote. Each video gets a page with its
    verdict, timeline and faces, as `mesovid scan --report` makes it; an index lists them. Faces are
    cut out of the clips where these are still at the paths in RESULTS; where not, the page says so.
    No model runs but for the maps over the faces.

    A table (by the suffix of -o: .csv, .parquet, .sqlite or .db) has one row a video. Lines of
    RESULTS that are no results are said and left out, and the exit status is 1.
    """
    from mesovid.report.tables import kind_of

    kind = kind_of(output)
    if kind is not None:
        _write_table(results, output, kind, models, quiet)
        return
    from mesovid.evidence.pages import Pages
    from mesovid.files import check_output
    from mesovid.report.reader import read_results

    # all of it can be read before the first page is written
    number = sum(1 for _ in read_results(results))
    pages = Pages(output, single=number == 1, models=models)
    check_output(pages.index, [results], parents=True)
    with _progress(number, quiet) as bar:
        for result in read_results(results):
            pages.add(result)
            if bar is not None:
                bar.update()
        pages.close()
    if not quiet:
        click.echo(f"{pages.index}: {number} result{'s' * (number != 1)}", err=True)


def _write_table(
    results: str, output: str, kind: Kind, models: tuple[str, ...], quiet: bool
) -> None:
    from mesovid.files import check_output, reported
    from mesovid.report.reader import read_results
    from mesovid.report.tables import write_table

    if models:
        raise click.UsageError("--model is for pages; a table has the name of each model")
    check_output(output, [results], kind=kind)
    bad = 0

    def tell(what: str) -> None:
        nonlocal bad
        bad += 1
        if bad <= BAD_SHOWN:
            say(f"{what}; left out")

    with reported(output), _progress(None, quiet) as bar:
        read = read_results(results, tell)
        number = write_table(read if bar is None else _counted(read, bar), output, kind)
    if bad > BAD_SHOWN:
        say(f"{bad - BAD_SHOWN:,} more of {results} that are no results; left out")
    if not quiet:
        click.echo(f"{output}: {number:,} row{'s' * (number != 1)}", err=True)
    sys.exit(int(bad > 0))


def _counted(results: Iterable[Result], bar: Any) -> Iterator[Result]:
    for result in results:
        yield result
        bar.update()


def _progress(number: int | None, quiet: bool) -> Any:
    """A bar on a terminal; without a `number` of pages it counts rows."""
    if quiet or number == 1 or not sys.stderr.isatty():
        return nullcontext()
    from tqdm import tqdm

    unit = "row" if number is None else "page"
    return tqdm(total=number, unit=unit, file=sys.stderr, leave=False)
