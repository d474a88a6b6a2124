"""Turns collections of videos and pictures into a dataset of aligned faces that does not leak
between its splits."""

from __future__ import annotations

import os
import platform
import random
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from mesovid.dataset.cutter import PICTURES, CutJob, CutSettings, Cutter, Result, failed
from mesovid.dataset.journal import WORK, Journal, extraction_plan, write_results
from mesovid.dataset.labels import FAKE, REAL
from mesovid.dataset.layouts import Gathered
from mesovid.dataset.manifest import CropEntry, Dataset, read_dataset, write_card, write_manifest
from mesovid.dataset.sources import Problem, Source
from mesovid.dataset.splits import OWN_SPLITS, Leak, assign, leaks, parse_ratio
from mesovid.errors import DatasetError
from mesovid.files import FULL_DISK
from mesovid.media import is_picture
from mesovid.opencv import cv2
from mesovid.pool import Crash, Engine, run
from mesovid.settings import ExtractSettings

DEFAULT_SPLIT = "80/10/10"

OnResults = Callable[[Sequence[Result]], None]  # sees the results of each job as it ends


@dataclass(frozen=True, slots=True)
class Extraction:
    """What an extraction has made."""

    dataset: Dataset
    results: tuple[Result, ...]  # a video each, sorted
    problems: tuple[Problem, ...]  # what could not even be tried
    notes: tuple[str, ...]
    leaks: tuple[Leak, ...]  # of an official split; one's own has none but those that `link` allows

    @property
    def failures(self) -> tuple[Problem, ...]:
        """Everything that failed: problems of the layout and videos that could not be read."""
        own = tuple(Problem(r.video, r.reason or "") for r in self.results if r.status == "failed")
        return self.problems + own


def extract(
    gathered: Gathered,
    root: str | Path,
    settings: CutSettings,
    *,
    workers: int = 1,
    engine: Engine = run,
    on_results: OnResults | None = None,
    on_start: Callable[[int, int], None] | None = None,
) -> Extraction:
    """Extract all videos of `gathered` into the folder `root`; goes on where a killed run stopped.

    `workers` is the number of processes; 0 works in this one. `engine` is `mesovid.pool.run` or has
    its contract. The outcome depends on neither, nor on how often the run was stopped. `on_start`
    hears how many videos there are and how many of them are done. Raises DatasetError for a folder
    that holds anything else, for a full disk (run again once there is room), and when no crop came
    out.
    """
    root = Path(root)
    # one thread a network: the numbers must not depend on the machine's cores, and the workers fill
    # them
    settings = replace(
        settings, runtime=replace(settings.runtime, threads=settings.runtime.threads or 1)
    )
    sources = split_sources(gathered.sources, settings.extract)
    plan = extraction_plan(sources, _record(gathered, settings))
    try:
        with Journal(root, plan) as journal:
            jobs = list(_open_jobs(sources, settings.extract.pair, journal.results))
            if on_start is not None:
                on_start(len(sources), len(sources) - sum(len(job.sources) for job in jobs))
            if jobs or not journal.finished:
                _run(jobs, journal, settings, partial(engine, workers=workers), on_results)
                _complete(journal, gathered, settings, plan, leaks(sources))
            journal.remove()
            results = tuple(journal.results[source.video] for source in sources)
    except OSError as error:
        room = "; make room and run the same command" if error.errno in FULL_DISK else ""
        raise DatasetError(f"{root}: {error.strerror}; what is done is kept{room}") from error
    return Extraction(
        dataset=read_dataset(root),
        results=results,
        problems=gathered.problems,
        notes=gathered.notes + _split_notes(sources, settings.extract),
        leaks=tuple(leaks(sources)),
    )


