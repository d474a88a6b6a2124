"""`mesovid dataset`: show, check and merge datasets."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from mesovid.cli.options import class_options
from mesovid.cli.process import progress
from mesovid.files import check_output
from mesovid.names import shown

if TYPE_CHECKING:
    from mesovid.dataset.sources import Options

SHOWN = 20  # findings of each kind that are listed without --all


@click.group()
def command() -> None:
    """Show, check and merge datasets."""


@command.command()
@click.argument("dataset", type=click.Path())
@click.option(
    "-o",
    "--sheet",
    metavar="PNG",
    type=click.Path(dir_okay=False),
    help="Write a contact sheet: faces of each split, label and method.",
)
@class_options
def show(dataset: str, sheet: str | None, options: Options) -> None:
    """Say what is in a dataset, and what was left out of it."""
    from mesovid.dataset.journal import read_results
    from mesovid.dataset.manifest import digest, read_datasets, read_description
    from mesovid.dataset.show import losses, table, write_sheet
    from mesovid.dataset.sources import Problem

    (read,) = read_datasets([dataset], options, whole=False)
    click.echo(table(read.crops))
    problems = [
        *(
            Problem(entry["name"], entry["why"])
            for entry in read_description(read.root).get("problems", [])
        ),
        *read.problems,
    ]
    if text := losses(read_results(read.root).values(), problems):
        click.echo(text)
    geometry = read.geometry
    click.echo(f"layout: {read.layout}")
    values = (
        [f"{key} {value}" for key, value in geometry.to_dict().items()] if geometry else ["unknown"]
    )
    click.echo(f"geometry: {', '.join(values)}")
    click.echo(f"digest: {digest(read)[:16]}")
    if sheet is not None:
        check_output(sheet, map(read.path, read.crops), kind="png")
        write_sheet(read, sheet)
        click.echo(f"wrote {sheet}", err=True)


@command.command()
@click.argument("datasets", nargs=-1, required=True, metavar="DATASET...", type=click.Path())
@click.option("--fast", is_flag=True, help="Do not open the pictures.")
@click.option("--all", "all_", is_flag=True, help=f"List every finding, not {SHOWN} of each kind.")
@class_options
def check(datasets: tuple[str, ...], fast: bool, all_: bool, options: Options) -> None:
    """Verify files, labels, splits and leaks of datasets, also of class folders that others made.

    \b
    Exit status: 0 no error (warnings may be), 1 errors.
    """
    from mesovid.dataset.check import check_dataset, cores
    from mesovid.dataset.manifest import read_datasets

    errors = 0
    for name, read in zip(datasets, read_datasets(datasets, options, whole=False), strict=True):
        with progress(0 if fast else len(read.crops), "crop") as on_done:
            report = check_dataset(read, read_files=not fast, workers=cores(), on_done=on_done)
        _echo(report.findings, all_)
        count, warnings = len(report.errors), len(report.findings) - len(report.errors)
        errors += count
        click.echo(f"{name}: {len(read.crops)} crops, {count} errors, {warnings} warnings")
    sys.exit(int(errors > 0))


@command.command()
@click.argument("datasets", nargs=-1, required=True, metavar="DATASET...", type=click.Path())
@click.option(
    "-o", "--output", required=True, metavar="DATASET", type=click.Path(), help="New folder."
)
def merge(datasets: tuple[str, ...], output: str) -> None:
    """Join datasets of one geometry into a new one; each video keeps its set's name in front."""
    from mesovid.dataset.merge import merge as join
    from mesovid.dataset.show import table

    merged, leaks = join(datasets, output)
    click.echo(table(merged.crops))
    for leak in leaks[:SHOWN]:
        click.echo(shown(f"note: leak between splits: {leak}"))
    if len(leaks) > SHOWN:
        click.echo(
            f"note: and {len(leaks) - SHOWN} leaks more; see `mesovid dataset check {output}`"
        )


def _echo(findings: Any, all_: bool) -> None:
    from mesovid.dataset.check import ERRORS, WARNINGS

    by_kind: dict[str, list[Any]] = {}
    for finding in findings:
        by_kind.setdefault(finding.kind, []).append(finding)
    for kind, own in by_kind.items():
        click.echo(f"{kind}: {len(own)} ({ERRORS.get(kind) or WARNINGS[kind]})")
        for finding in own if all_ else own[:SHOWN]:
            click.echo(
                shown(f"  {finding.name}" + (f" ({finding.detail})" if finding.detail else ""))
            )
        if not all_ and len(own) > SHOWN:
            click.echo(f"  and {len(own) - SHOWN} more")
