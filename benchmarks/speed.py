"""Measures how fast a scan is and what it costs, and prints Markdown tables.

It is compared with what people write and with decoding alone.

    python benchmarks/make_clips.py CLIPS
    python benchmarks/speed.py clips CLIPS/person_720p_10s.mp4 ...   # wall, CPU, memory of each way
    python benchmarks/speed.py warm FOLDER                           # CPU seconds a clip, 50 clips
    python benchmarks/speed.py hour CLIPS/person_1080p_1h.mp4 CLIPS/person_1080p_1min.mp4
    python benchmarks/speed.py memory FOLDER                 # growth over 500 clips in one process
    python benchmarks/speed.py extract FOLDER                # crops a second
    python benchmarks/speed.py start                         # mesovid --help, mesovid models
    python benchmarks/speed.py paths FOLDER                  # the fast path against the reference

Every figure is the median of --runs runs (5), taken in turns: run 1 of each row, run 2 of each row.
CPU seconds and peak memory include child processes. FOLDER is searched for videos. Uses the ffmpeg
program where there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from itertools import cycle, islice
from pathlib import Path
from typing import Any

# standard library only: the peak memory of a child counts from that of its parent

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PACKAGES = (
    "mesovid",
    "av",
    "opencv-python",
    "onnxruntime",
    "numpy",
    "mtcnn",
    "tensorflow",
    "keras",
)
SUFFIXES = {".mp4", ".mkv", ".webm", ".avi", ".mov"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("section", choices=SECTIONS)
    parser.add_argument("paths", nargs="*", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--clips", type=int, help="how many clips of a folder; default 50, 500 for memory"
    )
    parser.add_argument(
        "--only", nargs="+", metavar="ROW", help="rows of `clips` whose name contains one of these"
    )
    parser.add_argument(
        "--runtime", choices=("onnx", "tensorflow"), default="onnx", help="of the reference path"
    )
    given = parser.parse_args()
    print(machine(), flush=True)
    SECTIONS[given.section](given)


# --- sections


def clips(given: argparse.Namespace) -> None:
    """Every pipeline on each clip, in processes of their own, and mesovid in one that stays."""
    for clip in given.paths:
        rows: dict[str, list[str]] = {
            "decode only, OpenCV, 32 frames": pipeline("decode", clip, "--with", "opencv"),
            "decode only, mesovid, 32 frames": pipeline("decode", clip),
            "mesovid scan, cold": mesovid("scan", clip, "--format", "json", "-q"),
            "obvious: OpenCV, detect_faces, predict": pipeline("obvious", clip),
            "mtcnn, batches of 16": pipeline("batches", clip),
            "mtcnn, batches of 16, half size": pipeline("batches", clip, "--half"),
        }
        if shutil.which("ffmpeg"):
            rows = {"ffmpeg -f null, all frames": ffmpeg(clip)} | rows
        wanted = [
            name
            for name in (*rows, WARM)
            if not given.only or any(part in name for part in given.only)
        ]
        usages: dict[str, list[Usage]] = {name: [] for name in wanted}
        with server() as ask:
            if WARM in wanted:
                ask(do="scan", clip=clip)
            for _ in range(given.runs):
                for name in wanted:
                    usages[name].append(
                        asked(ask(do="scan", clip=clip)) if name == WARM else measure(rows[name])
                    )
        print(f"\n{clip.name}\n")
        print_usages({name: median(runs) for name, runs in usages.items()})


def warm(given: argparse.Namespace) -> None:
    """CPU seconds a clip of a loaded scanner, against decoding alone, over many clips."""
    found = videos(given.paths, given.clips or 50)
    rows: dict[str, list[float]] = {
        "mesovid, warm": [],
        "decode only, mesovid": [],
        "decode only, OpenCV": [],
    }
    if shutil.which("ffmpeg"):
        rows["ffmpeg -f null, all frames"] = []
    walls: dict[str, list[float]] = {name: [] for name in rows}
    with server() as ask:
        for clip in [found[0], *found]:
            for name, do in zip(rows, ("scan", "decode", "opencv"), strict=False):
                answer = ask(do=do, clip=clip)
                rows[name].append(answer["cpu"])
                walls[name].append(answer["wall"])
            if "ffmpeg -f null, all frames" in rows:
                usage = measure(ffmpeg(clip))
                rows["ffmpeg -f null, all frames"].append(usage.cpu)
                walls["ffmpeg -f null, all frames"].append(usage.wall)
    print(f"\n{len(found)} clips, means after one to warm up\n")
    print(
        "| | CPU s a clip | wall s a clip | mesovid warm, CPU | median of ratios |\n| --- | ---: "
        "| ---: | ---: | ---: |"
    )
    ours = rows["mesovid, warm"][1:]
    for name in rows:
        cpu = statistics.mean(rows[name][1:])
        ratios = [a / b for a, b in zip(ours, rows[name][1:], strict=True)]
        print(
            f"| {name} | {cpu:.3f} | {statistics.mean(walls[name][1:]):.3f} | "
            f"{statistics.mean(ours) / cpu:.2f} x | {statistics.median(ratios):.2f} x |"
        )


def hour(given: argparse.Namespace) -> None:
    """The long clip against the short one: wall seconds and peak memory of cold scans."""
    usages: dict[str, list[Usage]] = {clip.name: [] for clip in given.paths}
    for _ in range(given.runs):
        for clip in given.paths:
            usages[clip.name].append(measure(mesovid("scan", clip, "--format", "json", "-q")))
    medians = {name: median(runs) for name, runs in usages.items()}
    print()
    print_usages(medians)
    first, *others = medians.values()
    for name, other in zip(list(medians)[1:], others, strict=True):
        print(f"\nThe first takes {first.wall / other.wall:.2f} times the wall time of {name}.")


def memory(given: argparse.Namespace) -> None:
    """Resident memory of one process over many clips."""
    count = given.clips or 500
    found = videos(given.paths, count)
    print(
        f"\n{count} scans of {len(found)} clips in one process\n\n| clips | resident MB | growth "
        "MB |\n| ---: | ---: | ---: |"
    )
    before = None
    with server() as ask:
        for number, clip in enumerate(islice(cycle(found), count), 1):
            answer = ask(do="scan", clip=clip)
            if number % 100 == 0 or number in (1, 10, count):
                now = answer["resident"] or answer["peak"]
                print(
                    f"| {number} | {now:.1f} | "
                    f"{'' if before is None else f'{now - before:+.1f}'} |",
                    flush=True,
                )
                before = now
        print(f"\nPeak {answer['peak']:.0f} MB.")


def extract(given: argparse.Namespace) -> None:
    """Faces written a second by `mesovid extract` and by the obvious pipeline.

    Extraction runs in one process, and in one a core.
    """
    found = videos(given.paths, given.clips or 10)
    rates: dict[str, list[float]] = {
        "obvious": [],
        "mesovid extract, 1 process": [],
        "mesovid extract": [],
    }
    counts = dict.fromkeys(rates, 0)
    for _ in range(given.runs):
        for name in rates:
            with tempfile.TemporaryDirectory() as folder:
                collection, output = Path(folder) / "collection", Path(folder) / "output"
                collection.mkdir()
                for number, clip in enumerate(found):
                    (collection / f"{number:03}_{clip.name}").symlink_to(clip.resolve())
                if name == "obvious":
                    command = pipeline("extract", *found, "--output", output)
                else:
                    command = mesovid("extract", collection, "-o", output, "--label", "real", "-q")
                    command += ["--workers", "0"] if "1 process" in name else []
                usage = measure(command)
                counts[name] = sum(1 for _ in output.rglob("*.png"))
                rates[name].append(counts[name] / usage.wall)
    print(
        f"\n{len(found)} clips, 32 frames each\n\n| | faces | faces a second | times the obvious "
        "|\n| --- | ---: | ---: | ---: |"
    )
    base = statistics.median(rates["obvious"])
    for name, runs in rates.items():
        rate = statistics.median(runs)
        print(f"| {name} | {counts[name]} | {rate:.1f} | {rate / base:.1f} x |")


def start(given: argparse.Namespace) -> None:
    """Commands that should answer at once."""
    commands = {f"mesovid {name}": mesovid(name) for name in ("--help", "models")}
    commands["python -c pass"] = [sys.executable, "-c", "pass"]
    usages: dict[str, list[Usage]] = {name: [] for name in commands}
    for _ in range(given.runs):
        for name, command in commands.items():
            usages[name].append(measure(command))
    print()
    print_usages({name: median(runs) for name, runs in usages.items()})


def paths(given: argparse.Namespace) -> None:
    """The fast path (faces followed) against the reference path (the cascade in every frame)."""
    found = videos(given.paths, given.clips or 10_000)
    differences, other_faces, other_status = [], [], []
    with server() as ask:
        for clip in found:
            fast = ask(do="scan", clip=clip)["result"]
            slow = ask(do="scan", clip=clip, redetect=1, runtime=given.runtime)["result"]
            pair = fast.get("fake_probability"), slow.get("fake_probability")
            if (pair[0] is None) != (pair[1] is None) or ("error" in fast) != ("error" in slow):
                other_status.append(clip.name)
            elif pair[0] is not None and pair[1] is not None:
                differences.append((abs(pair[0] - pair[1]), clip.name))
            if fast.get("faces") != slow.get("faces"):
                other_faces.append(f"{clip.name} ({fast.get('faces')} and {slow.get('faces')})")
    print(
        f"\n{len(found)} clips, {len(differences)} with a verdict; reference: redetect 1, runtime "
        f"{given.runtime}\n"
    )
    if differences:
        worst, where = max(differences)
        print(f"Largest |difference| of the verdict's probability: {worst:.4f} ({where}).")
        print(f"Mean {statistics.mean(value for value, _ in differences):.4f}; ", end="")
        print(f"above 0.02: {sum(value > 0.02 for value, _ in differences)}.")
    print(
        f"Another number of faces in {len(other_faces)}: {', '.join(other_faces[:20]) or 'none'}."
    )
    print(f"Another status in {len(other_status)}: {', '.join(other_status[:20]) or 'none'}.")


WARM = "mesovid scan, warm"
SECTIONS = {
    "clips": clips,
    "warm": warm,
    "hour": hour,
    "memory": memory,
    "extract": extract,
    "start": start,
    "paths": paths,
}

# --- measuring


@dataclass(frozen=True, slots=True)
class Usage:
    """What a command took."""

    wall: float  # s
    cpu: float  # s, of all its processes
    peak: float  # MB of the largest of its processes
    faces: int | None = None  # that it found


def measure(command: Sequence[str]) -> Usage:
    """Run a command to its end. SystemExit with its stderr when it fails."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as messages:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=output, stderr=messages, env=environment(), cwd=ROOT
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            messages.seek(0)
            sys.exit(
                f"{' '.join(command)} ended with "
                f"{process.returncode}:\n{messages.read().decode()[-2000:]}"
            )
        output.seek(0)
        printed = output.read().decode(errors="replace")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return Usage(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit, faces_in(printed))


