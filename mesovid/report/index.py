"""The page over many videos: a table that can be sorted.

Each row is linked to the page of its video.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from urllib.parse import quote

from mesovid.provenance import beside
from mesovid.records import Failure, Label, Scan
from mesovid.report.facts import Evidence
from mesovid.report.look import document, escaped, name
from mesovid.report.page import rates_section, word
from mesovid.report.text import clock, lowered
from mesovid.verdict import no_sign

# the one script of all pages; without it the table stays as it is, most suspicious first
SORT = """
"use strict";
const table = document.querySelector("table.sortable"), body = table.tBodies[0];
const key = (row, i) => row.cells[i].dataset.k ?? row.cells[i].textContent.trim();
const words = new Intl.Collator("en", { numeric: true }).compare;
const order = (a, b) => a - b || (isNaN(a - b) ? words(a, b) : 0);
const heads = [...table.tHead.rows[0].cells];
heads.forEach((head, i) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = head.textContent;
  head.replaceChildren(button);
  button.addEventListener("click", () => {
    const sign = head.ariaSort === "ascending" ? -1 : 1;
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const rows = [...body.rows].map(row => [key(row, i), row]);
    // what is unknown stays at the end, whichever way
    rows.sort(([a], [b]) => !a || !b ? !a - !b : sign * order(a, b));
    body.append(...rows.map(([, row]) => row));
  });
});
"""
_ORDER: dict[Label | None, int] = {"fake": 0, "uncertain": 1, "real": 2, None: 3}
FAILED = 4
_WORDS: dict[Label | None, str] = {
    "fake": "fake",
    "uncertain": "uncertain",
    "real": "real",
    None: "no verdict",
}


@dataclass(frozen=True, slots=True)
class Row:
    """What the index keeps of a result."""

    path: str
    page: str  # address, relative to the index; empty for none
    rank: int  # place of its verdict in the order of the table
    label: Label | None
    failed: bool
    fake_probability: float | None
    why: str  # reason or error
    people: int
    faces: int
    length: float | None  # seconds
    no_sign: str = ""  # of one that is uncertain: what there is no sign of, in words


def row(result: Scan | Failure, page: str) -> Row:
    """The row of a result; `page` is the path of its page, relative to the index."""
    address = quote(page, errors="surrogateescape")
    if isinstance(result, Failure):
        return Row(result.path, address, FAILED, None, True, None, result.error, 0, 0, None)
    verdict = result.verdict
    return Row(
        path=result.video.path,
        page=address,
        rank=_ORDER[verdict.label],
        label=verdict.label,
        failed=False,
        fake_probability=verdict.fake_probability,
        why=" ".join([verdict.reason, *beside(verdict.reason, result.declared)]),
        people=len(result.people),
        faces=len(result.scores),
        length=result.video.duration,
        no_sign=lowered(no_sign(verdict)),
    )


def index_page(rows: Iterable[Row], models: Sequence[tuple[str, Evidence]]) -> str:
    """The whole page.

    `models` are the names of the models that judged, each with what its card says.
    """
    ordered = sorted(rows, key=lambda row: (row.rank, -(row.fake_probability or 0), row.path))
    kinds = ("fake", "uncertain", "real", "no verdict", "failed")
    counts = {kind: sum(_kind(row) == kind for row in ordered) for kind in kinds}
    words = {kind: f"{count:,} {kind}" for kind, count in counts.items() if count}
    for what in dict.fromkeys(row.no_sign for row in ordered if row.no_sign):
        number = sum(row.no_sign == what for row in ordered)
        words["uncertain"] += f" (of {number:,}: {what})"
    said = ", ".join(words.values())
    made = models[0][1].made if models else ""
    body = [
        f"<h1>Were faces faked in these {len(ordered):,} files?</h1>",
        f'<p class="soft">{escaped(f"{said} · {made}" if made else said)}</p>',
        "<section><p>Verdicts are hints, not proofs: <b>fake</b> means that a face looks faked to "
        "the model, <b>real</b> that it found no sign of a fake, <b>uncertain</b> that it cannot "
        "tell. P(fake) is its score from 0 to 1, not the chance of a fake. Among many files some "
        "real ones are called fake: the table below the list says how many to expect.</p>"
        "</section>",
        f"<section>{_table(ordered)}</section>",
        *(rates_section(evidence.model, model) for model, evidence in models),
        *(_limits(model, evidence) for model, evidence in models),
    ]
    return document(
        "Were faces faked in these files?", "\n".join(part for part in body if part), SORT
    )


def _kind(row: Row) -> str:
    return "failed" if row.failed else _WORDS[row.label]


def _limits(model: str, evidence: Evidence) -> str:
    if evidence.model is None or not evidence.model.limits:
        return ""
    return (
        f"<section><h2>What {escaped(model)} cannot tell</h2><p>{escaped(evidence.model.limits)}"
        "</p></section>"
    )


def _table(rows: Sequence[Row]) -> str:
    head = (
        "<th scope=col>File</th><th scope=col>Verdict</th><th scope=col class=n>P(fake)</th>"
        '<th scope=col class="n minor">People</th><th scope=col class="n minor">Faces</th>'
        '<th scope=col class="n minor">Length</th>'
    )
    return (
        '<div class="wide" role="region" tabindex="0" aria-label="Results"><table class="sortable">'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{''.join(map(_row, rows))}</tbody></table></div>"
    )


def _row(row: Row) -> str:
    title = PurePath(row.path).name or row.path
    folder = str(PurePath(row.path).parent)
    linked = f'<a href="{row.page}">{name(title)}</a>' if row.page else name(title)
    where = f"<small>in {name(folder)}</small>" if folder not in (".", "") else ""
    score = "" if row.fake_probability is None else f"{row.fake_probability:.2f}"
    length = "" if row.length is None else clock(row.length)
    counts = ("", "") if row.failed else (str(row.people), str(row.faces))
    return (
        f'<tr><td data-k="{escaped(title)}">{linked}{where}<small class="name">{escaped(row.why)}'
        "</small></td>"
        f'<td data-k="{row.rank}">{word(row.label, _kind(row))}</td>'
        f'<td class="n" data-k="{row.fake_probability if row.fake_probability is not None else ""}'
        f'">{score}</td>'
        f'<td class="n minor">{counts[0]}</td><td class="n minor">{counts[1]}</td>'
        f'<td class="n minor" data-k="{row.length if row.length is not None else ""}">{length}'
        "</td></tr>\n"
    )
