"""Serves the page: its files as they lie in the package.

They are listed at the start, each with its content type.

No path is ever made of what a request says: what is not in the list is not there.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter
from fastapi import Path as InPath
from fastapi.responses import FileResponse

from mesovid.serve.problems import ProblemError

ROOT = Path(__file__).with_name("page")
# the system's own table may be wrong (Windows takes .js from the registry), so these are said here
KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm.gz": "application/wasm",
}


@cache
def files() -> dict[str, Path]:
    """What is served below /static/, by address."""
    found = (path for path in ROOT.rglob("*") if kind_of(path))
    return {path.relative_to(ROOT).as_posix(): path for path in found}


def kind_of(path: Path) -> str | None:
    """The media type of a file of the page; None of what is not served."""
    return next((kind for suffix, kind in KINDS.items() if path.name.endswith(suffix)), None)


def routes() -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/", response_class=FileResponse)
    def page() -> FileResponse:
        return _file(ROOT / "index.html")

    @router.get("/static/{path:path}", response_class=FileResponse)
    def static(path: Annotated[str, InPath(max_length=200)]) -> FileResponse:
        if path not in files():
            raise ProblemError("no-such-page", f"no file {path[:80]!r} belongs to the page")
        return _file(files()[path])

    return router


def _file(path: Path) -> FileResponse:
    # asked for again each time, and answered by its tag: an update of mesovid is seen at once
    headers = {"cache-control": "no-cache"}
    if path.suffix == ".gz":  # as it lies: browsers unpack it
        headers["content-encoding"] = "gzip"
    return FileResponse(path, media_type=kind_of(path), headers=headers)
