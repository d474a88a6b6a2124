"""Measures what a user gets from `mesovid scan` on a labelled collection.

It counts the clips that are decided and right, and says where it goes wrong.

    mesovid scan COLLECTION/dev --model mesolite --format jsonl -o mesolite.jsonl
    python benchmarks/verdicts.py mesolite.jsonl meso4.jsonl --collection COLLECTION --split dev
    python benchmarks/verdicts.py copies.jsonl --collection COLLECTION --copies COPIES --split dev

Scans are matched with the collection by their paths; `--copies` is a folder of `mesovid degrade`,
in which every clip went through the same resizing and coding. Each may be given several times.
Prints three markdown tables: what a user gets; each method's fakes against the reals of all
sources, and against their own originals; and the reals by source. "No sign" are clips that stay
uncertain, and of which the verdict says that there is no sign of the fakes that the model can see.
A manifest's columns `kind` (swap, reenact, talking ...), `set` and `origin` (where a clip came
from) are used where it has them. --card puts the figures of a model into its card, in place of
those that it has of these clips: a panel's, since a scoreboard knows models by their weights.

Intervals are 95 %: of AUC by bootstrap, of shares by Wilson's formula, both at the number of people
or groups rather than of clips. A clip without a verdict is neither right nor wrong, and has no part
in the AUC.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mesovid.dataset.layouts import gather  # noqa: E402
from mesovid.errors import DatasetError, InputError, MesovidError  # noqa: E402
from mesovid.evaluation.metrics import Estimate, Scores, measure, paired, rate  # noqa: E402
from mesovid.evaluation.tables import estimate  # noqa: E402
from mesovid.models.card import Figure, card_at  # noqa: E402
from mesovid.report.table import Table, markdown_table  # noqa: E402

CALLED = ("fake", "uncertain", "real")
USER = (
    "Clips",
    "Model",
    "Real + fake",
    "Decided and right",
    "Decided and wrong",
    "Reals called real",
    "Reals called fake",
    "Fakes called fake",
    "Fakes called real",
    "Reals: no sign",
    "Fakes: no sign",
    "AUC",
    "No verdict",
)
METHODS = (
    "Kind",
    "Method",
    "Model",
    "Fakes",
    "AUC against all reals",
    "Above its original",
    "Called fake",
    "Uncertain",
    "- no sign",
    "Called real",
)
SOURCES = (
    "Source of reals",
    "Model",
    "Reals",
    "Called fake",
    "Uncertain",
    "- no sign",
    "Called real",
)


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip of a collection, and what was said of it."""

    video: str  # key, with its collection's name
    fake: bool
    collection: str
    kind: str  # swap, reenact, talking...; "" where nobody says
    method: str
    source: str  # of a real: the set or page it came from
    group: str  # what hangs together
    original: str
    label: str | None = None
    fake_probability: float | None = None
    cleared: bool = False  # uncertain, and without a sign of what the model can see


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scans", type=Path, nargs="+", help="files of mesovid scan --format jsonl")
    parser.add_argument("--collection", type=Path, action="append", required=True)
    parser.add_argument(
        "--copies", type=Path, action="append", default=[], help="in the collections' order"
    )
    parser.add_argument(
        "--title", action="append", default=[], help="of each collection, in a card's figures"
    )
    parser.add_argument("--split", help="this split of the collections alone")
    parser.add_argument("--card", type=Path, help="a model's card that gets its figures")
    given = parser.parse_args()
    try:
        clips = clips_of(given.collection, given.copies, given.split)
        judged: dict[str, list[Clip]] = {}
        for path in given.scans:
            for model, found in verdicts(path, clips):
                judged.setdefault(model, []).extend(found)
        for model, found in judged.items():
            check(model, found, clips)
        for table in (user_table(judged), method_table(judged), source_table(judged)):
            print(f"**{table.title}**\n\n{markdown_table(table)}\n")
        if given.card:
            names = [folder.resolve().name for folder in given.collection]
            titles = dict(zip(names, given.title, strict=False))
            keep(given.card, judged, titles, given.split or "")
    except MesovidError as error:
        sys.exit(str(error))


def clips_of(folders: Sequence[Path], copies: Sequence[Path], split: str | None) -> dict[str, Clip]:
    """Path of a clip, or of its copy, without suffix -> what is known of it."""
    found: dict[str, Clip] = {}
    for number, folder in enumerate(folders):
        about = {row.get("file", ""): row for row in manifest(folder)}
        for source in gather([folder]).sources:
            if split not in (None, source.split) or len(source.files) != 1:
                continue
            file = source.files[0]
            row = about.get(file.relative_to(folder).as_posix(), {})
            name = folder.resolve().name
            clip = Clip(
                video=f"{name}/{source.video}",
                fake=source.label == "fake",
                collection=name,
                kind=row.get("kind", "") if source.label == "fake" else "",
                method=source.method or "unknown" if source.label == "fake" else "",
                source=row.get("set") or row.get("origin") or name,
                group=f"{name}/{source.group or source.target or source.original or source.video}",
                original=f"{name}/{source.original}" if source.original else "",
            )
            place = copies[number] / f"{source.video}.mp4" if number < len(copies) else file
            found[key(place)] = clip
    if not found:
        raise DatasetError(f"no clip of split {split!r} in {', '.join(map(str, folders))}")
    return found


