"""Writes the pages of results: one for each video, and an index where there are several."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mesovid import __version__
from mesovid.errors import InputError, ModelError
from mesovid.evidence.faces import CutFace, FaceKeeper, cut_anew, show
from mesovid.evidence.facts import clip_facts, model_facts, versions
from mesovid.files import reported, write_whole
from mesovid.models.card import (
    PANEL,
    Member,
    ModelCard,
    available,
    find_card,
    find_member,
    read_card,
)
from mesovid.models.classifier import panel_digest
from mesovid.records import Failure, Pixels, Scan
from mesovid.report.facts import Evidence, ModelFacts
from mesovid.report.index import Row, index_page, row
from mesovid.report.page import failure_page, video_page
from mesovid.settings import Geometry
from mesovid.verdict import Voice, heard

if TYPE_CHECKING:
    from mesovid.explain.explainer import Explainer

INDEX = "index.html"
PAGE_SUFFIXES = (".html", ".htm")
LONGEST_NAME = 40  # characters of a page's file name that come from its video's
MAPS = (
    "Under each face: how its score came about. Yellow with a plus speaks for fake, blue with a "
    "minus for real, the stronger the more; the cells add up to the score before calibration, and "
    "all faces of this page share one scale. It shows what the model did, not where a fake is."
)
Result = Scan | Failure


class Pages:
    """Writes a page for each result.

    A single result goes to a file of that name; several go to a folder beside it.

    `place` is a page (`x.html`; for several results it becomes the index, with the pages in
    `x-pages/`) or a folder, which gets `index.html` and `pages/`. `models` are those whose cards
    and networks may be asked, besides the shipped ones, as for `load_model`. `scanning` says that
    the results are made right now, with `keeper` looking on; else faces are cut out anew, where the
    clips are still there. Each page is there whole or not at all; the index comes last, with
    `close`. OutputError when one cannot be written.
    """

    def __init__(
        self,
        place: str | Path,
        *,
        single: bool,
        models: Iterable[str | Path] = (),
        scanning: bool = False,
    ) -> None:
        self._place = Path(place)
        self._models = _Models(models)
        # to see the faces of a scan, when the results are new
        self.keeper = FaceKeeper(self._models.smallest_face)
        self._scanning = scanning
        is_page = self._place.suffix.lower() in PAGE_SUFFIXES
        self._single = single and is_page
        self.index = self._place if is_page else self._place / INDEX
        self._folder = f"{self._place.stem}-pages" if is_page else "pages"
        self._rows: list[Row] = []
        # by sha256: name, and what its card says
        self._judges: dict[str, tuple[str, Evidence]] = {}
        self._made = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"

    def add(self, result: Result, clip: str | None = None) -> None:
        """Write the page of one result. `clip` is where the file lies now, if not at its path."""
        page = self._page(result, clip)
        if self._single:
            _write(self.index, page)
            return
        path = result.path if isinstance(result, Failure) else result.video.path
        name = f"{self._folder}/{len(self._rows) + 1:04}-{_file_name(path)}.html"
        _write(self.index.parent / name, page)
        self._rows.append(row(result, name))

    def close(self) -> None:
        """Write the index, where there is to be one."""
        if not self._single:
            _write(self.index, index_page(self._rows, list(self._judges.values())))

    def _page(self, result: Result, clip: str | None = None) -> str:
        if isinstance(result, Failure):
            return failure_page(result, Evidence(made=self._made))
        facts = self._models.facts(result)
        self._judges.setdefault(
            result.model.sha256, (result.model.name, Evidence(model=facts, made=self._made))
        )
        path = result.video.path if clip is None else clip
        faces, why = self._found(replace(result, video=replace(result.video, path=path)), facts)
        why = why.replace(path, result.video.path)
        split = self._models.splitter(result) if faces else None
        return video_page(
            result,
            Evidence(
                model=facts,
                clip=clip_facts(path),
                faces=show(faces, split),
                no_faces=why,
                maps=f"{MAPS} {self._models.faithfulness(result)}" if split is not None else "",
                versions=versions() if self._scanning else "",
                made=f"{self._made}, mesovid {__version__}",
            ),
        )

    def _found(self, scan: Scan, facts: ModelFacts | None) -> tuple[list[CutFace], str]:
        try:
            if self._scanning:
                return self.keeper.take(scan.video.path), ""
            return cut_anew(
                scan, self._models.geometry(scan), facts.smallest_face if facts else None
            ), ""
        except (
            InputError,
            OSError,
            ValueError,
        ) as error:  # a recorded path may be none of this system
            return [], f"There are no pictures of the faces: {error}."


class _Models:
    """The cards of models, found by the weights that a scan names, and the networks behind them."""

    def __init__(self, models: Iterable[str | Path]) -> None:
        self._cards: dict[str, tuple[ModelCard, str | Path]] = {}  # by sha256 of the weights
        self._explainers: dict[Path, Explainer | None] = {}
        own = [(read_card(model), find_card(model)) for model in models]
        self.smallest_face = own[0][0].smallest_face if own else None  # px, of the model that scans
        shipped: list[tuple[ModelCard, str | Path]] = [(card, card.name) for card in available()]
        for card, place in (*shipped, *own):
            digests = (
                [panel_digest(card.members)] if card.architecture == PANEL else card.sha256.values()
            )
            self._cards |= dict.fromkeys(digests, (card, place))

    def facts(self, scan: Scan) -> ModelFacts | None:
        found = self._cards.get(scan.model.sha256)
        return model_facts(found[0]) if found else None

    def geometry(self, scan: Scan) -> Geometry:
        found = self._cards.get(scan.model.sha256)
        return found[0].geometry if found else Geometry()

    def splitter(self, scan: Scan) -> Callable[[Pixels], npt.NDArray[np.float64] | None] | None:
        """What splits the logit of a face into cells.

        None where the model is not there or does not split.
        """
        explainer = self._explainer(scan)
        if explainer is None:
            return None

        def cells(pixels: Pixels) -> npt.NDArray[np.float64] | None:
            found = explainer.split(pixels)
            return found.cells if found is not None else None

        return cells

    def faithfulness(self, scan: Scan) -> str:
        """How far the maps can be trusted, as it was measured."""
        from mesovid.explain.faithfulness import figures_of

        explainer = self._explainer(scan)
        if explainer is None:
            return ""
        whose = (
            ""
            if explainer.card.name == scan.model.name
            else f"Shown is {explainer.card.name}, which was heard. "
        )
        figure = figures_of(explainer.ref.sha256).get(("split", "mean"))
        return whose + (
            figure.sentence() if figure else "How faithful it is was not measured for this model."
        )

    def _explainer(self, scan: Scan) -> Explainer | None:
        """What looks into the network whose score counted; None where its logit does not split."""
        from mesovid.explain.explainer import Explainer

        if scan.model.sha256 not in self._cards:
            return None
        card, place = self._cards[scan.model.sha256]
        try:
            path = find_card(place)
            if card.members:
                path = find_member(path, _heard(scan, card))
            if path not in self._explainers:
                explainer = Explainer(path)
                self._explainers[path] = explainer if explainer.splits else None
        except ModelError:
            return None
        return self._explainers[path]


def _heard(scan: Scan, card: ModelCard) -> Member:
    """The member of a panel that was heard about the most suspicious person."""
    scored = [person for person in scan.people if len(person.members) == len(card.members)]
    if not scored:
        return next(member for member in card.members if member.decides)
    worst = max(scored, key=lambda person: person.fake_probability)
    voices = map(Voice.of, card.members)
    name = heard(list(zip(voices, worst.members, strict=True)))
    return next(member for member in card.members if member.name == name)


def _file_name(path: str) -> str:
    """A file name that every system and address takes, still telling of its video."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", PurePath(path).stem)[:LONGEST_NAME].strip("._-")
    return stem or "video"


def _write(path: Path, page: str) -> None:
    with reported(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, page.encode("utf-8"))