def split_sources(sources: Sequence[Source], settings: ExtractSettings) -> list[Source]:
    """The sources, each with its split: the official one unless the settings name shares. Sorted by
    video."""
    if settings.split is not None:
        sources = [replace(source, split=None) for source in sources]
    ratio = parse_ratio(settings.split or DEFAULT_SPLIT)
    assigned = assign(sources, ratio, settings.seed, identities=settings.link == "identities")
    return sorted(assigned, key=lambda source: source.video)


def _record(gathered: Gathered, settings: CutSettings) -> dict[str, Any]:
    """All settings that shape the outcome, as JSON values."""
    runtime = {"runtime": settings.runtime.runtime, "device": settings.runtime.device}
    return {
        "layout": gathered.layout,
        "geometry": settings.geometry.to_dict(),
        **settings.sample.to_dict(),
        **{name: value for name, value in settings.faces.to_dict().items() if name != "faces"},
        **runtime,
        **settings.extract.to_dict(),
    }


def _split_notes(sources: Sequence[Source], settings: ExtractSettings) -> tuple[str, ...]:
    """What is odd about the splits: one that should have videos and has none."""
    if any(source.split not in OWN_SPLITS for source in sources):
        return ()
    ratio = dict(zip(OWN_SPLITS, parse_ratio(settings.split or DEFAULT_SPLIT), strict=True))
    there = {source.split for source in sources}
    empty = [name for name, share in ratio.items() if share > 0 and name not in there]
    if not empty or (settings.split is None and there == {"train", "test"}):
        return ()
    how = " (--link originals links less)" if settings.link == "identities" else ""
    return (
        (
            f"no video for {' and '.join(empty)}: too few sets of videos without a link between "
            f"them{how}"
        ),
    )


# Jobs


def _open_jobs(
    sources: Sequence[Source], pair: bool, done: Mapping[str, Result]
) -> Iterator[CutJob]:
    """The jobs with a video that is not done or failed before. Which videos share a job depends on
    the sources alone."""
    by_video = {source.video: source for source in sources}

    def job(number: int, own: tuple[Source, ...]) -> CutJob:
        originals = (
            by_video.get(source.original) if pair and source.original else None for source in own
        )
        return CutJob(number=number, sources=own, originals=tuple(originals))

    for number, own in enumerate(_shared(sources, pair)):
        if any(source.video not in done or done[source.video].status == "failed" for source in own):
            yield job(number, own)


def _shared(sources: Sequence[Source], pair: bool) -> Iterator[tuple[Source, ...]]:
    """Videos one by one or, where `pair`, an original with its fakes; pictures in lots."""
    clips = [source for source in sources if not is_picture(source.files[0])]
    scenes: dict[str, list[Source]] = {}
    for source in clips:
        scenes.setdefault((pair and source.original) or source.video, []).append(source)
    for own in scenes.values():
        yield tuple(sorted(own, key=lambda source: (source.original is not None, source.video)))
    lot: list[Source] = []
    size = 0
    for source in sources:
        if is_picture(source.files[0]):
            lot.append(source)
            size += len(source.files)
            if size >= PICTURES:
                yield tuple(lot)
                lot, size = [], 0
    if lot:
        yield tuple(lot)


def _run(
    jobs: Iterable[CutJob],
    journal: Journal,
    settings: CutSettings,
    engine: Engine,
    on_results: OnResults | None,
) -> None:
    """Work through the jobs in worker processes, noting each in the journal as it ends."""
    for results in _results(list(jobs), journal.root, settings, engine):
        journal.add(results)
        if on_results is not None:
            on_results(results)


def _results(
    jobs: list[CutJob], root: Path, settings: CutSettings, engine: Engine
) -> Iterator[list[Result]]:
    """The results of each job, as they come. A job that takes its worker down fails; the others go
    on."""
    work = partial(_cut, root=Path(os.path.abspath(root)), settings=settings)
    try:
        for job, outcome in engine(jobs, work):
            if isinstance(outcome, Crash):
                yield [failed(source, outcome.reason) for source in job.sources]
            else:
                yield outcome
    finally:
        _cutters.clear()


