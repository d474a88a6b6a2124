"""Writes what explains some faces: a page, and beside it pictures and numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mesovid.explain.explainer import Explainer
from mesovid.explain.faithfulness import figures_of
from mesovid.explain.page import Drawn, FacePart, Page, to_html
from mesovid.explain.telling import TellingFace
from mesovid.files import appearing, check_new_folder
from mesovid.names import as_text, with_bytes
from mesovid.opencv import cv2
from mesovid.pictures import encode
from mesovid.records import Activation, Firing, Layer, Occlusion, Pixels, Split, Stage
from mesovid.report.maps import contrast, map_sheet, overlay, table
from mesovid.settings import ExplainSettings

SCHEMA = 1  # of explanation.json
FOR = "the explanation"
SIDE = 512  # px, of the maps over a face
SHOWN = 64  # maps of a layer on the page; its picture shows all
WEBP_QUALITY = 80
MOST_CELLS = 1024  # px, width that the sheet of a layer's filters may take

Numbers = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """A face with what explains its score."""

    face: TellingFace
    occlusion: Occlusion
    split: Split | None


def write_explanation(
    folder: Path,
    explainer: Explainer,
    faces: Sequence[TellingFace],
    sample: Pixels,
    settings: ExplainSettings,
    failures: Sequence[str] = (),
) -> Path:
    """Write `index.html`, `explanation.json`, pictures and numbers, and give the page's path.

    `sample` are the faces that say which filters are dead. The folder must not exist or be empty;
    it appears when all is written. OutputError when it cannot be written.
    """
    firing = explainer.firing(sample)
    explained = [
        Explained(
            face,
            explainer.occlusion(face.pixels, settings.cells, settings.fill),
            explainer.split(face.pixels),
        )
        for face in faces
    ]
    with appearing(folder, FOR) as work:
        parts = list(_faces(work, explainer, explained, firing, settings.stage))
        filters = tuple(_filters(work / "filters", explainer))
        page = Page(
            card=explainer.card,
            ref=explainer.ref,
            faces=tuple(parts),
            firing=firing,
            filters=filters,
            figures=figures_of(explainer.ref.sha256),
            failures=tuple(failures),
        )
        _json(work / "explanation.json", _plain(explainer, explained, firing, settings, failures))
        (work / "index.html").write_text(to_html(page), encoding="utf-8")
    return folder / "index.html"


def _faces(
    work: Path,
    explainer: Explainer,
    explained: Sequence[Explained],
    firing: Sequence[Firing],
    stage: Stage,
) -> Iterator[FacePart]:
    """Pictures and numbers of each face, with scales that all faces have in common."""
    scales = _scales(explainer, explained, stage)
    dead = {each.layer.name: each.dead for each in firing}
    for number, each in enumerate(explained, 1):
        place = work / f"face-{number}"
        place.mkdir()
        large = cv2.resize(each.face.pixels, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        _png(place / "face.png", each.face.pixels)
        pictures = {"occlusion": overlay(large, each.occlusion.cells, scales["occlusion"])}
        if each.split is not None:
            pictures["split"] = overlay(large, each.split.cells, scales["split"])
        for name, picture in pictures.items():
            _png(place / f"{name}.png", picture)
        numbers: dict[str, Numbers] = {}
        layers = []
        for activation in _activations(explainer, each.face.pixels, stage):
            layer, shown = activation.layer, next(iter(activation.maps))
            maps = activation.maps[shown][0]
            numbers[f"{layer.name}.{shown}"] = maps
            if maps.ndim == 3:
                layers.append(
                    _layer(place, layer, shown, maps, scales[layer.name], dead.get(layer.name, ()))
                )
        np.savez_compressed(place / "maps.npz", allow_pickle=False, **numbers)
        yield FacePart(
            face=each.face,
            crop=_webp(each.face.pixels),
            maps={name: _webp(picture) for name, picture in pictures.items()},
            scales={name: scales[name] for name in pictures},
            occlusion=each.occlusion,
            split=each.split,
            layers=tuple(layers),
            folder=place.name,
        )


def _scales(explainer: Explainer, explained: Sequence[Explained], stage: Stage) -> dict[str, float]:
    """The ends of all scales: of both maps, and of each layer."""
    scales = {
        "occlusion": max(float(np.abs(each.occlusion.cells).max()) for each in explained),
        "split": max(
            (float(np.abs(e.split.cells).max()) for e in explained if e.split is not None),
            default=0.0,
        ),
    }
    for each in explained:
        for activation in _activations(explainer, each.face.pixels, stage):
            name, maps = activation.layer.name, next(iter(activation.maps.values()))
            scales[name] = max(scales.get(name, 0.0), contrast(maps))
    return scales


def _activations(explainer: Explainer, crop: Pixels, stage: Stage) -> Iterable[Activation]:
    """Each layer at the stage that is asked for, or as its operator gave it, one layer at a time:
    MesoLite's take 61 MB.
    """
    for layer in explainer.layers:
        if layer.name != "face":
            yield from explainer.activations(
                crop[None], [layer.name], [stage if stage in layer.shapes else "raw"]
            )


def _layer(
    place: Path, layer: Layer, stage: Stage, maps: Numbers, largest: float, dead: Sequence[int]
) -> Drawn:
    """The sheet of a layer's maps: all in a file, and for the page as many as fit, the strongest
    first to stay.
    """
    title = f"{layer.name} {stage}"
    _png(place / f"{layer.name}.png", _sheet(maps, largest, title, range(len(maps)), dead))
    shown = range(len(maps))
    if len(maps) > SHOWN:
        strongest = np.argsort(-np.abs(maps).mean(axis=(1, 2)))[:SHOWN]
        shown = sorted(int(number) for number in strongest)  # type: ignore[assignment]
    picture = _sheet(maps[list(shown)], largest, title, shown, dead)
    return Drawn(
        layer=layer,
        picture=_webp(picture),
        width=picture.shape[1],
        height=picture.shape[0],
        shown=len(shown),
        file=f"{place.name}/{layer.name}.png",
        note=_strongest(maps, stage),
    )


def _strongest(maps: Numbers, stage: Stage) -> str:
    """Where a layer is strongest, in words."""
    number, row, column = np.unravel_index(int(np.abs(maps).argmax()), maps.shape)
    where = f"row {row + 1}, column {column + 1} of {maps.shape[1]} x {maps.shape[2]}"
    return f"{stage}: strongest in map {number + 1} at {where}: {maps[number, row, column]:.3g}"


def _sheet(
    maps: Numbers, largest: float, title: str, numbers: Sequence[int], dead: Sequence[int]
) -> Pixels:
    crossed = [place for place, number in enumerate(numbers) if number in dead]
    if len(maps) <= 16:
        names = [f"{number + 1} dead" if number in dead else str(number + 1) for number in numbers]
        return map_sheet(
            maps, largest, title=title, names=names, crossed=crossed, tile=128, columns=4
        )
    tile, columns = (64, 8) if len(maps) <= 64 else (32, 16)
    if max(maps.shape[1:]) <= 16:
        tile = 32
    return map_sheet(maps, largest, title=title, crossed=crossed, tile=tile, columns=columns)


def _filters(place: Path, explainer: Explainer) -> Iterator[Drawn]:
    """The learned filters of each layer as a picture, and all of them as numbers."""
    place.mkdir()
    numbers: dict[str, Numbers] = {}
    for layer in explainer.layers:
        if layer.kernel is None:
            continue
        weights = explainer.filters(layer.name)
        numbers[layer.name] = weights
        if layer.kind == "dense":
            continue
        picture = _filter_sheet(layer, weights)
        _png(place / f"{layer.name}.png", picture)
        yield Drawn(
            layer=layer,
            picture=_webp(picture),
            width=picture.shape[1],
            height=picture.shape[0],
            shown=layer.filters,
            file=f"filters/{layer.name}.png",
            note=f"largest weight {np.abs(weights).max():.3g}",
        )
    np.savez_compressed(place / "filters.npz", allow_pickle=False, **numbers)


def _filter_sheet(layer: Layer, weights: Numbers) -> Pixels:
    """A row a filter, a column an input; filters that read one map, or one pixel of each, are
    packed closer.
    """
    largest = contrast(weights)
    filters, inputs, rows, columns = weights.shape
    if rows * columns == 1:
        cell = max(1, min(16, MOST_CELLS // max(inputs, 1), MOST_CELLS // filters))
        title = f"{layer.name}: a row a filter, a column an input"
        return table(weights[:, :, 0, 0], largest, title=title, cell=cell)
    across = inputs if inputs > 1 else 32
    tile = max(rows, min(48, MOST_CELLS // across) // rows * rows)
    title = (
        f"{layer.name}: a row a filter, a column an input"
        if inputs > 1
        else f"{layer.name}: a tile a filter"
    )
    return map_sheet(
        weights.reshape(-1, rows, columns), largest, title=title, tile=tile, columns=across
    )


def _plain(
    explainer: Explainer,
    explained: Sequence[Explained],
    firing: Sequence[Firing],
    settings: ExplainSettings,
    failures: Sequence[str],
) -> dict[str, Any]:
    """The numbers as JSON values."""
    dead = {each.layer.name: [number + 1 for number in each.dead] for each in firing}
    return {
        "schema": SCHEMA,
        "model": asdict(explainer.ref),
        "settings": settings.to_dict(),
        "faces": [
            with_bytes(
                {
                    "path": each.face.path,
                    "time": each.face.time,
                    "person": each.face.person,
                    "box": None
                    if each.face.box is None
                    else [round(float(value), 2) for value in each.face.box],
                    "fake_probability": each.face.fake_probability,
                    "logit": each.occlusion.logit,
                    "occlusion": {
                        "fill": each.occlusion.fill,
                        "cells": each.occlusion.cells.tolist(),
                    },
                    "split": None if each.split is None else _split(each.split),
                    "folder": f"face-{number}",
                }
            )
            for number, each in enumerate(explained, 1)
        ],
        "layers": [_layer_json(layer, dead.get(layer.name)) for layer in explainer.layers],
        "faces_for_dead": firing[0].faces if firing else 0,
        "faithfulness": [asdict(each) for each in figures_of(explainer.ref.sha256).values()],
        "failures": list(failures),
    }


def _split(split: Split) -> dict[str, Any]:
    shares = {share.name: share.value for share in split.shares}
    cells = split.cells.tolist()
    return {
        "shares": shares,
        "bias": split.bias,
        "cells": cells,
        "constant": split.constant,
        "layer": split.layer,
    }


def _layer_json(layer: Layer, dead: Sequence[int] | None) -> dict[str, Any]:
    shapes: Mapping[str, Any] = {stage: list(shape) for stage, shape in layer.shapes.items()}
    return asdict(layer) | {"shapes": shapes, "dead": dead}


def _json(path: Path, value: dict[str, Any]) -> None:
    text = json.dumps(as_text(value), indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _png(path: Path, pixels: Pixels) -> None:
    path.write_bytes(encode(pixels))


def _webp(pixels: Pixels) -> bytes:
    return encode(pixels, "webp", WEBP_QUALITY)


def check_folder(folder: Path) -> None:
    """SettingsError unless `folder` is new or an empty folder."""
    check_new_folder(folder, FOR)
