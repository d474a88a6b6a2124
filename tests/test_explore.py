"""`mesovid explore`: the page without a server, in a real browser, held against the package."""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import importlib.util
import json
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from signing import Sign, tagged, with_settings
from test_browser import CHROMIUM, QUIET

from mesovid.cli import cli
from mesovid.explain.explainer import Explainer
from mesovid.models.card import Member, ModelCard, card_at, find_card
from mesovid.models.export import write_model
from mesovid.provenance import GENERATORS, TYPES, in_words
from mesovid.records import Declaration, Face, FaceScore
from mesovid.report.writers import to_json
from mesovid.scanner import Scanner
from mesovid.serve.explore import PAGE, RUNTIME, write_file, write_site
from mesovid.serve.samples import ROOT as SAMPLES
from mesovid.settings import NetworkSettings, ScanSettings
from mesovid.verdict import Rule, judge

EXAMPLE = Path(__file__).parent.parent / "examples" / "swapped.mp4"
CLOSE = 0.02  # of P(fake), between a browser's frames and the package's
NEAR = 0.5  # px, of landmarks
VENDORED = PAGE / RUNTIME

browsers = pytest.mark.skipif(
    CHROMIUM is None or not importlib.util.find_spec("playwright"),
    reason="no Chromium or no playwright here",
)


def run(*words: object) -> Any:
    return CliRunner().invoke(cli, ["explore", *map(str, words)])


# --- files


def test_the_runtime_is_what_its_manifest_says() -> None:
    manifest = json.loads((VENDORED / "manifest.json").read_text(encoding="utf-8"))
    found = {path.name for path in VENDORED.iterdir()} - {"manifest.json"}
    assert found == set(manifest["files"])
    for name, said in manifest["files"].items():
        content = (VENDORED / name).read_bytes()
        assert len(content) == said["bytes"]
        assert hashlib.sha256(content).hexdigest() == said["sha256"]
        assert said["licence"] == "MIT"
    assert manifest["version"] in (VENDORED / "ort.wasm.min.mjs").read_text(encoding="utf-8")[:200]


def test_a_site_holds_the_models_asked_for_and_what_a_panel_needs(tmp_path: Path) -> None:
    result = run("-o", tmp_path / "site", "--model", "panel")
    assert result.exit_code == 0, result.output
    site = json.loads((tmp_path / "site" / "explore.json").read_text(encoding="utf-8"))
    assert [model["name"] for model in site["models"]] == ["panel", "meso4", "mesolite"]
    for model in site["models"][1:]:
        path = tmp_path / "site" / model["file"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == model["digest"]
    text = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "connect-src 'self' blob:" in text
    assert not re.search(r"(?:src|href)=\"(?:/|https?:)", text)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "full"], "not empty"),
        (["-o", "full", "--single-file"], "is a folder"),
        (["-o", "page", "--single-file"], "must end in .html"),
        (["-o", "new", "--model", "none"], "no model 'none'"),
        (["-o", "full/clip.mp4/page.html"], "clip.mp4"),
    ],
)
def test_what_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "clip.mp4").write_bytes(b"kept")
    result = run(*words)
    assert result.exit_code != 0
    assert said in f"{result.output}{result.exception}"
    assert (tmp_path / "full" / "clip.mp4").read_bytes() == b"kept"


# --- in a browser


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words: Any) -> None:
        pass


# a page behind another one plays its clip as if it were in front
AWAKE = [
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
]


class Visit:
    """A browser's window, with what it said and what it asked for."""

    def __init__(self, browser: Any, base: str) -> None:
        self.base = base
        self.said: list[str] = []
        self.asked: list[str] = []
        self.context = browser.new_context()
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def scan(self, path: Path) -> Any:
        """What the page's JSON says of a file that its button was given."""
        self.page.bring_to_front()  # a player behind another page shows its frames late
        self.page.goto("about:blank")
        self.page.goto(f"{self.base}#/")
        self.page.set_input_files("#file", path)
        self.page.wait_for_selector("#answer", timeout=60_000)
        return self.page.evaluate(
            "async () => (await fetch(document.querySelector('a[download]').href)).json()"
        )

    def silent(self) -> None:
        assert not self.said
        assert all(url.startswith((self.base, "about:", "blob:", "data:")) for url in self.asked)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *AWAKE, *root])
        yield started
        started.close()


