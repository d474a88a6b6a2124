"""What the card of a model and the file of a clip have to say on a page."""

from __future__ import annotations

import datetime
import platform
import re
import stat
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

from mesovid import __version__
from mesovid.container import open_container
from mesovid.errors import InputError
from mesovid.media import is_picture
from mesovid.models.card import Figure, Member, ModelCard, sha256_of
from mesovid.report.facts import ClipFacts, ErrorRates, ModelFacts, Rate

_MEASURED = re.compile(r"([\d,]+) real and ([\d,]+) fake")  # videos, in the protocol of a figure
_VERSIONS = ("onnxruntime", "av", "opencv-python", "numpy")  # what a scan's numbers may depend on


def model_facts(card: ModelCard) -> ModelFacts:
    """What a page shows of a model."""
    # a panel says what its one deciding model says; of several, none speaks for all
    deciding: list[Member | ModelCard] = [each for each in card.members if each.decides]
    sees = (deciding or [card])[0] if len(deciding) < 2 else None
    low, high = card.uncertain or (0.0, 0.0)
    if sees is not None and not (sees.clears_below and low < sees.clears_below < high):
        sees = None
    return ModelFacts(
        summary=card.summary,
        threshold=card.threshold,
        band=card.uncertain,
        smallest_face=card.smallest_face,
        rule=card.rule,
        limits=card.limits,
        licence=card.licence,
        rates=error_rates(card.figures),
        clears_below=sees.clears_below if sees else None,
        finds=sees.finds if sees else "",
    )


def error_rates(figures: Iterable[Figure]) -> tuple[ErrorRates, ...]:
    """What was measured of verdicts, one entry for each set of videos, in the order of the card."""
    by_data: dict[str, dict[tuple[str, str], Figure]] = {}
    for figure in figures:
        kinds = ("called fake", "uncertain", "cleared")
        what = next((kind for kind in kinds if figure.metric.endswith(kind)), None)
        truth = {"real": "real", "fake": "fake", "all fakes": "fake"}.get(figure.subset)
        if what and truth:
            by_data.setdefault(figure.data, {})[truth, what] = figure
    return tuple(_rates(data, found, list(by_data)) for data, found in by_data.items())


def _rates(data: str, found: Mapping[tuple[str, str], Figure], names: Iterable[str]) -> ErrorRates:
    counts = [match for figure in found.values() if (match := _MEASURED.search(figure.protocol))]
    reals, fakes = (
        (int(number.replace(",", "")) for number in counts[0].groups()) if counts else (None, None)
    )

    def rate(truth: str, what: str) -> Rate | None:
        figure = found.get((truth, what))
        return Rate(figure.value, figure.low, figure.high) if figure is not None else None

    return ErrorRates(
        data=data,
        reals=reals or None,
        fakes=fakes or None,
        real_called_fake=rate("real", "called fake"),
        real_uncertain=rate("real", "uncertain"),
        fake_called_fake=rate("fake", "called fake"),
        fake_uncertain=rate("fake", "uncertain"),
        real_cleared=rate("real", "cleared"),
        fake_cleared=rate("fake", "cleared"),
        damaged=any(data.startswith(f"{name}, ") for name in names),
    )


def clip_facts(path: str | Path) -> ClipFacts | None:
    """What the file of a clip says of itself; None when it is not there or cannot be read."""
    place = Path(path)
    try:
        status = place.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe or device may never end
            return None
        digest = sha256_of(place)
    except (OSError, ValueError):
        return None
    modified = datetime.datetime.fromtimestamp(status.st_mtime, datetime.UTC)
    found = ClipFacts(status.st_size, digest, f"{modified:%Y-%m-%d %H:%M} UTC")
    if is_picture(place):
        return found
    try:
        with open_container(place) as container:
            video = [
                stream.codec_context.name
                for stream in container.streams.video
                if stream.codec_context
            ]
            audio = [
                stream.codec_context.name
                for stream in container.streams.audio
                if stream.codec_context
            ]
            tags = container.metadata
            return ClipFacts(
                found.size,
                digest,
                found.modified,
                container=container.format.long_name,
                video_codec=", ".join(video),
                audio_codec=", ".join(audio) or "none",
                made_by=tags.get("encoder", "") or tags.get("ENCODER", ""),
            )
    except InputError:
        return found


@cache
def versions() -> str:
    """Of mesovid and of what its numbers may depend on, as they are here and now."""
    found = [f"mesovid {__version__}", f"Python {platform.python_version()}"]
    for package in _VERSIONS:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)
