"""Pages of results: what they say, and that nothing in them runs.

They are there whole or not at all.
"""

from __future__ import annotations

import html
import json
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from test_report import RESULTS, scan, written

from mesovid.cli import cli
from mesovid.evidence.faces import LEAST, MOST, FaceKeeper
from mesovid.evidence.facts import error_rates, model_facts
from mesovid.evidence.pages import Pages
from mesovid.models.card import Figure, available, read_card
from mesovid.models.classifier import panel_digest
from mesovid.records import Crop, Failure, Label, Moment, Scan, Verdict
from mesovid.report import look
from mesovid.report.drawing import _thinned, lane, scale, ticks
from mesovid.report.facts import ClipFacts, ErrorRates, Evidence, Rate
from mesovid.report.index import index_page, row
from mesovid.report.page import (
    error_sentences,
    failure_page,
    shortcomings,
    standing,
    undecided,
    video_page,
    zone,
)
from mesovid.report.reader import read_results

# each would run, break out of its place or turn the line round if it were not escaped
NAMES = [
    "<img src=x onerror=alert(1)>.mp4",
    "\"'><script>alert(1)</script>.mp4",
    "</title></style><svg onload=alert(1)>.mp4",
    "one\ntwo\r\tthree.mp4",
    "\u202etxt.4pm\u202c\u2066\u200f.mp4",
    "caf\udce9.mp4",
    "x" * 300 + ".mp4",
    "javascript:alert(1)",
    "&lt;b&gt; &amp; {{x}} ${x} `x`.mp4",
    "שלום עולם.mp4",
]
MESO4 = model_facts(read_card("meso4"))


def of_meso4(result: Scan) -> Scan:
    """A scan as if the shipped model had made it."""
    card = read_card("meso4")
    model = replace(result.model, sha256=card.sha256["onnx"], threshold=card.threshold)
    return replace(result, model=model)