@pytest.fixture(scope="module")
def strides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained MesoLite2, whose head reads maps of two strides."""
    import keras

    from mesovid.models.architectures import build

    keras.utils.set_random_seed(1)
    folder = tmp_path_factory.mktemp("strides")
    model = build("mesolite2", NetworkSettings())
    write_model(model, ModelCard(name="strides", architecture="mesolite2"), folder)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, strides: Path) -> Iterator[str]:
    """The address of a site with some models, on a server that knows files alone."""
    folder = tmp_path_factory.mktemp("site") / "inside"
    write_site(folder, ["meso4", "mesolite", str(strides)])
    handler = functools.partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def visit(browser: Any, base: str) -> Visit:
    found = Visit(browser, base)
    found.page.goto(base)
    found.page.wait_for_selector(".drop")
    return found


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner("meso4")  # the page judges by single models


def by_package(scanner: Scanner, path: Path) -> Any:
    """The JSON of the package's scan."""
    return json.loads(json.dumps(to_json(scanner.scan(path))))


def alike(found: Any, wanted: Any) -> None:
    """The faces, scores and verdict of the package."""
    assert found["verdict"] == wanted["verdict"]
    assert found["fake_probability"] == pytest.approx(wanted["fake_probability"], abs=CLOSE)
    assert len(found["frames"]) == len(wanted["frames"])
    for one, other in zip(found["frames"], wanted["frames"], strict=True):
        assert one["time"] == pytest.approx(other["time"], abs=1e-3)
        for face, same in zip(one["faces"], other["faces"], strict=True):
            assert face["person"] == same["person"]
            assert face["fake_probability"] == pytest.approx(same["fake_probability"], abs=CLOSE)
            assert np.abs(np.subtract(face["landmarks"], same["landmarks"])).max() < NEAR


@browsers
@pytest.mark.parametrize("name", ["blended.jpg", "swapped.webm"])
def test_a_file_is_judged_as_by_the_package(visit: Visit, scanner: Scanner, name: str) -> None:
    found = visit.scan(SAMPLES / name)
    wanted = by_package(scanner, SAMPLES / name)
    alike(found, wanted)
    assert found["model"] == wanted["model"]
    assert set(found) == set(wanted)
    assert visit.page.text_content("#reason") == found["reason"]
    visit.silent()


# after a seek back, a player's next three frames are the one that it showed before
STALE = """
const Frame = window.VideoFrame;
const time = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, "currentTime");
let [shown, late] = [null, 0];
Object.defineProperty(HTMLMediaElement.prototype, "currentTime", {
    get: time.get,
    set(value) {
        if (value < time.get.call(this)) late = 3;
        time.set.call(this, value);
    },
});
window.VideoFrame = function (video) {
    if (late > 0 && shown) {
        late -= 1;
        return shown.clone();
    }
    const frame = new Frame(video);
    shown?.close();
    shown = frame.clone();
    return frame;
};
"""


@browsers
def test_a_player_that_still_shows_the_end_of_a_clip_is_waited_for(
    browser: Any, base: str, scanner: Scanner
) -> None:
    slow = Visit(browser, base)
    slow.page.add_init_script(STALE)
    found = slow.scan(SAMPLES / "swapped.webm")
    slow.context.close()
    alike(found, by_package(scanner, SAMPLES / "swapped.webm"))


@browsers
def test_the_start_and_a_face_are_accessible(visit: Visit) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    visit.scan(SAMPLES / "portrait.jpg")
    visit.page.locator(".faces a").first.click()
    visit.page.wait_for_selector("[data-layer=conv1] button.tile")
    visit.page.wait_for_selector("canvas.heat")
    shown = visit.page.locator("[data-layer=conv1] div.tile canvas")  # its filters
    assert shown.count() == 8
    for place, awaited in (("", ".votes"), ("#/models/mesolite", "table"), ("#/", ".drop")):
        if place:
            visit.page.goto(f"{visit.base}{place}")
        visit.page.wait_for_selector(awaited)
        if place == "#/":
            visit.page.locator(".foot summary").click()
        visit.page.set_viewport_size({"width": 390, "height": 844})
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 390
        found = axe.Axe().run(visit.page)
        assert found.violations_count == 0, found.generate_report()
    visit.silent()