def faces_in(printed: str) -> int | None:
    """The number of faces in the JSON that a pipeline printed, if it did."""
    try:
        found = json.loads(printed)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    faces = found.get("scored_faces", found.get("faces"))
    return faces if isinstance(faces, int) else None


@contextmanager
def server() -> Iterator[Any]:
    """Start a process that keeps its networks loaded.

    Gives a function that sends a request and returns the answer.
    """
    process = subprocess.Popen(
        pipeline("serve"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def ask(**request: Any) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(
            json.dumps(
                {
                    key: str(value.absolute()) if isinstance(value, Path) else value
                    for key, value in request.items()
                }
            )
            + "\n"
        )
        process.stdin.flush()
        answer: dict[str, Any] = json.loads(
            process.stdout.readline() or sys.exit("the warm process ended")
        )
        return answer

    try:
        yield ask
    finally:
        process.stdin.close()
        process.wait()


def asked(answer: dict[str, Any]) -> Usage:
    """The usage of a warm scan. SystemExit when it failed."""
    if "error" in answer["result"]:
        sys.exit(answer["result"]["error"])
    return Usage(answer["wall"], answer["cpu"], answer["peak"], answer["result"].get("faces"))


def median(runs: Sequence[Usage]) -> Usage:
    middle = [
        statistics.median(getattr(run, name) for run in runs) for name in ("wall", "cpu", "peak")
    ]
    return Usage(*middle, runs[0].faces)


def print_usages(usages: dict[str, Usage]) -> None:
    cold = usages.get("mesovid scan, cold")
    print(f"| | wall s | CPU s | peak MB | faces |{' of cold mesovid |' if cold else ''}")
    print(f"| --- | ---: | ---: | ---: | ---: |{' ---: |' if cold else ''}")
    for name, usage in usages.items():
        ratio = f" {usage.wall / cold.wall:.2f} x |" if cold else ""
        faces = "" if usage.faces is None else usage.faces
        print(
            f"| {name} | {usage.wall:.2f} | {usage.cpu:.2f} | {usage.peak:.0f} | {faces} |{ratio}",
            flush=True,
        )


# --- what is run


def pipeline(*arguments: object) -> list[str]:
    return [sys.executable, str(HERE / "pipelines.py"), *absolute(arguments)]


def mesovid(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "mesovid", *absolute(arguments)]


def ffmpeg(clip: Path) -> list[str]:
    return ["ffmpeg", "-v", "error", "-i", str(clip.resolve()), "-f", "null", "-"]


def absolute(arguments: Sequence[object]) -> list[str]:
    return [str(item.absolute() if isinstance(item, Path) else item) for item in arguments]


def environment() -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).strip(
            os.pathsep
        )
    }


