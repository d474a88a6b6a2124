"""An evaluation as plain JSON values, for files and for the scoreboard."""

from __future__ import annotations

import dataclasses
from typing import Any

from mesovid import __version__
from mesovid.evaluation.curves import curves
from mesovid.evaluation.evaluate import Evaluation, ModelEvaluation

SCHEMA = 1


def to_json(evaluation: Evaluation, *, scores: bool = True) -> dict[str, Any]:
    """Everything found; with `scores` also each video's P(fake)."""
    return {
        "schema": SCHEMA,
        "mesovid": __version__,
        "dataset": {
            "path": str(evaluation.root),
            "digest": evaluation.digest,
            "layout": evaluation.layout,
            "geometry": evaluation.geometry.to_dict() if evaluation.geometry else None,
            "splits": list(evaluation.splits),
        },
        "settings": evaluation.settings.to_dict(),
        "notes": list(evaluation.notes),
        "excluded": [dataclasses.asdict(each) for each in evaluation.excluded],
        "models": [_model(model, scores) for model in evaluation.models],
        "comparisons": [dataclasses.asdict(each) for each in evaluation.comparisons],
    }


def _model(model: ModelEvaluation, scores: bool) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": model.model.name,
        "sha256": model.model.sha256,
        "threshold": model.model.threshold,
        "uncertain": list(model.uncertain) if model.uncertain else None,
        "videos": model.videos.to_dict(),
        "crops": model.crops.to_dict(),
        "curves": curves(model.video_scores, model.model.threshold),
        "methods": [dataclasses.asdict(each) for each in model.methods],
        "verdicts": [dataclasses.asdict(each) for each in model.verdicts],
        "pairs": dataclasses.asdict(model.pairs) if model.pairs else None,
        "robustness": [
            dataclasses.asdict(each) | {"degradation": str(each.degradation)}
            for each in model.robustness
        ],
        "mistakes": [dataclasses.asdict(each) for each in model.mistakes],
    }
    if scores:
        columns = zip(
            model.video_scores.video,
            model.video_scores.fake,
            model.video_scores.method,
            model.video_scores.probability,
            strict=True,
        )
        values["scores"] = [
            {
                "video": str(video),
                "label": "fake" if fake else "real",
                "method": str(method) or None,
            }
            | {"fake_probability": float(probability)}
            for video, fake, method, probability in columns
        ]
    return values