ASK = """async ({bytes, model, layers}) => {
  const { browserSource } = await import("./js/browser/source_browser.js");
  window.asked ||= await browserSource();
  const content = Uint8Array.from(atob(bytes), (byte) => byte.charCodeAt(0));
  const picture = new Blob([content], { type: "image/png" });
  const found = await window.asked.predict(picture, { model, layers, split: true });
  for (const each of Object.values(found.arrays)) {
    const held = new Uint8Array(each.values.buffer, each.values.byteOffset, each.values.byteLength);
    let text = "";
    for (let i = 0; i < held.length; i += 4096) {
      text += String.fromCharCode(...held.subarray(i, i + 4096));
    }
    each.values = btoa(text);
  }
  return found;
}"""


@browsers
@pytest.mark.parametrize(
    ("model", "layers"),
    [
        ("meso4", ["face", "conv1", "conv4", "dense1"]),
        ("mesolite", ["conv5"]),
        ("strides", ["conv5"]),
    ],
)
def test_a_face_has_the_numbers_of_the_package(
    visit: Visit, strides: Path, model: str, layers: list[str]
) -> None:
    explainer = Explainer(strides if model == "strides" else model)
    crop = cv2.resize(cv2.imread(str(SAMPLES / "portrait.jpg")), (256, 256))
    png = cv2.imencode(".png", crop)[1].tobytes()
    asked = {"bytes": base64.b64encode(png).decode(), "model": model, "layers": layers}
    found = visit.page.evaluate(ASK, asked)
    pixels = np.ascontiguousarray(crop[..., ::-1])
    logit = float(explainer.logits(pixels[None])[0])
    assert found["logit"] == pytest.approx(logit, abs=1e-5)
    assert found["fake_probability"] == pytest.approx(explainer.fake_probability(logit), abs=1e-6)
    for each in explainer.activations(pixels[None], layers):
        for stage, maps in each.maps.items():
            array = found["arrays"].pop(f"{each.layer.name}.{stage}")
            values = np.frombuffer(base64.b64decode(array["values"]), np.float32)
            apart = np.abs(values.reshape(array["shape"]) - maps[0]).max()
            assert apart <= 1e-4 * max(1, np.abs(maps[0]).max())
    assert not found["arrays"]
    split = explainer.split(pixels)
    assert split is not None
    assert [share["name"] for share in found["split"]["shares"]] == [s.name for s in split.shares]
    values = [share["value"] for share in found["split"]["shares"]]
    assert values == pytest.approx([share.value for share in split.shares], abs=1e-4)
    assert np.abs(np.array(found["split"]["cells"]) - split.cells).max() < 1e-4
    assert found["split"]["adds_up_to"] == pytest.approx(logit, abs=1e-4)


@browsers
@pytest.mark.parametrize(
    ("name", "kind", "made"),
    [
        ("portrait.jpg", "trainedAlgorithmicMedia", "ai"),
        ("portrait.jpg", "digitalCapture", "camera"),
        ("swapped.webm", None, "ai"),  # Matroska has no credentials, but tags
    ],
)
def test_what_a_file_says_of_itself_is_told_unchecked(
    visit: Visit, sign: Sign, tmp_path: Path, name: str, kind: str | None, made: str
) -> None:
    if kind:
        path, source = sign(SAMPLES / name, kind), "Content Credentials"
    else:
        path, source = tmp_path / name, "AIGC label"
        tagged(SAMPLES / name, path, {"AIGC": '{"Label": "1"}'})
    result = visit.scan(path)
    (found,) = result["declared"]
    assert (found["source"], found["made"], found["intact"]) == (source, made, None)
    assert "What the file says of itself" in visit.page.text_content("main")
    assert found["words"][1:] in visit.page.text_content("main")
    scanned = Scanner("meso4").scan(path)
    (told,) = scanned.declared
    assert (told.source, told.made) == (source, made)
    if kind:
        assert result["verdict"] == scanned.verdict.label


