"""What is sent to harm, or by mistake: each answered as stated, and nothing of it left."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from test_serve import Served

from mesovid.dataset.manifest import read_dataset
from mesovid.dataset.sources import Options
from mesovid.pictures import encode
from mesovid.serve import uploads
from mesovid.serve.app import create_app
from mesovid.serve.guard import access
from mesovid.serve.problems import ProblemError
from mesovid.serve.uploads import receive, shown_name
from mesovid.settings import ServeSettings

API = "/api/v1"
CLIP = Path(__file__).parent.parent / "examples" / "astronaut.mp4"


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    app = create_app(ServeSettings(max_upload=8, quota=16), access("127.0.0.1", None), threads=1)
    with TestClient(app, base_url="http://127.0.0.1") as found:
        yield found


@pytest.fixture(scope="module")
def portrait(astronaut: np.ndarray) -> bytes:
    return encode(astronaut)


def sent(client: TestClient, name: str, content: bytes) -> dict[str, Any]:
    """A scan of these bytes, once it has ended."""
    started = client.post(f"{API}/scans", params={"name": name, "model": "meso4"}, content=content)
    assert started.status_code == 202, started.text
    for _ in range(1200):
        job = client.get(started.headers["location"]).json()
        if job["state"] in ("done", "failed", "cancelled"):
            return dict(job)
        time.sleep(0.05)
    raise AssertionError(job)


PLAYLIST = "#EXTM3U\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n"
DASH = "<MPD><Period><AdaptationSet><BaseURL>/etc/passwd</BaseURL></AdaptationSet></Period></MPD>"
SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
@pytest.mark.parametrize(
    "content",
    [
        b"ffconcat version 1.0\nfile upload.mp4\nfile /etc/passwd\n",
        PLAYLIST.encode(),
        DASH.encode(),
        SDP.encode(),
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        b"\x00\x00\x00\x18ftypmp42" + b"\xff" * 4000,
        b"PK\x03\x04" + bytes(60),
        b"\x7fELF" + bytes(200),
    ],
    ids=["concat", "hls", "dash", "sdp", "cut-png", "svg", "cut-mp4", "zip", "program"],
)
def test_what_is_no_clip_fails_in_one_sentence(
    client: TestClient, content: bytes, suffix: str
) -> None:
    job = sent(client, f"clip{suffix}", content)
    assert job["state"] == "failed"
    assert job["problem"].startswith(f"clip{suffix}: ")
    assert "\n" not in job["problem"]
    assert "passwd" not in job["problem"]
    assert str(client.app.state.mesovid.place.root) not in json.dumps(job)  # type: ignore[attr-defined]
    client.delete(f"{API}/scans/{job['id']}")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd.mp4", "passwd.mp4"),
        ("..\\..\\windows\\x.mp4", "x.mp4"),
        ("/etc/cron.d/x.png", "x.png"),
        ("a\x00b\x1b[31m.png", "ab[31m.png"),
        ("\u202egnp.exe.png", "gnp.exe.png"),
        ("<img src=x onerror=alert(1)>.png", "<img src=x onerror=alert(1)>.png"),
        ("con" + "x" * 300 + ".png", "x" * 196 + ".png"),
    ],
)
def test_a_name_is_never_a_path(
    client: TestClient, portrait: bytes, given: str, shown: str
) -> None:
    assert shown_name(given) == shown
    job = sent(client, given, portrait[:50])
    assert job["name"] == shown
    root = client.app.state.mesovid.place.root  # type: ignore[attr-defined]
    assert [path.parent.parent for path in root.rglob("upload*")] in ([], [root])
    client.delete(f"{API}/scans/{job['id']}")


async def stalling() -> AsyncIterator[bytes]:
    yield b"some"
    await asyncio.sleep(60)


def test_an_upload_that_stops_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "STALL", 0.05)
    with pytest.raises(ProblemError, match="nothing of the upload came") as found:
        asyncio.run(receive(stalling(), "a.png", tmp_path / "x", 100, None))
    assert found.value.kind == "too-slow"
    assert not (tmp_path / "x").exists()


def test_a_quota_is_held(portrait: bytes) -> None:
    app = create_app(ServeSettings(quota=1), access("127.0.0.1", None), threads=1)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        job = sent(client, "a.png", portrait)
        assert job["state"] == "done"
        filled = client.post(f"{API}/scans", params={"name": "b.png"}, content=bytes(2**20))
        assert (filled.status_code, filled.json()["type"]) == (507, "/problems/disk-full")
        assert "--quota" in filled.json()["detail"]
        unsaid = client.post(
            f"{API}/scans", params={"name": "b.mp4"}, content=iter([bytes(2**18)] * 5)
        )
        assert unsaid.status_code in (413, 507)
        assert client.get(f"{API}/scans/{job['id']}").status_code == 200  # what is there stays
        assert [path.name for path in app.state.mesovid.place.root.iterdir()].count(job["id"]) == 1
        assert len(list(app.state.mesovid.place.root.rglob("upload*"))) == 1


def test_what_nobody_asks_for_is_erased(portrait: bytes) -> None:
    app = create_app(ServeSettings(idle=1), access("127.0.0.1", None), threads=1)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        job = sent(client, "a.png", portrait)
        folder = app.state.mesovid.place.root / job["id"]
        assert folder.is_dir()
        for _ in range(200):
            if not folder.exists():
                break
            time.sleep(0.05)
        answer = client.get(f"{API}/scans/{job['id']}")
        assert (answer.status_code, folder.exists()) == (404, False)


def test_a_scan_is_erased_in_every_state(client: TestClient) -> None:
    content = CLIP.read_bytes()
    asked = {"name": "a.mp4", "every": 1, "model": "meso4"}
    seen = set()
    addresses = [
        client.post(f"{API}/scans", params=asked, content=content).headers["location"]
        for _ in range(3)
    ]
    for wanted in ("queued", "running"):
        for address in list(addresses):
            state = client.get(address).json()["state"]
            if state == wanted or (wanted == "running" and state != "queued"):
                seen.add(state)
                assert client.delete(address).status_code == 204
                assert client.get(address).status_code == 404
                assert client.delete(address).status_code == 404
                addresses.remove(address)
                break
    assert "queued" in seen
    for address in addresses:
        client.delete(address)
    root = client.app.state.mesovid.place.root  # type: ignore[attr-defined]
    for _ in range(200):
        if not list(root.rglob("upload*")):
            return
        time.sleep(0.05)
    raise AssertionError("files of erased scans are left")


def test_many_clients_at_once_and_one_that_hangs_up(portrait: bytes) -> None:
    """Ten uploads to a queue of two, while another one breaks off: all are told, none is left."""
    with Served("--queue", "2") as server:
        host = server.base.removeprefix("http://").rstrip("/")
        name, _, port = host.partition(":")
        head = (
            f"POST {API}/scans?name=a.mp4 HTTP/1.1\r\nHost: {host}\r\n"
            f"Authorization: Bearer {server.token}\r\nContent-Length: 1000000\r\n\r\n"
        )
        with socket.create_connection((name, int(port))) as broken:
            broken.sendall(head.encode() + bytes(1000))
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            answers = list(
                pool.map(
                    lambda n: server.ask(
                        "api/v1/scans", method="POST", params={"name": f"{n}.png"},
                        content=portrait, timeout=60,
                    ),
                    range(10),
                )
            )  # fmt: skip
        statuses = sorted(answer.status_code for answer in answers)
        assert set(statuses) == {202, 503}
        assert statuses.count(202) >= 2
        kept = server.ask("api/v1/scans", timeout=60).json()
        assert len(kept) == statuses.count(202)
        assert server.ask("readyz", timeout=60).status_code in (200, 503)
        server.process.terminate()
        _, stderr = server.process.communicate(timeout=60)
    assert stderr == ""


def test_a_set_that_is_damaged_is_said(tmp_path: Path) -> None:
    (tmp_path / "mine" / "real").mkdir(parents=True)
    (tmp_path / "mine" / "real" / "a.png").write_bytes(b"no picture")
    dataset = read_dataset(tmp_path / "mine", Options(), whole=False)
    assert len(dataset.crops) == 1
    from mesovid.serve.sample_sets import sets_of

    app = create_app(
        ServeSettings(),
        access("127.0.0.1", None),
        sets=sets_of([str(tmp_path / "mine")]),
        threads=1,
    )
    with TestClient(app, base_url="http://127.0.0.1") as client:
        for address in ("faces/0.png", "predictions?random=1&model=meso4"):
            answer = client.get(f"{API}/sets/mine/{address}")
            assert (answer.status_code, answer.json()["type"]) == (422, "/problems/unreadable")
            assert answer.json()["detail"].startswith("real/a.png: ")
        (tmp_path / "mine" / "real" / "a.png").unlink()
        assert client.get(f"{API}/sets/mine/faces/0.png").status_code == 422
