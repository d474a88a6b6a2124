"""How fast `mesovid serve` and its page are, beside what they should be.

    python benchmarks/explorer.py [--upload 1024] [--lines 100000] [--no-browser]

Starts a server of its own and asks it over HTTP; then opens the page in Chromium, where that and
playwright are there. Prints a markdown table. Times of a loaded machine say little.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import httpx2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "mesovid" / "serve" / "page" / "samples"
TIMES = 9  # repetitions; the median is shown
Row = tuple[str, str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--upload", type=int, default=1024, help="MiB of the large upload")
    parser.add_argument("--lines", type=int, default=100_000, help="results that are listed")
    parser.add_argument("--no-browser", action="store_true")
    asked = parser.parse_args()
    if hasattr(os, "getloadavg"):
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print("| interaction | target | measured |\n| --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.jsonl"
        write_results(results, asked.lines)
        words = ["serve", "--no-open", "--no-token", "--port", "0", "--results", str(results)]
        began = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-m", "mesovid", *words], stdout=subprocess.PIPE, text=True
        ) as server:
            assert server.stdout is not None
            base = server.stdout.readline().split()[3].rstrip("/")
            try:
                httpx2.get(f"{base}/readyz").raise_for_status()
                show(("`serve` to ready", "1.5 s", f"{time.perf_counter() - began:.2f} s"))
                for row in of_api(base, server.pid, Path(folder), asked.upload):
                    show(row)
                if not asked.no_browser:
                    for row in of_page(base):
                        show(row)
            finally:
                server.terminate()


def show(row: Row) -> None:
    print("| " + " | ".join(row) + " |", flush=True)


def of_api(base: str, pid: int, folder: Path, upload: int) -> Iterator[Row]:
    api = f"{base}/api/v1"
    portrait = (SAMPLES / "portrait.jpg").read_bytes()
    scanned(api, "a.jpg", portrait)  # loads the networks
    over = []
    for _ in range(TIMES):
        seconds, job = scanned(api, "a.jpg", portrait)
        over.append(seconds - job["result"]["seconds"]["total"])
    yield "HTTP around a scan", "50 ms", ms(over)
    clip = folder / "clip.mp4"
    write_clip(clip)
    times = [scanned(api, "clip.mp4", clip.read_bytes())[0] for _ in range(3)]
    yield "10 s of 720p, upload to verdict", "2 s", f"{statistics.median(times):.2f} s"
    _, job = scanned(api, "a.jpg", portrait)
    face = f"{api}/scans/{job['id']}/faces/0.png"
    png = httpx2.get(face).content
    asked = {"model": "meso4", "format": "safetensors", "split": "true"}
    asked["layers"] = "conv1,conv2,conv3,conv4,dense1"
    asked["stages"] = "activated"
    yield (
        "all maps of Meso-4 of a face",
        "100 ms",
        ms(timed(lambda: httpx2.post(f"{api}/predictions", params=asked, content=png))),
    )
    for model, target in (("meso4", "1 s"), ("mesolite", "3 s")):
        body = {"face": {"scan": job["id"], "n": 0}, "model": model, "methods": ["occlusion"]}
        yield (
            f"occlusion 8 x 8, {model}",
            target,
            ms(timed(lambda body=body: httpx2.post(f"{api}/explanations", json=body, timeout=60))),
        )
    address = f"{api}/scans/{job['id']}/verdict"
    yield (
        "judged again by another threshold",
        "16 ms",
        ms(timed(lambda: httpx2.get(address, params={"threshold": 0.4}))),
    )
    place = {"scan": job["id"], "n": 0, "model": "meso4", "map": 3, "row": 9, "column": 9}
    yield (
        "one number of conv3 taken apart",
        "100 ms",
        ms(timed(lambda: httpx2.get(f"{api}/maps/conv3/arithmetic", params=place))),
    )
    began = time.perf_counter()
    while not (found := httpx2.get(f"{api}/results").json())["complete"]:
        pass
    yield (
        f"{found['total']:,} results ({found['bytes'] >> 20} MiB) read",
        "-",
        f"{time.perf_counter() - began:.1f} s, server {memory(pid):.0f} MiB",
    )
    yield (
        "a page of them, worst first",
        "100 ms",
        ms(timed(lambda: httpx2.get(f"{api}/results", params={"outcome": "fake"}))),
    )
    before = memory(pid)
    most = before

    def parts() -> Iterator[bytes]:
        nonlocal most
        for number in range(upload):
            if number % 64 == 0:
                most = max(most, memory(pid))
            yield bytes(2**20)

    began = time.perf_counter()
    sent = httpx2.post(f"{api}/scans", params={"name": "large.mp4"}, content=parts(), timeout=600)
    seconds = time.perf_counter() - began
    httpx2.delete(base + sent.headers["location"])
    yield (
        f"upload of {upload} MiB",
        "flat memory",
        f"{seconds:.1f} s, {most - before:+.0f} MiB in the server",
    )


def of_page(base: str) -> Iterator[Row]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return
    if chromium is None:
        return
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=root)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(base)
        page.wait_for_selector(".drop")
        began = time.perf_counter()
        page.goto(f"{base}/#/")
        page.reload()
        page.wait_for_selector(".drop")
        yield "page drawn", "0.5 s", f"{time.perf_counter() - began:.2f} s"
        api = f"{base}/api/v1"
        _, job = scanned(api, "a.jpg", (SAMPLES / "portrait.jpg").read_bytes())
        opened = []
        for _ in range(5):
            page.goto("about:blank")
            began = time.perf_counter()
            page.goto(f"{base}/#/scan/{job['id']}/face/0/meso4")
            page.wait_for_selector("[data-layer=conv1] button.tile")
            opened.append(time.perf_counter() - began)
        yield "a face opened by its address, to its first maps", "100 ms + page", ms(opened)
        page.wait_for_timeout(1500)
        steps = [page.evaluate(STEP, value) for value in (1, 2, 3, 1.5, 2.5, 0.5, 1, 2, 3)]
        yield (
            "a slider's step, to the new score (Meso-4)",
            "50 ms median, 100 ms p95",
            f"{statistics.median(steps):.0f} ms, {max(steps):.0f} ms at most",
        )
        browser.close()


STEP = """(value) => new Promise((done) => {
    const score = document.querySelector("#now");
    const slider = document.querySelector("#what-blur");
    const began = performance.now();
    const seen = new MutationObserver(() => { seen.disconnect(); done(performance.now() - began) });
    seen.observe(score, {childList: true, subtree: true, characterData: true});
    slider.value = value;
    slider.dispatchEvent(new Event("input", {bubbles: true}));
})"""


def scanned(api: str, name: str, content: bytes) -> tuple[float, dict[str, Any]]:
    """Seconds from the upload's end to the verdict, and the scan."""
    began = time.perf_counter()
    started = httpx2.post(f"{api}/scans", params={"name": name}, content=content, timeout=120)
    address = api + started.headers["location"].removeprefix("/api/v1")
    with httpx2.stream("GET", f"{address}/events", timeout=120) as events:
        for _ in events.iter_lines():
            pass
    seconds = time.perf_counter() - began
    return seconds, httpx2.get(address).json()


