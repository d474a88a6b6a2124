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
from mesovid.provenance import heeded
from mesovid.report import WRITERS
from mesovid.report.writers import members_json, to_json
from mesovid.serve.aside import ReportRequest, once, outcome_of, write_report
from mesovid.serve.jobs import Job, Jobs, ScanJob
from mesovid.serve.problems import ProblemError
from mesovid.serve.settings_query import ScanQuery, options_of
from mesovid.serve.state import BYTES, PREFIX, Name, State, allowed_file, card_path, refusals
from mesovid.serve.uploads import SUFFIXES, Upload, check_kind, receive, shown_name, too_large
from mesovid.verdict import Rule, distrusted, judge, why_distrusted

EVENT_WAIT = 0.05  # seconds between looks at a scan's events
EVENT_SILENCE = 15.0  # seconds after which a comment keeps the line open
# a report says for itself which style and script are its own; here it gets no origin to speak from
REPORT_CSP = (
    "sandbox allow-scripts; default-src 'none'; img-src data:; style-src 'unsafe-inline';"
    " script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
Aggregate = Literal["mean", "median", "trimmed_mean", "top_third", "max"]


def routes(state: State) -> APIRouter:
    router = APIRouter(tags=["scans"], responses=refusals(404))
    jobs = state.jobs

    @router.post(
        "/scans",
        status_code=202,
        openapi_extra=BYTES,
        responses=refusals(400, 403, 408, 410, 413, 415, 422, 503, 507),
    )
    async def start(
        request: Request,
        response: Response,
        settings: Annotated[ScanQuery, Query()],  # type: ignore[valid-type]
        name: Annotated[
            str | None,
            Query(max_length=1000, description="The file's name; its suffix says what it is."),
        ] = None,
        path: Annotated[
            str | None,
            Query(max_length=4000, description="Of a file below --allow-path, in place of a body."),
        ] = None,
    ) -> dict[str, Any]:
        """Send a video or picture as the body; a scan of it is queued.

        Its result is at the address in Location.
        """
        if (name is None) == (path is None):
            raise ProblemError(
                "bad-setting", "give the name of the file that is sent, or a path", field="name"
            )
        options = options_of(settings, state.runtime)
        options = dataclasses.replace(
            options,
            scan=dataclasses.replace(options.scan, model=str(card_path(state, options.scan.model))),
        )
        if path is not None:
            file = allowed_file(state, path)
            check_kind(file.name)
            jobs.check_room()
            upload = Upload(shown_name(file.name), file, file.stat().st_size, "")
            folder = state.place.new_folder()
            folder.mkdir(mode=0o700)
        else:
            check_kind(str(name))
            limit = state.settings.max_upload * 2**20
            with jobs.place():
                upload = await received(state, request, str(name), limit)
            folder = upload.path.parent
        job = jobs.add(
            ScanJob(
                id=folder.name,
                name=upload.name,
                folder=folder,
                upload=upload,
                options=options,
                keep_video=state.settings.keep_video,
            )
        )
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
        return StreamingResponse(
            event_stream(jobs, job, first_event(request, after)), media_type="text/event-stream"
        )

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

    @router.get(
        "/scans/{id_}/report.html", response_class=FileResponse, responses=refusals(409, 422, 503)
    )
    def report(id_: Name) -> FileResponse:
        """The result as a page of its own, as `mesovid scan --report` writes it; it needs no other
        file."""
        job = jobs.get(id_)
        scan = _done(job)
        page = job.folder / "report.html"
        if not page.is_file():
            clip = job.upload.path if job.upload.path.is_file() else None
            asked = ReportRequest(scan, clip, job.options.scan.model, page)
            outcome_of(once(write_report, asked), "unreadable")
        return FileResponse(
            page, media_type="text/html", headers={"content-security-policy": REPORT_CSP}
        )

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
        unreliable = why_distrusted(scan.verdict)  # of the frames, which no rule mends
        found = judged.verdict if unreliable is None else distrusted(judged.verdict, unreliable)
        again = dataclasses.replace(
            scan,
            verdict=heeded(found, scan.declared, settings.threshold),
            people=judged.people,
            segments=judged.segments,
        )
        kept = ("status", "verdict", "fake_probability", "reason", "cleared", "people", "segments")
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
                **members_json(scan.model.members, score.members),
            }
            for n, score in enumerate(scan.scores)
        ]

    @router.get("/scans/{id_}/faces/{n}.png", response_class=FileResponse, responses=refusals(410))
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
        "sha256": job.upload.sha256 or None,  # None: it was not sent
        "position": state.jobs.position(job) if job.state == "queued" else None,
        "problem": job.problem,
        "video_kept": job.upload.path.is_file(),
        "recorded": job.recorded,
        "faces_problem": job.faces_problem,
    }
    if result:
        value["result"] = to_json(job.scan) if job.scan else None
    else:
        value["verdict"] = job.scan.verdict.label if job.scan else None
        value["status"] = job.scan.verdict.status if job.scan else None
    return value


def first_event(request: Request, after: int) -> int:
    """From which event on a client wants to be told."""
    last = request.headers.get("last-event-id", "")
    return int(last) if last.isdecimal() and len(last) < 10 else after


async def received(
    state: State,
    request: Request,
    name: str,
    limit: int,
    known: frozenset[str] = SUFFIXES,
) -> Upload:
    """The body of a request as a file in a folder of its own, within what the disk may hold."""
    text = request.headers.get("content-length", "")
    length = int(text) if text.isdecimal() and len(text) < 20 else None
    if length is not None and length > limit:
        raise too_large(limit)
    room = await asyncio.to_thread(state.place.room, length or 0)
    folder = state.place.new_folder()
    upload = await receive(request.stream(), name, folder, min(limit, room), length, known)
    state.received += upload.size
    return upload


async def event_stream(jobs: Jobs[Any], job: Job, start: int) -> AsyncIterator[str]:
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
        if job.scan and n < len(job.scan.scores) and job.faces_problem:
            raise ProblemError("gone", f"there is no picture of the face: {job.faces_problem}")
        count = len(job.scan.scores) if job.scan else 0
        raise ProblemError("no-such-face", f"no face {n}; the scan has {count}, from 0 on")
    return path
