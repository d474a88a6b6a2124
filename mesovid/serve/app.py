"""The REST API and the page of `mesovid serve`.

Scans are jobs; their faces and verdicts, models and what is inside them can be read.

`create_app` composes it. Everything below `/api/v1` needs the token; errors are problem+json
(`mesovid.serve.problems`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from pydantic import BaseModel, Field

from mesovid import __version__
from mesovid.pool import Limits
from mesovid.serve import (
    docs,
    evaluation_job,
    evaluations,
    faces_inside,
    maps,
    models_inside,
    problems,
    results,
    sample_routes,
    samples,
    scans,
    static,
    worker,
)
from mesovid.serve.guard import Access, Guard, cookie_name
from mesovid.serve.jobs import Jobs, Workplace
from mesovid.serve.metrics import exposition
from mesovid.serve.problems import ProblemError
from mesovid.serve.recorded import Recorded
from mesovid.serve.sample_sets import SampleSet
from mesovid.serve.state import PREFIX, State
from mesovid.serve.uploads import SUFFIXES
from mesovid.settings import RuntimeSettings, ScanSettings, ServeSettings


def create_app(
    settings: ServeSettings,
    access: Access,
    *,
    models: dict[str, Path] | None = None,
    recorded: Path | None = None,
    sets: Mapping[str, SampleSet] | None = None,
    roots: Sequence[Path] = (),
    threads: int = 0,
) -> FastAPI:
    """The whole server as an ASGI app.

    Its worker process starts with the first scan and ends with the app.
    """
    # what may be refused comes before what has to be closed
    read = Recorded(recorded) if recorded is not None else None
    place = Workplace(settings.quota * 2**20)
    state = State(
        settings=settings,
        access=access,
        runtime=RuntimeSettings(threads=threads),
        models=dict(models or {}),
        place=place,
        jobs=Jobs(
            place,
            worker.work,
            "scan",
            waiting=settings.queue,
            limits=Limits(timeout=settings.timeout),
            idle=settings.idle,
        ),
        evaluations=Jobs(
            place,
            evaluation_job.work,
            "evaluation",
            waiting=settings.queue,
            limits=Limits(timeout=settings.evaluation_timeout),
            idle=settings.idle,
        ),
        sets=dict(sets or {}),
        roots=tuple(root.resolve() for root in roots),
        guard=Guard(_nothing, access),
        recorded=read,
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(state.close)

    app = FastAPI(
        title="mesovid",
        version=__version__,
        summary="Is a face in this video faked?",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.mesovid = state
    problems.install(app)
    app.include_router(_health(state))
    app.include_router(scans.routes(state), prefix=PREFIX)
    app.include_router(models_inside.routes(state), prefix=PREFIX)
    app.include_router(faces_inside.routes(state), prefix=PREFIX)
    app.include_router(maps.routes(state), prefix=PREFIX)
    app.include_router(samples.routes(), prefix=PREFIX)
    app.include_router(sample_routes.routes(state), prefix=PREFIX)
    app.include_router(evaluations.routes(state), prefix=PREFIX)
    app.include_router(results.routes(state), prefix=PREFIX)
    app.include_router(static.routes())
    app.include_router(_about(state, app))
    app.add_middleware(Guard, access=access, requests=state.requests)
    return app


async def _nothing(_scope: Any, _receive: Any, _send: Any) -> None:
    """The app behind a Guard that is only asked about tokens."""


# Health and schema


def _health(state: State) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/healthz", response_class=PlainTextResponse)
    def alive() -> str:
        """The process answers."""
        return "ok\n"

    @router.get("/readyz", response_class=PlainTextResponse)
    def ready() -> str:
        """Scans can be taken."""
        state.jobs.check_room()
        state.place.room(0)
        return "ok\n"

    if state.settings.metrics:

        @router.get("/metrics", response_class=PlainTextResponse)
        def metrics() -> str:
            """Prometheus text: jobs by state, seconds of stages, requests, bytes. No names."""
            return exposition(state)

    return router


class Session(BaseModel):
    token: str = Field(max_length=200)


def _about(state: State, app: FastAPI) -> APIRouter:
    router = APIRouter()

    @router.get(PREFIX, tags=["server"])
    def about() -> dict[str, Any]:
        """Version, limits, kinds of files and the default model.

        A client asks for them before it sends anything.
        """
        settings = state.settings
        return {
            "version": __version__,
            "max_upload": settings.max_upload * 2**20,
            "queue": settings.queue,
            "timeout": settings.timeout,
            "idle": settings.idle,
            "suffixes": sorted(SUFFIXES),
            "default_model": ScanSettings().model,
            "results": state.recorded is not None,
            "sets": list(state.sets),
            "files_allowed": bool(state.roots),
            "import_allowed": settings.allow_import,
            "quota": state.place.quota,
            "token_needed": state.access.token is not None,
        }

    @router.post(f"{PREFIX}/session", status_code=204, tags=["server"])
    def session(given: Session, request: Request) -> Response:
        """Swap the token for a cookie, which pictures, players and event streams can send."""
        if state.access.token is not None and not state.guard.fits(given.token):
            raise ProblemError("token-needed", "this is not the server's token")
        answer = Response(status_code=204)
        name = cookie_name(request.headers.get("host", ""))
        answer.set_cookie(name, state.access.token or "", httponly=True, samesite="strict")
        return answer

    @router.get(f"{PREFIX}/openapi.json", include_in_schema=False)
    def schema() -> dict[str, Any]:
        return docs.schema(app)

    @router.get("/docs", include_in_schema=False, response_class=HTMLResponse)
    def documentation() -> str:
        return docs.page(docs.schema(app))

    @router.get("/docs.css", include_in_schema=False)
    def style() -> Response:
        return Response(docs.STYLE, media_type="text/css")

    @router.get("/problems/{kind}", include_in_schema=False, response_class=HTMLResponse)
    def problem(kind: str) -> str:
        if kind not in problems.KINDS:
            raise ProblemError(
                "no-such-page", f"no kind of problem {kind[:40]!r}", known=sorted(problems.KINDS)
            )
        return docs.problem_page(kind)

    return router
