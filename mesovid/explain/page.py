"""The page of an explanation: one HTML file that needs nothing else. No network, no script,
pictures inside.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mesovid import __version__
from mesovid.explain.faithfulness import Faithfulness
from mesovid.explain.occlude import CELLS
from mesovid.explain.telling import TellingFace
from mesovid.models.card import ModelCard
from mesovid.names import shown
from mesovid.records import Firing, Layer, ModelRef, Occlusion, Split
from mesovid.report.maps import ANCHORS
from mesovid.report.text import clock
from mesovid.verdict import Rule, label_at

MOST_LISTED = 12  # dead filters of a layer


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """The picture of a layer's maps or filters."""

    layer: Layer
    picture: bytes  # WebP
    width: int  # px
    height: int
    shown: int  # how many maps or filters are in it
    file: str  # where the whole picture lies, beside the page
    note: str  # what is to be seen, in words


@dataclass(frozen=True, slots=True, eq=False)
class FacePart:
    """What the page shows of one face."""

    face: TellingFace
    crop: bytes  # WebP
    maps: Mapping[str, bytes]  # occlusion, split: WebP
    scales: Mapping[str, float]  # ends of their scales, logit
    occlusion: Occlusion
    split: Split | None
    layers: tuple[Drawn, ...]
    folder: str


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """Everything on the page."""

    card: ModelCard
    ref: ModelRef
    faces: tuple[FacePart, ...]
    firing: tuple[Firing, ...]
    filters: tuple[Drawn, ...]
    figures: Mapping[tuple[str, str], Faithfulness]  # by method and cover
    failures: tuple[str, ...]


def _gradient() -> str:
    stops = ", ".join(f"rgb{colour} {50 + 50 * place:.0f}%" for place, colour in ANCHORS)
    return f"linear-gradient(to right, {stops})"


_CSS = """
:root { color-scheme: light dark; --ink: #22262c; --soft: #59616c; --line: #dfe2e7; --paper: #fff;
  --back: #f5f6f8;
        --real: #0a326e; --fake: #eca83c; --link: #0b57b0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --soft: #a9b0ba; --line: #363b43; --paper: #1d2025; --back: #14161a;
          --real: #6fa8e6; --fake: #eca83c; --link: #8ab8f5; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink); overflow-wrap: anywhere;
       font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
         sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 27px; line-height: 1.25; margin: 0 0 10px; letter-spacing: -.01em; }
h2 { font-size: 19px; line-height: 1.3; margin: 0 0 10px; }
h3 { font-size: 15px; margin: 22px 0 8px; }
p { margin: 0 0 10px; max-width: 76ch; }
a { color: var(--link); }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 10px;
  padding: 20px 22px; margin-top: 18px; }
.soft, figcaption, footer, td small { color: var(--soft); font-size: 14px; }
figure { margin: 0; min-width: 0; }
figcaption { margin-top: 6px; line-height: 1.45; }
figcaption b { color: var(--ink); }
.maps { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(260px, 100%), 1fr));
  gap: 18px; margin-top: 14px; }
.maps img { width: 100%; height: auto; aspect-ratio: 1; display: block; border-radius: 6px; }
.bar { height: 10px; border-radius: 3px; margin-top: 8px; background: GRADIENT; }
.ends { display: flex; justify-content: space-between; font-size: 13px; color: var(--soft);
  font-variant-numeric: tabular-nums; gap: 8px; }
.ends span:last-child { text-align: right; }
.zones { position: relative; display: flex; height: 26px; border-radius: 5px; overflow: hidden;
  border: 1px solid var(--line); max-width: 640px;
         font-size: 13px; }
.zones span { overflow: hidden; white-space: nowrap; text-align: center; line-height: 24px;
  color: var(--ink); min-width: 0; }
.zones .mid { background: repeating-linear-gradient(135deg, transparent 0 6px,
  var(--line) 6px 12px); }
.pin { max-width: 640px; position: relative; height: 18px; }
.pin i { position: absolute; width: 0; height: 0; border: 7px solid transparent;
  border-top: 11px solid var(--ink); margin-left: -7px; top: 4px; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding-bottom: 6px; }
th { text-align: left; font-weight: 600; color: var(--soft); }
th, td { padding: 4px 14px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
.n { text-align: right; white-space: nowrap; }
.scroll { overflow-x: auto; }
.votes { width: 100%; max-width: 640px; }
.votes th { white-space: nowrap; color: var(--ink); font-weight: 400; }
.votes td:nth-child(2) { width: 100%; }
.votes td, .votes th { padding-top: 1px; padding-bottom: 1px; vertical-align: middle;
  line-height: 1.35; }
.track { display: block; position: relative; height: 12px;
         background: linear-gradient(to right, transparent calc(50% - 1px),
           var(--soft) calc(50% - 1px) 50%, transparent 50%); }
.track i { position: absolute; top: 1px; bottom: 1px; }
.track .for { left: 50%; background: var(--fake); }
.track .against { right: 50%; background: var(--real); }
details { margin-top: 14px; border-top: 1px solid var(--line); padding-top: 10px; }
details details { border-top: 0; padding-top: 0; margin-top: 8px; }
summary { cursor: pointer; font-weight: 600; }
summary:focus-visible, a:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.layer { margin-top: 18px; }
.layer img { max-width: 100%; height: auto; display: block; border-radius: 6px;
  image-rendering: auto; }
.warn { border-left: 5px solid var(--fake); }
footer { margin-top: 26px; }
@media print { body { background: #fff; } section { break-inside: avoid; border-color: #999; } }
""".replace("GRADIENT", _gradient())

