"""What a server has done, as Prometheus text. Never a name of anybody's file."""

from __future__ import annotations

from collections.abc import Iterator

from mesovid.serve.state import State


def exposition(state: State) -> str:
    """All metrics."""
    return "\n".join(_lines(state)) + "\n"


def _lines(state: State) -> Iterator[str]:
    for name, jobs in (("scans", state.jobs), ("evaluations", state.evaluations)):
        yield f"# TYPE mesovid_{name} gauge"
        for key, n in sorted(jobs.counts().items()):
            yield f'mesovid_{name}{{state="{key}"}} {n}'
    yield "# TYPE mesovid_scan_seconds_total counter"
    for stage, seconds in sorted(dict(state.jobs.seconds).items()):
        yield f'mesovid_scan_seconds_total{{stage="{stage}"}} {seconds:.4f}'
    yield "# TYPE mesovid_faces_total counter"
    yield f"mesovid_faces_total {state.jobs.faces}"
    yield "# TYPE mesovid_received_bytes_total counter"
    yield f"mesovid_received_bytes_total {state.received}"
    yield "# TYPE mesovid_kept_bytes gauge"
    yield f"mesovid_kept_bytes {state.place.used()}"
    yield "# TYPE mesovid_requests_total counter"
    for (method, status), n in sorted(dict(state.requests).items()):
        yield f'mesovid_requests_total{{method="{method}",status="{status}"}} {n}'
