"""The page of `mesovid serve` in a real browser: a clip dropped, judged, looked into.

By mouse and by keyboard.
"""

from __future__ import annotations

import base64
import gzip
import importlib.util
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import httpx2
import numpy as np
import pytest
import uvicorn
from fastapi.testclient import TestClient
from test_browser import CHROMIUM, QUIET
from test_pages import clip
from test_report import RESULTS, scan, written

from mesovid.dataset.manifest import CropEntry, write_card, write_manifest
from mesovid.models.card import find_card, read_card
from mesovid.models.curves import Curves
from mesovid.pictures import encode
from mesovid.records import Declaration, Scan
from mesovid.serve.app import create_app
from mesovid.serve.guard import access
from mesovid.serve.sample_sets import sets_of
from mesovid.serve.samples import ROOT as SAMPLES
from mesovid.serve.static import files
from mesovid.settings import ServeSettings

TOKEN = "a-token-of-some-length"
SIZES = [(1280, 900), (768, 1024), (390, 844)]
NAME = "<img src=x onerror=alert(1)>.webm"

browsers = pytest.mark.skipif(
    CHROMIUM is None or not importlib.util.find_spec("playwright"),
    reason="no Chromium or no playwright here",
)


# --- files ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    app = create_app(ServeSettings(), access("127.0.0.1", TOKEN), threads=1)
    with TestClient(app, base_url="http://127.0.0.1:8765") as found:
        yield found


def test_the_page_comes_without_a_token_and_with_its_policy(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert client.get("/api/v1/scans").status_code == 401


def test_every_file_has_its_kind(client: TestClient) -> None:
    kinds = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}
    kinds |= {".mjs": "text/javascript", ".gz": "application/wasm"}
    assert len(files()) > 8
    for name, path in files().items():
        answer = client.get(f"/static/{name}")
        packed = answer.headers.get("content-encoding") == "gzip"
        assert packed == (path.suffix == ".gz")
        content = path.read_bytes()
        assert answer.content == (gzip.decompress(content) if packed else content)
        assert answer.headers["content-type"].startswith(kinds[path.suffix])
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "js/none.js",
        "../app.py",
        "%2e%2e/app.py",
        "..%2fapp.py",
        "/etc/passwd",
        "samples/portrait.jpg",
    ],
)
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    assert client.get(f"/static/{path}").status_code == 404


def test_the_page_takes_nothing_from_elsewhere_and_reads_no_text_as_markup() -> None:
    for path in files().values():
        if "vendor" in path.parts:
            continue
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|\bsrc=[\"']?//", text), path
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text
        ), path
        assert " style=" not in text, path
        assert path.suffix != ".html" or not re.search(r"<script(?![^>]*src=)|\son\w+=", text), path


def test_samples_are_there(client: TestClient) -> None:
    client.headers["authorization"] = f"Bearer {TOKEN}"
    for sample in client.get("/api/v1/samples").json():
        answer = client.get(f"/api/v1/samples/{sample['id']}")
        assert answer.headers["content-type"] == sample["kind"]
        assert len(answer.content) == sample["size"]
    refused = client.get("/api/v1/samples/none")
    assert refused.status_code == 404
    assert refused.json()["known"] == ["clip", "swapped", "picture", "blended"]
    del client.headers["authorization"]