_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action "
    "'none'"
)


def to_html(page: Page) -> str:
    """The whole page."""
    name = page.card.name
    title = f"How {name} came to its scores"
    parts = [
        f"<h1>{_text(title)}</h1>",
        _intro(page),
        _failed(page.failures),
        _reading(page),
        *(_face(page, number, part) for number, part in enumerate(page.faces, 1)),
        _network(page),
        _filters(page),
        _limits(page),
        f"<footer>mesovid {__version__}, model {_text(name)}, sha256 {page.ref.sha256[:16]}. The "
        "numbers are in <code>explanation.json</code>, <code>face-…/maps.npz</code> and <code>"
        "filters/filters.npz</code>, the pictures beside them.</footer>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{_CSS}</style></head>\n<body><main>\n"
        + "\n".join(filter(None, parts))
        + "\n</main></body></html>\n"
    )


def _intro(page: Page) -> str:
    count = len(page.faces)
    sources = list(dict.fromkeys(part.face.path for part in page.faces))
    from_ = (
        f"of <bdi>{_text(sources[0])}</bdi>" if len(sources) == 1 else f"of {len(sources)} files"
    )
    which = "One face" if count == 1 else f"{count} faces, the most suspicious first,"
    return (
        f"<p>{which} {from_}. Each got a P(fake) from 0, real, to 1, fake. Below is what that "
        "number hangs on, how it was added up, and what the layers of the network made of the "
        "face. A single face is no verdict, and what a network looks at is no proof.</p>"
    )


def _failed(failures: Sequence[str]) -> str:
    if not failures:
        return ""
    lines = "".join(f"<li><bdi>{_text(failure)}</bdi></li>" for failure in failures)
    return f'<section class="warn"><h2>Not looked at</h2><ul>{lines}</ul></section>'


