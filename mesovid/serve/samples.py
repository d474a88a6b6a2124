"""Routes of the samples that come with mesovid.

A public-domain portrait, as a picture and as a clip, to try things on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse

from mesovid.serve.problems import ProblemError
from mesovid.serve.state import Name, refusals

ROOT = Path(__file__).with_name("page") / "samples"


@dataclass(frozen=True, slots=True)
class Sample:
    """Something to scan."""

    id: str
    file: str
    title: str
    about: str
    label: str  # real or fake, as it was made
    kind: str  # media type


SAMPLES = (
    Sample(
        "clip",
        "portrait.webm",
        "A portrait in motion",
        "Four seconds of a camera that circles a portrait. The face is real.",
        "real",
        "video/webm",
    ),
    Sample(
        "swapped",
        "swapped.webm",
        "The same with a face put in",
        "A part of the face was exchanged in every frame, as a swapping tool would do it.",
        "fake",
        "video/webm",
    ),
    Sample(
        "picture",
        "portrait.jpg",
        "The portrait itself",
        "One picture (NASA, public domain). The face is real.",
        "real",
        "image/jpeg",
    ),
    Sample(
        "blended",
        "blended.jpg",
        "The portrait, faked in part",
        "The upper face was altered and blended back in. Not every model sees it: try another.",
        "fake",
        "image/jpeg",
    ),
)


def routes() -> APIRouter:
    router = APIRouter(tags=["samples"], responses=refusals(404))

    @router.get("/samples")
    def all_samples() -> list[dict[str, Any]]:
        """The videos and pictures that come with mesovid, and whether their faces are real."""
        return [
            asdict(sample) | {"size": (ROOT / sample.file).stat().st_size} for sample in SAMPLES
        ]

    @router.get("/samples/{id_}", response_class=FileResponse)
    def one(id_: Name) -> FileResponse:
        """A sample's file."""
        for sample in SAMPLES:
            if sample.id == id_:
                return FileResponse(ROOT / sample.file, media_type=sample.kind)
        known = [sample.id for sample in SAMPLES]
        raise ProblemError(
            "no-such-sample", f"no sample {id_[:40]!r}; known: {', '.join(known)}", known=known
        )

    return router
