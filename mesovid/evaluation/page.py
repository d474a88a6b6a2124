"""An evaluation as one HTML page with its pictures inside.

It needs no network and no script.
"""

from __future__ import annotations

import base64
import html

from mesovid import __version__
from mesovid.evaluation.evaluate import Evaluation, Mistake, ModelEvaluation
from mesovid.evaluation.metrics import Estimate
from mesovid.evaluation.plots import plots, thumbnail
from mesovid.evaluation.tables import UNKNOWN, all_tables, estimate, excluded_line, heading
from mesovid.pictures import encode
from mesovid.report.look import FAKE_TEXT, REAL_TEXT
from mesovid.report.table import html_table

_PLOTS = {
    "roc": "ROC curve: share of fakes called fake against share of reals called fake",
    "precision_recall": "Precision against recall",
    "reliability": (
        "Reliability: share of fakes against the mean P(fake), larger dots are more videos"
    ),
    "scores": "Histogram of the scores of real and fake videos",
    "robustness": "Video AUC against severity of damage",
}
_CSS = (
    """
:root { color-scheme: light; --ink: #2b2f36; --soft: #6b7280; --line: #e5e7eb; --paper: #fff;
  --back: #f6f7f8;
        --real: """
    + REAL_TEXT
    + "; --fake: "
    + FAKE_TEXT
    + """; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
       font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
         sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 28px; font-weight: 650; letter-spacing: -.01em; margin: 0 0 8px; }
h2 { font-size: 16px; font-weight: 650; margin: 0 0 12px; }
h3 { font-size: 14px; font-weight: 600; margin: 22px 0 0; }
h3 + .tiles { margin-top: 8px; }
section p:last-child { margin-bottom: 0; }
p { margin: 0 0 6px; }
.meta, .note, footer { color: var(--soft); font-size: 13px; overflow-wrap: anywhere; }
.note { margin-top: 10px; }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 10px;
  padding: 20px 24px; margin-top: 20px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); gap: 14px;
  margin-top: 24px; }
.tile { background: var(--paper); border: 1px solid var(--line); border-radius: 10px;
  padding: 14px 18px; }
.tile b { display: block; font-size: 26px; font-weight: 650; letter-spacing: -.02em;
  font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; display: block; }
.warn { background: #fdf6ec; border-color: #f0dfc2; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px;
  font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: 12.5px; }
th, td { padding: 6px 16px 6px 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
tbody tr:last-child td { border-bottom: 0; }
th:last-child, td:last-child { padding-right: 0; }
.n { text-align: right; }
td small { color: var(--soft); }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(320px, 1fr)); gap: 20px; }
.plots img { width: 100%; height: auto; display: block; }
.plots .wide { grid-column: 1 / -1; }
.faces { display: grid; grid-template-columns: repeat(auto-fill, minmax(128px, 1fr)); gap: 14px; }
figure { margin: 0; font-size: 12px; min-width: 0; }
figure img { width: 100%; aspect-ratio: 1; border-radius: 6px; display: block; }
figcaption { margin-top: 4px; line-height: 1.35; }
figcaption b { font-variant-numeric: tabular-nums; }
figcaption i { font-style: normal; color: var(--soft); display: block; overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap; }
.real { color: var(--real); } .fake { color: var(--fake); }
footer { margin-top: 28px; }
@media print { body { background: #fff; } section, .tile { break-inside: avoid; } }
"""
)


def to_html(evaluation: Evaluation) -> str:
    """The whole page."""
    names = " and ".join(model.model.name for model in evaluation.models)
    title = html.escape(f"{names} on {evaluation.root.name}")
    meta = "".join(f'<p class="meta">{html.escape(line)}</p>' for line in heading(evaluation))
    parts = [
        f"<h1>{title}</h1>{meta}",
        _warnings(evaluation),
        *(_tiles(model, len(evaluation.models) > 1) for model in evaluation.models),
        _plots(evaluation),
        *map(html_table, all_tables(evaluation)),
        *(_mistakes(evaluation, model) for model in evaluation.models),
        (
            f"<footer>mesovid {__version__}, dataset sha256 {evaluation.digest[:16]}, seed "
            f"{evaluation.settings.seed}</footer>"
        ),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_CSS}</style></head>\n<body><main>\n"
        + "\n".join(filter(None, parts))
    ) + "\n</main></body></html>\n"


def _warnings(evaluation: Evaluation) -> str:
    lines = [*evaluation.notes, *filter(None, [excluded_line(evaluation)])]
    paragraphs = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
    return f'<section class="warn">{paragraphs}</section>' if lines else ""


def _tiles(model: ModelEvaluation, named: bool) -> str:
    videos = model.videos
    reals = next((call.called_fake for call in model.verdicts if not call.fake), Estimate(None))
    fakes = next((call.called_fake for call in model.verdicts if call.fake), Estimate(None))
    shown = [
        ("Video AUC", videos.auc, False),
        ("Fakes called fake", fakes, True),
        ("Reals called fake", reals, True),
        ("Calibration error", videos.calibration_error, False),
    ]
    if model.pairs:
        shown.insert(1, ("Fake above its original", model.pairs.accuracy, True))
    tiles = []
    for label, figure, percent in shown:
        value, _, interval = estimate(figure, percent=percent).partition(" [")
        if value != UNKNOWN:
            interval = interval.rstrip("]").replace(", ", " to ")
            tiles.append(
                f'<div class="tile"><span>{label}</span><b>{value}</b><span>{interval or "&nbsp;"}'
                "</span></div>"
            )
    head = f"<h3>{html.escape(model.model.name)}</h3>" if named else ""
    return f'{head}<div class="tiles">{"".join(tiles)}</div>'


def _plots(evaluation: Evaluation) -> str:
    drawn = plots(evaluation)
    images = []
    for name, alt in _PLOTS.items():
        if name in drawn:
            wide = name in ("scores", "robustness")
            images.append(
                f'<img{" class=wide" if wide else ""} alt="{alt}" '
                f'src="{_data(drawn[name], "png")}">'
            )
    return f'<section><div class="plots">{"".join(images)}</div></section>'


def _mistakes(evaluation: Evaluation, model: ModelEvaluation) -> str:
    if not model.mistakes:
        return ""
    faces = "".join(_face(evaluation, mistake) for mistake in model.mistakes)
    return (
        f"<section><h2>Worst mistakes of {html.escape(model.model.name)}</h2>"
        f'<div class="faces">{faces}</div><p class="note">Videos on the wrong side of the '
        "threshold, farthest first, each by "
        "the face that misled most. The number is P(fake) of the video.</p></section>"
    )


def _face(evaluation: Evaluation, mistake: Mistake) -> str:
    truth = "fake" if mistake.fake else "real"
    method = f", {mistake.method}" if mistake.fake and mistake.method not in ("", "fake") else ""
    video = html.escape(mistake.video)
    face = encode(thumbnail(evaluation, mistake), "jpg")
    return (
        "<figure>"
        f'<img alt="{truth} face" src="{_data(face, "jpeg")}">'
        f'<figcaption><b>{mistake.probability:.2f}</b> <span class="{truth}">'
        f"{truth}{html.escape(method)}</span>"
        f'<i title="{video}">{video}</i></figcaption></figure>'
    )


def _data(picture: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
