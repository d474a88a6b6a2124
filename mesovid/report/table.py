"""A table as text, Markdown or HTML: what is shown is decided once for all formats."""

from __future__ import annotations

from dataclasses import dataclass

from mesovid.report.look import escaped, wide_table


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as they are shown.

    The first `names` columns are words and stand left; the others are figures and stand right.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int = 1
    note: str = ""


def text_table(table: Table) -> str:
    """A table in columns of one width."""
    cells = [table.header, *table.rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(table.header))]
    lines = [
        "  ".join(
            cell.ljust(width) if i < table.names else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    if not table.title:
        return "\n".join([*lines, *([table.note] if table.note else [])])
    return "\n".join([table.title, *(f"  {line}" for line in lines), *_indented(table.note)])


def markdown_table(table: Table) -> str:
    """A table for a Markdown file, without its title."""
    marks = ["---" if i < table.names else "---:" for i in range(len(table.header))]
    rows = [table.header, tuple(marks), *table.rows]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([*lines, *(["", table.note] if table.note else [])])


def html_table(table: Table) -> str:
    """A table for the page, with its title."""
    marks = ["" if i < table.names else " class=n" for i in range(len(table.header))]
    head = "".join(
        f"<th scope=col{mark}>{escaped(cell)}</th>" if cell else "<td></td>"
        for mark, cell in zip(marks, table.header, strict=True)
    )
    rows = [
        "<tr>"
        + "".join(f"<td{mark}>{_cell(cell)}</td>" for mark, cell in zip(marks, row, strict=True))
        + "</tr>\n"
        for row in table.rows
    ]
    note = f'<p class="soft">{escaped(table.note)}</p>' if table.note else ""
    return (
        f"<section><h2>{escaped(table.title)}</h2>"
        f"{wide_table(table.title, head, rows)}{note}</section>"
    )


def _cell(cell: str) -> str:
    """The value large, its interval small."""
    value, bracket, rest = cell.partition(" [")
    if not bracket:
        return escaped(cell)
    return f"{escaped(value)} <small>[{escaped(rest)}</small>"


def _indented(note: str) -> list[str]:
    return [f"  {note}"] if note else []