@browsers
@pytest.mark.parametrize(
    "kind",
    ["JPEG of the web UI", "WebP of ComfyUI", "PNG of SwarmUI"]
    + [f"clip of {tool}" for tool in ("ComfyUI", "its nodes", "InvokeAI", "the web UI")],
)
def test_settings_of_generators_are_found_as_by_the_package(
    visit: Visit, tmp_path: Path, kind: str
) -> None:
    path = with_settings(tmp_path, SAMPLES / "portrait.jpg", EXAMPLE, kind)
    (told,) = Scanner("meso4", frames=1).scan(path).declared
    (found,) = said_by(visit, path)
    assert (found["source"], found["made"], found["tool"]) == (told.source, told.made, told.tool)
    assert found["words"] == in_words(told)


@browsers
def test_the_page_knows_every_word_for_ai_that_the_package_knows(visit: Visit) -> None:
    known = visit.page.evaluate(
        """async () => {
          const { TYPES, GENERATORS } = await import("./js/browser/declared.js");
          return [TYPES, GENERATORS.map(([tool, made, pattern]) => [tool, made, pattern.source])];
        }"""
    )
    assert known == [
        TYPES,
        [[tool, made, pattern.pattern.decode()] for tool, made, pattern in GENERATORS],
    ]


@browsers
@pytest.mark.parametrize("suffix", [".mp4", ".avif", ".png"])
def test_what_a_file_says_is_found_in_every_container(
    visit: Visit, sign: Sign, tmp_path: Path, suffix: str
) -> None:
    plain = EXAMPLE
    if suffix != ".mp4":
        plain = tmp_path / f"plain{suffix}"
        Image.open(SAMPLES / "portrait.jpg").resize((64, 64)).save(plain)
    for path, found in ((plain, []), (sign(plain, "trainedAlgorithmicMedia"), ["ai"])):
        assert made_by(visit, path) == found


@browsers
def test_the_label_of_an_mp4_is_found(visit: Visit, tmp_path: Path) -> None:
    tags = {"AIGC": '{"Label":"1","ContentProducer":"x"}', "other": "y" * 300}
    labelled = tagged(EXAMPLE, tmp_path / "labelled.mp4", tags)
    (told,) = Scanner("meso4", frames=1).scan(labelled).declared
    assert told == Declaration("AIGC label", "ai", "x")
    assert made_by(visit, labelled) == ["ai"]


def said_by(visit: Visit, path: Path) -> Any:
    """What a file says of its making, as the page finds it."""
    content = base64.b64encode(path.read_bytes()).decode()
    asked = {"bytes": content, "picture": path.suffix not in (".mp4", ".mkv")}
    return visit.page.evaluate(DECLARED, asked)


def made_by(visit: Visit, path: Path) -> list[str]:
    return [each["made"] for each in said_by(visit, path)]


DECLARED = """async ({bytes, picture}) => {
  const { declared } = await import("./js/browser/declared.js");
  return declared(new Blob([Uint8Array.from(atob(bytes), (byte) => byte.charCodeAt(0))]), picture);
}"""


JUDGE = """async ({cases, card}) => {
  const { judge, ruleOf } = await import("./js/browser/verdict.js");
  return cases.map(({ scores, picture, ...own }) => judge(scores, ruleOf(card, own, picture)));
}"""


