"""Routes of the results of an archive, recorded earlier: listed, filtered, sorted, opened."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi import Path as InPath
from pydantic import ValidationError

from mesovid.archive import facts
from mesovid.errors import InputError, SettingsError
from mesovid.models.card import available, find_card, read_card
from mesovid.models.classifier import panel_digest
from mesovid.records import Failure, Scan
from mesovid.report.writers import Result, to_json
from mesovid.scanner import Options
from mesovid.serve.jobs import ScanJob
from mesovid.serve.problems import ProblemError
from mesovid.serve.recorded import OUTCOMES, Recorded, Sort
from mesovid.serve.settings_query import ScanQuery, options_of
from mesovid.serve.state import PREFIX, State, allowed_file, refusals
from mesovid.serve.uploads import Upload, shown_name
from mesovid.settings import Geometry

MOST = 500  # of a list at once
N = Annotated[int, InPath(ge=0, le=10**9)]


def routes(state: State) -> APIRouter:
    router = APIRouter(tags=["results"], responses=refusals(404))

    @router.get("/results", responses=refusals(422))
    def all_results(
        outcome: Annotated[
            str,
            Query(
                max_length=200,
                description="fake, uncertain, real, no_face, too_few_faces, error; with commas "
                "between. All when left out.",
            ),
        ] = "",
        words: Annotated[str, Query(max_length=500, description="What the path contains.")] = "",
        sort: Sort = "worst",
        order: Literal["usual", "backwards"] = "usual",
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
    ) -> dict[str, Any]:
        """A page of the results that `--results` names; worst first: fake, uncertain, real, then
        what has no verdict, and in each the higher P(fake). The file is followed while it grows:
        `read` of its `bytes` so far."""
        recorded = _recorded(state)
        found = recorded.listing(
            _outcomes(outcome),
            words,
            sort,
            backwards=order == "backwards",
            offset=offset,
            limit=limit,
        )
        counts = recorded.counts()
        return {
            "name": recorded.path.name,
            **recorded.progress(),
            "total": sum(counts.values()),
            "counts": counts,
            "matching": found.matching,
            "offset": offset,
            "results": [asdict(row) for row in found.rows],
        }

    @router.get("/results/{n}", responses=refusals(422))
    def one(n: N) -> dict[str, Any]:
        """A recorded result, with all of its faces, as `mesovid scan --format json` gives it."""
        return to_json(_result(state, n)[0])

    @router.post("/results/{n}/scan", status_code=201, responses=refusals(409, 422, 503))
    def reopen(n: N, response: Response) -> dict[str, Any]:
        """Open a recorded result as a scan, to judge it by other rules and to look at its faces:
        they are cut out of the clip where --allow-path lets it be read and it has not changed;
        `faces_problem` says why not."""
        result, line = _result(state, n)
        if isinstance(result, Failure):
            raise ProblemError("not-finished", f"it could not be scanned: {result.error}")
        job = _opened(state, result, line)
        state.jobs.add(job)
        response.headers["location"] = f"{PREFIX}/scans/{job.id}"
        return {"id": job.id, "state": job.state, "faces_problem": job.faces_problem}

    return router


def _result(state: State, n: int) -> tuple[Result, dict[str, Any]]:
    try:
        return _recorded(state).get(n)
    except IndexError as error:
        raise _unknown(state, n) from error
    except InputError as error:
        raise ProblemError("unreadable", str(error)) from error


def _opened(state: State, scan: Scan, line: dict[str, Any]) -> ScanJob:
    """A recorded scan as a job; with pictures of its faces where its clip is still the same."""
    name = shown_name(scan.video.path)
    folder = state.place.new_folder()
    model, geometry = _judge(state, scan)
    path, why = _clip(state, scan, line)
    if path is not None and geometry is None:
        why = f"the model that judged it, {scan.model.name}, is not here with the same weights"
    cut = why is None and bool(scan.scores)
    folder.mkdir(mode=0o700)
    return ScanJob(
        id=folder.name,
        name=name,
        folder=folder,
        state="queued" if cut else "done",
        upload=Upload(name, path or folder / "none", path.stat().st_size if path else 0, ""),
        options=_options(state, scan, model),
        recorded=True,
        geometry=geometry if cut else None,
        faces_problem=why,
        scan=scan,
    )


def _judge(state: State, scan: Scan) -> tuple[str, Geometry | None]:
    """The card of the model that judged, and how it cuts; by its weights, not by its name."""
    paths = [find_card(card.name) for card in available()] + list(state.models.values())
    for path in paths:
        card = read_card(path)
        digest = panel_digest(card.members) if card.members else card.sha256.get("onnx")
        if digest == scan.model.sha256:
            return str(path), card.geometry
    return scan.model.name, None


def _clip(state: State, scan: Scan, line: dict[str, Any]) -> tuple[Path | None, str | None]:
    """Where a result's clip lies, or why it is not shown."""
    try:
        path = allowed_file(state, scan.video.path)
    except ProblemError as error:
        return None, error.detail
    now = facts(str(path))
    then = line.get("file")
    if then is None:  # not said; so it must be older than what was said of it
        recorded = facts(str(_recorded(state).path))
        same = now is not None and recorded is not None and now["modified"] <= recorded["modified"]
    else:
        same = now == then
    return (path, None) if same else (None, "the clip has changed since it was scanned")


def _options(state: State, scan: Scan, model: str) -> Options:
    """The settings of a recorded scan, as far as they are known."""
    query = {
        key: value
        for key, value in scan.settings.items()
        if key in ScanQuery.model_fields and key != "model" and value is not None
    }
    try:
        options = options_of(ScanQuery(**query), state.runtime)
    except (ValidationError, SettingsError):  # of another version
        options = options_of(ScanQuery(), state.runtime)
    return replace(options, scan=replace(options.scan, model=model))


def _recorded(state: State) -> Recorded:
    if state.recorded is None:
        raise ProblemError(
            "no-such-result",
            "this server lists no results; start it with mesovid serve --results FILE.jsonl",
        )
    return state.recorded


def _outcomes(text: str) -> frozenset[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in OUTCOMES:
            raise ProblemError(
                "bad-setting",
                f"outcome {name[:40]!r} is unknown; it must be one of {', '.join(OUTCOMES)}",
                field="outcome",
                known=list(OUTCOMES),
            )
    return frozenset(names or OUTCOMES)


def _unknown(state: State, n: int) -> ProblemError:
    count = sum(_recorded(state).counts().values())
    return ProblemError("no-such-result", f"no result {n}; there are {count}, from 0 on")
