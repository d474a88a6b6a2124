"""`mesovid report`: pages of results that were recorded earlier."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import Any

import click


@click.command()
@click.argument("results", metavar="RESULTS", type=click.Path())
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    metavar="DIR|PAGE.html",
    help="Folder for the index and the pages, or the page itself.",
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
    """Make pages of recorded results.

    RESULTS is what `mesovid scan --format jsonl` (or json) wrote. Each video gets a page with its
    verdict, timeline and faces, as `mesovid scan --report` makes it; an index lists them. Faces are
    cut out of the clips where these are still at the paths in RESULTS; where not, the page says so.
    No model runs but for the maps over the faces.
    """
    from mesovid.evidence.pages import Pages
    from mesovid.files import check_output
    from mesovid.report.reader import read_results

    number = sum(
        1 for _ in read_results(results)
    )  # all of it can be read before the first page is written
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


def _progress(number: int, quiet: bool) -> Any:
    if quiet or number < 2 or not sys.stderr.isatty():
        return nullcontext()
    from tqdm import tqdm

    return tqdm(total=number, unit="page", file=sys.stderr, leave=False)
