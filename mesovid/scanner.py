"""One video: sampled, its faces found, aligned, scored and judged. The composition of all other stages."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from mesovid.align import align, detail
from mesovid.faces import FaceFinder
from mesovid.models.card import ModelCard
from mesovid.models.classifier import Classifier, load_model
from mesovid.people import PeopleLinker
from mesovid.records import Crop, FaceScore, Frame, FrameFaces, Moment, Scan
from mesovid.settings import FaceSettings, Geometry, RuntimeSettings, SampleSettings, ScanSettings
from mesovid.verdict import LEAST_DETAIL, Rule, Voice, doubted, judge
from mesovid.video import Sampling, prefetch, sample

_log = logging.getLogger(__name__)

DEFAULT_MODEL: str = ScanSettings().model
OnCrops = Callable[
    [str, Sequence[Crop], Sequence[FaceScore]], None
]  # sees a path and its faces, batch by batch
OnFrame = Callable[[FrameFaces], None]  # sees each frame with its faces, before they are scored
Item = TypeVar("Item")


def scan(path: str | Path, **options: Any) -> Scan:
    """Judge one video or picture. `options` are those of `Scanner`; many videos are cheaper with one `Scanner`."""
    return Scanner(**options).scan(path)


@dataclass(frozen=True, slots=True)
class Options:
    """All settings of a scan."""

    scan: ScanSettings
    sample: SampleSettings
    faces: FaceSettings
    runtime: RuntimeSettings

    def to_dict(self) -> dict[str, Any]:
        """One flat object: the option names of `mesovid scan` differ between the groups."""
        return {name: value for group in asdict(self).values() for name, value in group.items()}


class Scanner:
    """Keeps the networks loaded between videos.

    Takes whole settings objects, or single options by name: `Scanner("meso4", frames=64,
    min_face=60)`. Not to be shared between threads. Raises ModelError for a model that cannot be
    used and SettingsError for options out of range.
    """

    def __init__(self, model: str | Path = DEFAULT_MODEL, **options: Any) -> None:
        self.options = _options(str(model), options)
        self.classifier = load_model(self.options.scan.model, self.options.runtime)
        self.finder = FaceFinder(self.options.faces, self.options.runtime)

    @classmethod
    def of(cls, options: Options) -> Self:
        """A scanner with all of its settings given as one object."""
        return cls(
            options.scan.model,
            scan_settings=options.scan,
            sample_settings=options.sample,
            face_settings=options.faces,
            runtime_settings=options.runtime,
        )

    def scan(
        self, path: str | Path, on_crops: OnCrops | None = None, on_frame: OnFrame | None = None
    ) -> Scan:
        """Judge one video or picture. InputError when it cannot be read.

        `on_crops` sees every face and its score, `on_frame` every frame that was looked at; what
        they raise ends the scan.
        """
        return scan_video(path, self.finder, self.classifier, self.options, on_crops, on_frame)


def scan_video(
    path: str | Path,
    finder: FaceFinder,
    classifier: Classifier,
    options: Options,
    on_crops: OnCrops | None = None,
    on_frame: OnFrame | None = None,
) -> Scan:
    """Judge one video with loaded networks."""
    watch = Stopwatch()
    began = time.perf_counter()
    sampled: list[Moment] = []
    scores: list[FaceScore] = []
    with (
        sample(path, options.sample) as sampling,
        # closed before the video: its thread decodes
        closing(_find(sampling, finder, options.scan.batch_size, watch, sampled)) as found,
    ):
        seen = found if on_frame is None else _shown(found, on_frame)
        for batch in batched(_crop(seen, classifier.card.geometry, watch), options.scan.batch_size):
            with watch("classify"):
                new = _score(batch, classifier)
            scores += new
            if on_crops is not None:
                on_crops(str(path), batch, new)
    seconds = time.perf_counter() - began
    _log.debug(
        "%s: %d frames, %d faces in %.2f s (%s)",
        path,
        len(sampled),
        len(scores),
        seconds,
        watch.seconds,
    )
    model = classifier.ref
    judgement = judge(scores, rule_of(classifier.card, options.scan, sampling.info.is_picture))
    verdict = (
        judgement.verdict if sampling.doubt is None else doubted(judgement.verdict, sampling.doubt)
    )
    if options.scan.threshold is not None:
        model = replace(model, threshold=options.scan.threshold)
    return Scan(
        video=sampling.info,
        model=model,
        settings=options.to_dict() | {"model": model.name},
        sampled=tuple(sampled),
        scores=tuple(scores),
        people=judgement.people,
        segments=judgement.segments,
        verdict=verdict,
        seconds=watch.seconds | {"total": seconds},
        warnings=tuple(sampling.warnings),
    )


def _find(
    sampling: Sampling, finder: FaceFinder, batch_size: int, watch: Stopwatch, sampled: list[Moment]
) -> Generator[FrameFaces, None, None]:
    """Faces of each sampled frame, found while the next frames decode in a thread; notes each frame in `sampled`."""
    decoded = prefetch(watch.each("decode", sampling), batch_size)

    def noted() -> Iterator[Frame]:
        for frame in watch.each("wait", decoded):
            sampled.append(Moment(frame.index, frame.time))
            yield frame

    yield from watch.each("detect", finder.follow(noted(), batch_size))
    # the finder pulls its frames: its time includes the waiting for them
    watch.seconds["detect"] -= watch.seconds["wait"]


def _shown(found: Iterable[FrameFaces], on_frame: OnFrame) -> Iterator[FrameFaces]:
    for item in found:
        on_frame(item)
        yield item


def _crop(found: Iterable[FrameFaces], geometry: Geometry, watch: Stopwatch) -> Iterator[Crop]:
    linker = PeopleLinker()
    for item in found:
        people = linker.link(item)
        for face, person in zip(item.faces, people, strict=True):
            with watch("align"):
                pixels = align(item.frame.image, face.landmarks, geometry)
            yield Crop(item.frame.index, item.frame.time, face, person, pixels)


def _score(crops: Sequence[Crop], classifier: Classifier) -> list[FaceScore]:
    probabilities, members = classifier.with_members(np.stack([crop.pixels for crop in crops]))
    geometry = classifier.card.geometry
    return [
        FaceScore(
            crop.index,
            crop.time,
            crop.face,
            crop.person,
            float(probability),
            tuple(map(float, parts)),
            detail(crop.pixels, geometry),
        )
        for crop, probability, parts in zip(crops, probabilities, members, strict=True)
    ]


def rule_of(card: ModelCard, settings: ScanSettings, picture: bool) -> Rule:
    """How a model's scores become a verdict: by its card, unless the settings name a threshold of their own."""
    own = settings.threshold is None
    return Rule(
        threshold=card.threshold if settings.threshold is None else settings.threshold,
        band=card.uncertain if own else None,
        aggregate=settings.aggregate,
        min_faces=1 if picture else settings.min_faces,
        smallest_face=card.smallest_face if own else None,
        least_detail=LEAST_DETAIL if own else None,
        members=tuple(
            Voice(member.name, member.decides, member.assents_from if own else None)
            for member in card.members
        ),
    )


