"""Compares the page without a server with `mesovid scan`: faces found, and their scores.

    python benchmarks/explore.py                      # some files of DATA
    python benchmarks/explore.py FILE ...             # your own
    python benchmarks/explore.py --model mesolite

The site of `mesovid explore` scans each file in Chromium, and the package scans it in Python; one
row a group of files, and one for all. A face is the same at an intersection over union of 0.5.
Needs playwright and Chromium.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import os
import random
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mesovid.boxes import overlap  # noqa: E402
from mesovid.errors import MesovidError  # noqa: E402
from mesovid.report.writers import to_json  # noqa: E402
from mesovid.scanner import Scanner  # noqa: E402
from mesovid.serve.explore import write_site  # noqa: E402

SAME = 0.5  # IoU
CLOSE = 0.02  # of P(fake)
TIME = 0.005  # seconds by which the times of one frame may differ
SHIFT = 0.05  # seconds by which all times of a file may
PATIENCE = 900_000  # ms for one file
# of DATA: a group's name, its files, and how many of them
GROUPS = (
    ("FF++ c23, MP4", "ffpp-c23/**/*.mp4", 4),
    ("modern, MP4", "modern/dev/*/*.mp4", 4),
    ("everyday clips", "clips/*", 99),
    ("LFW, JPEG", "lfw/*.jpg", 16),
)


@dataclass(slots=True)
class Tally:
    """What came out over some files."""

    files: int = 0
    refused: list[str] = field(default_factory=list)  # that the browser cannot play
    verdicts: int = 0  # the same
    frames: int = 0
    elsewhere: int = 0  # frames that one of both did not take
    faces: int = 0  # that the package found
    missed: int = 0
    extra: int = 0
    scores: list[float] = field(default_factory=list)  # differences
    landmarks: list[float] = field(default_factory=list)  # px, the farthest of a face
    videos: list[float] = field(default_factory=list)  # differences of whole files

    def add(self, found: Any, wanted: Any) -> None:
        """Count one file by both JSON objects."""
        self.files += 1
        self.verdicts += found["verdict"] == wanted["verdict"]
        if found["fake_probability"] is not None and wanted["fake_probability"] is not None:
            self.videos.append(abs(found["fake_probability"] - wanted["fake_probability"]))
        left = list(found["frames"])
        # a file may count its time from elsewhere than a browser does
        late = [
            each["time"] - frame["time"]
            for each, frame in zip(left, wanted["frames"], strict=False)
        ]
        shift = float(np.median(late)) if late else 0.0
        shift = shift if abs(shift) < SHIFT else 0.0
        for frame in wanted["frames"]:
            same = [each for each in left if abs(each["time"] - shift - frame["time"]) < TIME]
            if not same:
                self.elsewhere += 1
                continue
            left.remove(same[0])
            self.frames += 1
            self._faces(list(same[0]["faces"]), frame["faces"])

    def _faces(self, found: list[Any], wanted: Sequence[Any]) -> None:
        self.faces += len(wanted)
        for face in wanted:
            best = max(found, key=lambda each: overlap(each["box"], face["box"]), default=None)
            if best is None or overlap(best["box"], face["box"]) < SAME:
                self.missed += 1
                continue
            found.remove(best)
            self.scores.append(abs(best["fake_probability"] - face["fake_probability"]))
            apart = np.subtract(best["landmarks"], face["landmarks"])
            self.landmarks.append(float(np.abs(apart).max()))
        self.extra += len(found)

    def row(self, name: str) -> str:
        """One row of the table."""
        scores = np.array(self.scores or [0.0])
        close = (scores <= CLOSE).mean()
        cells = (
            name,
            f"{self.files}",
            f"{self.frames}",
            f"{self.elsewhere}",
            f"{self.faces}",
            f"{self.missed}",
            f"{self.extra}",
            f"{np.median(scores):.4f}",
            f"{np.quantile(scores, 0.95):.4f}",
            f"{scores.max():.4f}",
            f"{close:.1%}",
            f"{np.quantile(self.landmarks or [0], 0.95):.2f}",
            f"{max(self.videos, default=0):.4f}",
            f"{self.verdicts}",
        )
        return "| " + " | ".join(cells) + " |"


HEAD = (
    "| files | n | frames | not the same | faces | missed | extra | median | 95 % | most "
    "| within 0.02 | landmarks 95 %, px | file, most | same verdict |\n|" + " --- |" * 14
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--model", default="meso4")
    given = parser.parse_args()
    groups = {"given": given.files} if given.files else _some()
    scanner, total = Scanner(given.model), Tally()
    print(HEAD)
    with _site(given.model) as scan:
        for name, paths in groups.items():
            tally = Tally()
            for path in paths:
                try:
                    wanted = to_json(scanner.scan(path))
                except MesovidError as error:
                    print(f"  {path.name}: {error}", file=sys.stderr)
                    continue
                found = scan(path)
                if isinstance(found, str):
                    tally.refused.append(f"{path.name}: {found}")
                    continue
                tally.add(found, wanted)
                total.add(found, wanted)
            print(tally.row(name), flush=True)
            for each in tally.refused:
                print(f"  refused: {each}", file=sys.stderr)
    print(total.row("all"))


def _some() -> dict[str, list[Path]]:
    data = Path(os.environ.get("MESOVID_DATA", ROOT.parent / "shared" / "data"))
    found = {}
    for name, pattern, count in GROUPS:
        paths = sorted(data.glob(pattern))
        random.Random(0).shuffle(paths)
        found[name] = paths[:count]
    return found


@contextmanager
def _site(model: str) -> Iterator[Any]:
    """A function that scans a file in a browser: its JSON, or the page's refusal."""
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        write_site(Path(folder) / "site", [model])
        handler = functools.partial(_Quiet, directory=f"{folder}/site")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/")

        def scan(path: Path) -> Any:
            page.goto("about:blank")
            page.goto(f"http://127.0.0.1:{server.server_address[1]}/#/")
            page.set_input_files("#file", path)
            page.wait_for_selector("#answer, [role=alert]", timeout=PATIENCE)
            if page.locator("#answer").count():
                return page.evaluate(
                    "async () => (await fetch(document.querySelector('a[download]').href)).json()"
                )
            return page.locator("[role=alert] p").first.text_content()

        yield scan
        browser.close()
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words: Any) -> None:
        pass


if __name__ == "__main__":
    main()