class Text(HTMLParser):
    """The elements of a page, and its text without style and script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._hidden = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._hidden = tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += data


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_name_is_only_ever_text(name: str) -> None:
    plain = Text(video_page(scan("plain.mp4", [0.5] * 4, warnings=("odd",)), Evidence()))
    for page in (
        video_page(
            scan(name, [0.5] * 4, warnings=(f"odd {name}",)), Evidence(no_faces=name, made=name)
        ),
        failure_page(Failure(name, f"{name}: no such file"), Evidence()),
        index_page([row(scan(name, [0.5] * 4), f"pages/{name}"), row(Failure(name, name), "")], []),
    ):
        page.encode("utf-8")  # no lone surrogates
        found = Text(page)
        attributes = {key for _, attributes in found.tags for key in attributes}
        assert not {key for key in attributes if key.startswith("on")}
        assert "style" not in attributes
        assert sum(tag == "script" for tag, _ in found.tags) <= 1
        assert "img" not in {tag for tag, _ in found.tags}
        assert not re.search("[\u202a-\u202e\u2066-\u2069]", page)
        for tag, given in found.tags:
            if tag == "a":
                assert (given["href"] or "").startswith("pages/")
    again = Text(video_page(scan(name, [0.5] * 4, warnings=("odd",)), Evidence()))
    assert [tag for tag, _ in again.tags] == [tag for tag, _ in plain.tags]


def test_the_policy_lets_only_the_sorting_script_run() -> None:
    page = video_page(RESULTS[0], Evidence())
    assert "script-src 'none'" in page
    assert "default-src 'none'" in page
    assert re.search(r"script-src 'sha256-[\w+/=]+'", index_page([row(RESULTS[0], "")], []))


@pytest.mark.parametrize("result", RESULTS, ids=range(len(RESULTS)))
def test_a_page_asks_for_nothing(result: Scan | Failure) -> None:
    page = (
        failure_page(result, Evidence())
        if isinstance(result, Failure)
        else video_page(result, Evidence())
    )
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    for _, attributes in Text(page).tags:
        for key in ("src", "href"):
            assert (attributes.get(key) or "data:").startswith("data:")


# --- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "answer"),
    [
        (RESULTS[0], "Looks faked"),
        (scan("real.mp4", [0.1] * 6), "No sign of a fake found"),
        (RESULTS[2], "Cannot tell"),
        (RESULTS[3], "No face found"),
        (RESULTS[4], "Too few faces to judge"),
    ],
    ids=["fake", "real", "uncertain", "no face", "too few"],
)
def test_the_verdict_is_in_words(result: Scan, answer: str) -> None:
    text = Text(video_page(of_meso4(result), Evidence(model=MESO4))).text
    assert answer in text
    assert "authentic" not in text.lower()
    assert result.verdict.reason in text
    if result.verdict.fake_probability is not None:
        said = text.split("What this cannot tell")[0].replace("95 % interval", "")
        assert "%" not in said
        assert "A verdict is a hint, not a proof." in text


def test_the_error_rates_stand_beside_the_verdict() -> None:
    fake = Text(video_page(of_meso4(RESULTS[0]), Evidence(model=MESO4))).text
    assert "it called 1 of 18 real videos (95 % interval: 1 to 26 of 100) fake" in fake
    real = Text(video_page(of_meso4(scan("real.mp4", [0.1] * 6)), Evidence(model=MESO4))).text
    assert "it took 4 of 40 fake videos for real" in real
    unclear = Text(video_page(of_meso4(RESULTS[2]), Evidence(model=MESO4))).text
    assert "uncertain about 10 of 18 real videos" in unclear
    assert "20 of 40 fake videos" in unclear
    without = Text(video_page(RESULTS[0], Evidence())).text
    assert "no measured error rates" in without


def test_what_was_not_measured_is_said() -> None:
    rates = ErrorRates("A", None, 40, None, None, Rate(0.625, 0.44, 0.78))
    model = replace(MESO4, rates=(rates,))
    assert error_sentences(model, said("real")) == [
        "A: it called 25 of 40 fake videos (95 % interval: 44 to 78 of 100) fake; how many of the "
        "others it took for real was not measured."
    ]
    model = replace(MESO4, rates=(ErrorRates("A", real_called_fake=Rate(0.033)),))
    assert error_sentences(model, said("fake")) == ["A: it called 3 of 100 real videos fake."]
    assert error_sentences(model, said(None)) == []


def said(label: Label | None) -> Verdict:
    return Verdict(label, 0.5, "ok", "")


def test_what_there_is_no_sign_of_is_said() -> None:
    result = scan("unclear.mp4", [0.45] * 6)
    result = replace(result, verdict=replace(result.verdict, cleared=("swapped faces",)))
    rates = ErrorRates(
        "A", 20, 40, real_uncertain=Rate(0.9), real_cleared=Rate(0.4), fake_cleared=Rate(0.05)
    )
    page = Text(video_page(of_meso4(result), Evidence(model=replace(MESO4, rates=(rates,))))).text
    assert "Cannot tell; no sign of swapped faces" in page
    assert "No sign of swapped faces was found in this clip." in page
    assert "generated as a whole, this model cannot tell" in page
    assert "A: it said so of 8 of 20 real videos and 2 of 40 fake videos." in page
    index = Text(index_page([row(result, ""), row(RESULTS[2], "")], [])).text
    assert "2 uncertain (of 1: no sign of swapped faces)" in index
    assert "Where it is paler" not in page
    card = replace(read_card("panel"), uncertain=(0.1, 0.7))
    (lite,) = (each for each in card.members if each.decides)
    facts = model_facts(card)
    assert (facts.clears_below, facts.finds) == (lite.clears_below, lite.finds)
    drawn = video_page(of_meso4(result), Evidence(model=replace(facts, threshold=MESO4.threshold)))
    assert 'class="z-unsure z-pale"' in drawn
    assert f"Where it is paler, below {lite.clears_below:.2f}, the model sees no sign of" in drawn
    both = replace(card, members=tuple(replace(each, decides=True) for each in card.members))
    assert model_facts(both).clears_below is None
    # where that was not measured, how often it was uncertain
    rates = replace(rates, real_cleared=None, fake_cleared=None)
    page = Text(video_page(of_meso4(result), Evidence(model=replace(MESO4, rates=(rates,))))).text
    assert "A: it was uncertain about 18 of 20 real videos." in page


def test_error_rates_come_from_the_figures_of_a_card() -> None:
    protocol = "bootstrap over videos; 1,901 real and 0 fake videos"
    rates = error_rates(
        [
            Figure("A", "share called fake", 0.1, "real", 0.05, 0.2, protocol),
            Figure("A", "share called fake", 0.3, "Deepfakes", protocol=protocol),
            Figure("A", "video AUC", 0.9),
            Figure("A, blurred", "fraction called fake", 0.2, "real"),
            Figure("B", "share uncertain", 0.5, "all fakes"),
        ]
    )
    assert [(each.data, each.reals, each.fakes, each.damaged) for each in rates] == [
        ("A", 1901, None, False),
        ("A, blurred", None, None, True),
        ("B", None, None, False),
    ]
    assert rates[0].real_called_fake is not None
    assert (rates[0].real_called_fake.value, rates[0].real_called_fake.high) == (0.1, 0.2)
    assert rates[2].fake_uncertain is not None


@pytest.mark.parametrize("card", available(), ids=lambda card: card.name)
def test_every_shipped_model_has_error_rates(card: object) -> None:
    facts = model_facts(card)  # type: ignore[arg-type]
    assert [rates for rates in facts.rates if rates.real_called_fake and rates.fake_called_fake]
    assert facts.limits


def test_what_a_clip_cannot_tell_is_said() -> None:
    clip = ClipFacts(1000, "0" * 64, "now")
    few = of_meso4(scan("few.mp4", [0.9] * 5, frames=20, warnings=("the file is damaged",)))
    few = replace(
        few, settings=few.settings | {"start": 1.0, "end": 9.0, "aggregate": "max", "min_faces": 3}
    )
    said = " ".join(shortcomings(few, MESO4, clip))
    for words in (
        "The file: the file is damaged.",
        "It rests on 5 faces only",
        "in 5 of the 20 frames",
        "smaller than the 99 px",
        "Only the part from 0:01.0 to 0:09.0",
        "20 of 90 frames",
        "strongly compressed",
        "by max",
    ):
        assert words in said
    own = replace(few, settings=few.settings | {"threshold": 0.5})
    assert "A threshold of its own was given" in " ".join(shortcomings(own, MESO4, None))
    assert "compressed" not in " ".join(shortcomings(own, MESO4, None))


def test_people_without_a_say_come_last_and_are_said() -> None:
    found = scan("x.mp4", [0.2] * 6, [0.9] * 6, [0.99])
    found = replace(found, settings=found.settings | {"min_faces": 3})
    big = [
        replace(score, face=replace(score.face, box=(0.0, 0.0, 200.0, 200.0)))
        if score.person == 0
        else score
        for score in found.scores
    ]
    found = replace(of_meso4(found), scores=tuple(big))
    assert standing(found, 99.0) == {
        0: "",
        1: "too small to have a say",
        2: "too few faces to have a say",
    }
    text = Text(video_page(found, Evidence(model=MESO4))).text
    assert text.index("Person 0:") < text.index("Person 2:") < text.index("Person 1:")


def test_a_page_of_a_panel_says_what_each_model_said() -> None:
    found = scan("x.mp4", [0.7] * 4)
    found = replace(
        found,
        model=replace(found.model, members=("small", "large")),
        scores=tuple(replace(score, members=(0.25, 0.7)) for score in found.scores),
        people=tuple(replace(person, members=(0.25, 0.7)) for person in found.people),
    )
    text = Text(video_page(found, Evidence())).text
    assert "(small 0.25, large 0.70)" in text
    assert "a panel ofsmall, large" in text


@pytest.mark.parametrize(("sizes", "said"), [([200] * 5, True), ([200, 50, 50, 50, 50], False)])
def test_many_people_who_have_a_say_are_said(sizes: list[int], said: bool) -> None:
    found = of_meso4(scan("x.mp4", *([0.1] * 4 for _ in sizes)))
    scores = [
        replace(score, face=replace(score.face, box=(0.0, 0.0, *[float(sizes[score.person])] * 2)))
        for score in found.scores
    ]
    text = " ".join(shortcomings(replace(found, scores=tuple(scores)), MESO4, None))
    assert ("5 people have a say" in text) == said


def test_blurred_people_have_no_say() -> None:
    found = scan("x.mp4", [0.2] * 4, [0.9] * 4)
    found = replace(
        found,
        scores=tuple(
            replace(score, detail=0.05 + 0.5 * (score.person == 0)) for score in found.scores
        ),
    )
    assert standing(found, None) == {0: "", 1: "too blurred to have a say"}
    assert "too blurred to judge: person 1" in Text(video_page(found, Evidence())).text


def test_the_band_is_drawn_only_where_the_scan_had_it() -> None:
    found = of_meso4(RESULTS[0])
    assert undecided(found, MESO4) == MESO4.band
    assert undecided(found, None) is None
    assert undecided(replace(found, settings={"threshold": 0.8465}), MESO4) is None
    assert undecided(RESULTS[0], MESO4) is None  # another threshold: the card has changed
    assert zone(0.5, 0.8, (0.3, 0.8)) == "uncertain"
    assert zone(0.9, 0.8, None) == "fake"
    assert zone(0.2, 0.8, (0.3, 0.8)) == "real"


# --- drawings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [0.001, 0.7, 1, 9.6, 59, 61, 3600, 90_000, 1e6])
def test_ticks_are_round_and_few(end: float) -> None:
    found = ticks(end)
    assert 1 <= len(found) <= 7
    assert found[0] == 0
    assert found[-1] <= end * (1 + 1e-9)


def test_the_scale_says_in_words_what_it_draws() -> None:
    assert "this clip at 0.34; from 0.29 to 0.85 the model cannot tell" in scale(
        0.34, 0.85, (0.29, 0.85)
    )
    assert "the threshold is 0.50" in scale(0.34, 0.5, None)


def test_a_long_lane_stays_small_and_keeps_its_extremes() -> None:
    values = [0.5] * 5000
    values[1234], values[4321] = 0.99, 0.01
    scores = sorted(scan("long.mp4", values, frames=5000).scores, key=lambda score: score.time)
    assert len(lane(scores, [], 2500, 0.5, None, "x")) < 30_000
    kept = _thinned(list(scores), 500)
    assert len(kept) <= 500
    assert {0.99, 0.01} <= {score.fake_probability for score in kept}
    assert [score.time for score in kept] == sorted(score.time for score in kept)


@pytest.mark.parametrize(
    ("text", "ground"),
    [
        (text, ground)
        for text in (look.INK, look.SOFT, look.REAL_TEXT, look.FAKE_TEXT, look.UNSURE_TEXT)
        for ground in (look.PAPER, look.BACK)
    ],
)
def test_text_has_contrast(text: str, ground: str) -> None:
    light, dark = sorted((luminance(text), luminance(ground)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_real_and_fake_differ_in_grey() -> None:
    light, dark = sorted((luminance(look.REAL), luminance(look.FAKE)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 2.5


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in channels
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


# --- faces ----------------------------------------------------------------------------------------


def test_the_keeper_keeps_the_ends_of_each_person_and_lets_go_of_other_clips() -> None:
    found = scan("x.mp4", [number / 20 for number in range(20)], frames=20)
    keeper = FaceKeeper()
    for score in found.scores:
        pixels = np.full((8, 8, 3), score.index % 256, np.uint8)
        crop = Crop(score.index, score.time, score.face, score.person, pixels)
        keeper("x.mp4", [crop], [score])
    faces = keeper.take("x.mp4")
    assert len(faces) == MOST + LEAST
    values = sorted(round(face.score.fake_probability * 20) for face in faces)
    assert values == [0, 1, 16, 17, 18, 19]
    assert all((face.pixels == face.score.index % 256).all() for face in faces)
    assert keeper.take("x.mp4") == []
    keeper("x.mp4", [crop], [score])
    assert keeper.take("other.mp4") == []


def test_the_keeper_stays_small() -> None:
    keeper = FaceKeeper()
    people = scan("x.mp4", *([0.01 * number] for number in range(90)))
    for score in people.scores:
        crop = Crop(
            score.index, score.time, score.face, score.person, np.zeros((8, 8, 3), np.uint8)
        )
        keeper("x.mp4", [crop], [score])
    faces = keeper.take("x.mp4")
    assert len(faces) <= 8
    assert max(face.score.fake_probability for face in faces) == pytest.approx(0.89)


# --- the command line -----------------------------------------------------------------------------


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [*map(str, words)])


def clip(path: Path, astronaut: np.ndarray, frames: int = 5) -> Path:
    image = cv2.cvtColor(np.ascontiguousarray(astronaut[:300, 70:370]), cv2.COLOR_RGB2BGR)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 10, (300, 300))
    for _ in range(frames):
        writer.write(image)
    writer.release()
    return path


def test_a_scan_writes_its_page(tmp_path: Path, astronaut: np.ndarray) -> None:
    video = clip(tmp_path / "<img src=x onerror=alert(1)>.avi", astronaut)
    page = tmp_path / "page.html"
    result = run("scan", video, "--frames", "4", "--report", page)
    assert result.exit_code == 0, result.output
    text = page.read_text(encoding="utf-8")
    found = Text(text)
    pictures = [attributes for tag, attributes in found.tags if tag == "img"]
    assert len(pictures) == 2 * 4  # four faces, each with its map
    assert all(
        (attributes["src"] or "").startswith("data:image/jpeg;base64,") for attributes in pictures
    )
    assert all(attributes["alt"] for attributes in pictures)
    assert panel_digest(read_card("panel").members) in text
    assert "ffv1" in found.text
    assert not list(tmp_path.glob(".mesovid-*"))


@pytest.mark.parametrize(("first", "heard"), [(-9.0, "mesolite"), (9.0, "meso4")])
def test_the_maps_are_those_of_the_model_that_was_heard(
    first: float, heard: str, tmp_path: Path, astronaut: np.ndarray
) -> None:
    """A panel of two that decide, whose first is moved far down, or far up."""
    panel = read_card("panel")
    meso4, mesolite = (replace(member, decides=True, assents_from=None) for member in panel.members)
    card = replace(panel, name="two", members=(replace(meso4, shift=first), mesolite))
    card.write(tmp_path)
    page = tmp_path / "page.html"
    source = clip(tmp_path / "clip.avi", astronaut)
    done = run("scan", source, "--model", tmp_path / "two.json", "--report", page)
    assert done.exit_code == 0, done.output
    assert f"Shown is {heard}, which was heard." in page.read_text(encoding="utf-8")


def test_several_inputs_get_an_index_with_those_that_failed(
    tmp_path: Path, astronaut: np.ndarray
) -> None:
    clip(tmp_path / "a.avi", astronaut, 3)
    (tmp_path / "broken.mp4").write_text("no video at all\n" * 50)
    page = tmp_path / "all.html"
    result = run("scan", tmp_path, "--frames", "3", "--report", page, "-q")
    assert result.exit_code == 1
    text = Text(page.read_text(encoding="utf-8"))
    links = [attributes["href"] or "" for tag, attributes in text.tags if tag == "a"]
    assert links == ["all-pages/0001-a.html", "all-pages/0002-broken.html"]
    assert all((tmp_path / link).is_file() for link in links)
    assert "1 failed" in text.text
    assert "not a video that can be read" in text.text


def test_recorded_results_get_the_same_page_with_pictures(
    tmp_path: Path, astronaut: np.ndarray
) -> None:
    video = clip(tmp_path / "a.avi", astronaut)
    now, results, later = tmp_path / "now.html", tmp_path / "r.jsonl", tmp_path / "later.html"
    assert run("scan", video, "--format", "jsonl", "-o", results, "--report", now).exit_code == 0
    assert run("report", results, "-o", later).exit_code == 0
    pages = [
        re.sub(r"<dt>versions</dt><dd>.*?</dd>|\d+-\d+-\d+ \d+:\d+ UTC", "", place.read_text())
        for place in (now, later)
    ]
    tags = [Text(page).tags for page in pages]
    assert [tag for tag, _ in tags[0]] == [tag for tag, _ in tags[1]]
    assert Text(pages[0]).text == Text(pages[1]).text


def test_a_clip_that_is_gone_or_another_is_said(tmp_path: Path, astronaut: np.ndarray) -> None:
    video = clip(tmp_path / "a.avi", astronaut)
    results, folder = tmp_path / "r.jsonl", tmp_path / "out"
    assert run("scan", video, "--format", "jsonl", "-o", results).exit_code == 0
    video.unlink()
    assert run("report", results, "-o", folder).exit_code == 0
    page = Text((folder / "pages" / "0001-a.html").read_text())
    assert "There are no pictures of the faces" in page.text
    assert "no such file" in page.text
    assert "not there when this page was made" in page.text
    image = np.zeros((64, 64, 3), np.uint8)
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"FFV1"), 10, (64, 64))
    for _ in range(5):
        writer.write(image)
    writer.release()
    assert run("report", results, "-o", folder).exit_code == 0
    assert (
        "not the file that was scanned" in Text((folder / "pages" / "0001-a.html").read_text()).text
    )
    assert (folder / "index.html").is_file()


@pytest.mark.parametrize("path", ["a\0b.mp4", "", "/", "/dev/zero", "." * 5000])
def test_a_recorded_path_that_is_no_file_is_said(tmp_path: Path, path: str) -> None:
    results = tmp_path / "r.jsonl"
    results.write_text(written("jsonl", [scan(path, [0.5] * 3)]))
    assert run("report", results, "-o", tmp_path / "x.html").exit_code == 0
    assert "There are no pictures of the faces" in (tmp_path / "x.html").read_text()


def test_results_without_frames_get_a_page(tmp_path: Path) -> None:
    results = tmp_path / "r.jsonl"
    results.write_text(written("jsonl", [replace(RESULTS[3], sampled=())]))
    assert run("report", results, "-o", tmp_path / "x.html").exit_code == 0
    assert "No face found" in (tmp_path / "x.html").read_text()


def test_nothing_is_written_over_what_was_read(tmp_path: Path) -> None:
    results = tmp_path / "r.html"
    results.write_text(written("jsonl", RESULTS[:1]))
    before = results.read_text()
    for words in (["report", results, "-o", results], ["scan", results, "--report", results]):
        assert run(*words).exit_code != 0
        assert results.read_text() == before


def test_a_line_that_is_no_result_leaves_nothing_behind(tmp_path: Path) -> None:
    results = tmp_path / "r.jsonl"
    results.write_text(written("jsonl", RESULTS) + '{"schema": 1}\n')
    assert run("report", results, "-o", tmp_path / "out").exit_code != 0
    assert not (tmp_path / "out").exists()


def test_two_thousand_videos_fit_one_index(tmp_path: Path) -> None:
    value = json.loads(written("jsonl", RESULTS[1:2]))
    lines = [
        json.dumps(value | {"path": f"archive/{'folder/' * 5}{number:05} {'x' * 100}.mp4"})
        for number in range(2000)
    ]
    results = tmp_path / "r.jsonl"
    results.write_text("\n".join(lines) + "\n")
    began = time.process_time()
    rows = [
        row(result, f"pages/{number:04}.html")
        for number, result in enumerate(read_results(results), 1)
    ]
    page = index_page(rows, [("meso4", Evidence(model=MESO4))])
    assert time.process_time() - began < 5
    assert len(page.encode()) < 5_000_000
    assert len(rows) == 2000


def test_pages_of_one_name_do_not_meet(tmp_path: Path) -> None:
    pages = Pages(tmp_path, single=False)
    for folder in "ab":
        pages.add(scan(f"{folder}/same.mp4", [0.5] * 3))
    pages.close()
    assert len(list((tmp_path / "pages").iterdir())) == 2
    assert html.unescape((tmp_path / "index.html").read_text()).count("same.mp4</bdi>") == 2


def test_a_picture_has_no_timeline() -> None:
    found = scan("x.jpg", [0.5])
    still = replace(found.video, fps=None, frame_count=1, duration=None)
    found = replace(found, video=still, sampled=(Moment(0, 0.0),))
    assert "Over time" not in video_page(found, Evidence())