def timed(work: Callable[[], httpx2.Response]) -> list[float]:
    work().raise_for_status()  # what is loaded once is loaded now
    found = []
    for _ in range(TIMES):
        began = time.perf_counter()
        work().raise_for_status()
        found.append(time.perf_counter() - began)
    return found


def ms(seconds: list[float]) -> str:
    return f"{1000 * statistics.median(seconds):.0f} ms"


def memory(pid: int) -> float:
    """What a process holds by itself, MiB; 0 where the system does not say."""
    file = Path(f"/proc/{pid}/smaps_rollup")
    for line in file.read_text().splitlines() if file.exists() else ():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) / 1024
    return 0.0


def write_clip(path: Path) -> None:
    """Ten seconds of a portrait that moves, 1280 x 720, H.264."""
    picture = av.open(str(SAMPLES / "portrait.jpg"))
    face = next(picture.decode(video=0)).reformat(720, 720, "rgb24").to_ndarray()
    picture.close()
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", 25, width=1280, height=720, pix_fmt="yuv420p")
        for number in range(250):
            image = np.full((720, 1280, 3), 90, np.uint8)
            left = 280 + round(250 * np.sin(number / 25))
            image[:, left : left + 720] = face
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")):
                file.mux(packet)
        for packet in stream.encode():
            file.mux(packet)


def write_results(path: Path, lines: int) -> None:
    """So many results, each with the faces of 32 frames."""
    words = [
        "scan", str(SAMPLES / "portrait.webm"), "--format", "jsonl", "--model", "meso4", "-q"
    ]  # fmt: skip
    program = [sys.executable, "-m", "mesovid", *words]
    line = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    value = json.loads(line)
    text = json.dumps(value | {"path": "@", "fake_probability": -1.5})
    with path.open("w", encoding="utf-8") as file:
        for n in range(lines):
            score = f"{n * 7919 % 10_000 / 10_000}"
            file.write(text.replace('"@"', f'"clips/{n:06}.mp4"', 1).replace("-1.5", score, 1))
            file.write("\n")


if __name__ == "__main__":
    main()
