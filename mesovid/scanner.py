"""One video: sampled, its faces found, aligned, scored and judged.

It composes all other stages.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from mesovid.align import detail
from mesovid.crops import STAGES, cut_out, find
from mesovid.faces import FaceFinder
from mesovid.models.classifier import Classifier, load_model
from mesovid.provenance import declared, heeded
from mesovid.records import Crop, FaceScore, FrameFaces, Moment, Scan
from mesovid.settings import FaceSettings, RuntimeSettings, SampleSettings, ScanSettings
from mesovid.stopwatch import Stopwatch
from mesovid.verdict import Rule, distrusted, judge
from mesovid.video import Sampling, sample

_log = logging.getLogger(__name__)

DEFAULT_MODEL: str = ScanSettings().model
# sees a path and its faces, batch by batch
OnCrops = Callable[[str, Sequence[Crop], Sequence[FaceScore]], None]
OnFrame = Callable[[FrameFaces], None]  # sees each frame with its faces, before they are scored
OnOpen = Callable[[Sampling], None]  # sees the video before the first of its frames
Item = TypeVar("Item")


def scan(path: str | Path, **options: Any) -> Scan:
    """Judge one video or picture.

    `options` are those of `Scanner`; many videos are cheaper with one `Scanner`.
    """
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
        self,
        path: str | Path,
        on_crops: OnCrops | None = None,
        on_frame: OnFrame | None = None,
        on_open: OnOpen | None = None,
    ) -> Scan:
        """Judge one video or picture. InputError when it cannot be read.

        `on_crops` sees every face and its score, `on_frame` every frame that was looked at,
        `on_open` the video before its frames; what they raise ends the scan.
        """
        return scan_video(
            path, self.finder, self.classifier, self.options, on_crops, on_frame, on_open
        )


def scan_video(
    path: str | Path,
    finder: FaceFinder,
    classifier: Classifier,
    options: Options,
    on_crops: OnCrops | None = None,
    on_frame: OnFrame | None = None,
    on_open: OnOpen | None = None,
) -> Scan:
    """Judge one video with loaded networks."""
    watch = Stopwatch((*STAGES, "classify"))
    began = time.perf_counter()
    sampled: list[Moment] = []
    scores: list[FaceScore] = []
    with (
        sample(path, options.sample) as sampling,
        # closed before the video: its thread decodes
        closing(find(sampling, finder, options.scan.batch_size, watch)) as found,
    ):

        def crops() -> Iterator[Crop]:
            for each in cut_out(found, classifier.card.geometry, watch):
                sampled.append(Moment(each.found.frame.index, each.found.frame.time))
                if on_frame is not None:
                    on_frame(each.found)
                yield from each.crops

        if on_open is not None:
            on_open(sampling)
        for batch in batched(crops(), options.scan.batch_size):
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
    rule = Rule.of_scan(classifier.card, options.scan, picture=sampling.info.is_picture)
    judgement = judge(scores, rule)
    verdict = (
        judgement.verdict
        if sampling.unreliable is None
        else distrusted(judgement.verdict, sampling.unreliable)
    )
    said = declared(Path(path), sampling.tags)
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
        verdict=heeded(verdict, said, options.scan.threshold),
        seconds=watch.seconds | {"total": seconds},
        warnings=tuple(sampling.warnings),
        declared=said,
    )


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


def _options(model: str, given: dict[str, Any]) -> Options:
    """Sort options given by name into their groups.

    A whole group may be given as `scan`, `sample`, `faces`... objects.
    """
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