_cutters: dict[tuple[Path, CutSettings], Cutter] = {}  # of this process: the last one alone


def _cut(job: CutJob, root: Path, settings: CutSettings) -> list[Result]:
    if (root, settings) not in _cutters:
        if not (root / WORK).is_dir():
            raise DatasetError(
                f"{root} is not there on {platform.node()}, which was to write into it; all"
                " machines need it at the same path"
            )
        cv2.setNumThreads(1)
        _cutters.clear()
        stage = root / WORK / f"stage-{secrets.token_hex(4)}"
        _cutters[root, settings] = Cutter(root, stage, settings)
    return _cutters[root, settings].cut(job)


# The end


def _complete(
    journal: Journal,
    gathered: Gathered,
    settings: CutSettings,
    plan: Mapping[str, Any],
    known: Sequence[Leak],
) -> None:
    """Write the dataset's files. All of it can be done again until the last one, `dataset.json`, is
    there."""
    results = list(journal.results.values())
    crops = [crop for result in results for crop in result.crops]
    if settings.extract.balance:
        kept = balance(crops, settings.extract.seed)
        names = {crop.file for crop in kept}
        results = [_without(result, names) for result in results]
        _delete(journal.root, [crop.file for crop in crops if crop.file not in names])
        crops = kept
        journal.results = {result.video: result for result in results}
    if not crops:
        reasons = sorted({result.reason for result in results if result.reason})
        raise DatasetError(
            f"no crop came out of {len(results)} videos: {'; '.join(reasons[:3]) or 'none given'}"
        )
    write_manifest(journal.root, crops)
    write_results(journal.root, results)
    write_card(
        journal.root,
        geometry=settings.geometry,
        layout=gathered.layout,
        settings=plan["settings"],
        crops=crops,
        problems=[{"name": problem.name, "why": problem.why} for problem in gathered.problems],
        leaks=[[leak.kind, leak.name] for leak in known],
        collections=[{"path": path, "layout": layout} for path, layout in gathered.layouts],
        plan=dict(plan),
    )


def balance(crops: Sequence[CropEntry], seed: int) -> list[CropEntry]:
    """As many real as fake crops in each split: the commoner label loses some, evenly over its
    videos."""
    cells: dict[tuple[str | None, str], list[CropEntry]] = defaultdict(list)
    for crop in crops:
        cells[crop.split, crop.label].append(crop)
    kept: list[CropEntry] = []
    for (split, label), own in cells.items():
        other = cells.get((split, REAL if label == FAKE else FAKE), [])
        kept += _thinned(own, len(other), seed) if 0 < len(other) < len(own) else own
    return sorted(kept, key=lambda crop: crop.file)


def _thinned(crops: Sequence[CropEntry], count: int, seed: int) -> list[CropEntry]:
    """So many of the crops, in rounds of one from every video."""
    videos: dict[str, list[CropEntry]] = defaultdict(list)
    for crop in sorted(crops, key=lambda crop: crop.file):
        videos[crop.video].append(crop)
    rounds = []
    for video, own in videos.items():
        dice = random.Random(f"{seed} {video}")
        dice.shuffle(own)
        rounds += [(n, dice.random(), crop) for n, crop in enumerate(own)]
    rounds.sort(key=lambda entry: entry[:2])
    return [crop for _, _, crop in rounds[:count]]


def _without(result: Result, names: set[str]) -> Result:
    kept = tuple(crop for crop in result.crops if crop.file in names)
    lost = len(result.crops) - len(kept)
    if not lost:
        return result
    dropped = dict(sorted({**result.dropped, "for balance": lost}.items()))
    status = result.status if kept else "skipped"
    return replace(
        result, crops=kept, dropped=dropped, status=status, reason=None if kept else "for balance"
    )


def _delete(root: Path, files: Iterable[str]) -> None:
    for file in files:
        path = root / file
        path.unlink(missing_ok=True)
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