# --- in a browser ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, astronaut: np.ndarray) -> Iterator[str]:
    """The address of a server, as it listens: with a model of one's own that was measured, with
    results of an archive and with a set of samples.
    """
    root = tmp_path_factory.mktemp("server")
    app = create_app(
        ServeSettings(),
        access("127.0.0.1", TOKEN),
        models={"own": measured_model(root)},
        recorded=archive(root / "results.jsonl"),
        sets=sets_of([str(samples(root / "some faces", astronaut))]),
        threads=1,
    )
    config = uvicorn.Config(app, port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = server.force_exit = True
    thread.join(10)
    app.state.mesovid.close()


def measured_model(root: Path) -> Path:
    """A copy of Meso-4 with curves beside its card."""
    shipped = find_card("meso4")
    values = json.loads(shipped.read_text(encoding="utf-8")) | {"name": "own"}
    (root / "own.json").write_text(json.dumps(values), encoding="utf-8")
    (root / "own.onnx").write_bytes(shipped.with_suffix(".onnx").read_bytes())
    roc = {"false_alarms": [0, 0.1, 1], "recall": [0, 0.6, 1], "threshold": [1, 0.5, 0]}
    bins = [{"mean": 0.2, "fakes": 0.3, "weight": 0.5}, {"mean": 0.8, "fakes": 0.7, "weight": 0.5}]
    row = {"precision": 0.8, "recall": 0.6, "f1": 0.6857, "videos": 20}
    report = {"fake": row, "real": row | {"precision": None, "f1": None}}
    lines = [
        {"epoch": n, "loss": 0.8 / n, "val_loss": 0.9 / n, "val_auc": 0.6 + n / 10}
        for n in (1, 2, 3)
    ]
    sets = [
        {"set": name, "digest": "0", "roc": roc, "reliability": bins, "report": report}
        for name in ("a set", "another set")
    ]
    Curves(values["sha256"]["onnx"], tuple(lines), 2, tuple(sets)).write(root / "own.curves.json")
    return root / "own.json"


def archive(path: Path) -> Path:
    """Results of every kind, and so many that they fill more than a page."""
    more = [scan(f"more/{number:02}.mp4", [0.1 + number / 200] * 6) for number in range(60)]
    said = Declaration("Content Credentials", "ai", "Example Video", "Example Studio", True)
    results = [
        replace(each, declared=(said,))
        if isinstance(each, Scan) and each.video.path == "two people.mp4"
        else each
        for each in RESULTS
    ]
    path.write_text(written("jsonl", [*results, scan(NAME, [0.97] * 6), *more]), encoding="utf-8")
    return path


def samples(root: Path, astronaut: np.ndarray) -> Path:
    """Fourteen real faces, and two fakes of each of the first two."""
    crops = []
    for number in range(18):
        fake = number >= 14
        label, method = ("fake", ("Swap", "Lip")[number % 2]) if fake else ("real", None)
        original = f"v{(number - 14) // 2:02}" if fake else None
        file = f"{label}/v{number:02}/000000_0.png"
        (root / file).parent.mkdir(parents=True)
        face = np.roll(astronaut[:256, 100:356], 5 * number, axis=fake)
        (root / file).write_bytes(encode(np.ascontiguousarray(face)))
        crops.append(
            CropEntry(
                file=file, label=label, method=method, video=f"v{number:02}", original=original
            )
        )
    write_manifest(root, crops)
    geometry = read_card("meso4").geometry
    write_card(root, geometry=geometry, layout="folders", settings={}, crops=crops)
    return root


class Screen:
    """One browser window, with what it said and what it asked for."""

    def __init__(self, browser: Any, base: str) -> None:
        self.base = base
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page = browser.new_page(viewport={"width": 1280, "height": 900})
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append("dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def api(self, path: str) -> Any:
        return httpx2.get(
            f"{self.base}/api/v1{path}", headers={"authorization": f"Bearer {TOKEN}"}, timeout=30
        ).json()

    def go(self, place: str, awaited: str) -> None:
        self.page.goto("about:blank")  # else what is awaited may still stand there from before
        self.page.goto(f"{self.base}/#/{place}")
        self.page.wait_for_selector(awaited)

    def until(self, expression: str) -> None:
        """Wait until this is true of the page.

        It is asked from outside, because the page's policy forbids eval.
        """
        for _ in range(400):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(25)
        raise AssertionError(f"never true: {expression}")

    def fits(self, where: str) -> None:
        for width, height in SIZES:
            self.page.set_viewport_size({"width": width, "height": height})
            found = self.page.evaluate("document.documentElement.scrollWidth")
            assert found <= width, f"{where} is {found} px wide at {width}"
            narrow = self.page.evaluate(
                "[...document.querySelectorAll('.wide tbody th')].filter(e => e.offsetParent && "
                "e.offsetWidth < 60).length"
            )
            assert not narrow, f"{where} breaks words into letters at {width}"
        self.page.set_viewport_size({"width": 1280, "height": 900})

    def accessible(self, where: str) -> None:
        axe = pytest.importorskip("axe_playwright_python.sync_playwright")
        # of all that axe looks at, the colours alone differ in the dark
        for scheme, rules in (("light", None), ("dark", {"runOnly": ["color-contrast"]})):
            self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            found = axe.Axe().run(self.page, options=rules)
            assert found.violations_count == 0, f"{where}, {scheme}: {found.generate_report()}"
        self.page.emulate_media(color_scheme="light")


@pytest.fixture(scope="module")
def screen(base: str) -> Iterator[Screen]:
    from playwright.sync_api import sync_playwright

    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *root])
        found = Screen(browser, base)
        found.page.goto(f"{base}/#token={TOKEN}")
        found.page.wait_for_selector(".drop")
        yield found
        browser.close()