def _reading(page: Page) -> str:
    """How to read both maps, and how far each can be trusted."""
    fill = page.faces[0].occlusion.fill
    covered = "blurred" if fill == "blur" else "covered with the crop's mean colour"
    cells = page.faces[0].occlusion.cells.shape[0]
    lines = [
        "<h2>How to read the maps</h2>",
        "<p>Bright yellow with a plus speaks for fake, dark blue with a minus for real; the grey "
        "face shows through where a cell says little. Cells of half the scale and more bear the "
        "sign. All faces share one scale. Numbers are in units of the logit, from which P(fake) is "
        "computed: +1 takes 0.50 to 0.73.</p>",
        f"<p><b>What the score hangs on</b> (occlusion). Each of {cells} x {cells} cells was "
        f"{covered}, and the face judged again: the number is what the cell had added. "
        f"{_trust(page, f'occlusion {fill}', cells)}</p>",
    ]
    split = page.faces[0].split
    if split is None:
        lines.append(
            "<p>How the sum came about cannot be split exactly for this network: its head is not "
            "linear.</p>"
        )
    else:
        rows, columns = split.cells.shape
        lines.append(
            "<p><b>How the sum came about</b> (split). The logit is, to the last digit, a sum "
            f"over the {rows} x {columns} cells of the last maps ({_text(split.layer)}) and a "
            "constant. A cell has seen more than the patch it is drawn on. "
            f"{_trust(page, 'split', CELLS)}</p>"
        )
    return f"<section>{''.join(lines)}</section>"


def _trust(page: Page, method: str, cells: int) -> str:
    """The measured faithfulness of a map, by the cover that it was not made with where there is
    one.
    """
    other = {"occlusion mean": "blur", "occlusion blur": "mean"}.get(method, "mean")
    figure = page.figures.get((method, other))
    if figure is None or cells != CELLS:
        return "How faithful this map is was not measured for this network and grid."
    how = "the crop's mean colour" if other == "mean" else "a blur"
    return f"Measured: {_text(figure.sentence())} (Covered with {how}.)"


def _face(page: Page, number: int, part: FacePart) -> str:
    face = part.face
    where = [f"<bdi>{_text(face.path)}</bdi>"]
    if face.time is not None:
        where.append(f"at {clock(face.time)}")
    if face.person is not None:
        where.append(f"person {face.person}")
    if face.side is not None:
        where.append(f"{face.side:.0f} px")
    smallest = page.card.smallest_face
    small = face.side is not None and smallest is not None and face.side < smallest
    warning = (
        f"<p><b>Smaller than the {smallest:.0f} px that this model can judge.</b></p>"
        if small
        else ""
    )
    return (
        f'<section aria-labelledby="face-{number}"><h2 id="face-{number}">Face {number}: P(fake) '
        f"{face.fake_probability:.2f}</h2>"
        f'<p class="soft">{", ".join(where)}</p>{warning}{_scale(page.card, face.fake_probability)}'
        f'<div class="maps">{_crop(number, part)}{_maps(number, part)}</div>'
        f"{_votes(part)}{_layers(part)}</section>"
    )


def _scale(card: ModelCard, probability: float) -> str:
    """The score on a line from real to fake, with the band in which the model cannot tell."""
    low, high = card.uncertain or (card.threshold, card.threshold)
    label, words = label_at(probability, Rule.of(card))
    zones = [("real", "", low), ("cannot tell", "mid", high - low), ("fake", "", 1 - high)]
    spans = "".join(
        (
            f'<span class="{css}" style="width:{100 * share:.2f}%">'
            f"{word if share > 0.09 else '&nbsp;'}</span>"
        )
        for word, css, share in zones
        if share > 0
    )
    called = {"fake": "called fake", "real": "called real", "uncertain": "uncertain"}[label]
    return (
        f'<div class="pin" aria-hidden="true"><i style="left:{100 * probability:.2f}%"></i></div>'
        f'<div class="zones" aria-hidden="true">{spans}</div>'
        f"<p>P(fake) {probability:.3f}: {called}, {_text(words)}.</p>"
    )


def _crop(number: int, part: FacePart) -> str:
    return (
        f'<figure><img src="{_data(part.crop)}" width="256" height="256" alt="Face {number} as '
        'the network gets it">'
        "<figcaption><b>The face</b> as the network gets it: upright, "
        f"{part.face.pixels.shape[0]} px a side.</figcaption></figure>"
    )


