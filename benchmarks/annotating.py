"""Times the drawing into a clip against decoding and encoding it alone.

python benchmarks/annotating.py CLIP [CLIP...]

Each clip is scanned once; then it is annotated, and written again by the same encoder without
anything drawn, three times in turns. Prints medians of wall and processor seconds.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from mesovid.evidence import annotate as annotating
from mesovid.scanner import Scanner


def main(clips: list[str]) -> None:
    """Print a line a clip."""
    scanner = Scanner()
    card = scanner.classifier.card
    painter = annotating._Painter.__call__
    print(
        "clip                            drawn: wall  cpu    plain: wall  cpu    ratio: wall  cpu"
    )
    for clip in clips:
        scan = scanner.scan(clip)
        found: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
        with tempfile.TemporaryDirectory() as folder:
            for drawn in [True, False] * 3:
                annotating._Painter.__call__ = painter if drawn else lambda *_: None  # type: ignore[method-assign]
                began = time.perf_counter(), time.process_time()
                annotating.annotate(
                    scan,
                    Path(folder) / "out.mp4",
                    band=card.uncertain,
                    smallest_face=card.smallest_face,
                )
                found[drawn].append(
                    (time.perf_counter() - began[0], time.process_time() - began[1])
                )
        wall, cpu, plain_wall, plain_cpu = (
            statistics.median(times[kind] for times in found[drawn])
            for drawn in (True, False)
            for kind in (0, 1)
        )
        print(
            f"{Path(clip).name:30} {wall:11.2f} {cpu:5.2f} {plain_wall:12.2f} {plain_cpu:5.2f}"
            f" {wall / plain_wall:13.2f} {cpu / plain_cpu:5.2f}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