@browsers
@pytest.mark.parametrize("model", ["meso4", "mesolite", "panel", "panel of two that decide"])
def test_scores_are_judged_as_by_the_package(visit: Visit, model: str) -> None:
    card = card_at(find_card(model.split()[0]))
    if "two" in model:
        asked = Member("asked", "", decides=False, assents_from=0.6, assents_to=("first",))
        first = Member("first", "", finds="swaps", clears_below=0.6, sure_from=0.85)
        second = Member("second", "", finds="avatars", clears_below=0.4)
        card = replace(card, members=(asked, first, second))
    if model == "mesolite":  # whose band hardly any of these scores is below
        card = replace(card, uncertain=(0.2, 0.9), threshold=0.9, clears_below=0.8)
    random = np.random.default_rng(1)
    cases, wanted = [], []
    for _ in range(150):
        settings = ScanSettings(
            threshold=random.choice([None, 0.5]),
            aggregate=random.choice(["mean", "median", "trimmed_mean", "top_third", "max"]),
            min_faces=int(random.integers(1, 5)),
        )
        picture = bool(random.random() < 0.2)
        sizes, sharp = random.uniform(40, 300, 4), random.uniform(0.05, 0.5, 4)
        scores, steep = [], random.choice([0.3, 1.0])  # most high, or as many low
        for index in range(int(random.integers(0, 14))):
            person = int(random.integers(0, 4))
            members = tuple(random.random(len(card.members)).tolist())
            box = (0.0, 0.0, float(sizes[person]), float(random.uniform(10, 40)))
            face = Face(box, 1.0, np.zeros((5, 2), np.float32))
            value = float(random.random() ** steep)
            look = float(sharp[person])
            scores.append(FaceScore(index, index / 4, face, person, value, members, look))
        told = judge(scores, Rule.of_scan(card, settings, picture=picture))
        wanted.append(told)
        plain = [
            {
                "index": s.index,
                "time": s.time,
                "person": s.person,
                "fake_probability": s.fake_probability,
                "members": list(s.members),
                "detail": s.detail,
                "box": s.face.box,
            }
            for s in scores
        ]
        own = {k: getattr(settings, k) for k in ("threshold", "aggregate", "min_faces")}
        cases.append({"scores": plain, "picture": picture, **own})
    assert any(told.verdict.cleared for told in wanted) == (model != "meso4")
    found = visit.page.evaluate(JUDGE, {"cases": cases, "card": card.to_dict()})
    for one, told in zip(found, wanted, strict=True):
        verdict = told.verdict
        assert (one["verdict"], one["status"]) == (verdict.label, verdict.status)
        assert one["reason"] == verdict.reason
        assert one["cleared"] == list(verdict.cleared)
        assert one["fake_probability"] == pytest.approx(verdict.fake_probability)
        assert [p["id"] for p in one["people"]] == [p.id for p in told.people]
        spans = [(s["person"], s["start"], s["end"]) for s in one["segments"]]
        assert spans == [(s.person, s.start, s.end) for s in told.segments]


@browsers
def test_one_file_works_without_a_network(browser: Any, tmp_path: Path, scanner: Scanner) -> None:
    page = write_file(tmp_path / "page.html", ["meso4"])
    visit = Visit(browser, page.as_uri())
    visit.context.set_offline(True)
    found = visit.scan(SAMPLES / "portrait.jpg")
    alike(found, by_package(scanner, SAMPLES / "portrait.jpg"))
    visit.page.locator(".faces a").first.click()
    visit.page.wait_for_selector("[data-layer=conv1] button.tile")
    visit.page.wait_for_selector("canvas.heat")
    visit.silent()
    visit.context.close()


NOISE = """
const read = CanvasRenderingContext2D.prototype.getImageData;
CanvasRenderingContext2D.prototype.getImageData = function (...given) {
  const found = read.apply(this, given);
  found.data[4 * 77] ^= 1;
  return found;
};
"""


@browsers
@pytest.mark.parametrize(
    ("script", "said"),
    [
        (NOISE, "falsifies the pixels"),
        ("delete window.WebAssembly;", "no WebAssembly"),
        ("window.Worker = undefined;", "no Worker"),
    ],
    ids=["noise", "no wasm", "no worker"],
)
def test_a_browser_that_cannot_be_relied_on_gives_no_score(
    browser: Any, base: str, script: str, said: str
) -> None:
    visit = Visit(browser, base)
    visit.page.add_init_script(script)
    visit.page.goto(base)
    alert = visit.page.wait_for_selector("[role=alert]")
    assert said in alert.text_content()
    assert visit.page.locator("#file").count() == 0
    visit.silent()
    visit.context.close()
