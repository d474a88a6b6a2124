"""Jobs in processes: what crashes, hangs, bloats or raises costs itself alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mesovid.errors import InputError
from mesovid.pool import Crash, Limits, run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")


def act(job: str) -> str:
    """A job is a word that says what to do."""
    match job.split(":"):
        case ["die", number]:
            os.kill(os.getpid(), int(number))
        case ["exit", code]:
            os._exit(int(code))
        case ["hang"]:
            time.sleep(600)
        case ["bloat", mebibytes]:
            return str(np.ones(int(mebibytes) * 2**20, np.uint8).sum())
        case ["raise"]:
            raise InputError("x.mp4: no such file")
        case ["once", path]:  # killed the first time alone
            if not os.path.exists(path):
                Path(path).touch()
                os.kill(os.getpid(), signal.SIGKILL)
        case ["pid"]:
            return str(os.getpid())
    return f"done {job}"


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_every_job_gets_its_result(workers: int) -> None:
    jobs = [f"{i}" for i in range(20)]
    assert sorted(run(jobs, act, workers)) == sorted((job, f"done {job}") for job in jobs)


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        (f"die:{signal.SIGSEGV.value}", "it crashed the worker process (SIGSEGV)"),
        (f"die:{signal.SIGABRT.value}", "it crashed the worker process (SIGABRT)"),
        (f"die:{signal.SIGTERM.value}", "it crashed the worker process (SIGTERM)"),
        (f"die:{signal.SIGKILL.value}", "the system may have run out of memory"),
        ("exit:7", "it crashed the worker process (exit status 7)"),
    ],
)
def test_a_crash_costs_its_own_job(job: str, reason: str) -> None:
    outcomes = dict(run(["a", job, "b", "c"], act, 2))
    crash = outcomes.pop(job)
    assert isinstance(crash, Crash)
    assert reason in crash.reason
    assert outcomes == {name: f"done {name}" for name in "abc"}


def test_what_was_killed_from_outside_is_done_once_more(tmp_path: Path) -> None:
    job = f"once:{tmp_path / 'mark'}"
    assert dict(run([job, "a"], act, 2)) == {job: f"done {job}", "a": "done a"}


def test_what_takes_too_long_is_given_up() -> None:
    outcomes = dict(run(["hang", "a", "b"], act, 2, Limits(timeout=1.5)))
    assert outcomes.pop("hang") == Crash("it took longer than the 1.5 s allowed (--timeout)")
    assert outcomes == {"a": "done a", "b": "done b"}


@pytest.mark.skipif(sys.platform != "linux", reason="no memory limit elsewhere")
def test_what_eats_memory_is_given_up() -> None:
    outcomes = dict(run(["bloat:3000", "a", "bloat:10"], act, 1, Limits(memory=600)))
    assert outcomes.pop("bloat:3000") == Crash(
        "it needs more than the 600 MiB allowed (--memory-limit)"
    )
    assert outcomes == {"a": "done a", "bloat:10": str(10 * 2**20)}


def test_what_work_raises_ends_the_run() -> None:
    with pytest.raises(InputError, match="no such file"):
        list(run(["raise", "a"], act, 1))


def test_workers_stay_for_the_next_job() -> None:
    assert len({result for _, result in run(["pid"] * 8, act, 2)}) <= 2


def test_jobs_are_taken_as_workers_become_free() -> None:
    taken: list[int] = []

    def jobs():  # type: ignore[no-untyped-def]
        for number in range(100):
            taken.append(number)
            yield str(number)

    outcomes = run(jobs(), act, 2)
    next(outcomes)
    assert len(taken) <= 5
    outcomes.close()  # type: ignore[attr-defined]


def test_closing_leaves_no_process_behind() -> None:
    outcomes = run(["pid", "hang"], act, 2)
    _, pid = next(outcomes)
    outcomes.close()  # type: ignore[attr-defined]
    with pytest.raises(ProcessLookupError):
        os.kill(int(str(pid)), 0)


def test_workers_die_with_their_parent(tmp_path: Path) -> None:
    program = (
        "import test_pool\n"
        "from mesovid.pool import run\n"
        "if __name__ == '__main__':\n"
        "    for _, pid in run(['pid', 'hang'], test_pool.act, 2):\n"
        "        print(pid, flush=True)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(program)
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.getcwd()])}
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, env=env
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.kill()
    for _ in range(500):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    pytest.fail("the worker outlived its parent by 5 s")
