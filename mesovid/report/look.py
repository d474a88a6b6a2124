"""How reports and plots look: colours, the style sheet of the pages, and the frame of a page.

Real is dark blue, fake light orange, undecided a hatched grey: they differ in lightness too, so
that they can be told apart in a black-and-white print and by the colour-blind, and each comes with
a word or a shape. Text has a contrast of at least 4.5 to 1 against its ground.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence
from typing import Any

from mesovid import __version__
from mesovid.names import shown
from mesovid.records import Label

INK, SOFT, LINE, PAPER, BACK = "#1f2430", "#565e6b", "#dfe3e8", "#ffffff", "#f4f5f7"
REAL, FAKE, UNSURE = "#1b5e8c", "#e8833a", "#b9bfc8"  # of areas and marks
REAL_TEXT, FAKE_TEXT, UNSURE_TEXT = "#1b5e8c", "#9a4a00", "#4b5260"  # darker: of words
# Okabe and Ito's, without those that are those of a verdict; for more people they begin again
PEOPLE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7a5195", "#6b6b6b")

MUTED = "#8b929c"  # of lines that only guide the eye
# lines of a plot, one after the other: told apart by their strokes, too
LINES = ("#0072b2", "#d55e00", "#009e73", "#7a5195", "#e69f00", "#4a5568")
STROKES = ("-", (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (3, 1)), (0, (1, 2.5)))

# what a verdict is called where a person reads it: never "authentic", which no detector can know
WORDS: dict[Label | None, str] = {
    "fake": "Looks faked",
    "real": "No sign of a fake found",
    "uncertain": "Cannot tell",
    None: "No verdict",
}
MARKS: dict[Label | None, str] = {"fake": "▲", "real": "●", "uncertain": "◆", None: "–"}

CSS = f"""
:root {{ color-scheme: light; }}
* {{ box-sizing: border-box; }}
html {{ -webkit-text-size-adjust: 100%; }}
body {{ margin: 0; background: {BACK}; color: {INK};
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
    sans-serif; }}
main {{ max-width: 1080px; margin: 0 auto; padding: 28px 20px 56px; overflow-wrap: anywhere; }}
h1 {{ font-size: 24px; line-height: 1.25; font-weight: 650; margin: 0 0 6px; }}
h2 {{ font-size: 18px; font-weight: 650; margin: 0 0 12px; }}
h3 {{ font-size: 15px; font-weight: 650; margin: 20px 0 6px; }}
p {{ margin: 0 0 8px; }}
section {{ background: {PAPER}; border: 1px solid {LINE}; border-radius: 8px; padding: 18px 20px;
  margin-top: 16px; }}
