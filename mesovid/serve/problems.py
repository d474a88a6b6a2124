"""What can go wrong over HTTP: one table of kinds.

Answers are application/problem+json (RFC 9457).
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from mesovid.errors import InputError, MesovidError, ModelError, SettingsError

MEDIA_TYPE = "application/problem+json"
# kind -> status and title
KINDS: dict[str, tuple[int, str]] = {
    "bad-setting": (422, "A setting that cannot be"),
    "bad-request": (400, "A request that cannot be read"),
    "empty": (400, "An empty upload"),
    "token-needed": (401, "The server's token is needed"),
    "foreign-origin": (403, "Another web page may not ask"),
    "not-allowed": (403, "The server was started without leave for this"),
    "no-such-page": (404, "There is nothing at this address"),
    "no-such-scan": (404, "There is no such scan"),
    "no-such-face": (404, "There is no such face"),
    "no-such-model": (404, "There is no such model"),
    "no-such-layer": (404, "There is no such layer"),
    "no-such-sample": (404, "There is no such sample"),
    "no-such-set": (404, "There is no such set of samples"),
    "no-such-evaluation": (404, "There is no such evaluation"),
    "no-such-result": (404, "There is no such recorded result"),
    "bad-method": (405, "This address does not take this method"),
    "too-slow": (408, "An upload that stopped"),
    "not-finished": (409, "The scan has no result yet"),
    "gone": (410, "It is no longer kept"),
    "too-large": (413, "An upload beyond the limit"),
    "unknown-kind": (415, "Not a kind of file that is scanned"),
    "foreign-host": (421, "Not this server's name"),
    "unreadable": (422, "A file that cannot be scanned"),
    "model-refused": (422, "A model that cannot be used"),
    "busy": (503, "The queue is full"),
    "disk-full": (507, "There is no room for the upload"),
    "bug": (500, "A defect of mesovid"),
}
_BY_STATUS = {404: "no-such-page", 405: "bad-method"}
_log = logging.getLogger(__name__)


class ProblemError(Exception):
    """A foreseen refusal.

    `kind` is a key of KINDS; `more` are further members of its JSON object.
    """

    def __init__(
        self, kind: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.headers, self.more = kind, detail, headers, more

    def response(self) -> JSONResponse:
        """As it is answered."""
        status, title = KINDS[self.kind]
        body = {
            "type": f"/problems/{self.kind}",
            "title": title,
            "status": status,
            "detail": self.detail,
        }
        return JSONResponse(
            body | self.more,
            status_code=status,
            media_type=MEDIA_TYPE,
            headers=dict(self.headers or {}),
        )


def problem_of(error: MesovidError, **more: Any) -> ProblemError:
    """A foreseen error of mesovid as a problem."""
    kinds = (
        (SettingsError, "bad-setting"),
        (ModelError, "model-refused"),
        (InputError, "unreadable"),
    )
    kind = next((kind for cls, kind in kinds if isinstance(error, cls)), "unreadable")
    return ProblemError(kind, str(error), **more)


def install(app: FastAPI) -> None:
    """Answer every error of an app as a problem."""

    @app.exception_handler(ProblemError)
    def foreseen(_request: Request, error: ProblemError) -> JSONResponse:
        return error.response()

    @app.exception_handler(MesovidError)
    def refused(_request: Request, error: MesovidError) -> JSONResponse:
        return problem_of(error).response()

    @app.exception_handler(RequestValidationError)
    def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        return _invalid(error.errors()).response()

    @app.exception_handler(HTTPException)
    def refused_by_routing(_request: Request, error: HTTPException) -> JSONResponse:
        kind = _BY_STATUS.get(error.status_code, "bad-request")
        return ProblemError(kind, str(error.detail), headers=error.headers).response()

    @app.exception_handler(Exception)
    def defect(request: Request, error: Exception) -> JSONResponse:
        number = secrets.token_hex(4)
        _log.error("defect %s at %s %s", number, request.method, _route(request), exc_info=error)
        return ProblemError(
            "bug", f"an unexpected {type(error).__name__}; the server's log tells more", id=number
        ).response()


def _route(request: Request) -> str:
    """The route without what a user put into it."""
    route = request.scope.get("route")
    return getattr(route, "path", "?")


def _invalid(errors: Sequence[Any]) -> ProblemError:
    first = errors[0]
    place = [str(part) for part in first.get("loc", ()) if part not in ("query", "body", "path")]
    field = ".".join(place) or "body"
    if first.get("type") == "json_invalid":
        return ProblemError("bad-request", "the body is no JSON object")
    given = first.get("input")
    shown = f" is {given!r}" if isinstance(given, (str, int, float, bool)) else ""
    return ProblemError(
        "bad-setting", f"{field}{shown[:80]}: {first.get('msg', 'it cannot be')}", field=field
    )
