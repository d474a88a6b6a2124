"""What a file says of its making: signed by a certificate that is made here, and what is wrong."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from signing import IPTC, PARAMETERS, Sign, tagged, with_settings

from mesovid import provenance
from mesovid.cli import cli
from mesovid.provenance import declared, heeded, in_words
from mesovid.records import Declaration
from mesovid.report.reader import read_results
from mesovid.report.text import scan_text
from mesovid.report.writers import to_json
from mesovid.scanner import Scanner
from mesovid.serve.samples import ROOT as SAMPLES

CLIP = Path(__file__).parent.parent / "examples" / "swapped.mp4"
PICTURE = SAMPLES / "portrait.jpg"
CREDENTIALS = "Content Credentials"


@pytest.mark.parametrize("path", [CLIP, PICTURE], ids=["video", "picture"])
@pytest.mark.parametrize(
    ("kind", "made"),
    [
        ("trainedAlgorithmicMedia", "ai"),
        ("compositeWithTrainedAlgorithmicMedia", "partly ai"),
        ("digitalCapture", "camera"),
        ("digitalArt", "other"),
    ],
)
def test_credentials_are_read_and_checked(sign: Sign, path: Path, kind: str, made: str) -> None:
    (found,) = declared(sign(path, kind), {})
    tool = "Example Video\\x1b[31m"  # whatever it holds, a terminal shows it as text
    assert found == Declaration(CREDENTIALS, made, tool, "Example Studio", True)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".mov", ".avi", ".png", ".webp", ".avif", ".gif"])
def test_credentials_are_read_in_every_container(sign: Sign, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"plain{suffix}"
    if suffix in (".mov", ".avi"):
        with av.open(str(path), "w") as target:
            stream = target.add_stream("mjpeg", 25, width=64, height=64, pix_fmt="yuvj420p")
            for _ in range(3):
                frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")
                target.mux(stream.encode(frame))
            target.mux(stream.encode(None))
    else:
        Image.open(PICTURE).save(path)
    assert declared(path, {}) == ()
    (found,) = declared(sign(path, "trainedAlgorithmicMedia"), {})
    assert (found.made, found.intact) == ("ai", True)


def test_what_was_made_from_something_is_what_that_was(sign: Sign) -> None:
    made = sign(PICTURE, "trainedAlgorithmicMedia")
    (edited,) = declared(sign(made, None), {})
    assert edited.made == "ai"
    (holding,) = declared(sign(PICTURE, "digitalCreation", made), {})
    assert holding.made == "partly ai"


@pytest.mark.parametrize("path", [CLIP, PICTURE], ids=["video", "picture"])
def test_a_file_that_was_changed_is_told(sign: Sign, tmp_path: Path, path: Path) -> None:
    content = bytearray(sign(path, "trainedAlgorithmicMedia").read_bytes())
    place = content.index(b"mdat") + 5000 if path is CLIP else len(content) - 500
    content[place] ^= 1
    changed = tmp_path / f"changed{path.suffix}"
    changed.write_bytes(content)
    (found,) = declared(changed, {})
    assert found.intact is False
    assert "do not fit it" in in_words(found)


def test_a_file_cut_off_or_spoilt_is_no_fault(sign: Sign, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    for path in (CLIP, PICTURE):
        content = sign(path, "trainedAlgorithmicMedia").read_bytes()
        start = max(content.find(b"jumb") - 60, 0)
        for number in range(60):
            spoilt = bytearray(content[: int(random.integers(20, len(content)))])
            if number % 2:
                spoilt = bytearray(content)
                for place in random.integers(start, start + 6000, int(random.integers(1, 30))):
                    spoilt[int(place)] = int(random.integers(256))
            other = tmp_path / f"spoilt{path.suffix}"
            other.write_bytes(spoilt)
            assert len(declared(other, {})) <= 1


def test_credentials_without_their_reader_are_not_passed_over(
    sign: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sign(PICTURE, "trainedAlgorithmicMedia")
    monkeypatch.setitem(sys.modules, "c2pa", None)
    (found,) = declared(path, {})
    assert in_words(found) == "it has Content Credentials, which cannot be read here"


@pytest.mark.parametrize(
    ("tag", "made", "tool"),
    [
        ('{"Label": "1", "ContentProducer": "Example Co"}', "ai", "Example Co"),
        ('{"Label": 2, "ContentProducer": 7}', "perhaps ai", None),
        ("not JSON", "other", None),
        ("[" * 100_000, "other", None),
    ],
)
def test_labels_of_ai_content_are_read(
    tmp_path: Path, tag: str, made: str, tool: str | None
) -> None:
    path = tagged(CLIP, tmp_path / "labelled.mkv", {"AIGC": tag})
    (found,) = Scanner("meso4", frames=1).scan(path).declared
    assert (found.source, found.made, found.tool) == ("AIGC label", made, tool)


@pytest.mark.parametrize("quote", ['"', "&quot;", "&#34;"])
def test_labels_of_ai_content_are_read_in_pictures(tmp_path: Path, quote: str) -> None:
    label = '{"Label": "1", "ContentProducer": "x"}'.replace('"', quote)
    segment = f"http://ns.adobe.com/xap/1.0/\x00<TC260:AIGC>{label}</TC260:AIGC>".encode()
    content, picture = PICTURE.read_bytes(), tmp_path / "labelled.jpg"
    head = b"\xff\xe1" + (len(segment) + 2).to_bytes(2) + segment
    picture.write_bytes(content[:2] + head + content[2:])
    assert declared(picture, {}) == (Declaration("AIGC label", "ai"),)


def test_xmp_is_read_in_pictures_and_videos(tmp_path: Path) -> None:
    words = f'<x Iptc4xmpExt:DigitalSourceType="{IPTC}trainedAlgorithmicMedia"/>'.encode()
    content = PICTURE.read_bytes()
    segment = b"http://ns.adobe.com/xap/1.0/\x00" + words
    picture = tmp_path / "picture.jpg"
    head = b"\xff\xe1" + (len(segment) + 2).to_bytes(2) + segment
    picture.write_bytes(content[:2] + head + content[2:])
    box = provenance.XMP_BOX + words
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(CLIP.read_bytes() + (len(box) + 8).to_bytes(4) + b"uuid" + box)
    for path in (picture, clip):
        assert declared(path, {}) == (Declaration("XMP", "ai"),)
        assert in_words(*declared(path, {})) == "by its own XMP it was made by AI"


WEB_UI = "Stable Diffusion web UI, or a tool like it"


@pytest.mark.parametrize(
    ("kind", "made", "tool"),
    [
        ("PNG of the web UI", "ai", WEB_UI),
        ("JPEG of the web UI", "ai", WEB_UI),
        ("PNG of ComfyUI", "perhaps ai", "ComfyUI"),
        ("WebP of ComfyUI", "perhaps ai", "ComfyUI"),
        ("PNG of SwarmUI", "ai", "SwarmUI"),
        ("PNG of NovelAI", "ai", "NovelAI"),
        ("clip of ComfyUI", "perhaps ai", "ComfyUI"),
        ("clip of its nodes", "perhaps ai", "ComfyUI"),
        ("clip of InvokeAI", "ai", "InvokeAI"),
        ("clip of the web UI", "ai", WEB_UI),
    ],
)
def test_what_generators_leave_in_their_files_is_read(
    tmp_path: Path, kind: str, made: str, tool: str
) -> None:
    path = with_settings(tmp_path, PICTURE, CLIP, kind)
    scan = Scanner("meso4", frames=1).scan(path)
    assert [(each.source, each.made, each.tool) for each in scan.declared] == [
        ("metadata", made, tool)
    ]
    assert scan.verdict.label != "real"


def test_credentials_and_settings_are_both_told(sign: Sign, tmp_path: Path) -> None:
    path = sign(with_settings(tmp_path, PICTURE, CLIP, "PNG of ComfyUI"), "trainedAlgorithmicMedia")
    assert [each.source for each in declared(path, {})] == [CREDENTIALS, "metadata"]


def test_words_about_a_generator_are_no_settings_of_one() -> None:
    talk = "made with ComfyUI? Steps: 1. Sampler: none. CFG scale, class_type, NovelAI: a review"
    assert declared(PICTURE, {"title": talk, "comment": PARAMETERS[:30]}) == ()


def test_most_files_say_nothing(tmp_path: Path) -> None:
    for path in (CLIP, PICTURE, Path(__file__)):
        assert declared(path, {"title": "made by AI"}) == ()
    assert declared(tmp_path / "gone.mp4", {}) == ()
    words = tmp_path / "words.jpg"
    words.write_bytes(PICTURE.read_bytes() + b"jumb c2pa")
    assert declared(words, {}) == ()


def test_what_names_ai_is_not_called_real(sign: Sign) -> None:
    made, captured = (sign(PICTURE, kind) for kind in ("trainedAlgorithmicMedia", "digitalCapture"))
    scanner = Scanner("meso4")
    verdict, plain = scanner.scan(made).verdict, scanner.scan(PICTURE).verdict
    assert (plain.label, verdict.label) == ("real", "uncertain")
    assert verdict.fake_probability == plain.fake_probability
    assert verdict.reason.startswith(
        f"{plain.reason} But by its own Content Credentials it was made"
    )
    text = scan_text(scanner.scan(made), color=False, detail=False)
    assert text.count("made by AI") == 1  # told in the reason, and not again
    assert scanner.scan(captured).verdict == plain
    assert Scanner("meso4", threshold=0.9).scan(made).verdict.label == "real"
    spoilt = Declaration(CREDENTIALS, "ai", intact=False)
    assert heeded(plain, [spoilt]) == plain


def test_a_scan_tells_it_everywhere_and_judges_as_before(sign: Sign, tmp_path: Path) -> None:
    path = sign(CLIP, "trainedAlgorithmicMedia")
    scanner = Scanner("meso4", frames=4)
    told, plain = scanner.scan(path), scanner.scan(CLIP)
    assert told.verdict == plain.verdict
    assert told.verdict.label == "fake"
    assert plain.declared == ()
    results = tmp_path / "results.jsonl"
    results.write_text(json.dumps(to_json(told)) + "\n", encoding="utf-8")
    (back,) = read_results(results)
    assert back.declared == told.declared
    page = tmp_path / "page.html"
    words = "y its own Content Credentials it was made by AI (Example Video"
    for options in ([], ["--format", "table"], ["--format", "csv"]):
        result = CliRunner().invoke(
            cli, ["scan", str(path), "--model", "meso4", "--report", str(page), *options]
        )
        assert result.exit_code == 0, result.output
        assert words in result.output
        assert words in page.read_text(encoding="utf-8")
        page.unlink()
    shutil.copy(path, tmp_path / "clip.mp4")
    shutil.copy(PICTURE, tmp_path)
    words = ["scan", tmp_path, "--model", "meso4", "--report", tmp_path / "pages"]
    result = CliRunner().invoke(cli, list(map(str, words)))
    assert result.exit_code == 0, result.output
    index = (tmp_path / "pages" / "index.html").read_text(encoding="utf-8")
    assert index.count("The file: by its own Content Credentials it was made by AI") == 1
