"""Pages as a browser shows them: wide and on a phone, by keyboard, without script or network."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from test_annotate import found, movie
from test_pages import NAMES as ALL_NAMES
from test_pages import clip
from test_report import RESULTS, scan, written

from mesovid.cli import cli
from mesovid.evidence.annotate import annotate

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
QUIET = [
    "--disable-background-networking",
    "--disable-sync",
    "--no-first-run",
    "--disable-component-update",
    "--disable-gpu",
]
NAMES = [ALL_NAMES[0], ALL_NAMES[4], ALL_NAMES[6]]
SIZES = [(1280, 900), (390, 844)]
PAGES = [
    "scan",
    "index",
    "fake",
    "two people",
    "unclear",
    "no face",
    "failed",
    *map(str, range(len(NAMES))),
]

pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)"
    ),
    pytest.mark.skipif(
        not importlib.util.find_spec("playwright"), reason="playwright is not installed"
    ),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *root])
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, astronaut: Any) -> dict[str, Path]:
    """A page of a scan with pictures, pages of recorded results of all kinds, and their index."""
    root = tmp_path_factory.mktemp("pages")
    video = clip(root / "<b>portrait.avi", astronaut)
    recorded = [*RESULTS[:4], RESULTS[5]]
    recorded += [
        scan(name, [0.2, 0.5, 0.9, 0.95, 0.4, 0.1], [0.7] * 6, warnings=(f"odd: {name}",))
        for name in NAMES
    ]
    results = root / "r.jsonl"
    from mesovid.models.card import read_card

    card = read_card("meso4")  # so that rates and band are shown
    model = {"sha256": card.sha256["onnx"], "threshold": card.threshold}
    known = [
        replace(result, model=replace(result.model, **model))
        if hasattr(result, "model")
        else result
        for result in recorded
    ]
    results.write_text(written("jsonl", known), encoding="utf-8")
    for words in (
        ["scan", video, "--frames", "4", "--report", root / "scan.html"],
        ["report", results, "-o", root],
    ):
        done = CliRunner().invoke(cli, [*map(str, words)])
        assert done.exit_code == 0, done.output
    singles = dict(zip(PAGES[2:], sorted((root / "pages").iterdir()), strict=True))
    return {"scan": root / "scan.html", "index": root / "index.html"} | singles


def opened(
    browser: Any, path: Path, size: tuple[int, int], **options: Any
) -> tuple[Any, list[str], list[str]]:
    """The page, what its console said, and what it asked for."""
    width, height = size
    page = browser.new_page(viewport={"width": width, "height": height}, **options)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    return page, said, asked


@pytest.mark.parametrize("size", SIZES, ids=["wide", "phone"])
def test_every_page_fits_says_nothing_and_asks_for_nothing(
    browser: Any, pages: dict[str, Path], size: tuple[int, int]
) -> None:
    page, said, asked = opened(browser, pages["scan"], size)
    for name, path in pages.items():
        asked.clear()
        page.goto(path.as_uri())
        assert not said, f"{name}: {said}"
        assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= size[0], f"{name} is {width} px wide"
        # nothing sticks out of its box, but for what scrolls by itself
        out = page.evaluate(
            """() => [...document.querySelectorAll("main *:not(svg *)")]
            .filter(e => !e.closest(".wide")
            && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
            .map(e => e.outerHTML.slice(0, 80))"""
        )
        assert not out, f"{name}: {out}"
        broken = page.evaluate(
            "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
        )
        assert broken == 0
    page.close()


@pytest.mark.parametrize(
    ("name", "size"),
    [("scan", SIZES[0]), ("index", SIZES[1]), ("two people", SIZES[1]), ("failed", SIZES[0])],
    ids=["scan", "index", "two people", "failed"],
)
def test_axe_finds_no_violation(
    browser: Any, pages: dict[str, Path], name: str, size: tuple[int, int]
) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed"
    )
    page, _, _ = opened(browser, pages[name], size)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.close()


def test_the_table_sorts_by_keyboard_and_stays_without_a_script(
    browser: Any, pages: dict[str, Path]
) -> None:
    page, said, _ = opened(browser, pages["index"], SIZES[0])
    names = "[...document.querySelectorAll('.sortable tbody tr')].map(r => r.cells[2].dataset.k)"
    scores = page.evaluate(names)
    head = page.locator("th button", has_text="P(fake)")
    head.focus()
    page.keyboard.press("Enter")
    rising = page.evaluate(names)
    known = [float(score) for score in rising if score]
    assert known == sorted(known)
    assert sorted(rising) == sorted(scores)
    assert rising[-1] == ""  # what failed stays at the end
    assert page.locator("th[aria-sort=ascending]").count() == 1
    page.keyboard.press("Space")
    falling = [float(score) for score in page.evaluate(names) if score]
    assert falling == known[::-1]
    assert not said
    page.close()

    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages["index"].as_uri())
    assert page.locator(".sortable tbody tr").count() == len(scores)
    assert page.locator("th button").count() == 0
    context.close()


def test_every_link_of_the_index_leads_to_its_page(browser: Any, pages: dict[str, Path]) -> None:
    page, _, _ = opened(browser, pages["index"], SIZES[0])
    links = page.evaluate("[...document.querySelectorAll('table.sortable a')].map(a => a.href)")
    assert sorted(links) == sorted(
        path.as_uri() for name, path in pages.items() if name not in ("scan", "index")
    )
    page.close()


def test_a_page_prints(browser: Any, pages: dict[str, Path]) -> None:
    page, _, _ = opened(browser, pages["scan"], SIZES[0])
    printed = page.pdf(format="A4", print_background=True)
    assert printed.startswith(b"%PDF")
    assert len(printed) < 5_000_000
    page.close()


@pytest.mark.parametrize("name", ["out.mp4", "out.webm"])
def test_an_annotated_clip_plays(browser: Any, tmp_path: Path, name: str) -> None:
    source = movie(tmp_path / "in.mp4")
    annotate(found(source), tmp_path / name)
    (tmp_path / "page.html").write_text(f"<video src='{name}' muted></video>")
    page, _, _ = opened(browser, tmp_path / "page.html", SIZES[0])
    played = page.evaluate(
        """async () => { const video = document.querySelector("video"); await video.play();
        await new Promise((done, failed) => {
            video.onended = done; video.onerror = failed; setTimeout(failed, 20000); });
        return [video.videoWidth, video.videoHeight, video.duration]; }"""
    )
    assert played[:2] == [320, 240]
    assert played[2] == pytest.approx(1.0, abs=0.05)
    page.close()
