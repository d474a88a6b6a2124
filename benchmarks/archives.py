"""Measures what an archive costs: workers, stages, Ray's actors, one scan against decoding alone.

    python benchmarks/archives.py clips CLIPS --number 40 --seconds 3   # makes short clips to scan
    python benchmarks/archives.py workers CLIPS      # one worker against two, stage by stage
    python benchmarks/archives.py ray CLIPS          # 1, 2 and 4 actors, and a job by itself
    python benchmarks/archives.py single CLIP        # against ffmpeg -f null and decoding alone
    python benchmarks/archives.py fetch CLIPS        # what a copy out of a bucket costs

Prints markdown. Ways are measured in turns, and medians are given, because a machine that does
other work besides changes from minute to minute; its load stands above each table. Wall time says
little on such a machine; the processor's time of all processes says what a way itself takes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
EXAMPLE = ROOT / "examples" / "astronaut.mp4"
STAGES = ("decode", "wait", "detect", "align", "classify")
JOBS = 400  # that do nothing


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("clips", "workers", "ray", "single", "fetch"))
    parser.add_argument("place", type=Path)
    parser.add_argument("--number", type=int, default=40, help="clips to make")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each")
    parser.add_argument("--height", type=int, default=720, help="of each, px")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    if given.what == "clips":
        clips(given.place, given.number, given.seconds, given.height)
        return
    print(f"Load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.\n", flush=True)
    {"workers": workers, "ray": actors, "single": single, "fetch": fetch}[given.what](
        given.place.absolute(), given.runs
    )
    print(f"\nLoad after: {os.getloadavg()[0]:.1f}.")


def clips(folder: Path, number: int, seconds: float, height: int) -> None:
    """Write one clip by x264 and so many links to it."""
    folder.mkdir(parents=True)
    first = folder / "0000.mp4"
    width = round(height * 16 / 18) * 2
    fit = f"scale={width}:{height}:force_original_aspect_ratio=increase,crop={width}:{height}"
    subprocess.run(
        [
            *("ffmpeg", "-v", "error", "-stream_loop", "-1", "-i", EXAMPLE, "-t", str(seconds)),
            *("-vf", fit, "-an", "-pix_fmt", "yuv420p", first),
        ],
        check=True,
    )
    for i in range(1, number):
        os.link(first, folder / f"{i:04}.mp4")


@dataclass(frozen=True, slots=True)
class Run:
    """What a command took, and what its results say of their stages."""

    wall: float  # s
    cpu: float  # s, of all its processes
    videos: int
    stages: dict[str, float]  # s, added up over the videos


def workers(folder: Path, runs: int) -> None:
    """One worker against two."""
    taken = in_turns({n: lambda n=n: scan(folder, "--workers", n) for n in (1, 2)}, runs)
    print("| workers | wall s | videos a minute | CPU s a video | wall, against one |")
    print("| --- | ---: | ---: | ---: | ---: |")
    one = middle(taken[1], "wall")
    for n, found in taken.items():
        wall, cpu, videos = middle(found, "wall"), middle(found, "cpu"), found[0].videos
        print(
            f"| {n} | {wall:.1f} | {60 * videos / wall:.0f} | {cpu / videos:.3f} |"
            f" {one / wall:.2f} x |"
        )
    print_stages(taken)


def print_stages(taken: dict[int, list[Run]]) -> None:
    """The share of each stage of a worker's time: `decode` runs beside the others in a thread."""
    print("\n| share of a worker's time | " + " | ".join(f"{n} workers" for n in taken) + " |")
    print("| --- |" + " ---: |" * len(taken))
    rows: dict[str, list[str]] = {}
    for n, found in taken.items():
        run = sorted(found, key=lambda run: run.wall)[len(found) // 2]
        whole = n * run.wall
        scanning = run.stages["total"]
        named = {name: run.stages[name] for name in ("detect", "align", "classify")}
        named["waiting for frames (decoding)"] = run.stages["wait"]
        named["opening, judging, the rest of a scan"] = scanning - sum(named.values())
        named["start, hand-over, writing, idle"] = whole - scanning
        for name, seconds in named.items():
            rows.setdefault(name, []).append(f"{100 * seconds / whole:.1f} %")
        rows.setdefault("(decoding, in its thread)", []).append(
            f"{100 * run.stages['decode'] / whole:.1f} %"
        )
    for name, cells in rows.items():
        print(f"| {name} | " + " | ".join(cells) + " |")


def actors(folder: Path, runs: int) -> None:
    """1, 2 and 4 of Ray's actors against as many processes, with videos and with empty jobs."""
    with cluster(4) as address:
        options = ("--engine", "ray", "--address", address, "--workers")
        ways: dict[str, Callable[[], Run]] = {}
        for n in (1, 2, 4):
            ways[f"processes, {n}"] = lambda n=n: scan(folder, "--workers", n)  # type: ignore[misc]
            ways[f"Ray, {n}"] = lambda n=n: scan(folder, *options, n)  # type: ignore[misc]
        taken = in_turns(ways, runs)
        empty = {
            name: statistics.median(nothing(name, address) for _ in range(runs)) for name in ways
        }
    print("| engine and workers | wall s | videos a minute | ms a job by itself |")
    print("| --- | ---: | ---: | ---: |")
    for name, found in taken.items():
        wall = middle(found, "wall")
        rate = 60 * found[0].videos / wall
        print(f"| {name} | {wall:.1f} | {rate:.0f} | {1000 * empty[name]:.2f} |")


def nothing(name: str, address: str) -> float:
    """Seconds that a job takes that does nothing, once the workers are there."""
    engine, _, number = name.partition(", ")
    program = (
        "import sys, time\n"
        "from functools import partial\n"
        "from mesovid import pool, ray_engine\n"
        "run = pool.run if sys.argv[1] == 'processes' else"
        " partial(ray_engine.run, address=sys.argv[2])\n"
        "if __name__ == '__main__':\n"
        f"    began = None\n"
        f"    for number, _ in enumerate(run(iter(range({JOBS})), abs, int(sys.argv[3]))):\n"
        "        if number == 40: began = time.perf_counter()\n"
        f"    print((time.perf_counter() - began) / ({JOBS} - 41))\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "nothing.py")
        script.write_text(program)
        done = subprocess.run(
            [sys.executable, "-W", "ignore", script, engine, address, number],
            check=True, capture_output=True, text=True, env=environment(),
        )  # fmt: skip
    return float(done.stdout.split()[-1])


@contextmanager
def cluster(processors: int) -> Iterator[str]:
    """A Ray cluster of this machine that says it has so many processors."""
    program = (
        "import sys; from ray.cluster_utils import Cluster\n"
        f"made = Cluster(initialize_head=True, head_node_args={{'num_cpus': {processors},"
        " 'include_dashboard': False, 'object_store_memory': 80_000_000})\n"
        "print('\\nAT', made.address, flush=True); sys.stdin.read(); made.shutdown()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=environment(),
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("AT "):
                yield line.split()[1]
                break
        else:
            sys.exit("Ray did not start")
    finally:
        process.stdin.close()
        process.wait()


def single(clip: Path, runs: int) -> None:
    """A new process against `ffmpeg -f null`, and a loaded scanner against decoding alone."""
    from mesovid import Scanner
    from mesovid.settings import SampleSettings
    from mesovid.video import sample

    scanner = Scanner("meso4")

    def decoded() -> None:
        with sample(clip, SampleSettings()) as sampling:
            for _ in sampling:
                pass

    null = ["ffmpeg", "-v", "error", "-i", str(clip), "-f", "null", "-"]
    cold = [sys.executable, "-m", "mesovid", "scan", str(clip), "--model", "meso4"]
    taken = in_turns(
        {
            "ffmpeg -f null": lambda: timed(null),
            "cold": lambda: timed(cold),
            "decoding alone": lambda: timed(decoded),
            "warm": lambda: timed(lambda: scanner.scan(clip)),
        },
        runs,
    )
    print("| | wall s | CPU s | wall, least s |")
    print("| --- | ---: | ---: | ---: |")
    for name, found in taken.items():
        least = min(run.wall for run in found)
        print(
            f"| {name} | {middle(found, 'wall'):.2f} | {middle(found, 'cpu'):.2f} | {least:.2f} |"
        )
    for name, base in (("cold", "ffmpeg -f null"), ("warm", "decoding alone")):
        pairs = zip(taken[name], taken[base], strict=True)
        walls, cpus = zip(*((a.wall / b.wall, a.cpu / b.cpu) for a, b in pairs), strict=True)
        print(
            f"\n{name} against {base}: {statistics.median(walls):.2f} x of wall time,"
            f" {statistics.median(cpus):.2f} x of processor time (medians of pairs)"
        )


def fetch(folder: Path, runs: int) -> None:
    """Clips in a folder against the same in a bucket."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "something",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }  # fmt: skip
    import fsspec

    store = fsspec.filesystem("s3")
    store.mkdir("films")
    for clip in folder.iterdir():
        store.pipe(f"films/{clip.name}", clip.read_bytes())
    taken = in_turns(
        {
            place: lambda place=place: scan(place, "--workers", 2)
            for place in (folder, "s3://films")
        },
        runs,
    )
    print("| | wall s | CPU s a video | s of fetching a video |")
    print("| --- | ---: | ---: | ---: |")
    for place, found in taken.items():
        videos = found[0].videos
        fetched = statistics.median(run.stages.get("fetch", 0.0) for run in found) / videos
        name = "bucket" if place != folder else "folder"
        cpu = middle(found, "cpu") / videos
        print(f"| {name} | {middle(found, 'wall'):.1f} | {cpu:.3f} | {fetched:.3f} |")
    server.stop()


def in_turns(ways: dict[Any, Callable[[], Run]], runs: int) -> dict[Any, list[Run]]:
    """Each way so many times, one after the other in every round."""
    taken: dict[Any, list[Run]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            taken[name].append(way())
    return taken


def middle(found: Sequence[Run], name: str) -> float:
    return float(statistics.median(getattr(run, name) for run in found))


def scan(place: object, *options: object) -> Run:
    """Scan a folder or bucket by the command."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "results.jsonl")
        words = ["scan", place, "-o", file, "--model", "meso4", *options]
        command = [sys.executable, "-m", "mesovid", *map(str, words)]
        run = timed(command)
        lines = [json.loads(line) for line in file.read_text().splitlines()]
    stages: dict[str, float] = {}
    for line in lines:
        if line["error"]:
            sys.exit(line["error"])
        for name, seconds in line["seconds"].items():
            stages[name] = stages.get(name, 0.0) + seconds
    return Run(run.wall, run.cpu, len(lines), stages)


def timed(what: Sequence[str] | Callable[[], object]) -> Run:
    """A command, or a function of this process."""
    who = resource.RUSAGE_SELF if callable(what) else resource.RUSAGE_CHILDREN
    before = resource.getrusage(who)
    began = time.perf_counter()
    if callable(what):
        what()
    else:
        done = subprocess.run(what, capture_output=True, text=True, check=False, env=environment())
        if done.returncode:
            sys.exit(done.stderr[-2000:])
    wall = time.perf_counter() - began
    after = resource.getrusage(who)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, cpu, 1, {})


def environment() -> dict[str, str]:
    """With compiled modules, as an installed package has them, whatever this shell says of that."""
    own = {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | own


if __name__ == "__main__":
    if shutil.which("ffmpeg") is None:
        sys.exit("this needs the ffmpeg program")
    main()
