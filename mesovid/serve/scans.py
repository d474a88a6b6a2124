"""Routes of scans: sent, watched, judged again, looked at, erased."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as InPath
from fastapi.responses import FileResponse, StreamingResponse

from mesovid.models.card import read_card
from mesovid.report import WRITERS
from mesovid.report.writers import to_json
from mesovid.serve.jobs import Jobs, ScanJob
from mesovid.serve.problems import ProblemError
from mesovid.serve.settings_query import ScanQuery, options_of
from mesovid.serve.state import BYTES, PREFIX, Name, State, card_path, refusals
from mesovid.serve.uploads import check_kind, receive
from mesovid.verdict import Rule, doubt_of, doubted, judge

EVENT_WAIT = 0.05  # seconds between looks at a scan's events
EVENT_SILENCE = 15.0  # seconds after which a comment keeps the line open
Aggregate = Literal["mean", "median", "trimmed_mean", "top_third", "max"]


def routes(state: State) -> APIRouter:
    router = APIRouter(tags=["scans"], responses=refusals(404))
    jobs = state.jobs

    @router.post(
        "/scans",
        status_code=202,
        openapi_extra=BYTES,
        responses=refusals(400, 413, 415, 422, 503, 507),
    )
    async def start(
        request: Request,
        response: Response,
        settings: Annotated[ScanQuery, Query()],  # type: ignore[valid-type]
        name: Annotated[
            str, Query(max_length=1000, description="The file's name; its suffix says what it is.")
        ],
    ) -> dict[str, Any]:
        """Send a video or picture as the body; a scan of it is queued.

        Its result is at the address in Location.
        """
        options = options_of(settings, state.runtime)
        options = dataclasses.replace(
            options,
            scan=dataclasses.replace(options.scan, model=str(card_path(state, options.scan.model))),
        )
        check_kind(name)
        jobs.check_room()
        length = request.headers.get("content-length", "")
        upload = await receive(
            request.stream(),
            name,
            jobs.new_folder(),
            state.settings.max_upload * 2**20,
            int(length) if length.isdecimal() else None,
        )
        job = jobs.add(upload, options)
        response.headers["location"] = f"{PREFIX}/scans/{job.id}"
        return _described(state, job)

    @router.get("/scans")
    def all_scans() -> list[dict[str, Any]]:
        """This server's scans, newest first, without their results."""
        return [_described(state, job, result=False) for job in jobs.all()]

    @router.get("/scans/{id_}")
    def one(id_: Name) -> dict[str, Any]:
        """A scan's state and, once it is done, its `result`.

        The result is that of `mesovid scan --format json`.
        """
        return _described(state, jobs.get(id_))

    @router.delete("/scans/{id_}", status_code=204)
    def erase(id_: Name) -> Response:
        """Stop a scan and erase the file, the faces and the result."""
        jobs.erase(id_)
        return Response(status_code=204)

    @router.get("/scans/{id_}/events", response_class=StreamingResponse)
    async def events(
        request: Request, id_: Name, after: Annotated[int, Query(ge=0, le=10**9)] = 0
    ) -> StreamingResponse:
        """Server-sent events: queued, running, face, then done, failed or cancelled.

        `Last-Event-ID` goes on.
        """
        job = jobs.get(id_)
        last = request.headers.get("last-event-id", "")
        start = int(last) if last.isdecimal() and len(last) < 10 else after
        return StreamingResponse(_stream(jobs, job, start), media_type="text/event-stream")

    @router.get("/scans/{id_}/result.{format_}", responses=refusals(409))
    def result(id_: Name, format_: Literal["json", "jsonl", "csv", "txt"]) -> Response:
        """The result as `mesovid scan --format` writes it."""
        scan = _done(jobs.get(id_))
        stream = io.StringIO()
        writer = WRITERS["text" if format_ == "txt" else format_](stream)
        writer.write(scan)
        writer.close()
        kinds = {"json": "application/json", "jsonl": "application/jsonl", "csv": "text/csv"}
        return Response(stream.getvalue(), media_type=kinds.get(format_, "text/plain"))

    @router.get("/scans/{id_}/verdict", responses=refusals(409, 422))
    def verdict(
        id_: Name,
        threshold: Annotated[float | None, Query(ge=0, le=1)] = None,
        aggregate: Aggregate | None = None,
        min_faces: Annotated[int | None, Query(ge=1, le=10**6)] = None,
    ) -> dict[str, Any]:
        """Judge the same scores by other rules than the scan's; no network runs."""
        job = jobs.get(id_)
        scan = _done(job)
        given: dict[str, Any] = {
            "threshold": threshold,
            "aggregate": aggregate,
            "min_faces": min_faces,
        }
        settings = dataclasses.replace(
            job.options.scan, **{key: value for key, value in given.items() if value is not None}
        )
        card = read_card(job.options.scan.model)
        rule = Rule.of_scan(card, settings, picture=scan.video.is_picture)
        judged = judge(scan.scores, rule)
        doubt = doubt_of(scan.verdict)  # of the frames, which no rule mends
        found = judged.verdict if doubt is None else doubted(judged.verdict, doubt)
        again = dataclasses.replace(
            scan, verdict=found, people=judged.people, segments=judged.segments
        )
        kept = ("status", "verdict", "fake_probability", "reason", "people", "segments")
        value = to_json(again)
        return {key: value[key] for key in kept} | {"threshold": rule.threshold, "band": rule.band}

    @router.get("/scans/{id_}/faces", responses=refusals(409))
    def faces(id_: Name) -> list[dict[str, Any]]:
        """Every face that was scored, in order of time; `n` is its number."""
        scan = _done(jobs.get(id_))
        return [
            {
                "n": n,
                "index": score.index,
                "time": round(score.time, 3),
                "person": score.person,
                "fake_probability": round(score.fake_probability, 6),
                "box": [round(float(side), 2) for side in score.face.box],
                "confidence": round(float(score.face.confidence), 4),
            }
            for n, score in enumerate(scan.scores)
        ]

    @router.get("/scans/{id_}/faces/{n}.png", response_class=FileResponse)
    def face(id_: Name, n: Annotated[int, InPath(ge=0, le=10**9)]) -> FileResponse:
        """The aligned face as the network saw it."""
        return FileResponse(face_file(jobs.get(id_), n), media_type="image/png")

    @router.get(
        "/scans/{id_}/faces/{n}/frame.jpg", response_class=FileResponse, responses=refusals(410)
    )
    def frame(id_: Name, n: Annotated[int, InPath(ge=0, le=10**9)]) -> FileResponse:
        """The frame that a face is in, at most 1280 px wide or high."""
        job = jobs.get(id_)
        scan = _done(job)
        if n >= len(scan.scores):
            raise ProblemError("no-such-face", f"the scan has {len(scan.scores)} faces, from 0 on")
        path = job.folder / f"frame-{scan.scores[n].index}.jpg"
        if not path.is_file():
            raise ProblemError("gone", "the pictures of so many frames are not kept")
        return FileResponse(path, media_type="image/jpeg")

    @router.get("/scans/{id_}/video", response_class=FileResponse, responses=refusals(410))
    def video(id_: Name) -> FileResponse:
        """The file itself, in ranges, for a player."""
        job = jobs.get(id_)
        if not job.upload.path.is_file():
            raise ProblemError("gone", "the file is not kept")
        return FileResponse(
            job.upload.path, filename=job.upload.name, content_disposition_type="inline"
        )

    return router


