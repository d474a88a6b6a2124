"""A scan as a person reads it in a terminal."""

from __future__ import annotations

import click

from mesovid.names import shown
from mesovid.provenance import beside, in_words
from mesovid.records import Failure, Label, Scan
from mesovid.verdict import no_sign

COLORS: dict[Label | None, str] = {
    "fake": "red",
    "real": "green",
    "uncertain": "yellow",
    None: "bright_black",
}
BAR = 24  # characters
BLOCKS = ("█", "░")  # what a bar is drawn with: full, empty
PLAIN = ("#", ".")  # the same on a terminal that has no such characters
MOST_LISTED = 5  # people or segments


def scan_text(scan: Scan, *, color: bool, detail: bool, blocks: bool = True) -> str:
    """Some lines that lead with the verdict.

    `detail` adds the time that each stage took; `blocks` draws the bar solid.
    """
    bar = BLOCKS if blocks else PLAIN
    lines = [_header(scan, color), _verdict(scan, color, bar), f"  {shown(scan.verdict.reason)}"]
    lines += [f"  {shown(each)}" for each in beside(scan.verdict.reason, scan.declared)]
    lines += [f"  Note: {shown(warning)}" for warning in scan.warnings]
    lines += _people(scan) + _segments(scan)
    lines.append(_field("looked at", _looked_at(scan)))
    if detail:
        lines.append(_field("time", _seconds(scan)))
    return "\n".join(lines) + "\n"


def failure_text(failure: Failure, *, color: bool) -> str:
    """Two lines: which input, and why it could not be scanned."""
    mark = _styled("NOT SCANNED", color, fg="magenta", bold=True)
    return f"{_styled(shown(failure.path), color, bold=True)}\n  {mark}  {shown(failure.error)}\n"


TABLE_HEAD = f"{'verdict':14} {'P(fake)':>7} {'faces':>6} {'length':>9}  input"


def table_row(result: Scan | Failure, *, color: bool) -> str:
    """One line of a table below `TABLE_HEAD`: the verdict, what it rests on, and which input."""
    if isinstance(result, Failure):
        mark = _styled(f"{'NOT SCANNED':14}", color, fg="magenta", bold=True)
        return f"{mark} {'':7} {'':6} {'':9}  {shown(result.error)}"
    label, probability = result.verdict.label, result.verdict.fake_probability
    word = _styled(f"{_word(result):14}", color, fg=COLORS[label], bold=True)
    score = "" if probability is None else f"{probability:.2f}"
    length = clock(result.video.duration) if result.video.duration else ""
    sign = lowered(no_sign(result.verdict))
    said = map(in_words, result.declared)
    notes = [shown(note) for note in (*([sign] if sign else []), *said, *result.warnings)]
    noted = f"  ({'; '.join(notes)})" if notes else ""
    return (
        f"{word} {score:>7} {len(result.scores):>6} {length:>9}  {shown(result.video.path)}{noted}"
    )


def _word(scan: Scan) -> str:
    if scan.verdict.label is not None:
        return scan.verdict.label.upper()
    return {"no_face": "NO FACE", "too_few_faces": "TOO FEW FACES"}.get(
        scan.verdict.status, "NO VERDICT"
    )


def _header(scan: Scan, color: bool) -> str:
    video = scan.video
    facts = [f"{video.width}x{video.height}"]
    if video.duration:
        facts.append(clock(video.duration))
    if video.fps:
        facts.append(f"{video.fps:.4g} fps")
    return (
        f"{_styled(shown(video.path), color, bold=True)}  "
        f"{_styled(', '.join(facts), color, dim=True)}"
    )


def _verdict(scan: Scan, color: bool, bar: tuple[str, str]) -> str:
    label, probability = scan.verdict.label, scan.verdict.fake_probability
    if label is None or probability is None:
        return "  " + _styled(_word(scan), color, fg=COLORS[None], bold=True)
    word = _styled(f"{label.upper():9}", color, fg=COLORS[label], bold=True)
    score = f"  {word} {_bar(probability, label, color, bar)}  P(fake) {probability:.2f}"
    sign = no_sign(scan.verdict)
    return f"{score}  {shown(lowered(sign))}" if sign else score


def lowered(sentence: str) -> str:
    """A sentence within another."""
    return sentence[:1].lower() + sentence[1:]


def _bar(probability: float, label: Label, color: bool, characters: tuple[str, str]) -> str:
    full, empty = characters
    length = round(probability * BAR)
    rest = _styled(empty * (BAR - length), color, dim=True)
    return _styled(full * length, color, fg=COLORS[label]) + rest


def _people(scan: Scan) -> list[str]:
    if len(scan.people) < 2:
        return []
    worst = sorted(scan.people, key=lambda person: -person.fake_probability)
    lines = [
        f"person {person.id}  P(fake) {person.fake_probability:.2f}  {person.faces:3} "
        f"face{'s' * (person.faces != 1)}  {clock(person.first_time)} to {clock(person.last_time)}"
        for person in worst
    ]
    return _listed("people", lines)


def _segments(scan: Scan) -> list[str]:
    several = len(scan.people) > 1
    lines = [
        f"{clock(segment.start)} to {clock(segment.end)}  P(fake) {segment.fake_probability:.2f}"
        + (f"  person {segment.person}" if several else "")
        for segment in scan.segments
    ]
    return _listed("worst", lines)


def _listed(name: str, lines: list[str]) -> list[str]:
    shown = lines[:MOST_LISTED]
    if len(lines) > MOST_LISTED:
        shown.append(f"and {len(lines) - MOST_LISTED} more")
    return [_field(name if number == 0 else "", line) for number, line in enumerate(shown)]


def _looked_at(scan: Scan) -> str:
    frames, faces = len(scan.sampled), len(scan.scores)
    counted = f"{frames} frame{'s' * (frames != 1)}, {faces} face{'s' * (faces != 1)}"
    return (
        f"{counted}; model {scan.model.name} ({scan.model.sha256[:8]}); "
        f"{scan.seconds['total']:.1f} s"
    )


def _seconds(scan: Scan) -> str:
    parts = [
        f"{stage} {seconds:.2f}" for stage, seconds in scan.seconds.items() if stage != "total"
    ]
    rate = len(scan.sampled) / max(scan.seconds["total"], 1e-9)
    return f"{', '.join(parts)} s; {rate:.0f} sampled frames a second"


def _field(name: str, value: str) -> str:
    return f"  {name:10} {value}"


def _styled(text: str, color: bool, **style: object) -> str:
    return click.style(text, **style) if color else text  # type: ignore[arg-type]


def clock(seconds: float) -> str:
    """0:07.5, 12:03.0 or 1:02:03.0."""
    tenths = round(max(seconds, 0) * 10)
    hours, rest = divmod(tenths, 36000)
    minutes, rest = divmod(rest, 600)
    clock = f"{minutes}:{rest / 10:04.1f}"
    return f"{hours}:{int(minutes):02}:{rest / 10:04.1f}" if hours else clock
