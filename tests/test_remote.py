"""Videos in a bucket give what they give on disk, and leave nothing behind.

What goes wrong is one line. The bucket is moto's, an S3 server of this machine's own.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from trees import ClipWriter

from mesovid import batch, remote
from mesovid.archive import Archive
from mesovid.cli.scan import command
from mesovid.errors import InputError, SettingsError
from mesovid.remote import Listed, fetched, find, is_url

QUICK = ("--frames", "2", "--workers", "0", "--model", "meso4")


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """What puts objects into an S3 server of this machine, as somebody with credentials."""
    import fsspec
    from moto.server import ThreadedMotoServer

    started = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "something")
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        yield fsspec.filesystem("s3", use_listings_cache=False)
        fsspec.get_filesystem_class("s3").clear_instance_cache()
    started.stop()


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where temporary files go."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def store(server: Any) -> Any:
    """The server with an empty bucket `films`."""
    if server.exists("films"):
        server.rm("films", recursive=True)
    server.mkdir("films")
    return server


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, astronaut: np.ndarray) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    write = ClipWriter(astronaut)
    for name in ("a.avi", "b.avi"):
        write(folder / name)
    return [folder / "a.avi", folder / "b.avi"]


def scan(*words: object) -> Result:
    return CliRunner().invoke(command, [*map(str, words), *QUICK], catch_exceptions=False)


def lines(file: Path) -> dict[str, Any]:
    found = [json.loads(line) for line in file.read_text().splitlines()]
    assert len({line["path"] for line in found}) == len(found)
    return {line["path"]: line for line in found}


def test_a_bucket_scans_like_a_folder_and_goes_on_by_what_has_changed(
    store: Any, clips: list[Path], tmp_path: Path, scratch: Path
) -> None:
    for clip in clips:
        store.pipe(f"films/in/{clip.name}", clip.read_bytes())
    store.pipe("films/in/deep/.hidden.avi", b"-")
    store.pipe("films/in/notes.txt", b"-")
    here, there = tmp_path / "here.jsonl", tmp_path / "there.jsonl"
    assert scan(*clips, "-o", here).exit_code == 0
    done = scan("s3://films/in", "-o", there)
    assert done.exit_code == 0, done.output
    assert "passed over in folders: 1 .txt" in done.stderr
    local, far = lines(here), lines(there)
    assert set(far) == {"s3://films/in/a.avi", "s3://films/in/b.avi"}
    own = {"path": None, "file": None, "seconds": None}
    for clip in clips:
        assert far[f"s3://films/in/{clip.name}"] | own == local[str(clip)] | own
    facts = far["s3://films/in/a.avi"]["file"]
    assert facts["size"] == clips[0].stat().st_size
    assert facts["etag"]
    assert list(scratch.iterdir()) == []  # nothing is left

    before = there.read_bytes()
    assert scan("s3://films/in/", "-o", there).exit_code == 0
    assert there.read_bytes() == before  # all of it is done

    store.pipe("films/in/a.avi", clips[1].read_bytes())  # another film by that name
    assert scan("s3://films/in", "-o", there).exit_code == 0
    after = lines(there)
    again = after["s3://films/in/a.avi"]
    assert again["file"]["etag"] == far["s3://films/in/b.avi"]["file"]["etag"]
    assert again["frames"] == far["s3://films/in/b.avi"]["frames"]
    assert after["s3://films/in/b.avi"] == far["s3://films/in/b.avi"]


def test_an_object_that_vanishes_or_changes_costs_itself(
    store: Any, clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.avi", "gone.avi", "other.avi", "text.avi"):
        store.pipe(f"films/{name}", clips[0].read_bytes())
    store.pipe("films/text.avi", b"no film at all")
    found = find("s3://films")
    store.rm("films/gone.avi")
    store.pipe("films/other.avi", clips[1].read_bytes())
    monkeypatch.setattr(batch, "find", lambda *_: found)
    file = tmp_path / "results.jsonl"
    assert scan("s3://films", "-o", file).exit_code == 1
    errors = {path: line["error"] for path, line in lines(file).items()}
    assert errors == {
        "s3://films/a.avi": None,
        "s3://films/gone.avi": "s3://films/gone.avi: no such object",
        "s3://films/other.avi": "s3://films/other.avi: it has changed since it was listed; scan it"
        " again",
        "s3://films/text.avi": "s3://films/text.avi: not a video that can be read; it is damaged,"
        " cut off or something else by that name",
    }


def test_a_copy_is_bounded_and_gone_whatever_happens(store: Any, scratch: Path) -> None:
    store.pipe("films/a.avi", b"x" * 3_000_000)
    (item,) = find("s3://films/a.avi")
    with pytest.raises(InputError, match=r"3 MiB are more than the 2 MiB allowed"):
        fetched(item, 2).__enter__()
    with fetched(item) as place:
        assert place.stat().st_size == 3_000_000
        assert place.suffix == ".avi"
    with pytest.raises(ZeroDivisionError), fetched(item):
        raise ZeroDivisionError
    assert list(scratch.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_of_a_copy_nothing_is_left_by_a_kill(
    store: Any, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.pipe("films/a.avi", b"x" * 3_000_000)
    program = (
        "import os, sys, tempfile; from mesovid.remote import find, fetched\n"
        "(item,) = find('s3://films/a.avi')\n"
        "with fetched(item) as place: assert place.stat().st_size == 3_000_000; os._exit(9)\n"
    )
    env = os.environ | {"TMPDIR": str(scratch)}
    done = subprocess.run([sys.executable, "-c", program], env=env, check=False)
    assert done.returncode == 9
    assert sum(path.lstat().st_size for path in scratch.rglob("object*")) < 100  # a link
    monkeypatch.setattr(remote, "YOUNG", -1.0)
    (item,) = find("s3://films/a.avi")
    with fetched(item):
        assert len(list(scratch.iterdir())) == 1  # what was killed is swept up


def test_names_are_taken_literally(store: Any, scratch: Path) -> None:
    odd = ["films/a::b.avi", "films/x*[1]?.avi", "films/-rf $HOME;.avi", "films/ü é.avi"]
    for name in odd:
        store.pipe(name, b"-")
    assert [str(item) for item in find("s3://films")] == sorted(f"s3://{name}" for name in odd)
    for item in find("s3://films"):
        with fetched(item) as place:
            assert place.is_relative_to(scratch)
            assert place.name == "object.avi"
            assert place.read_bytes() == b"-"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("s3://nobody", "s3://nobody: no such bucket or object"),
        ("s3://films/none.mp4", "s3://films/none.mp4: no such object, and no video or picture"),
        ("http://films/a.mp4", "URLs of this kind are not read, only s3://, gs://, az://"),
        ("file:///etc/passwd", "URLs of this kind are not read"),
        ("simplecache::s3://films/a.mp4", "no such file or folder"),
        ("S3://films", "URLs of this kind are not read"),
    ],
)
@pytest.mark.usefixtures("store")
def test_what_cannot_be_read_is_one_line(url: str, says: str) -> None:
    done = scan(url, "--format", "jsonl")
    assert done.exit_code == 1
    assert says in json.loads(done.stdout)["error"]
    assert done.stderr == ""


@pytest.mark.usefixtures("server")
def test_without_credentials_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(InputError, match=r"^s3://films/a: cannot be read \(Unable to locate cred"):
        find("s3://films/a")


def test_without_the_extra_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(SettingsError, match=r"s3:// needs s3fs: pip install 'mesovid\[remote\]'"):
        find("s3://films")


def test_a_listed_name_is_a_name_and_keeps_what_it_knows() -> None:
    item = Listed("s3://a/b", {"size": 3})
    assert item == "s3://a/b"
    assert pickle.loads(pickle.dumps(item)).facts == {"size": 3}
    assert [is_url(name) for name in ("s3://a", "a://", "/a://b", "c:\\a", "a.mp4")] == [
        True, False, False, False, False,
    ]  # fmt: skip


def test_what_lies_on_workers_alone_is_found_there(clips: list[Path], tmp_path: Path) -> None:
    """As a cluster does it: the paths come with their facts, by which a run goes on."""

    def engine(jobs: Any, work: Any, *_: Any) -> Any:
        return ((job, pickle.loads(pickle.dumps(work(job)))) for job in jobs)

    found = batch.find_on_workers([str(clips[0].parent), "/none.mp4"], [], engine)
    assert [str(getattr(item, "path", item)) for item in found] == [*map(str, clips), "/none.mp4"]
    first = found[0]
    assert isinstance(first, Listed)
    assert first.facts["size"] == clips[0].stat().st_size
    line = {
        "schema": 1, "path": str(first), "status": "no_face", "verdict": None, "file": first.facts,
    }  # fmt: skip
    file = tmp_path / "results.jsonl"
    changed = Listed(str(first), first.facts | {"size": 1})
    for listed, outcome in (first, "no_face"), (changed, None):
        file.write_text(json.dumps(line) + "\n")
        with Archive(file, "", {}, inputs=[listed]) as archive:
            assert archive.outcome(listed) == outcome