def videos(places: Sequence[Path], most: int) -> list[Path]:
    """Up to `most` videos, evenly picked from files and folders."""
    found = []
    for place in places:
        found += (
            sorted(path for path in place.rglob("*") if path.suffix.lower() in SUFFIXES)
            if place.is_dir()
            else [place]
        )
    if not found:
        sys.exit("no videos given; name files or folders")
    step = max(len(found) / most, 1)
    return [found[int(i * step)] for i in range(min(most, len(found)))]


def machine() -> str:
    """Machine, versions and date, one line each."""
    names = [
        line.split(":")[1].strip()
        for line in lines("/proc/cpuinfo")
        if line.startswith("model name")
    ]
    kib = [int(line.split()[1]) for line in lines("/proc/meminfo") if line.startswith("MemTotal")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    if shutil.which("ffmpeg"):
        banner = subprocess.run(
            ["ffmpeg", "-version"], capture_output=True, text=True, check=False
        ).stdout
        versions.append(" ".join(banner.split()[:3:2]))
    load = os.getloadavg()[0]
    return (
        f"{date.today()}; {names[0] if names else platform.processor()}, {cores} cores, "
        f"{kib[0] / 2**20:.0f} GiB; load before {load:.1f}\n"
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, "
        f"{', '.join(versions)}"
        if kib
        else (
            f"{date.today()}; {platform.platform()}, {cores} cores; load before "
            f"{load:.1f}\n{', '.join(versions)}"
        )
    )


def lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


if __name__ == "__main__":
    main()