def manifest(folder: Path) -> list[dict[str, str]]:
    """The rows of a collection's own table; none where it has none."""
    path = folder / "manifest.csv"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def key(path: Path) -> str:
    """What a clip is found by."""
    return str(path.resolve().with_suffix(""))


def verdicts(path: Path, clips: dict[str, Clip]) -> Iterable[tuple[str, list[Clip]]]:
    """Each model's verdicts in one file of scans on the clips that are asked for."""
    found: dict[str, list[Clip]] = {}
    failed: list[Clip] = []
    for scan in read(path):
        clip = clips.get(key(Path(scan["path"])))
        if clip is None:
            continue
        if scan["model"] is None:
            print(scan["error"], file=sys.stderr)
            failed.append(clip)
            continue
        spoken = [getattr(clip, name) for name in Clip.__dataclass_fields__][:-3]
        model = found.setdefault(scan["model"]["name"], [])
        model.append(
            Clip(
                *spoken,
                label=scan["verdict"],
                fake_probability=scan["fake_probability"],
                cleared=scan["verdict"] == "uncertain" and bool(scan.get("cleared")),
            )
        )
    return [(model, judged + failed) for model, judged in found.items()]


def read(path: Path) -> Iterable[dict[str, Any]]:
    """The scans of a file, a line each. InputError when it is no such file."""
    try:
        with path.open(encoding="utf-8") as stream:
            scans = [json.loads(line) for line in stream if line.strip()]
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the scans in {path}: {error}") from error
    return scans


def check(model: str, judged: Sequence[Clip], clips: dict[str, Clip]) -> None:
    """Raise InputError where a clip is missing or came twice.

    Fractions of a part would look like fractions of the whole.
    """
    names, wanted = [clip.video for clip in judged], {clip.video for clip in clips.values()}
    if missing := sorted(wanted - set(names)):
        raise InputError(
            f"{model}: {len(missing)} of {len(wanted)} clips were not scanned, such as {missing[0]}"
        )
    if len(names) > len(set(names)):
        raise InputError(
            f"{model}: {len(names) - len(set(names))} clips were scanned twice; give one file of "
            "each model"
        )


def user_table(judged: dict[str, list[Clip]]) -> Table:
    """What a user gets: of each collection, and of all together."""
    rows = []
    collections = sorted({clip.collection for clips in judged.values() for clip in clips})
    for name in collections if len(collections) == 1 else [*collections, "together"]:
        for model, clips in judged.items():
            part = [clip for clip in clips if name in (clip.collection, "together")]
            reals, fakes = [c for c in part if not c.fake], [c for c in part if c.fake]
            rows.append(
                (
                    name,
                    model,
                    f"{len(reals):,} + {len(fakes):,}",
                    of(part, is_right),
                    of(part, is_wrong),
                    of(reals, lambda clip: clip.label == "real"),
                    of(reals, lambda clip: clip.label == "fake"),
                    of(fakes, lambda clip: clip.label == "fake"),
                    of(fakes, lambda clip: clip.label == "real"),
                    of(reals, lambda clip: clip.cleared),
                    of(fakes, lambda clip: clip.cleared),
                    area(part),
                    str(sum(clip.label is None for clip in part)),
                )
            )
    return Table("What a user gets", USER, tuple(rows), names=2)


def method_table(judged: dict[str, list[Clip]]) -> Table:
    """Fakes by kind and method, against all reals and against their own originals."""
    rows = []
    kinds = sorted(
        {(clip.kind, clip.method) for clips in judged.values() for clip in clips if clip.fake}
    )
    wholes = [(kind, "all") for kind in dict.fromkeys(kind for kind, _ in kinds)]
    for kind, method in sorted(
        {*kinds, *(one for one in wholes if one[0])},
        key=lambda one: (one[0], one[1] != "all", one[1]),
    ):
        for model, clips in judged.items():
            fakes = [c for c in clips if c.fake and c.kind == kind and method in ("all", c.method)]
            if fakes:
                reals = [clip for clip in clips if not clip.fake]
                rows.append(
                    (
                        kind,
                        method,
                        model,
                        f"{len(fakes):,}",
                        area(reals + fakes),
                        pairs(reals + fakes),
                        *calls(fakes),
                    )
                )
    return Table("Fakes by method", METHODS, tuple(rows), names=3)


