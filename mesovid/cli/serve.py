"""`mesovid serve`: scan and look inside, in a browser or over HTTP."""

from __future__ import annotations

from typing import Any

import click

from mesovid.cli.options import settings_options
from mesovid.cli.sections import Sections
from mesovid.settings import ServeSettings

PORT = 8765
TRIED = 20  # ports after PORT that are tried where none was asked for
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@click.command(
    cls=Sections,
    sections={
        "Address": ("--host", "--port", "--open"),
        "Who may use it": ("--token-file", "--no-token", "--allow-origin", "--allow-path"),
        "What is shown": ("--models", "--results", "--samples"),
    },
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen at. Beyond this computer a token file is needed.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), help=f"Port. Default: {PORT}, or the next free one."
)
@click.option("--open/--no-open", "open_", default=True, show_default=True, help="Open a browser.")
@click.option(
    "--models",
    "folders",
    multiple=True,
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    help="Further models: a run's folder, or one of published models.",
)
@click.option(
    "--results",
    metavar="FILE.jsonl",
    type=click.Path(exists=True, dir_okay=False),
    help="List what `mesovid scan --format jsonl` recorded, and open any of it.",
)
@click.option(
    "--samples",
    multiple=True,
    metavar="DATASET",
    type=click.Path(exists=True, file_okay=False),
    help="Faces to look at models with, and to measure them on: what `mesovid extract` made, or "
    "class folders.",
)
@click.option(
    "--allow-path",
    "roots",
    multiple=True,
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False),
    help="Let clips below this folder be scanned and played where they lie.",
)
@click.option(
    "--token-file",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Read the token from this file.",
)
@click.option("--no-token", is_flag=True, help="Let every user of this computer in.")
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="URL",
    help="Let pages of this site use the server.",
)
@settings_options(ServeSettings)
def command(
    host: str,
    port: int | None,
    open_: bool,
    folders: tuple[str, ...],
    results: str | None,
    samples: tuple[str, ...],
    roots: tuple[str, ...],
    token_file: str | None,
    no_token: bool,
    origins: tuple[str, ...],
    serve_settings: ServeSettings,
) -> None:
    """Serve a page and an API on this computer: scan videos, see why, look inside the networks.

    Nothing leaves the computer, and nothing is left of a scan when the server ends. It listens to
    this computer alone and wants the token that stands in the address which it prints.
    """
    if host not in LOOPBACK and not token_file:
        raise click.UsageError(
            f"--host {host} lets other computers in; give --token-file with a secret (and put TLS "
            "in front)"
        )
    if token_file and no_token:
        raise click.UsageError("--token-file and --no-token exclude each other")
    token = _token(token_file, no_token)
    sock = _bound(host, port)
    from mesovid.serve.run import serve

    number = sock.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{number}/"
    if token is not None and not token_file:
        address += f"#token={token}"

    def ready() -> None:
        click.echo(f"mesovid serves at {address} (Ctrl-C ends it)")
        if host not in LOOPBACK:
            click.echo("mesovid: other computers can reach it, without encryption", err=True)
        if open_:
            click.launch(address)

    with sock:
        serve(sock, host, token, origins, folders, results, samples, roots, serve_settings, ready)


def _token(file: str | None, none: bool) -> str | None:
    if none:
        return None
    if file is None:
        import secrets

        return secrets.token_urlsafe(24)
    from pathlib import Path

    try:
        token = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"cannot read the token in {file} ({error})") from error
    if len(token) < 16:
        raise click.UsageError(
            f"the token in {file} is shorter than 16 characters; make a longer one"
        )
    return token


def _bound(host: str, port: int | None) -> Any:
    """A listening socket.

    The next free port is taken where none was asked for and the usual one is taken.
    """
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    last: OSError | None = None
    for number in [port] if port is not None else range(PORT, PORT + TRIED):
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, number))
        except OSError as error:
            sock.close()
            last = error
            continue
        return sock
    where = f"port {port}" if port is not None else f"any port from {PORT} to {PORT + TRIED - 1}"
    raise click.UsageError(
        f"cannot listen at {host} on {where}: {last.strerror if last else 'none is free'}"
    )
