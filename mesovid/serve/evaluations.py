"""Routes of evaluations: a model measured on a set of samples, watched, read, cancelled."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, create_model

from mesovid.serve.evaluation_job import EvaluationJob
from mesovid.serve.problems import ProblemError
from mesovid.serve.scans import event_stream, first_event
from mesovid.serve.settings_query import fields_of
from mesovid.serve.state import PREFIX, Name, State, card_path, refusals, set_of
from mesovid.settings import EvaluateSettings, ScanSettings

_FREE = ("batch_size", "degrade")  # how fast it is; and many times the work

EvaluationQuery: type[BaseModel] = create_model(
    "EvaluationQuery",
    __config__=ConfigDict(extra="forbid"),
    set=(str, Field(max_length=200, description="The name of a set of samples.")),
    model=(str, Field(default=ScanSettings().model, max_length=100)),
    **fields_of([EvaluateSettings], _FREE),
)


def routes(state: State) -> APIRouter:
    router = APIRouter(tags=["evaluations"], responses=refusals(404))
    jobs = state.evaluations

    @router.post("/evaluations", status_code=202, responses=refusals(400, 422, 503))
    def start(asked: EvaluationQuery, response: Response) -> dict[str, Any]:  # type: ignore[valid-type]
        """Measure a model on a set of samples, as `mesovid evaluate` does.

        The result is at the address in Location.
        """
        values = asked.model_dump()  # type: ignore[attr-defined]
        model, name = values.pop("model"), values.pop("set")
        samples, card = set_of(state, name), card_path(state, model)
        folder = state.place.new_folder()
        job = EvaluationJob(
            id=folder.name,
            name=f"{model} on {name}",
            folder=folder,
            model=model,
            set=name,
            card=card,
            root=samples.root,
            settings=EvaluateSettings(**values),
            runtime=state.runtime,
        )
        folder.mkdir(mode=0o700)
        jobs.add(job)
        response.headers["location"] = f"{PREFIX}/evaluations/{job.id}"
        return _described(state, job)

    @router.get("/evaluations")
    def all_evaluations() -> list[dict[str, Any]]:
        """This server's evaluations, newest first, without their results."""
        return [_described(state, job, result=False) for job in jobs.all()]

    @router.get("/evaluations/{id_}")
    def one(id_: Name) -> dict[str, Any]:
        """An evaluation's state, and its `result` once it is done: the tables of `mesovid evaluate
        --format json`; `links` lead to what its curves are made of."""
        return _described(state, jobs.get(id_))

    @router.get("/evaluations/{id_}/curves", responses=refusals(409))
    def curves(id_: Name) -> dict[str, Any]:
        """ROC, reliability and report by class of the videos of an evaluation."""
        job = jobs.get(id_)
        if job.result is None:
            why = f"the evaluation failed: {job.problem}" if job.problem else f"it is {job.state}"
            raise ProblemError("not-finished", why)
        return dict(job.result["models"][0]["curves"])

    @router.delete("/evaluations/{id_}", status_code=204)
    def erase(id_: Name) -> Response:
        """Stop an evaluation and erase its result."""
        jobs.erase(id_)
        return Response(status_code=204)

    @router.get("/evaluations/{id_}/events", response_class=StreamingResponse)
    async def events(
        request: Request, id_: Name, after: Annotated[int, Query(ge=0, le=10**9)] = 0
    ) -> StreamingResponse:
        """Server-sent events: queued, running with `faces` and `of`, then done, failed or
        cancelled."""
        job = jobs.get(id_)
        start = first_event(request, after)
        return StreamingResponse(event_stream(jobs, job, start), media_type="text/event-stream")

    return router


def _described(state: State, job: EvaluationJob, *, result: bool = True) -> dict[str, Any]:
    value: dict[str, Any] = {
        "id": job.id,
        "state": job.state,
        "model": job.model,
        "set": job.set,
        "position": state.evaluations.position(job) if job.state == "queued" else None,
        "problem": job.problem,
    }
    if result:
        value["result"] = _without_points(job.result) if job.result else None
        value["links"] = {"curves": f"{PREFIX}/evaluations/{job.id}/curves"} if job.result else {}
    return value


def _without_points(result: dict[str, Any]) -> dict[str, Any]:
    """The tables; of the curves the report by class alone."""
    models = [
        {key: value for key, value in model.items() if key != "curves"}
        | {"report": model["curves"]["report"]}
        for model in result["models"]
    ]
    return result | {"models": models}
