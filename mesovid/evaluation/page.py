"""An evaluation as one HTML page with its pictures inside.

It needs no network and no script.
"""

from __future__ import annotations

import base64

from mesovid.evaluation.evaluate import Evaluation, Mistake, ModelEvaluation
from mesovid.evaluation.metrics import Estimate
from mesovid.evaluation.plots import plots, thumbnail
from mesovid.evaluation.tables import UNKNOWN, all_tables, estimate, excluded_line, heading
from mesovid.pictures import encode
from mesovid.report.look import LINE, PAPER, SOFT, document, escaped, name, picture
from mesovid.report.table import html_table

FACE = 144  # px, side of a face on the page
_PLOTS = {
    "roc": "ROC curve: fraction of fakes called fake against that of reals",
    "precision_recall": "Precision against recall",
    "reliability": (
        "Reliability: fraction of fakes against the mean P(fake), larger dots are more videos"
    ),
    "scores": "Histogram of the scores of real and fake videos",
    "robustness": "Video AUC against severity of damage",
}
_CSS = f"""
.tiles {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); gap: 14px;
  margin-top: 16px; }}
h2 + .tiles {{ margin-top: 0; }}
main > h2 {{ margin: 20px 0 8px; }}
.tile {{ background: {PAPER}; border: 1px solid {LINE}; border-radius: 8px; padding: 14px 18px;
  break-inside: avoid; }}
.tile b {{ display: block; font-size: 26px; font-weight: 650; font-variant-numeric: tabular-nums; }}
.tile span {{ color: {SOFT}; font-size: 14px; display: block; }}
.plots {{ display: grid; gap: 20px;
  grid-template-columns: repeat(auto-fit, minmax(min(300px, 100%), 1fr)); }}
.plots img {{ width: 100%; height: auto; display: block; }}
.plots .whole {{ grid-column: 1 / -1; }}
"""


def to_html(evaluation: Evaluation) -> str:
    """The whole page."""
    names = " and ".join(model.model.name for model in evaluation.models)
    title = f"{names} on {evaluation.root.name}"
    meta = "".join(f'<p class="soft">{escaped(line)}</p>' for line in heading(evaluation))
    parts = [
        f"<h1>{escaped(title)}</h1>{meta}",
        _warnings(evaluation),
        *(_tiles(model, len(evaluation.models) > 1) for model in evaluation.models),
        _plots(evaluation),
        *map(html_table, all_tables(evaluation)),
        *(_mistakes(evaluation, model) for model in evaluation.models),
        f'<p class="soft">Dataset sha256 {evaluation.digest[:16]}, seed '
        f"{evaluation.settings.seed}</p>",
    ]
    return document(title, "\n".join(filter(None, parts)), css=_CSS)


def _warnings(evaluation: Evaluation) -> str:
    lines = [*evaluation.notes, *filter(None, [excluded_line(evaluation)])]
    paragraphs = "".join(f"<p>{escaped(line)}</p>" for line in lines)
    return f'<section class="verdict">{paragraphs}</section>' if lines else ""


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
    head = f"<h2>{escaped(model.model.name)}</h2>" if named else ""
    return f'{head}<div class="tiles">{"".join(tiles)}</div>'


def _plots(evaluation: Evaluation) -> str:
    drawn = plots(evaluation)
    images = []
    for each, alt in _PLOTS.items():
        if each in drawn:
            wide = each in ("scores", "robustness")
            images.append(
                f'<img{" class=whole" if wide else ""} alt="{alt}" src="{_data(drawn[each])}">'
            )
    return f'<section><div class="plots">{"".join(images)}</div></section>'


def _mistakes(evaluation: Evaluation, model: ModelEvaluation) -> str:
    if not model.mistakes:
        return ""
    faces = "".join(_face(evaluation, mistake) for mistake in model.mistakes)
    return (
        f"<section><h2>Worst mistakes of {escaped(model.model.name)}</h2>"
        f'<ul class="faces">{faces}</ul><p class="soft">Videos on the wrong side of the threshold, '
        "farthest first, each by the face that misled most. The number is P(fake) of the video."
        "</p></section>"
    )


def _face(evaluation: Evaluation, mistake: Mistake) -> str:
    truth = "fake" if mistake.fake else "real"
    method = f", {mistake.method}" if mistake.fake and mistake.method not in ("", "fake") else ""
    face = encode(thumbnail(evaluation, mistake), "jpg")
    return (
        f"<li><figure>{picture(face, f'{truth} face', FACE)}"
        f'<figcaption><b>{mistake.probability:.2f}</b> <span class="t-{truth}">'
        f"{truth}{escaped(method)}</span><br>{name(mistake.video)}</figcaption></figure></li>"
    )


def _data(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