@pytest.fixture(scope="module")
def scanned(screen: Screen, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of a clip that was given to the page's file button."""
    file = tmp_path_factory.mktemp("clip") / NAME
    file.write_bytes((SAMPLES / "portrait.webm").read_bytes())
    screen.go("", ".drop")
    screen.page.set_input_files("#file", file)
    screen.page.wait_for_selector("#answer", timeout=60_000)
    found = re.search(r"#/scan/([^/?]+)", screen.page.url)
    assert found
    return found[1]


def silent(screen: Screen) -> None:
    """The page has said nothing, and asked nobody but its own server."""
    said, screen.said = screen.said, []
    assert not said
    assert all(url.startswith((screen.base, "blob:", "data:")) for url in screen.asked)


@browsers
def test_the_start_fits_and_hides_the_token(screen: Screen) -> None:
    screen.go("", ".drop")
    assert "token" not in screen.page.evaluate("location.href")
    screen.fits("start")
    screen.accessible("start")
    silent(screen)


@browsers
def test_a_clip_gets_the_verdict_of_the_api(screen: Screen, scanned: str) -> None:
    screen.go(f"scan/{scanned}", "#answer")
    result = screen.api(f"/scans/{scanned}")["result"]
    assert screen.page.text_content("#reason") == result["reason"]
    words = {"fake": "Looks faked", "real": "No sign of a fake found", "uncertain": "Cannot tell"}
    assert words[result["verdict"]] in screen.page.text_content("#answer")
    assert NAME in screen.page.text_content("h1")  # a name is text, whatever it holds
    assert f"P(fake) {result['fake_probability']:.2f}" in screen.page.text_content(".scale .pin")
    screen.page.wait_for_selector("video:not([hidden])")
    assert screen.page.locator(".stage .box").count() == 1
    assert screen.page.evaluate(
        "[...document.images].every(i => i.hidden || !i.complete || i.naturalWidth)"
    )
    screen.fits("scan")
    screen.accessible("scan")
    silent(screen)


@browsers
def test_other_rules_judge_at_once_and_stand_in_the_address(screen: Screen, scanned: str) -> None:
    screen.go(f"scan/{scanned}", "#rejudged p")
    slider = screen.page.locator("#threshold")
    slider.focus()
    screen.page.keyboard.press("Home")
    screen.page.wait_for_selector("#rejudged .t-fake")
    judged = screen.api(f"/scans/{scanned}/verdict?threshold=0")
    assert judged["reason"] in screen.page.text_content("#rejudged")
    assert "threshold=0" in screen.page.url
    screen.page.reload()
    screen.page.wait_for_selector("#rejudged .t-fake")
    silent(screen)


@browsers
def test_arrow_keys_walk_through_the_faces(screen: Screen, scanned: str) -> None:
    screen.go(f"scan/{scanned}?t=0", ".lane")
    screen.page.wait_for_selector("video:not([hidden])")
    faces = screen.api(f"/scans/{scanned}/faces")
    lane = screen.page.locator(".lane")
    lane.focus()
    screen.page.keyboard.press("End")
    screen.until(
        f"Math.abs(document.querySelector('video').currentTime - {faces[-1]['time']}) < .05"
    )
    assert lane.get_attribute("aria-valuenow") == str(len(faces) - 1)
    assert f"{faces[-1]['fake_probability']:.2f}" in str(lane.get_attribute("aria-valuetext"))
    screen.page.keyboard.press("ArrowLeft")
    screen.until(
        f"Math.abs(document.querySelector('video').currentTime - {faces[-2]['time']}) < .05"
    )
    silent(screen)


def by_meso4(face: dict[str, Any]) -> float:
    """What the one model that is looked into says of a face that a panel judged."""
    return float(face["members"]["meso4"])


@browsers
def test_a_face_is_looked_into(screen: Screen, scanned: str) -> None:
    screen.go(f"scan/{scanned}/face/5", ".votes tbody tr")
    face = screen.api(f"/scans/{scanned}/faces")[5]
    screen.page.wait_for_selector("[data-layer=conv1] button.tile")
    screen.page.wait_for_selector("canvas.heat")
    assert f"P(fake) {by_meso4(face):.3f}" in screen.page.text_content("#now")
    votes = [
        float(text.replace("\u2212", "-"))
        for text in screen.page.locator(".votes").first.locator("td.n").all_text_contents()
    ]
    logit = re.search(r"logit ([+\u2212][\d.]+)", screen.page.text_content("main"))
    assert len(votes) == 17
    assert logit
    assert abs(sum(votes) - float(logit[1].replace("\u2212", "-"))) < 0.01
    firing = screen.api(f"/scans/{scanned}/firing")
    for number in firing["layers"]["conv1"]["dead"]:
        label = (
            screen.page.locator("[data-layer=conv1] button.tile")
            .nth(number)
            .get_attribute("aria-label")
        )
        assert f"dead: the same on all {firing['faces']} faces" in str(label)
    assert screen.page.locator("[data-layer=conv1] div.tile canvas").count() == 8  # its filters
    screen.fits("face")
    screen.accessible("face")
    silent(screen)


@browsers
def test_every_layer_shows_the_numbers_of_the_api(screen: Screen, scanned: str) -> None:
    with httpx2.Client(
        headers={"authorization": f"Bearer {TOKEN}"}, base_url=screen.base, timeout=60
    ) as http:
        png = http.get(f"/api/v1/scans/{scanned}/faces/5.png").content
        told = http.post(
            "/api/v1/predictions", params={"layers": "conv4", "stages": "pooled"}, content=png
        ).json()["layers"]["conv4.pooled"]
    # a finding as a link
    screen.go(f"scan/{scanned}/face/5?layer=conv4&stage=pooled&map=3", "#pixel")
    pixel = np.reshape(told["values"], told["shape"])[2, 4, 4]
    shown = str(screen.page.text_content("#pixel")).rsplit(" ", 1)[1].replace("\u2212", "-")
    assert float(shown) == pytest.approx(pixel, rel=0.01)
    screen.page.locator("canvas.large").focus()
    screen.page.keyboard.press("ArrowUp")
    pixel = np.reshape(told["values"], told["shape"])[2, 3, 4]
    shown = str(screen.page.text_content("#pixel")).rsplit(" ", 1)[1].replace("\u2212", "-")
    assert float(shown) == pytest.approx(pixel, rel=0.01)
    names = [layer["name"] for layer in screen.api("/models/meso4")["layers"][1:-1]]
    for name in names:
        summary = screen.page.locator(f"[data-layer={name}] summary")
        if not screen.page.evaluate(f"document.querySelector('[data-layer={name}]').open"):
            summary.focus()
            screen.page.keyboard.press("Enter")
        screen.page.wait_for_selector(f"[data-layer={name}] .tile, [data-layer={name}] .votes")
    silent(screen)


@browsers
def test_one_number_adds_up_on_the_screen(screen: Screen, scanned: str) -> None:
    place = "?layer=conv2&map=3&stage=pooled&at=20.30"
    screen.go(f"scan/{scanned}/face/5{place}", ".terms-table")
    shown = screen.page.locator(".terms-table td.n").all_text_contents()
    found = [float(text.replace("\u2212", "-")) for text in shown]
    assert len(found) == 9  # of 8 input maps, and the bias
    total = float(str(screen.page.text_content("#total")).replace("\u2212", "-"))
    assert sum(found) == pytest.approx(total, abs=0.001)
    chain = screen.page.locator(".chain li").all_text_contents()
    assert re.search(r"network itself gives ([+\u2212][\d.]+)", chain[0])
    assert chain[0].count(str(screen.page.text_content("#total"))) == 2
    pooled = re.search(r"row 20, column 30: .* won: ([\d.]+)\.$", chain[2])
    assert pooled, chain
    assert f"column 30: {pooled[1]}" in screen.page.text_content("#pixel")
    won = re.search(r"Row (\d+), column (\d+) won", chain[2])
    assert won
    query = f"scan={scanned}&n=5&map=2&row={int(won[1]) - 1}&column={int(won[2]) - 1}"
    told = screen.api(f"/maps/conv2/arithmetic?{query}")
    assert told["total"] == pytest.approx(total, abs=1e-4)
    reach = told["reach"]
    assert (
        f"columns {reach['left'] + 1} to {reach['right']}, "
        f"rows {reach['top'] + 1} to {reach['bottom']}"
    ) in screen.page.text_content(".reach")
    assert screen.page.evaluate("location.href").endswith(place.replace("?", "")[-8:])
    before = screen.page.text_content("#pixel")
    screen.page.locator("canvas.large").focus()
    screen.page.keyboard.press("ArrowDown")
    assert screen.page.text_content("#pixel") != before
    screen.until("document.querySelector('.chain').textContent.includes('row 21, column 30')")
    assert "at=21.30" in screen.page.url
    screen.accessible("one number")
    silent(screen)


@browsers
def test_maps_are_painted_on_one_scale_or_each_on_its_own(screen: Screen, scanned: str) -> None:
    screen.go(f"scan/{scanned}/face/5?layer=conv1", "[data-layer=conv1] button.tile")
    brightest = """number => { const shown = document.querySelectorAll(
        '[data-layer=conv1] button.tile canvas')[number];
        const canvas = document.createElement("canvas");
        canvas.width = canvas.height = shown.width;
        const pen = canvas.getContext("2d", { willReadFrequently: true });
        pen.drawImage(shown, 0, 0);
        const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
        return data.reduce((most, value, i) => i % 4 === 0 ? Math.max(most, value) : most, 0); }"""
    weak = 4  # its strongest number is less than half of the layer's
    assert screen.page.evaluate(brightest, weak) < 200
    screen.page.get_by_role("button", name="Each map on its own").press("Enter")
    assert screen.page.evaluate(brightest, weak) == 254
    assert "scale=unit" in screen.page.url
    screen.page.reload()
    screen.page.wait_for_selector("[data-layer=conv1] button.tile")
    assert screen.page.evaluate(brightest, weak) == 254
    dead = screen.page.locator("[data-layer=conv1] button.tile").first
    assert "never fires, dead" in str(dead.get_attribute("aria-label"))
    assert screen.page.evaluate(brightest, 0) == 0  # not painted up
    silent(screen)


@browsers
def test_what_was_measured_of_a_model_is_drawn(screen: Screen) -> None:
    screen.go("models/own", ".plot")
    titles = [str(text) for text in screen.page.locator(".plot b").all_text_contents()]
    assert [title.split(".")[0].split(",")[0] for title in titles] == [
        *("ROC", "Reliability") * 2, "Loss", "Area under the curve",
    ]  # fmt: skip
    text = str(screen.page.text_content("main"))
    assert "with 10 % of reals called fake, it finds 60 % of the fakes" in text
    assert "0.69" in text  # F1 of the report
    roc = screen.page.locator(".plot").first
    roc.locator("summary").press("Enter")
    assert roc.locator("tbody tr").count() == 3
    screen.fits("models/own")
    screen.accessible("models/own")
    screen.page.get_by_role("link", name="All models").press("Enter")
    screen.page.wait_for_selector("#first")
    screen.page.select_option("#first", "own")
    screen.page.select_option("#second", "mesolite")
    screen.page.get_by_role("button", name="Lay side by side").press("Enter")
    screen.page.wait_for_selector("h1:has-text('own and mesolite')")
    card = screen.api("/models/mesolite")
    value = next(each for each in card["figures"] if each["data"] == "FF++ c23 dev")
    row = screen.page.locator("tr", has_text="FF++ c23 dev").filter(has_text="video AUC").first
    assert f"{value['value']:.2f}" in row.locator("td").last.text_content()
    screen.fits("two models")
    screen.accessible("two models")
    silent(screen)


@browsers
def test_faces_of_samples_are_drawn_and_looked_into(screen: Screen) -> None:
    screen.go("", ".faces img")
    faces = screen.page.locator(".faces a")
    assert faces.count() == 12
    assert "seed=" in screen.page.url
    shown = [str(face.get_attribute("href")) for face in faces.all()]
    screen.page.reload()  # the same are drawn again
    screen.page.wait_for_selector(".faces img")
    assert [face.get_attribute("href") for face in faces.all()] == shown
    screen.page.locator("#another").press("Enter")
    hashes = "[...document.querySelectorAll('.faces a')].map(each => each.hash).join()"
    screen.until(f"{hashes} !== {','.join(shown)!r}")
    assert faces.count() == 12
    screen.page.select_option("#strip-method", "Swap")
    screen.until("document.querySelectorAll('.faces a').length === 2")
    screen.page.select_option("#strip-method", "")
    screen.page.locator("#strip-pairs").press("Space")
    screen.until("document.querySelectorAll('.faces.pairs a').length === 4")
    screen.fits("samples")
    screen.accessible("samples")
    screen.page.locator(".faces a").first.press("Enter")
    screen.page.wait_for_selector("#differences canvas")
    assert re.search(
        r"A: face \d+ of some faces, fake, (Swap|Lip)", screen.page.text_content("main")
    )
    screen.page.get_by_role("link", name="Look inside").first.press("Enter")
    screen.page.wait_for_selector("[data-layer=conv1] button.tile")
    screen.page.wait_for_selector("canvas.heat")
    assert "Fake, " in screen.page.text_content("main")
    assert screen.page.get_by_role("link", name="Compare with its original").count() == 1
    silent(screen)


@browsers
def test_results_are_filtered_sorted_and_opened(screen: Screen) -> None:
    screen.go("results", ".listing tbody tr")
    told = screen.api("/results?limit=50")
    rows = screen.page.locator(".listing tbody tr")
    assert rows.count() == 50
    assert NAME in rows.first.text_content()  # the worst, its name as text
    assert f"{told['total']} results" in screen.page.text_content("main")
    screen.fits("results")
    screen.accessible("results")
    screen.page.get_by_role("link", name="Next").press("Enter")
    screen.page.wait_for_selector("text=51 to 67")
    screen.page.locator("#outcome-error").press("Space")
    screen.page.wait_for_selector("h2:has-text('1 result')")
    assert "no video that can be decoded" in rows.first.text_content()
    screen.page.locator("#outcome-error").press("Space")
    screen.page.wait_for_selector("h2:has-text('67 results')")
    screen.page.locator("#words").press_sequentially("more/1")
    screen.page.wait_for_selector("h2:has-text('10 results')")
    assert screen.page.evaluate("document.activeElement.id") == "words"
    screen.page.get_by_role("link", name="File").press("Enter")
    screen.page.wait_for_selector("th[aria-sort=ascending]")
    assert "more/10" in rows.first.text_content()
    screen.page.get_by_role("link", name="File").press("Enter")
    screen.page.wait_for_selector("th[aria-sort=descending]")
    assert "more/19" in rows.first.text_content()
    screen.go("results?words=two+people", ".listing tbody tr")
    rows.first.get_by_role("link").press("Enter")
    screen.page.wait_for_selector("#answer")
    assert "two people.mp4" in screen.page.text_content("h1")
    assert screen.page.locator(".lane").count() == 2
    assert "it was made by AI (Example Video)" in screen.page.text_content("main")
    screen.fits("one result")
    screen.accessible("one result")
    screen.page.get_by_role("button", name="Open as a scan").press("Enter")
    screen.page.wait_for_selector("#unseen")  # the clip is not there
    assert "--allow-path" in screen.page.text_content("#unseen")
    screen.page.wait_for_selector("#rejudged p")
    screen.page.locator("#threshold").focus()
    screen.page.keyboard.press("End")
    screen.page.wait_for_selector("#rejudged .t-real")  # but it can be judged anew
    assert screen.page.locator(".lane").count() == 2
    screen.go("results/5", ".verdict")
    assert "Could not be scanned" in screen.page.text_content(".verdict")
    silent(screen)


@browsers
def test_the_score_follows_what_is_changed(screen: Screen, scanned: str) -> None:
    screen.go(f"scan/{scanned}/face/5", "#now b")
    before = screen.page.text_content("#now b")
    screen.page.locator("#what-blur").focus()
    screen.page.keyboard.press("End")
    screen.until(f"document.querySelector('#now b').textContent !== {before!r}")
    assert f"untouched {before.split()[1]}" in screen.page.text_content("#now")
    assert "what=blur%3A3" in screen.page.url
    screen.page.get_by_role("button", name="Mouth", exact=True).press("Space")
    screen.until("location.href.includes('cover%3Amouth')")
    screen.page.reload()  # the address holds what was changed
    screen.page.wait_for_selector("#now b")
    screen.until(f"!document.querySelector('#now b')?.textContent.includes({before!r})")
    screen.page.get_by_role("button", name="Undo all").press("Enter")
    screen.until(f"document.querySelector('#now b').textContent === {before!r}")
    assert "what=" not in screen.page.url
    brush = screen.page.get_by_role("button", name="Brush")
    brush.press("Space")  # the square by keyboard
    screen.page.keyboard.press("ArrowDown")
    screen.page.keyboard.press("+")
    screen.page.keyboard.press("Space")
    screen.until(f"document.querySelector('#now b').textContent !== {before!r}")
    assert "square%3A" in screen.page.url
    silent(screen)


@browsers
def test_a_mild_change_that_moves_the_answer_is_called_fragile(
    screen: Screen, scanned: str
) -> None:
    face = min(screen.api(f"/scans/{scanned}/faces"), key=by_meso4)
    screen.go(f"scan/{scanned}/face/{face['n']}", "#now b")
    assert not screen.page.is_visible("#fragile")
    assert f"untouched {by_meso4(face):.3f}" in screen.page.text_content("#now")
    screen.page.select_option("#sweep", "blur")
    screen.page.press("#run-sweep", "Enter")
    screen.page.wait_for_selector("#swept .plot")
    shown = screen.page.locator("#swept tbody td").all_text_contents()
    assert len(shown) == 11
    assert float(shown[0]) == pytest.approx(by_meso4(face), abs=0.005)
    said = str(screen.page.text_content("#swept figcaption"))
    moved = re.search(r"fragile: it changes at ([\d.]+) px", said)
    assert moved, said  # the portrait, blurred by less than a pixel
    screen.page.fill("input[aria-label='Blur, as a number']", moved[1])
    screen.page.keyboard.press("Tab")
    screen.until("!document.querySelector('#fragile').hidden")
    assert f"blur {moved[1]} px" in screen.page.text_content("#fragile")
    screen.page.fill("input[aria-label='Blur, as a number']", "3")  # which anybody would see
    screen.page.keyboard.press("Tab")
    screen.until("document.querySelector('#fragile').textContent.includes('So strong a change')")
    silent(screen)


@browsers
def test_the_cut_and_the_light_are_changed_as_numbers_say(screen: Screen, scanned: str) -> None:
    screen.go(f"scan/{scanned}/face/5", "#now b")
    script = """async () => {
        const { damaged, read } = await import("/static/js/damage.js");
        const face = document.createElement("canvas");
        face.width = face.height = 8;
        const pen = face.getContext("2d");
        const image = pen.createImageData(8, 8);
        for (let i = 0; i < 64; i += 1) image.data.set([i * 4, 255 - i * 4, i, 255], 4 * i);
        pen.putImageData(image, 0, 0);
        const said = ["", "mirror:1", "dx:2", "dy:-3", "turn:90", "gamma:2", "grey:1", "light:0.5"];
        return said.map((text) => [...damaged(face, read(text)).getContext("2d")
          .getImageData(0, 0, 8, 8).data]);
    }"""
    plain, mirrored, right, up, turned, darker, grey, light = (
        np.reshape(values, (8, 8, 4))[..., :3] for values in screen.page.evaluate(script)
    )
    assert np.array_equal(mirrored, plain[:, ::-1])
    assert np.array_equal(right[:, 2:], plain[:, :-2])
    assert np.array_equal(right[:, :2], plain[:, 1::-1])  # mirrored at the edge
    assert np.array_equal(up[:-3], plain[3:])
    assert np.abs(darker - 255 * (plain / 255) ** 2).max() <= 0.51
    assert np.abs(grey - plain @ [[0.299] * 3, [0.587] * 3, [0.114] * 3]).max() <= 0.51
    assert np.abs(light - plain / 2).max() <= 0.51
    assert turned.shape == plain.shape  # beyond the slider: held to 10 degrees
    silent(screen)


@browsers
@pytest.mark.parametrize(
    ("place", "awaited"),
    [
        ("compare?a=ID.0&b=ID.9", "#differences canvas"),
        ("compare?a=ID.0&what=blur:2,cover:mouth", "#differences canvas"),
        ("compare?a=ID.0&models=all", "figure canvas"),
    ],
    ids=["faces", "change", "models"],
)
def test_sides_are_compared(screen: Screen, scanned: str, place: str, awaited: str) -> None:
    screen.go(place.replace("ID", scanned), awaited)
    screen.page.wait_for_selector(".maps3 canvas")
    face = screen.api(f"/scans/{scanned}/faces")[0]
    text = str(screen.page.text_content("main"))
    assert f"{by_meso4(face):.3f}" in text
    if "models=" not in place:
        rows = screen.page.locator("table.votes tbody tr").all()
        cells = [row.locator("td.n").all_text_contents() for row in (rows[0], rows[-1])]
        for a, b, change in cells:
            found = [float(each.replace("\u2212", "-")) for each in (a, b, change)]
            assert found[1] - found[0] == pytest.approx(found[2], abs=0.011)
    screen.fits(place)
    screen.accessible(place)
    silent(screen)


@browsers
@pytest.mark.parametrize(
    ("place", "awaited"),
    [
        ("models", "h2 a"),
        ("models/meso4", "table"),
        ("models/panel", "h2"),
        ("tour", ".steps"),
        ("glossary", "dfn"),
        ("compare", "[role=alert]"),
        ("scan/ID/face/0?model=mesolite", "figure canvas"),
        ("nowhere", "[role=alert]"),
    ],
)
def test_every_other_place_fits_and_is_accessible(
    screen: Screen, scanned: str, place: str, awaited: str
) -> None:
    screen.go(place.replace("ID", scanned), awaited)
    screen.fits(place)
    screen.accessible(place)
    silent(screen)


@browsers
def test_a_clip_that_browsers_do_not_play_is_shown_by_its_frames(
    screen: Screen, tmp_path: Path, astronaut: np.ndarray
) -> None:
    screen.go("", ".drop")
    screen.page.set_input_files("#file", clip(tmp_path / "ffv1.avi", astronaut))
    screen.page.wait_for_selector("#answer", timeout=60_000)
    screen.page.wait_for_selector(".stage img:not([hidden])")
    first = screen.page.get_attribute(".stage img", "src")
    screen.page.get_by_role("button", name="Next").press("Enter")
    screen.until(f"document.querySelector('.stage img').getAttribute('src') !== {first!r}")
    screen.until("document.querySelector('.stage img').naturalWidth > 0")
    assert "does not play" in screen.page.text_content("#played")
    assert screen.page.locator(".stage .box").count() == 1
    silent(screen)


@browsers
def test_a_panel_judges_and_its_members_are_looked_into(screen: Screen) -> None:
    screen.go("", ".drop")
    screen.page.check("input[value=panel]")
    screen.page.get_by_role("button", name="The portrait itself").press("Enter")
    screen.page.wait_for_selector("#answer", timeout=60_000)
    found = re.search(r"#/scan/([^/?]+)", screen.page.url)
    assert found
    result = screen.api(f"/scans/{found[1]}")["result"]
    assert result["model"]["name"] == "panel"
    assert screen.page.text_content("#reason") == result["reason"]
    assert "in this clip" not in screen.page.text_content(".verdict")  # it is a picture
    screen.page.get_by_role("link", name="Look inside this face").press("Enter")
    screen.page.wait_for_selector("#now b")
    assert screen.page.locator("#model option[value=panel]").count() == 0
    assert "by meso4 alone" in screen.page.text_content("#now")
    silent(screen)


@browsers
def test_a_file_that_is_no_video_is_said(screen: Screen, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    screen.go("", ".drop")
    screen.page.set_input_files("#file", tmp_path / "notes.txt")
    screen.page.wait_for_selector("[role=alert]")
    assert "'notes.txt' is neither a video nor a picture" in screen.page.text_content(
        "[role=alert]"
    )
    assert screen.page.locator(".drop").count() == 1
    # Chromium tells of every refusal
    screen.said = [text for text in screen.said if "415" not in text]
    silent(screen)


@browsers
def test_without_the_token_the_page_asks_for_it(screen: Screen) -> None:
    page = screen.page.context.browser.new_context().new_page()
    page.goto(screen.base)
    page.wait_for_selector("#token")
    page.fill("#token", f"{screen.base}/#token={TOKEN}")
    page.keyboard.press("Enter")
    page.wait_for_selector(".drop")
    page.context.close()


LIVE = """async ({ bytes, model, layers }) => {
  const { LiveSource } = await import("/static/js/browser/source_live.js");
  const { ServerSource } = await import("/static/js/source_server.js");
  const content = Uint8Array.from(atob(bytes), (byte) => byte.charCodeAt(0));
  const picture = new Blob([content], { type: "image/png" });
  const [source, asked] = [new LiveSource(), { model, layers, split: true }];
  const told = await new ServerSource().predict(picture, asked);
  if (!(await source.start(model, picture, told.logit))) return "not started";
  const before = performance.getEntriesByType("resource").length;
  const found = await source.predict(picture, asked);
  const sent = performance.getEntriesByType("resource").slice(before).map(({ name }) => name);
  const apart = Object.entries(told.arrays).map(([key, { values }]) => {
    const own = found.arrays[key].values;
    const most = values.reduce((a, b) => Math.max(a, Math.abs(b)), 1);
    return values.reduce((a, b, i) => Math.max(a, Math.abs(b - own[i])), 0) / most;
  });
  const plain = ({ arrays, ...rest }) => rest;
  return { told: plain(told), found: plain(found), apart, sent, wrong: await source.start(
    model, picture, told.logit + 1) };
}"""


@browsers
def test_the_browser_computes_what_the_server_would(screen: Screen) -> None:
    screen.go("models", "h2")
    image = cv2.resize(cv2.imread(str(SAMPLES / "portrait.jpg")), (256, 256))
    png = base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode()
    layers = ["conv1", "conv4", "dense1"]
    found = screen.page.evaluate(LIVE, {"bytes": png, "model": "meso4", "layers": layers})
    assert found["sent"] == []  # nothing is asked of the server
    assert max(found["apart"]) < 1e-4
    assert len(found["apart"]) > 6
    for key in ("logit", "fake_probability"):
        assert found["found"][key] == pytest.approx(found["told"][key], abs=1e-5)
    assert found["found"]["label"] == found["told"]["label"]
    own, other = found["found"]["split"], found["told"]["split"]
    assert np.abs(np.subtract(own["cells"], other["cells"])).max() < 1e-4
    assert not found["wrong"]  # an engine that disagrees with the server is not used
    silent(screen)
