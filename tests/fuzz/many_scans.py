"""Scans a clip fifty times in a row with one server, and prints what grows: memory, files, handles.

    python tests/fuzz/many_scans.py [--scans 50] [--clip examples/astronaut.mp4]

Linux only: it reads /proc. Each scan is watched to its end, its faces and report are asked for, and
it is erased. The first scans load the networks; what counts is from the tenth on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import httpx2

SETTLED = 10  # scans after which nothing may grow
GROWTH = 0.10  # of the memory after the first ten


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scans", type=int, default=50)
    parser.add_argument("--clip", type=Path, default=Path("examples/astronaut.mp4"))
    asked = parser.parse_args()
    words = [sys.executable, "-m", "mesovid", "serve", "--no-open", "--no-token", "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        base = server.stdout.readline().split()[3].rstrip("/") + "/api/v1"
        try:
            print("scan  seconds  server MiB  worker MiB  handles  files left")
            rows = []
            for n in range(1, asked.scans + 1):
                rows.append(row := once(base, server.pid, asked.clip))
                if n in (1, 2, asked.scans) or n % 10 == 0:
                    print(
                        f"{n:4}  {row[0]:7.2f}  {row[1]:10.1f}  {row[2]:10.1f}  {row[3]:7}  "
                        f"{row[4]:10}",
                        flush=True,
                    )
        finally:
            server.terminate()
    settled, last = rows[min(SETTLED, asked.scans) - 1], rows[-1]
    for name, before, after in (("server", settled[1], last[1]), ("worker", settled[2], last[2])):
        if after > before * (1 + GROWTH):
            sys.exit(f"the {name} grew from {before:.1f} to {after:.1f} MiB")
    if last[3] > settled[3] or last[4]:
        sys.exit(f"{last[3] - settled[3]} handles more, {last[4]} files left")


def once(base: str, pid: int, clip: Path) -> tuple[float, float, float, int, int]:
    """A scan from upload to erasure, and what it left."""
    began = time.perf_counter()
    params = {"name": clip.name}
    started = httpx2.post(f"{base}/scans", params=params, content=clip.read_bytes(), timeout=120)
    address = base + started.headers["location"].removeprefix("/api/v1")
    with httpx2.stream("GET", f"{address}/events", timeout=120) as events:
        for _ in events.iter_lines():
            pass
    seconds = time.perf_counter() - began
    for face in httpx2.get(f"{address}/faces").json():
        httpx2.get(f"{address}/faces/{face['n']}.png").raise_for_status()
    httpx2.delete(address).raise_for_status()
    children = [int(name) for name in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    workers = [memory(child) for child in children]
    handles = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    kept = [path for path in _root(pid).rglob("*") if path.name != "lock"]
    return seconds, memory(pid), max(workers, default=0.0), handles, len(kept)


def memory(pid: int) -> float:
    """What a process holds by itself, MiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _root(pid: int) -> Path:
    """The folder of a server, by the lock that it holds."""
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        if handle.is_symlink() and handle.readlink().name == "lock":
            return handle.readlink().parent
    raise RuntimeError("the server holds no lock")


if __name__ == "__main__":
    main()
