"""`mesovid explore`: the page as a site without a server."""

from __future__ import annotations

from pathlib import Path

import click

from mesovid.cli.options import complete_models

ONE = "meso4"  # the model of a page of one file: small


@click.command()
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="DIR|FILE.html",
    type=click.Path(path_type=Path),
    help="New folder for the site; or one file, by its suffix .html.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME|PATH",
    shell_complete=complete_models,
    help="A model to offer, the first as the usual one. Default: all that ship; in one file meso4.",
)
@click.option("--single-file", is_flag=True, help="Write one file, which opens by a double click.")
def command(output: Path, models: tuple[str, ...], single_file: bool) -> None:
    """Write a site on which anybody scans clips in their own browser.

    It is the page of `mesovid serve` without a server: it finds and judges faces in the visitor's
    browser, sends nothing anywhere, and needs no more than a place for its files. Kinds of video
    that a browser cannot play need `mesovid serve` or `mesovid scan`.
    """
    single = single_file or output.suffix.lower() == ".html"
    if single and output.is_dir():
        raise click.UsageError(f"{output} is a folder; name a file for the page, say page.html")
    if single and output.suffix.lower() not in (".html", ".htm"):
        raise click.UsageError(f"{output} must end in .html, for a browser to open it")
    from mesovid.files import check_new_folder, check_output
    from mesovid.models.card import available
    from mesovid.serve.explore import FOR, write_file, write_site
    from mesovid.settings import ExplainSettings

    usual = ExplainSettings().model
    if single:
        check_output(output, parents=True)
        written = write_file(output, models or [ONE])
    else:
        check_new_folder(output, FOR)
        names = [card.name for card in available()]
        shipped = sorted(names, key=lambda name: name != usual)
        written = write_site(output, models or shipped)
    size = sum(path.stat().st_size for path in ([written] if single else output.rglob("*")))
    click.echo(f"{written} ({size / 2**20:.1f} MiB)")
