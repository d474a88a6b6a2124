"""Runs the app with uvicorn, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn

from mesovid.errors import ModelError
from mesovid.models.card import available, find_card, read_card
from mesovid.serve.app import create_app
from mesovid.serve.guard import access
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
        app.state.mesovid.jobs.close()


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def found_models(folders: Sequence[str]) -> dict[str, Path]:
    """The models in some folders by name.

    A folder holds one model or several. ModelError for none.
    """
    found: dict[str, Path] = {}
    taken = {card.name for card in available()}
    for folder in folders:
        cards = [path for path in sorted(Path(folder).glob("*.json")) if _is_model(path)]
        for path in cards or [find_card(folder)]:
            name = read_card(path).name
            if name in taken:
                raise ModelError(
                    f"{path}: a model {name} is there already; give one of them another name"
                )
            taken.add(name)
            found[name] = path
    return found


def _is_model(path: Path) -> bool:
    try:
        read_card(path)
    except ModelError:
        return False
    return True
