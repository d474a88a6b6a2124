"""Runs the app with uvicorn, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn

from mesovid.errors import ModelError
from mesovid.models.card import KIND, available, find_card, read_card
from mesovid.serve.app import create_app
from mesovid.serve.guard import access
from mesovid.serve.sample_sets import sets_of
from mesovid.settings import ServeSettings

BACKLOG = 128  # connections that wait to be taken
GRACE = 3  # seconds that open connections are given when the server ends


def serve(
    sock: socket.socket,
    host: str,
    token: str | None,
    origins: Sequence[str],
    folders: Sequence[str],
    results: str | None,
    samples: Sequence[str],
    roots: Sequence[str],
    settings: ServeSettings,
    on_ready: Callable[[], None],
) -> None:
    """Serve on a bound socket; `on_ready` is called once it listens.

    ModelError for a folder without a model.
    """
    app = create_app(
        settings,
        access(host, token, origins),
        models=found_models(folders),
        recorded=Path(results) if results is not None else None,
        sets=sets_of(samples),
        roots=[Path(root) for root in roots],
    )
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # it would tell the names of files
        timeout_graceful_shutdown=GRACE,
        server_header=False,
        date_header=False,
        lifespan="off",  # a second Ctrl-C would skip its end; what has to be closed is closed below
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    server = uvicorn.Server(config)
    # uvicorn ends in order and then raises the signal again, which must not end the process before
    # all is erased
    signal.signal(signal.SIGTERM, _interrupt)
    sock.listen(BACKLOG)
    on_ready()
    try:
        with contextlib.suppress(
            KeyboardInterrupt
        ):  # uvicorn has shut down in order and raises it again
            server.run(sockets=[sock])
    finally:
        app.state.mesovid.close()


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def found_models(folders: Sequence[str]) -> dict[str, Path]:
    """The models in some folders by name.

    A folder holds one model or several. ModelError for none.
    """
    found: dict[str, Path] = {}
    taken = {card.name for card in available()}
    for folder in folders:
        for path in _cards(Path(folder)):
            name = read_card(path).name
            if name in taken:
                raise ModelError(
                    f"{path}: a model {name} is there already; give one of them another name"
                )
            taken.add(name)
            found[name] = path
    return found


def _cards(folder: Path) -> list[Path]:
    """The cards in a folder, or else in the folders that lie in it. ModelError for none."""
    for pattern in ("*.json", "*/*.json"):
        found = [path for path in sorted(folder.glob(pattern)) if _calls_itself_a_card(path)]
        if found:
            return found
    return [find_card(folder)]


def _calls_itself_a_card(path: Path) -> bool:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and values.get("kind") == KIND