def source_table(judged: dict[str, list[Clip]]) -> Table:
    """False alarms by where the reals came from."""
    rows = []
    for source in sorted(
        {clip.source for clips in judged.values() for clip in clips if not clip.fake}
    ):
        for model, clips in judged.items():
            reals = [clip for clip in clips if not clip.fake and clip.source == source]
            if reals:
                rows.append((source, model, f"{len(reals):,}", *calls(reals)))
    return Table("Reals by source", SOURCES, tuple(rows), names=2)


def keep(path: Path, judged: dict[str, list[Clip]], titles: dict[str, str], split: str) -> None:
    """Put a model's figures into its card; `titles` are those of the collections."""
    card = card_at(path)
    if card.name not in judged:
        raise InputError(f"no scan by {card.name}; there are those by {', '.join(judged)}")
    clips = judged[card.name]
    names = sorted({clip.collection for clip in clips})
    found: list[Figure] = []
    for several in [[name] for name in names] + ([names] if len(names) > 1 else []):
        data = " and ".join(titles.get(name, name) for name in several)
        part = [clip for clip in clips if clip.collection in several]
        found += figures(part, f"{data} {split}".strip())
    others = [each for each in card.figures if each.data not in {one.data for one in found}]
    replace(card, figures=(*others, *found)).write(path.parent)


def figures(clips: Sequence[Clip], data: str) -> list[Figure]:
    """What a card tells of the verdicts on some clips."""
    reals, fakes = [c for c in clips if not c.fake], [c for c in clips if c.fake]
    kinds = sorted({clip.kind for clip in fakes if clip.kind})
    parts = {"real": reals, "all fakes": fakes} | {
        kind: [clip for clip in fakes if clip.kind == kind] for kind in kinds
    }
    values = [
        ("decided and right", "all", share(clips, is_right)),
        ("decided and wrong", "all", share(clips, is_wrong)),
        ("video AUC", "all", area_of(clips)),
    ]
    for subset, part in parts.items():
        values += [
            ("share called fake", subset, share(part, lambda clip: clip.label == "fake")),
            ("share uncertain", subset, share(part, lambda clip: clip.label == "uncertain")),
        ]
        if any(clip.cleared for clip in clips):
            values.append(("share cleared", subset, share(part, lambda clip: clip.cleared)))
    how = "mesovid scan, benchmarks/verdicts.py; intervals over groups"
    protocol = f"{len(reals):,} real and {len(fakes):,} fake videos; {how}"
    return [
        Figure(
            data, metric, _short(each.value), subset, _short(each.low), _short(each.high), protocol
        )
        for metric, subset, each in values
        if each.value is not None
    ]


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def is_right(clip: Clip) -> bool:
    return clip.label == ("fake" if clip.fake else "real")


def is_wrong(clip: Clip) -> bool:
    return clip.label == ("real" if clip.fake else "fake")


def calls(clips: Sequence[Clip]) -> tuple[str, ...]:
    """The shares of clips called fake, uncertain, of these without a sign, and real."""
    fake, uncertain, real = (
        of(clips, lambda clip, label=label: clip.label == label)  # type: ignore[misc]
        for label in CALLED
    )
    return fake, uncertain, of(clips, lambda clip: clip.cleared), real


def of(clips: Sequence[Clip], hit: Callable[[Clip], bool]) -> str:
    """`share` in words."""
    return estimate(share(clips, hit), percent=True)


def share(clips: Sequence[Clip], hit: Callable[[Clip], bool]) -> Estimate:
    """The share of clips for which something holds, with its interval."""
    return rate([hit(clip) for clip in clips], [clip.group for clip in clips])


def area(clips: Sequence[Clip]) -> str:
    """`area_of` in words."""
    return estimate(area_of(clips))


def area_of(clips: Sequence[Clip]) -> Estimate:
    """The AUC over clips."""
    scores = scores_of(clips)
    both = len(scores) and scores.fake.any() and not scores.fake.all()
    return measure(scores, 0.5, cluster="group").auc if both else Estimate(None)


def pairs(clips: Sequence[Clip]) -> str:
    """How many fakes lie above their own originals."""
    scores = scores_of(clips)
    found = paired(scores, cluster="group") if len(scores) else None
    return (
        f"{estimate(found.accuracy, percent=True)} of {found.count}"
        if found
        else estimate(Estimate(None))
    )


def scores_of(clips: Sequence[Clip]) -> Scores:
    """The clips that have a verdict, as the metrics want them."""
    known = [clip for clip in clips if clip.fake_probability is not None]
    return Scores.of(
        [clip.fake for clip in known],
        [clip.fake_probability for clip in known],
        [clip.video for clip in known],
        method=[clip.method for clip in known],
        group=[clip.group for clip in known],
        original=[clip.original for clip in known],
    )


if __name__ == "__main__":
    main()