def _maps(number: int, part: FacePart) -> str:
    found = [("occlusion", "What the score hangs on", part.occlusion.cells)]
    if part.split is not None:
        found.append(("split", "How the sum came about", part.split.cells))
    figures = []
    for name, heading, cells in found:
        says = _says(cells)
        end = part.scales[name]
        figures.append(
            f'<figure><img src="{_data(part.maps[name])}" width="512" height="512" '
            f'alt="{heading}, face {number}. {says}">'
            f'<div class="bar" aria-hidden="true"></div>'
            f'<div class="ends"><span>-{end:.3g}, for real</span><span>0</span><span>+{end:.3g}, '
            "for fake</span></div>"
            f"<figcaption><b>{heading}.</b> {says}{_numbers(cells, f'{heading}, face {number}')}"
            "</figcaption></figure>"
        )
    return "".join(figures)


def _says(cells: np.ndarray) -> str:
    """What a map says, in words."""
    rows, columns = cells.shape
    lines = []
    for place, word in ((int(cells.argmax()), "fake"), (int(cells.argmin()), "real")):
        row, column = divmod(place, columns)
        value = cells[row, column]
        if (value > 0) == (word == "fake") and value != 0:
            lines.append(f"most for {word}: {_place(row, rows, column, columns)}, {value:+.2f}")
    return (
        "; ".join(lines)[:1].upper() + "; ".join(lines)[1:] + "."
        if lines
        else "No cell says anything."
    )