def _described(state: State, job: ScanJob, *, result: bool = True) -> dict[str, Any]:
    value: dict[str, Any] = {
        "id": job.id,
        "state": job.state,
        "name": job.upload.name,
        "size": job.upload.size,
        "sha256": job.upload.sha256,
        "position": state.jobs.position(job) if job.state == "queued" else None,
        "problem": job.problem,
        "video_kept": job.upload.path.is_file(),
    }
    if result:
        value["result"] = to_json(job.scan) if job.scan else None
    else:
        value["verdict"] = job.scan.verdict.label if job.scan else None
        value["status"] = job.scan.verdict.status if job.scan else None
    return value


async def _stream(jobs: Jobs, job: ScanJob, start: int) -> AsyncIterator[str]:
    sent, silent, told = start, 0.0, -1
    while True:
        ended = job.ended or job.erased  # before the events are read: none comes after the end
        events = job.events(sent)
        for event in events:
            sent += 1
            yield f"id: {sent}\nevent: {event['event']}\ndata: {json.dumps(event)}\n\n"
        if ended:
            state = "cancelled" if job.erased and not job.ended else job.state
            data = {"event": state, "problem": job.problem}
            yield f"id: {sent + 1}\nevent: {state}\ndata: {json.dumps(data)}\n\n"
            return
        if job.state == "queued" and (position := jobs.position(job)) != told:
            told = position
            yield (
                f"event: queued\ndata: {json.dumps({'event': 'queued', 'position': position})}\n\n"
            )
        silent = 0.0 if events else silent + EVENT_WAIT
        if silent >= EVENT_SILENCE:
            silent = 0.0
            yield ": still there\n\n"
        await asyncio.sleep(EVENT_WAIT)


def _done(job: ScanJob) -> Any:
    if job.state == "failed":
        raise ProblemError("not-finished", f"the scan failed: {job.problem}")
    if job.scan is None:
        raise ProblemError("not-finished", f"the scan is {job.state}", headers={"retry-after": "1"})
    return job.scan


def face_file(job: ScanJob, n: int) -> Path:
    path = job.folder / f"face-{n}.png"
    if not path.is_file():
        count = len(job.scan.scores) if job.scan else 0
        raise ProblemError("no-such-face", f"no face {n}; the scan has {count}, from 0 on")
    return path