section > :last-child {{ margin-bottom: 0; }}
ul.said {{ margin: 0; padding-left: 20px; }} ul.said li {{ margin: 0 0 6px; }}
a {{ color: {REAL_TEXT}; }}
:focus-visible {{ outline: 3px solid {REAL}; outline-offset: 2px; }}
.soft, footer, figcaption {{ color: {SOFT}; font-size: 14px; }}
.verdict {{ border-left: 8px solid {UNSURE_TEXT}; }}
.verdict.fake {{ border-left-color: {FAKE}; }} .verdict.real {{ border-left-color: {REAL}; }}
.answer {{ font-size: 30px; line-height: 1.2; font-weight: 700; margin: 0 0 8px; }}
.t-fake {{ color: {FAKE_TEXT}; }} .t-real {{ color: {REAL_TEXT}; }}
.t-uncertain, .t-none {{ color: {UNSURE_TEXT}; }}
.reason {{ font-size: 17px; }}
figure {{ margin: 0; }}
svg {{ display: block; }}
svg text {{ font-size: 13px; fill: {INK}; font-variant-numeric: tabular-nums; }}
svg .dim {{ fill: {SOFT}; }}
.scale {{ width: 100%; max-width: 720px; margin: 10px 0 6px; }}
.z-real {{ fill: {REAL}; }} .z-fake {{ fill: {FAKE}; }} .z-unsure {{ fill: url(#hatch); }}
.z-pale {{ fill-opacity: 0.35; }}
.frame {{ fill: none; stroke: {INK}; }}
.lane svg {{ width: calc(100% - 44px); margin-left: 30px; overflow: visible; }}
.lane {{ margin: 6px 0 14px; break-inside: avoid; }}
.ground {{ fill: {BACK}; }} .l-unsure {{ fill: url(#hatch); opacity: .45; }}
.l-segment {{ fill: {FAKE}; opacity: .35; }}
.threshold {{ stroke: {INK}; stroke-dasharray: 6 4; }} .grid {{ stroke: {UNSURE}; }}
.curve {{ fill: none; stroke: {INK}; stroke-width: 1.5; vector-effect: non-scaling-stroke; }}
.dot {{ fill: {REAL}; stroke: {PAPER}; }}
.dot.u {{ fill: {PAPER}; stroke: {UNSURE_TEXT}; stroke-width: 1.8; }}
.dot.f {{ fill: {FAKE}; stroke: {INK}; }}
.faces {{ list-style: none; display: grid;
  grid-template-columns: repeat(auto-fill, minmax(112px, 1fr)); gap: 12px;
  margin: 0 0 6px; padding: 0; max-width: 1000px; }}
.faces li {{ break-inside: avoid; min-width: 0; }}
.faces img {{ width: 100%; max-width: 160px; aspect-ratio: 1; border-radius: 4px; display: block;
  margin-bottom: 3px; }}
.faces figcaption {{ line-height: 1.3; font-variant-numeric: tabular-nums; }}
.key {{ display: inline-block; width: 12px; height: 12px; border-radius: 2px; margin-right: 4px; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; font-size: 15px;
  font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; color: {SOFT}; font-size: 14px; padding-bottom: 6px; }}
th {{ text-align: left; font-weight: 600; color: {SOFT}; font-size: 14px; vertical-align: bottom; }}
th, td {{ padding: 6px 14px 6px 0; border-bottom: 1px solid {LINE}; }}
tbody th {{ overflow-wrap: anywhere; color: {INK}; font-weight: 400; font-size: 15px; }}
td, tbody th {{ vertical-align: top; }} .sortable td:first-child {{ width: 62%; }}
th:last-child, td:last-child {{ padding-right: 0; }}
tbody tr:last-child > * {{ border-bottom: 0; }}
td.n, th.n {{ text-align: right; }}
td small, th small {{ display: block; color: {SOFT}; font-size: 13px; }}
.word, th {{ overflow-wrap: normal; }} .word {{ white-space: nowrap; font-weight: 600; }}
th button {{ font: inherit; color: inherit; background: none; border: 0; padding: 4px 0;
  cursor: pointer; text-align: inherit; }}
th button::after {{ content: " ↕"; }} th[aria-sort=ascending] button::after {{ content: " ↑"; }}
th[aria-sort=descending] button::after {{ content: " ↓"; }}
dl {{ display: grid; grid-template-columns: minmax(110px, max-content) minmax(0, 1fr);
  gap: 4px 18px; margin: 0; font-size: 15px; }}
dt {{ color: {SOFT}; }} dd {{ margin: 0; }}
code {{ font: 13px/1.4 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }}
summary {{ cursor: pointer; padding: 4px 0; }}
footer {{ margin-top: 20px; }}
@media (max-width: 640px) {{
  main {{ padding: 18px 12px 40px; }} section {{ padding: 14px; }} .answer {{ font-size: 25px; }}
  .minor {{ display: none; }} th, td {{ padding-right: 10px; }}
  dl {{ grid-template-columns: 1fr; gap: 0; }} dd {{ margin-bottom: 8px; }}
  .faces {{ grid-template-columns: repeat(auto-fill, minmax(96px, 1fr)); }}
}}
@media print {{
  body, .reason, .soft, footer, figcaption, table, caption, th, tbody th, dl, td small {{
    font-size: 12.5px; }}
  body {{ background: {PAPER}; }} main {{ max-width: none; padding: 0; }}
  section {{ break-inside: auto; border-color: {UNSURE}; }} h2, h3 {{ break-after: avoid; }}
  .faces {{ grid-template-columns: repeat(6, 1fr); }}
  * {{ print-color-adjust: exact; -webkit-print-color-adjust: exact; }}
}}
"""
# of matplotlib (its rc parameters): thin frame on two sides, faint grid, small type
PLOT: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.prop_cycle": f"cycler(color={list(LINES)}, linestyle={list(STROKES)})",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "font.size": 8.5,
    "grid.color": "#e6e8eb",
    "grid.linewidth": 0.6,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": SOFT,
    "ytick.color": MUTED,
    "ytick.labelcolor": SOFT,
}
# shared by all drawings of a page
_DEFS = (
    '<svg width="0" height="0" aria-hidden="true" focusable="false"><defs>'
    '<pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)">'
    f'<rect width="7" height="7" fill="#e4e7eb"/><rect width="2.5" height="7" fill="{UNSURE}"/>'
    "</pattern></defs></svg>"
)


def document(title: str, body: str, script: str = "", css: str = "") -> str:
    """A page that needs nothing else.

    Nothing in it runs but `script`, whatever the names in `body` hold.

    `body` is HTML, `title` plain text; `css` comes after what all pages have.
    """
    css = CSS + css
    policy = (
        f"default-src 'none'; img-src data:; style-src {_digest(css)}; script-src "
        f"{_digest(script) if script else chr(39) + 'none' + chr(39)}; base-uri 'none'; "
        "form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer"><meta name="robots" content="noindex">'
        f'<link rel="icon" href="data:,"><title>{escaped(title)}</title><style>{css}</style>'
        "</head>\n"
        f"<body>{_DEFS}<main>\n{body}\n"
        f"<footer>Made by mesovid {__version__}.</footer></main>"
        + (f"<script>{script}</script>" if script else "")
        + "</body></html>\n"
    )


def escaped(text: str) -> str:
    """Plain text as HTML, for content and for attributes in double quotes.

    Controls and what is no text are shown as escapes.
    """
    return html.escape(shown(text))


def name(text: str) -> str:
    """The name of a file as HTML.

    Its letters may run in either direction without touching what stands around it.
    """
    return f'<bdi class="name">{escaped(text)}</bdi>'


def wide_table(label: str, head: str, rows: Sequence[str], caption: str = "") -> str:
    """A table that scrolls by itself where the page is narrow; all but `label` is HTML."""
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escaped(label)}"><table>'
        f"{caption}<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def picture(jpeg: bytes, alt: str, side: int) -> str:
    """A square picture inside the page."""
    data = base64.b64encode(jpeg).decode()
    return (
        f'<img src="data:image/jpeg;base64,{data}" width="{side}" height="{side}" '
        f'alt="{escaped(alt)}">'
    )


def facts(rows: list[tuple[str, str]]) -> str:
    """Names and values; values are HTML."""
    return (
        "<dl>"
        + "".join(f"<dt>{escaped(term)}</dt><dd>{value}</dd>" for term, value in rows if value)
        + "</dl>"
    )


def _digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