def _place(row: int, rows: int, column: int, columns: int) -> str:
    """Where a cell lies, as one sees it."""
    down = ("top", "middle", "bottom")[min(3 * row // rows, 2)]
    across = ("left", "centre", "right")[min(3 * column // columns, 2)]
    return f"{down} {across} (row {row + 1}, column {column + 1})"


def _numbers(cells: np.ndarray, heading: str) -> str:
    rows = "".join(
        "<tr>" + "".join(f'<td class="n">{value:+.2f}</td>' for value in row) + "</tr>"
        for row in cells
    )
    return (
        '<details><summary>Numbers</summary><div class="scroll" tabindex="0" role="region" '
        f'aria-label="Numbers: {heading}">'
        f"<table>{rows}</table></div></details>"
    )


def _votes(part: FacePart) -> str:
    """The summands of the logit as bars."""
    split = part.split
    if split is None:
        return ""
    shares = [*((share.name, share.value) for share in split.shares), ("bias", split.bias)]
    most = max(abs(value) for _, value in shares) or 1.0
    rows = "".join(_vote(name, value, most) for name, value in shares)
    units = split.shares[0].name.startswith("unit")
    what = (
        f"The {len(split.shares)} units of the last hidden layer vote"
        if units
        else "The network adds up what it finds in parts of the face, each less the whole crop"
    )
    return (
        f"<h3>{'Votes' if units else 'Parts'}</h3><p>{what}; the sum is the logit of P(fake), "
        f"{split.logit:+.2f}. To the right "
        "speaks for fake, to the left for real.</p>"
        f'<table class="votes"><tbody>{rows}'
        f'<tr><th scope="row"><b>logit</b></th><td></td><td class="n"><b>{split.logit:+.2f}</b>'
        "</td></tr></tbody></table>"
    )


def _vote(name: str, value: float, most: float) -> str:
    side = "for" if value > 0 else "against"
    bar = (
        f'<span class="track"><i class="{side}" style="width:{50 * abs(value) / most:.1f}%"></i>'
        "</span>"
    )
    return (
        f'<tr><th scope="row">{_text(name)}</th><td>{bar}</td><td class="n">{value:+.2f}</td></tr>'
    )


def _layers(part: FacePart) -> str:
    sheets = "".join(_sheet(drawn, "maps") for drawn in part.layers)
    return (
        f"<details><summary>What the layers made of this face ({len(part.layers)} layers)</summary>"
        '<p class="soft">All maps of a layer share one scale, which is the same for all faces; '
        "dark is 0 where nothing lies below it. "
        f"A struck-out map is of a filter that is dead.</p>{sheets}</details>"
    )


def _sheet(drawn: Drawn, what: str) -> str:
    layer = drawn.layer
    rest = (
        ""
        if drawn.shown == layer.filters
        else f", the {drawn.shown} strongest shown (all in {drawn.file})"
    )
    about = f"{_title(layer)}{rest}. {drawn.note[:1].upper()}{drawn.note[1:]}."
    return (
        f'<figure class="layer"><img src="{_data(drawn.picture)}" width="{drawn.width}" '
        f'height="{drawn.height}" '
        f'alt="{what} of {_text(layer.name)}" loading="lazy"><figcaption><b>{_text(layer.name)}'
        f"</b>: {_text(about)}</figcaption></figure>"
    )


def _title(layer: Layer) -> str:
    """What a layer is, in words."""
    if layer.kind == "depthwise":
        return f"{layer.filters} filters {_kernel(layer)}, each over one map"
    if layer.kind == "convolution":
        return f"{layer.filters} filters {_kernel(layer)} over {layer.inputs} maps"
    if layer.kind == "dense":
        return f"{layer.filters} unit{'s' * (layer.filters != 1)} over {layer.inputs} numbers"
    if layer.kind == "concat":
        return f"{layer.filters} maps side by side, from {', '.join(layer.sources)}"
    return f"{layer.filters} maps: {layer.kind}" + (
        f" of {', '.join(layer.sources)}" if layer.sources else ""
    )


def _kernel(layer: Layer) -> str:
    if layer.kernel is None:
        return "of unknown size"
    spread = f", {layer.dilation} px apart" if layer.dilation > 1 else ""
    return f"of {layer.kernel[0]}x{layer.kernel[1]}{spread}"


def _network(page: Page) -> str:
    faces = page.firing[0].faces if page.firing else 0
    rows = []
    for each in page.firing:
        sides = " → ".join(_side(shape) for shape in dict.fromkeys(each.layer.shapes.values()))
        rows.append(
            f'<tr><th scope="row">{_text(each.layer.name)}</th><td>{_text(_title(each.layer))}</td>'
            f"<td>{sides}</td><td>{_dead(each)}</td></tr>"
        )
    return (
        "<section><h2>The network</h2>"
        f"<p>{_text(page.card.summary)}. Dead is a filter that gave one and the same number at "
        f"every place of all {faces} "
        f"face{'s' * (faces != 1)} looked at here; on other faces it may not be.</p>"
        '<div class="scroll" tabindex="0" role="region" aria-label="Layers"><table><thead><tr>'
        '<th scope="col">layer</th><th scope="col">what it is</th>'
        '<th scope="col">sides, px</th><th scope="col">dead filters</th></tr></thead><tbody>'
        f"{''.join(rows)}</tbody></table></div></section>"
    )


def _side(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[2]}" if len(shape) == 3 else f"{shape[0] if shape else 1} units"


def _dead(firing: Firing) -> str:
    if not firing.dead:
        return "none"
    named = ", ".join(str(number + 1) for number in firing.dead[:MOST_LISTED])
    more = len(firing.dead) - MOST_LISTED
    return named + (f" and {more} more" if more > 0 else "")


def _filters(page: Page) -> str:
    if not page.filters:
        return ""
    sheets = "".join(_sheet(drawn, "filters") for drawn in page.filters)
    return (
        "<section><h2>What it learned</h2><p>The weights of each filter, on one scale a layer; "
        "bright weights add, dark ones take away. Those of dense layers are in filters.npz.</p>"
        f"<details><summary>Filters of {len(page.filters)} layers</summary>{sheets}</details>"
        "</section>"
    )


def _limits(page: Page) -> str:
    if not page.card.limits:
        return ""
    return (
        f"<section><h2>What this model cannot tell</h2><p>{_text(page.card.limits)}</p></section>"
    )


def _data(picture: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(picture).decode()}"


def _text(text: str) -> str:
    """A text from outside.

    Nothing in it is markup, and what cannot be seen is shown by its code.
    """
    return html.escape(shown(text))
