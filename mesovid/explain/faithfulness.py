"""How far a map can be trusted: measured, kept by the network it was measured on, and shown beside
every map.

The measure: of a grid of 8 x 8 cells, those 6 are covered that a map names, by what most speaks for
the answer that was given; then 6 others, at random. A map that says something moves the answer
more. `benchmarks/explain.py` makes the figures.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mesovid.assets import trained_models
from mesovid.errors import ModelError
from mesovid.explain.explainer import Explainer
from mesovid.explain.occlude import CELLS, FILLS, Cell, covered, fill_of
from mesovid.files import write_whole
from mesovid.records import Pixels
from mesovid.texts import parse_json

Numbers = npt.NDArray[np.float64]

NAMED = 6  # cells that a map names
DRAWS = 20  # of as many random ones, for each face
METHODS = ("occlusion mean", "occlusion blur", "split")
FILE = "faithfulness.json"


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """How a way of making maps did on some faces."""

    method: str  # one of METHODS
    cover: str  # what cells were covered with: mean or blur
    faces: int
    better: float  # fraction of random draws that moved the answer less than the named cells
    low: float  # 95 % interval, by bootstrap over videos
    high: float
    change: float  # mean move of the logit towards the other answer, named cells covered
    random: float  # and random ones
    data: str

    def sentence(self) -> str:
        """For a person who looks at the map."""
        return (
            f"On {self.faces} faces ({self.data}), covering the {NAMED} cells that it names moved "
            f"the answer more than covering {NAMED} others did in {100 * self.better:.0f} % "
            f"[{100 * self.low:.0f}, {100 * self.high:.0f}] of the cases; a map of no worth would "
            "reach 50 %."
        )


@dataclass(frozen=True, slots=True)
class FaceTrial:
    """What covering did to the logit of one face: towards the other answer, above 0."""

    named: Mapping[tuple[str, str], float]  # method, cover -> move
    random: Mapping[str, tuple[float, ...]]  # cover -> a move a draw


def trial(explainer: Explainer, crop: Pixels, rng: np.random.Generator) -> FaceTrial:
    """Try all maps of one face."""
    whole = float(explainer.logits(crop[None])[0])
    side = 1 if explainer.fake_probability(whole) >= explainer.card.threshold else -1
    chosen = {method: _strongest(side * cells) for method, cells in _maps(explainer, crop).items()}
    draws = [_places(rng.permutation(CELLS * CELLS)[:NAMED]) for _ in range(DRAWS)]
    named: dict[tuple[str, str], float] = {}
    random: dict[str, tuple[float, ...]] = {}
    for cover in FILLS:
        hidden = fill_of(crop, cover)
        made = np.stack([covered(crop, hidden, places) for places in (*chosen.values(), *draws)])
        moves = side * (whole - explainer.logits(made))
        named |= {(method, cover): float(move) for method, move in zip(chosen, moves, strict=False)}
        random[cover] = tuple(map(float, moves[len(chosen) :]))
    return FaceTrial(named, random)


def figures_of(model_sha256: str) -> dict[tuple[str, str], Faithfulness]:
    """The figures of a network by method and cover; empty when it was never measured."""
    path = trained_models() / FILE
    if not path.is_file():
        return {}
    try:
        values = parse_json(path.read_text(encoding="utf-8"))
        figures = [Faithfulness(**each) for each in values.get(model_sha256, [])]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"cannot read {path} ({error})") from error
    return {(each.method, each.cover): each for each in figures}


def keep(model_sha256: str, figures: list[Faithfulness], path: Path) -> None:
    """Add the figures of a network to a file, or put them in the place of its earlier ones."""
    values = parse_json(path.read_text(encoding="utf-8")) if path.is_file() else {}
    values[model_sha256] = [asdict(each) for each in figures]
    write_whole(path, (json.dumps(values, indent=1) + "\n").encode())


def _maps(explainer: Explainer, crop: Pixels) -> dict[str, Numbers]:
    """Maps of 8 x 8 cells by method; those of a finer split are added up."""
    maps = {f"occlusion {fill}": explainer.occlusion(crop, CELLS, fill).cells for fill in FILLS}
    split = explainer.split(crop)
    if split is not None and split.cells.shape[0] % CELLS == 0:
        block = split.cells.shape[0] // CELLS
        maps["split"] = split.cells.reshape(CELLS, block, CELLS, block).sum(axis=(1, 3))
    return maps


def _strongest(cells: Numbers) -> list[Cell]:
    return _places(np.argsort(-cells, axis=None)[:NAMED])


def _places(numbers: npt.NDArray[np.int64]) -> list[Cell]:
    return [(int(number) // CELLS, int(number) % CELLS) for number in numbers]
