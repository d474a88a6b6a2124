"""Routes of the results of an archive, recorded earlier: listed, filtered, sorted, opened."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi import Path as InPath

from mesovid.errors import InputError
from mesovid.report.writers import to_json
from mesovid.serve.problems import ProblemError
from mesovid.serve.recorded import OUTCOMES, Recorded, Sort
from mesovid.serve.state import State, refusals

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
        try:
            result, _ = _recorded(state).get(n)
        except IndexError as error:
            raise _unknown(state, n) from error
        except InputError as error:
            raise ProblemError("unreadable", str(error)) from error
        return to_json(result)

    return router


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
