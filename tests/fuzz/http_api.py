"""Asks the API of `mesovid serve` thousands of odd questions, made by schemathesis of its schema.

    python tests/fuzz/http_api.py [--cases 2000] [--seed 1]

Names and numbers of things that are there take the place of many made-up ones, so that requests get
past the first check. No answer may be a server error other than "busy" and "disk full"; every
refusal must be a problem of a known kind, whose status the schema names for that route.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import SkipTest

import schemathesis
import skimage.data
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from mesovid.dataset.manifest import CropEntry, write_card, write_manifest
from mesovid.pictures import encode
from mesovid.serve.app import create_app
from mesovid.serve.docs import schema
from mesovid.serve.guard import access
from mesovid.serve.problems import KINDS
from mesovid.serve.sample_sets import sets_of
from mesovid.settings import ServeSettings

KNOWN = 0.7  # fraction of names and numbers that are of something that is there
EXPECTED = (503, 507)  # a full queue and a full disk are answers


@contextmanager
def serving(**more: Any) -> Iterator[tuple[TestClient, dict[str, list[Any]]]]:
    """A server with a scan, a set and results, and what is there by the name of a parameter."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        face = encode(skimage.data.astronaut())
        for label in ("real", "fake"):
            (root / "mine" / label).mkdir(parents=True)
            (root / "mine" / label / "0.png").write_bytes(
                encode(skimage.data.astronaut()[:256, 100:356])
            )
        entries = [
            CropEntry(file=f"{label}/0.png", label=label, video=label) for label in ("real", "fake")
        ]
        write_manifest(root / "mine", entries)
        write_card(root / "mine", geometry=None, layout="folders", settings={}, crops=entries)
        results = root / "results.jsonl"
        results.touch()
        app = create_app(
            ServeSettings(queue=30, max_upload=1, metrics=True, **more),
            access("127.0.0.1", None),
            sets=sets_of([str(root / "mine")]),
            recorded=results,
            roots=[root],
            threads=1,
        )
        headers = {"host": "127.0.0.1"}
        with TestClient(
            app, base_url="http://127.0.0.1", headers=headers, raise_server_exceptions=False
        ) as client:
            params = {"name": "face.png", "model": "meso4"}
            job = client.post("/api/v1/scans", params=params, content=face).json()
            while (found := client.get(f"/api/v1/scans/{job['id']}").json())["state"] != "done":
                time.sleep(0.05)
            results.write_text(json.dumps(found["result"]) + "\n")
            yield client, {
                "id_": [job["id"]],
                "scan": [job["id"]],
                "name": ["meso4", "mine", "mesolite"],
                "model": ["meso4", "mesoinception4", "panel"],
                "set": ["mine"],
                "layer": ["conv1", "conv3", "dense1", "logit", "face"],
                "n": [0, 1],
                "map": [0, 3],
                "row": [0, 40],
                "column": [0, 40],
                "layers": ["conv2", "conv1,dense1"],
                "random": [1, 2],
                "path": [str(results), str(root / "mine/real/0.png")],
            }  # fmt: skip


def ask(
    client: TestClient, there: dict[str, list[Any]], cases: int, number: int
) -> Counter[tuple[str, int]]:
    """Ask about so many questions; how often each route answered with each status."""
    made = schema(client.app)  # type: ignore[arg-type]
    described = schemathesis.openapi.from_dict(made)
    operations = [found.ok() for found in described.get_all_operations()]
    answers: Counter[tuple[str, int]] = Counter()
    dice = random.Random(number)
    each = max(1, cases // (2 * len(operations)))
    for operation in operations:
        erases = operation.method == "delete" and "scans" in operation.path
        kept = {key: value for key, value in there.items() if not (erases and key == "id_")}

        def check(case: Any) -> None:
            _fill(case, kept, dice)  # noqa: B023  (used before the next round)
            answer = _sent(client, case)
            answers[case.operation.label, answer.status_code] += 1
            _judge(made, case.operation, answer)

        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _drawn(operation, mode, each, number)(check)
    return answers


def _drawn(operation: Any, mode: GenerationMode, count: int, number: int) -> Any:
    """Runs a check on so many questions of one route."""

    def run(check: Any) -> None:
        try:
            wrapped = given(case=operation.as_strategy(generation_mode=mode))(check)
            settings(
                max_examples=count,
                phases=[Phase.generate],
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            )(seed(number)(wrapped))()
        except (Unsatisfiable, SkipTest):  # nothing can be wrong with some
            pass

    return run


def _fill(case: Any, there: dict[str, list[Any]], dice: random.Random) -> None:
    """Put what is there in the place of what was made up."""
    for values in (case.path_parameters, case.query):
        for name in list(values or {}):
            if name in there and dice.random() < KNOWN:
                values[name] = dice.choice(there[name])
    if "/maps/" in case.operation.path and isinstance(case.query, dict):
        case.query.setdefault("set", "mine")


def _sent(client: TestClient, case: Any) -> Any:
    kwargs = case.as_transport_kwargs(base_url="http://127.0.0.1")
    content = kwargs.get("data")
    headers = {
        name: value
        for name, value in kwargs["headers"].items()
        if name.lower() == "content-type" and value.isascii()
    }
    return client.request(
        kwargs["method"],
        kwargs["url"],
        params=kwargs.get("params") or {},
        headers=headers,
        **(
            {"json": kwargs["json"]}
            if "json" in kwargs
            else {"content": content if isinstance(content, (bytes, str)) else b""}
        ),
    )


def _judge(made: dict[str, Any], operation: Any, answer: Any) -> None:
    label = operation.label
    status = answer.status_code
    assert status < 500 or status in EXPECTED, f"{label}: {status} {answer.text[:500]}"
    if status < 400:
        return
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json", f"{label}: {status}"
    kind = body["type"].removeprefix("/problems/")
    assert KINDS[kind][0] == status == body["status"], f"{label}: {body}"
    declared = made["paths"][operation.path][operation.method]["responses"]
    # another method or address than the schema's is no answer of that route
    assert str(status) in declared or kind in ("no-such-page", "bad-method"), f"{label}: {body}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    began = time.perf_counter()
    with serving(allow_import=True) as (client, there):
        answers = ask(client, there | {"file": ["a.onnx"]}, asked.cases, asked.seed)
    total: Counter[int] = Counter()
    for (_, status), count in answers.items():
        total[status] += count
    seconds = time.perf_counter() - began
    print(f"{sum(total.values())} requests of {len({label for label, _ in answers})} routes")
    print(f"in {seconds:.0f} s: " + ", ".join(f"{n} x {s}" for s, n in sorted(total.items())))


if __name__ == "__main__":
    main()
