"""One video's report as a page.

It shows the verdict with its error rates, its limits, the evidence, and how it was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from statistics import median
from typing import NamedTuple

from mesovid.provenance import in_words
from mesovid.records import FaceScore, Failure, Label, Person, Scan, Verdict
from mesovid.report.drawing import lane, scale
from mesovid.report.facts import ClipFacts, ErrorRates, Evidence, ModelFacts, Rate, ShownFace
from mesovid.report.look import MARKS, WORDS, document, escaped, facts, name, picture, wide_table
from mesovid.report.text import clock, lowered
from mesovid.verdict import LEAST_DETAIL, Rule, label_at, no_sign, silent

MOST_LANES = 8  # people with a timeline or faces; the table lists all
MOST_ROWS = 60  # of a table of people or segments
MOST_NUMBERS = 400  # faces in the table of numbers
FEW_FACES = 8  # fewer: chance decides much
FEW_FRAMES = 0.5  # of those looked at with a face in them
MANY_PEOPLE = 3
WIDE = 0.6  # from the lowest to the highest score of one person
# bits a pixel and frame. 11 videos of FaceForensics++ c23 have 0.03 to 0.08; one of them at H.264
# CRF 30 has 0.013, at 35 0.007
STRONGLY_COMPRESSED = 0.02
FACE = 128  # px, side of a face's picture

_NEVER = (
    "It looks at faces alone: not at sound, not at what is said, not at bodies or background, and "
    "not at whether the clip shows what its caption says.",
    (
        "No detector can show that a clip is genuine: a fake of a kind that the model never saw "
        "may look real to it."
    ),
)
_ANSWERS: dict[Label | None, str] = {
    "fake": "To this model, a face in this clip looks faked.",
    "real": (
        "In the faces that it looked at, this model found no sign of a fake. That does not make "
        "the clip genuine."
    ),
    "uncertain": "This model cannot tell whether a face in this clip is faked.",
    None: "There is no verdict on this clip.",
}
_ELSE = (
    "was found in this clip. Whether a face in it was faked in another way, such as generated as a "
    "whole, this model cannot tell."
)
_STATUS = {"no_face": "No face found", "too_few_faces": "Too few faces to judge"}


def video_page(scan: Scan, evidence: Evidence) -> str:
    """The whole page of one scanned video or picture."""
    title = PurePath(scan.video.path).name or scan.video.path
    band = undecided(scan, evidence.model)
    parts = [
        f"<h1>Were faces faked in {name(title)}?</h1>",
        f'<p class="soft">{escaped(_subtitle(scan, evidence))}</p>',
        _verdict(scan, evidence.model, band),
        _declared(scan),
        _limits(scan, evidence),
        _timeline(scan, evidence.model, band),
        _faces(scan, evidence, band),
        rates_section(evidence.model, scan.model.name),
        _people(scan, evidence.model, band),
        _clip(scan, evidence.clip),
        _method(scan, evidence),
        _numbers(scan),
    ]
    return document(f"Were faces faked in {title}?", "\n".join(part for part in parts if part))


def failure_page(failure: Failure, evidence: Evidence) -> str:
    """The page of an input that could not be scanned: it says why, and that this is no verdict."""
    title = PurePath(failure.path).name or failure.path
    body = (
        f"<h1>Were faces faked in {name(title)}?</h1>"
        '<section class="verdict"><h2 class="answer t-none">Could not be scanned</h2>'
        '<p class="reason name">'
        f"{escaped(failure.error)}</p><p>This says nothing of what the file shows.</p></section>"
        f'<p class="soft">{escaped(evidence.made)}</p>'
    )
    return document(f"Were faces faked in {title}?", body)


def undecided(scan: Scan, model: ModelFacts | None) -> tuple[float, float] | None:
    """The band in which this scan decides nothing.

    It is the model's, unless the user gave a threshold.
    """
    own = scan.settings.get("threshold") is not None
    same = model is not None and abs(model.threshold - scan.model.threshold) < 1e-9
    return model.band if model is not None and same and not own else None


def zone(probability: float, threshold: float, band: tuple[float, float] | None) -> Label:
    """Where a score lies on the scale."""
    return label_at(probability, Rule(threshold, band))[0]


class _Recorded(NamedTuple):
    """What a recorded scan and its page know of the card."""

    threshold: float
    smallest_face: float | None
    uncertain: None = None
    members: tuple[()] = ()
    finds: str = ""
    clears_below: None = None


def standing(scan: Scan, smallest_face: float | None) -> dict[int, str]:
    """Why a person has no say in the verdict, by id; empty for those who have one."""
    rule = Rule.of(
        _Recorded(scan.model.threshold, smallest_face),
        scan.settings.get("threshold"),
        min_faces=1 if scan.video.is_picture else int(scan.settings.get("min_faces") or 1),
    )
    why = silent(scan.scores, scan.people, rule)
    return {
        person.id: f"{why[person.id]} to have a say" if person.id in why else ""
        for person in scan.people
    }


def word(label: Label | None, text: str = "") -> str:
    """A verdict as a word with its mark, told apart by shape as well as by colour."""
    return (
        f'<span class="word t-{label or "none"}">{MARKS[label]} {escaped(text or WORDS[label])}'
        "</span>"
    )


# --- verdict --------------------------------------------------------------------------------------


def _verdict(scan: Scan, model: ModelFacts | None, band: tuple[float, float] | None) -> str:
    label, status = scan.verdict.label, scan.verdict.status
    words, answer = _STATUS.get(status, WORDS[label]), _ANSWERS[label]
    if sign := no_sign(scan.verdict):
        words, answer = f"{words}; {lowered(sign)}", f"{sign} {_ELSE}"
    drawing = ""
    if scan.verdict.fake_probability is not None:
        clears = model.clears_below if model is not None else None
        drawn = scale(scan.verdict.fake_probability, scan.model.threshold, band, clears)
        pale = ""
        if model is not None and clears is not None and band:
            pale = (
                f"Where it is paler, below {clears:.2f}, the model sees no sign of "
                f"{escaped(model.finds)}. "
            )
        drawing = (
            f"<figure>{drawn}<figcaption>{pale}P(fake) is the model's score, not the chance that "
            "the clip is a fake: how likely that is depends also on where the clip comes from."
            "</figcaption></figure>"
        )
    said = error_sentences(model, scan.verdict) if model is not None else ()
    known = "".join(f"<li>{escaped(sentence)}</li>" for sentence in said)
    if scan.verdict.label is None:
        rates = ""
    elif known:
        rates = f'<h3>How far to trust that</h3><ul class="said">{known}</ul>'
    else:
        rates = (
            f"<p>How often {escaped(scan.model.name)} is wrong is not known here: no measured "
            "error rates of it were found.</p>"
        )
    return (
        f'<section class="verdict {label or ""}"><h2 class="answer t-{label or "none"}">'
        f"{MARKS[label]} {escaped(words)}</h2>"
        f"<p>{escaped(answer)}</p>"
        f'<p class="reason">{escaped(scan.verdict.reason)}</p>{drawing}{rates}'
        "<p>A verdict is a hint, not a proof. Do not act on it alone.</p></section>"
    )


def _declared(scan: Scan) -> str:
    if not scan.declared:
        return ""
    said = "".join(f"<li>{escaped(_sentence(in_words(each)))}</li>" for each in scan.declared)
    return (
        f'<section><h2>What the file says of itself</h2><ul class="said">{said}</ul><p>This is a '
        "claim of whoever wrote the file. It makes nothing fake, but a file that names AI is not "
        "called real. A file without one says nothing: platforms drop it.</p></section>"
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def error_sentences(model: ModelFacts, verdict: Verdict) -> list[str]:
    """How often this answer was wrong where the truth was known, in counts.

    One sentence a set of videos.
    """
    found, label = [], verdict.label
    for rates in model.rates:
        if rates.damaged:
            continue
        if label == "fake" and rates.real_called_fake is not None:
            called = _counted(rates.real_called_fake, rates.reals, "real videos")
            found.append(f"{rates.data}: it called {called} fake.")
        elif label == "real" and (missed := taken_for_real(rates)) is not None:
            found.append(
                f"{rates.data}: it took {_counted(missed, rates.fakes, 'fake videos')} for real."
            )
        elif label == "real" and rates.fake_called_fake is not None:
            called = _counted(rates.fake_called_fake, rates.fakes, "fake videos")
            found.append(
                f"{rates.data}: it called {called} fake; how many of the others it took for real "
                "was not measured."
            )
        elif no_sign(verdict) and rates.real_cleared is not None:
            parts = _of_both(rates, rates.real_cleared, rates.fake_cleared)
            found.append(f"{rates.data}: it said so of {parts}.")
        elif label == "uncertain" and (
            parts := _of_both(rates, rates.real_uncertain, rates.fake_uncertain)
        ):
            found.append(f"{rates.data}: it was uncertain about {parts}.")
    return found


def _of_both(rates: ErrorRates, real: Rate | None, fake: Rate | None) -> str:
    """A rate of the real and one of the fake videos, in words; nothing where neither is known."""
    return " and ".join(
        _counted(rate, number, f"{truth} videos")
        for rate, number, truth in ((real, rates.reals, "real"), (fake, rates.fakes, "fake"))
        if rate is not None
    )


def taken_for_real(rates: ErrorRates) -> Rate | None:
    """Fakes that are neither called fake nor left undecided.

    No interval: the two other numbers do not give one.
    """
    if rates.fake_called_fake is None or rates.fake_uncertain is None:
        return None
    return Rate(max(1 - rates.fake_called_fake.value - rates.fake_uncertain.value, 0.0))


def _counted(rate: Rate, number: int | None, what: str) -> str:
    """A fraction as a count of the measured videos, or of 100 where their number is unknown."""
    of = number or 100
    text = f"{round(rate.value * of)} of {of} {what}"
    if rate.low is not None and rate.high is not None:
        text += f" (95 % interval: {100 * rate.low:.0f} to {100 * rate.high:.0f} of 100)"
    return text


# --- what it cannot tell --------------------------------------------------------------------------


def _limits(scan: Scan, evidence: Evidence) -> str:
    model = evidence.model
    own = "".join(f"<li>{escaped(text)}</li>" for text in shortcomings(scan, model, evidence.clip))
    general = "".join(f"<li>{escaped(text)}</li>" for text in _NEVER)
    card = (
        f"<h3>What its makers say</h3><p>{escaped(model.limits)}</p>"
        if model and model.limits
        else ""
    )
    clip = f'<h3>In this clip</h3><ul class="said">{own}</ul>' if own else ""
    return (
        f'<section><h2>What this cannot tell</h2>{clip}<h3>In any clip</h3><ul class="said">'
        f"{general}</ul>{card}</section>"
    )


def shortcomings(scan: Scan, model: ModelFacts | None, clip: ClipFacts | None) -> list[str]:
    """What weakens the verdict on this very clip, a sentence each."""
    return [
        *(f"The file: {warning.rstrip('.')}." for warning in scan.warnings),
        *_of_faces(scan, model),
        *_of_people(scan, model),
        *_of_coverage(scan),
        *_of_file(scan, clip),
        *_of_rule(scan, model),
    ]


def _of_faces(scan: Scan, model: ModelFacts | None) -> list[str]:
    found = []
    faces, frames = len(scan.scores), len(scan.sampled)
    if not scan.video.is_picture:
        if 0 < faces < FEW_FACES:
            found.append(f"It rests on {faces} face{'s' * (faces != 1)} only: chance decides much.")
        seen = len({score.index for score in scan.scores})
        if faces and seen < FEW_FRAMES * frames:
            found.append(f"A face was found in {seen} of the {frames} frames that were looked at.")
    blurred = [id_ for id_, detail in _details(scan).items() if detail < LEAST_DETAIL]
    if blurred:
        who = _listed([f"person {id_}" for id_ in blurred])
        found.append(f"Faces too blurred to judge: {who}. Such faces are often taken for fakes.")
    least = model.smallest_face if model else None
    if least is not None:
        small = [(id_, size) for id_, size in _sizes(scan).items() if size < least]
        if small:
            who = _listed([f"person {id_} ({size:.0f} px)" for id_, size in small])
            found.append(
                f"Faces smaller than the {least:.0f} px that the model can judge, in the median: "
                f"{who}. Such faces are often taken for fakes."
            )
    return found


def _of_people(scan: Scan, model: ModelFacts | None) -> list[str]:
    found = []
    least = int(scan.settings.get("min_faces") or 1)
    few = [person for person in scan.people if person.faces < least]
    if few and len(few) < len(scan.people):
        found.append(
            f"{len(few)} of {len(scan.people)} people were seen in fewer than {least} faces and "
            "have no say in the verdict."
        )
    unheard = standing(scan, model.smallest_face if model else None)
    heard = sum(not why for why in unheard.values())
    if heard > MANY_PEOPLE:
        found.append(
            f"{heard} people have a say, and the clip takes its most suspicious one: more people, "
            "more chances of a false alarm. People who leave the picture and come back count anew."
        )
    for person in _worst(scan, model)[:1]:
        values = [score.fake_probability for score in scan.scores if score.person == person.id]
        if len(values) >= least and max(values) - min(values) > WIDE:
            found.append(
                f"The faces of person {person.id} scored anything from {min(values):.2f} to "
                f"{max(values):.2f}: look at both ends."
            )
    return found


def _of_coverage(scan: Scan) -> list[str]:
    found = []
    settings, video = scan.settings, scan.video
    start, end = settings.get("start"), settings.get("end")
    if start is not None or end is not None:
        until = f"to {clock(end)}" if end is not None else "to the end"
        found.append(f"Only the part from {clock(start or 0)} {until} was looked at.")
    times = [moment.time for moment in scan.sampled]
    if len(times) > 1 and video.frame_count and len(times) < video.frame_count:
        gap = (times[-1] - times[0]) / (len(times) - 1)
        found.append(
            f"It looked at {len(times)} of {video.frame_count:,} frames, one every {gap:.2g} s: "
            "what shows only in between was not seen (--frames, --fps look at more)."
        )
    if settings.get("faces") == "largest":
        found.append("Only the largest face of each frame was judged.")
    return found


def _of_file(scan: Scan, clip: ClipFacts | None) -> list[str]:
    bits = bits_a_pixel(scan, clip)
    if bits is None or bits >= STRONGLY_COMPRESSED:
        return []
    return [
        f"The file is strongly compressed: {bits:.2g} bits a pixel, where the FaceForensics++ "
        "videos that the shipped models were measured on have 0.03 and more. Traces of a fake may "
        "be gone, and compression may look like one."
    ]


def bits_a_pixel(scan: Scan, clip: ClipFacts | None) -> float | None:
    """Of the file for each pixel of each frame, sound included; None when it is not known."""
    video = scan.video
    if clip is None or not video.duration or not video.fps or video.is_picture:
        return None
    return clip.size * 8 / (video.duration * video.fps * max(video.width * video.height, 1))


def _of_rule(scan: Scan, model: ModelFacts | None) -> list[str]:
    found = []
    if scan.settings.get("threshold") is not None:
        found.append(
            f"A threshold of its own was given ({scan.model.threshold:.2f}), without an undecided "
            "band; the error rates on this page are those of the model's own rule."
        )
    elif model is not None and abs(model.threshold - scan.model.threshold) > 1e-9:
        found.append(
            "The model's card has changed since the scan: its error rates may be those of another "
            "rule."
        )
    aggregate = scan.settings.get("aggregate", "mean")
    if aggregate != "mean":
        found.append(
            f"Scores were taken together by {str(aggregate).replace('_', ' ')}; the error rates "
            "on this page are those of the mean."
        )
    return found


# --- evidence -------------------------------------------------------------------------------------


def _timeline(scan: Scan, model: ModelFacts | None, band: tuple[float, float] | None) -> str:
    if scan.video.is_picture or not scan.scores:
        return ""
    end = max(scan.video.duration or 0.0, scan.sampled[-1].time)
    lanes = []
    people = _worst(scan, model)
    unheard = standing(scan, model.smallest_face if model else None)
    for person in people[:MOST_LANES]:
        scores = _scores_of(scan, person.id)
        segments = [segment for segment in scan.segments if segment.person == person.id]
        label = (
            f"Scores of person {person.id} over time: {person.faces} faces, P(fake) "
            f"{person.fake_probability:.2f} taken together, {len(segments)} suspicious segments"
        )
        lanes.append(
            f'<h3>{_person(person, unheard, scan.model.members)}</h3><div class="lane">'
            f"{lane(scores, segments, end, scan.model.threshold, band, label)}</div>"
        )
    more = len(people) - MOST_LANES
    rest = f'<p class="soft">And {more} more people: see the table.</p>' if more > 0 else ""
    note = (
        "Each mark is a face: a filled circle speaks for real, an empty one lies where the model "
        "cannot tell, a diamond lies at or above the threshold (the dashed line). Hatched: the "
        "model cannot tell. Tinted: suspicious segments, two faces in a row and more at or above "
        "the threshold."
    )
    return (
        f'<section><h2>Over time</h2><p class="soft">{note}</p>'
        f"{''.join(lanes)}{rest}{_segments(scan)}</section>"
    )


def _segments(scan: Scan) -> str:
    if not scan.segments:
        return "<p>No suspicious segment.</p>"
    rows = [
        f"<tr><td>{clock(segment.start)}</td><td>{clock(segment.end)}</td><td>person "
        f"{segment.person}</td>"
        f'<td class="n">{segment.fake_probability:.2f}</td></tr>'
        for segment in scan.segments[:MOST_ROWS]
    ]
    return _table(
        "Suspicious segments, worst first" + _cut(len(scan.segments), MOST_ROWS),
        "<th scope=col>From</th><th scope=col>To</th><th scope=col>Who</th>"
        "<th scope=col class=n>P(fake)</th>",
        rows,
    )


def _faces(scan: Scan, evidence: Evidence, band: tuple[float, float] | None) -> str:
    if not scan.scores:
        return ""
    if not evidence.faces:
        return (
            "<section><h2>The faces</h2><p>"
            f"{escaped(evidence.no_faces or 'No pictures of faces were kept.')}</p></section>"
        )
    strips = []
    unheard = standing(scan, evidence.model.smallest_face if evidence.model else None)
    for person in _worst(scan, evidence.model):
        shown = evidence.faces.get(person.id)
        if shown:
            ordered = sorted(
                shown, key=lambda face: (-round(face.score.fake_probability, 6), face.score.time)
            )
            items = "".join(_face(face, scan.model.threshold, band) for face in ordered)
            strips.append(
                f'<h3>{_person(person, unheard, scan.model.members)}</h3><ul class="faces">{items}'
                "</ul>"
            )
    hidden = len(scan.people) - len(strips)
    rest = f'<p class="soft">{hidden} more people are not shown.</p>' if hidden > 0 else ""
    maps = f'<p class="soft">{escaped(evidence.maps)}</p>' if evidence.maps else ""
    return (
        '<section><h2>The faces</h2><p class="soft">Of each person the most and the least '
        "suspicious faces, as the model sees "
        f"them, most suspicious first.</p>{maps}{''.join(strips)}{rest}</section>"
    )


def _face(face: ShownFace, threshold: float, band: tuple[float, float] | None) -> str:
    score = face.score
    label = zone(score.fake_probability, threshold, band)
    said = {"fake": "fake", "real": "real", "uncertain": "unclear"}[label]
    alt = f"Face of person {score.person} at {clock(score.time)}"
    pictures = picture(face.jpeg, alt, FACE)
    if face.map_jpeg is not None:
        pictures += picture(face.map_jpeg, f"{alt}, with what speaks for fake and for real", FACE)
    return (
        f"<li><figure>{pictures}<figcaption>{clock(score.time)}<br>P(fake) "
        f"{score.fake_probability:.2f}<br>{word(label, said)}</figcaption></figure></li>"
    )


def _person(person: Person, unheard: dict[int, str], members: Sequence[str]) -> str:
    why = f", {unheard[person.id]}" if unheard[person.id] else ""
    return (
        f"Person {person.id}: P(fake) {person.fake_probability:.2f} over "
        f"{_count(person.faces, 'face')}{_of_members(members, person.members)}{why}"
    )


def _of_members(names: Sequence[str], said: Sequence[float]) -> str:
    """Of a panel, what each of its models says."""
    votes = ", ".join(
        f"{escaped(name)} {value:.2f}" for name, value in zip(names, said, strict=False)
    )
    return f" ({votes})" if votes else ""


def _people(scan: Scan, model: ModelFacts | None, band: tuple[float, float] | None) -> str:
    if len(scan.people) < 2:
        return ""
    sizes = _sizes(scan)
    unheard = standing(scan, model.smallest_face if model else None)
    rows = []
    for person in _worst(scan, model)[:MOST_ROWS]:
        label = zone(person.fake_probability, scan.model.threshold, band)
        why = f"<small>{unheard[person.id]}</small>" if unheard[person.id] else ""
        rows.append(
            f"<tr><th scope=row>person {person.id}{why}</th><td>{word(label, _ZONES[label])}</td>"
            f'<td class="n">{person.fake_probability:.2f}</td><td class="n">{person.faces}</td>'
            f'<td class="n minor">{sizes[person.id]:.0f} px</td>'
            f'<td class="n minor">{clock(person.first_time)} to {clock(person.last_time)}</td></tr>'
        )
    table = _table(
        "Those who have a say first, then the more suspicious" + _cut(len(scan.people), MOST_ROWS),
        "<th scope=col>Who</th><th scope=col>Score lies</th><th scope=col class=n>P(fake)</th>"
        "<th scope=col class=n>Faces</th>"
        '<th scope=col class="n minor">Size</th><th scope=col class="n minor">Seen</th>',
        rows,
    )
    return f"<section><h2>People</h2>{table}</section>"


_ZONES: dict[Label, str] = {
    "fake": "where fakes lie",
    "real": "where real ones lie",
    "uncertain": "where it cannot tell",
}


# --- error rates, clip, method --------------------------------------------------------------------


def rates_section(model: ModelFacts | None, model_name: str) -> str:
    """The measured error rates of the model as a table in numbers out of 100."""
    if model is None:
        return (
            "<section><h2>How often the model is wrong</h2><p>Not known here: the card of "
            f"{escaped(model_name)} was not found.</p></section>"
        )
    plain = [rates for rates in model.rates if not rates.damaged]
    damaged = [rates for rates in model.rates if rates.damaged]
    if not plain:
        return (
            "<section><h2>How often the model is wrong</h2><p>The model's card holds no measured "
            "error rates.</p></section>"
        )
    more = ""
    if damaged:
        more = (
            "<details><summary>The same videos made worse</summary>"
            f"{_rates_table(damaged, 'Answers to 100 videos made worse')}</details>"
        )
    rule = (
        f'<p class="soft">Threshold and undecided band were chosen {escaped(model.rule)}.</p>'
        if model.rule
        else ""
    )
    return (
        "<section><h2>How often the model is wrong</h2><p>Counted on videos of which the truth is "
        "known, in brackets the 95 % interval. Other kinds of fakes and other cameras may give "
        f"worse numbers.</p>{_rates_table(plain, 'Answers to 100 videos')}{more}{rule}</section>"
    )


def _rates_table(rates: Sequence[ErrorRates], caption: str) -> str:
    rows = [
        f"<tr><th scope=row>{escaped(each.data)}<small> {_measured(each)}</small></th>"
        + "".join(
            f'<td class="n">{_of_100(rate)}</td>'
            for rate in (
                each.real_called_fake,
                each.real_uncertain,
                each.fake_called_fake,
                each.fake_uncertain,
                taken_for_real(each),
            )
        )
        + "</tr>"
        for each in rates
    ]
    head = "".join(
        f"<th scope=col class=n>{text}</th>"
        for text in (
            "Real: called fake",
            "Real: undecided",
            "Fake: called fake",
            "Fake: undecided",
            "Fake: taken for real",
        )
    )
    return _table(caption, f"<th scope=col>Videos</th>{head}", rows)


def _measured(rates: ErrorRates) -> str:
    counts = [
        f"{rates.reals:,} real" if rates.reals else "",
        f"{rates.fakes:,} fake" if rates.fakes else "",
    ]
    return f"({' and '.join(count for count in counts if count)})" if any(counts) else ""


def _of_100(rate: Rate | None) -> str:
    if rate is None:
        return "–"
    interval = ""
    if rate.low is not None and rate.high is not None:
        interval = f"<small>[{100 * rate.low:.0f} to {100 * rate.high:.0f}]</small>"
    return f"{100 * rate.value:.0f}{interval}"


def _clip(scan: Scan, clip: ClipFacts | None) -> str:
    video = scan.video
    rows = [("path", name(video.path)), ("size", f"{video.width} x {video.height} px")]
    if video.duration:
        rows.append(("length", clock(video.duration)))
    if video.fps:
        rows.append(("frames", f"{video.fps:.4g} a second{_frames(video.frame_count)}"))
    if clip is None:
        rows.append(
            (
                "file",
                "not there when this page was made, so neither its sha256 nor its codec is known",
            )
        )
    else:
        bits = bits_a_pixel(scan, clip)
        rows += [
            ("file", f"{clip.size:,} bytes, last changed {escaped(clip.modified)}"),
            ("sha256", f"<code>{clip.sha256}</code>"),
            ("container", escaped(clip.container)),
            ("video", escaped(clip.video_codec) + (f", {bits:.2g} bits a pixel" if bits else "")),
            ("sound", escaped(clip.audio_codec)),
            ("made with", escaped(clip.made_by)),
        ]
    return f"<section><h2>The clip</h2>{facts(rows)}</section>"


def _frames(count: int | None) -> str:
    return f", {count:,} in all" if count else ""


def _method(scan: Scan, evidence: Evidence) -> str:
    model = evidence.model
    rows = [
        (
            "model",
            escaped(scan.model.name)
            + (f": {escaped(model.summary)}" if model and model.summary else ""),
        ),
        ("its sha256", f"<code>{escaped(scan.model.sha256)}</code>"),
        ("a panel of", escaped(", ".join(scan.model.members))),
        ("its licence", escaped(model.licence) if model else ""),
        (
            "looked at",
            ", ".join(
                (
                    _count(len(scan.sampled), "frame"),
                    _count(len(scan.scores), "face"),
                    _count(len(scan.people), "person", "people"),
                )
            ),
        ),
        ("threshold", f"P(fake) {scan.model.threshold:g}"),
        (
            "took",
            # rounded as it is recorded, so that a recorded scan gets the same page
            ", ".join(
                f"{escaped(stage)} {round(seconds, 4):.2f} s"
                for stage, seconds in scan.seconds.items()
            ),
        ),
        ("versions", escaped(evidence.versions)),
        ("page made", escaped(evidence.made)),
    ]
    settings = "".join(
        (
            f"<tr><th scope=row>{escaped(str(key))}</th><td>"
            f"{escaped('not set' if value is None else str(value))}</td></tr>"
        )
        for key, value in scan.settings.items()
    )
    return (
        f"<section><h2>How this was done</h2>{facts(rows)}<details><summary>All settings</summary>"
        "<table><thead><tr><th scope=col>Setting</th><th scope=col>Value</th></tr></thead><tbody>"
        f"{settings}</tbody></table></details></section>"
    )


def _numbers(scan: Scan) -> str:
    if not scan.scores:
        return ""
    rows = [
        f"<tr><td>{clock(score.time)}</td><td class=n>{score.index}</td><td>person {score.person}"
        f"</td><td class=n>{score.face.side:.0f} px</td><td class=n>"
        f"{score.fake_probability:.2f}{_of_members(scan.model.members, score.members)}</td></tr>"
        for score in scan.scores[:MOST_NUMBERS]
    ]
    table = _table(
        "Every face" + _cut(len(scan.scores), MOST_NUMBERS),
        "<th scope=col>Time</th><th scope=col class=n>Frame</th><th scope=col>Who</th>"
        "<th scope=col class=n>Size</th><th scope=col class=n>P(fake)</th>",
        rows,
    )
    return f"<section><details><summary>The numbers</summary>{table}</details></section>"


def _subtitle(scan: Scan, evidence: Evidence) -> str:
    made = f" · {evidence.made}" if evidence.made else ""
    return f"Judged by {scan.model.name} with mesovid{made}"


def _table(caption: str, head: str, rows: Sequence[str]) -> str:
    return wide_table(caption, head, rows, f"<caption>{escaped(caption)}</caption>")


def _count(number: int, noun: str, several: str = "") -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {several or noun + 's'}"


def _cut(number: int, most: int) -> str:
    return f"; the first {most} of {number}" if number > most else ""


def _worst(scan: Scan, model: ModelFacts | None) -> list[Person]:
    """Those who have a say first, then the more suspicious."""
    unheard = standing(scan, model.smallest_face if model else None)
    return sorted(
        scan.people,
        key=lambda person: (unheard[person.id] != "", -person.fake_probability, person.id),
    )


def _scores_of(scan: Scan, person: int) -> list[FaceScore]:
    found = [score for score in scan.scores if score.person == person]
    return sorted(found, key=lambda score: score.time)


def _sizes(scan: Scan) -> dict[int, float]:
    """Of each person's faces the median, px."""
    sides: dict[int, list[float]] = {}
    for score in scan.scores:
        sides.setdefault(score.person, []).append(score.face.side)
    return {id_: median(values) for id_, values in sides.items()}


def _details(scan: Scan) -> dict[int, float]:
    """Of each person's faces the median detail, where it was measured."""
    found: dict[int, list[float]] = {}
    for score in scan.scores:
        if score.detail is not None:
            found.setdefault(score.person, []).append(score.detail)
    return {id_: median(values) for id_, values in found.items()}


def _listed(items: Sequence[str], most: int = 4) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