def _options(model: str, given: dict[str, Any]) -> Options:
    """Sort options given by name into their groups; a whole group may be given as `scan`, `sample`, `faces`... objects."""
    groups: dict[str, Any] = {
        "scan": ScanSettings,
        "sample": SampleSettings,
        "face": FaceSettings,
        "runtime": RuntimeSettings,
    }
    whole = {key: given.pop(f"{key}_settings", None) for key in groups}
    made = {}
    for key, cls in groups.items():
        own = {name: given.pop(name) for name in list(given) if name in cls.__dataclass_fields__}
        if key == "scan":
            own["model"] = model
        made[key] = replace(whole[key], **own) if whole[key] is not None else cls(**own)
    if given:
        raise TypeError(f"unknown option {next(iter(given))!r}")
    return Options(made["scan"], made["sample"], made["face"], made["runtime"])


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of up to `size` items, in order."""
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


class Stopwatch:
    """Adds up wall seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(
            ("decode", "wait", "detect", "align", "classify"), 0.0
        )

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - began

    def each(self, stage: str, items: Iterable[Item]) -> Iterator[Item]:
        """The same items; the time it takes to make each one counts for `stage`."""
        iterator = iter(items)
        done = object()
        try:
            while True:
                with self(stage):
                    item: Any = next(iterator, done)
                if item is done:
                    return
                yield item
        finally:
            if hasattr(iterator, "close"):
                iterator.close()
