"""Lets in the server's own page and whoever holds its token, on its own host name.

Everything else is refused.

Against other web pages in the user's browser (cross-site requests, DNS rebinding) and against
other users of the machine.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mesovid.serve.problems import ProblemError

COOKIE = "mesovid"
METHODS = frozenset(["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"])
OPEN = frozenset(["/healthz", "/readyz"])  # for whoever watches that it lives
# the page itself holds nothing of anybody; what it shows needs the token
CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self';"
    " img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Access:
    """Whom the server answers."""

    hosts: frozenset[str]  # names that it may be called by, without port; lower case
    token: str | None  # None: everybody who reaches it
    origins: frozenset[str] = frozenset()  # other sites whose pages may ask


def access(host: str, token: str | None, origins: Sequence[str] = ()) -> Access:
    """The rules for a server bound to `host`."""
    names = {"localhost", "127.0.0.1", "[::1]", host.lower()}
    names |= {str(urlsplit(origin).hostname) for origin in origins}
    return Access(frozenset(names), token, frozenset(origin.rstrip("/") for origin in origins))


class Guard:
    """ASGI middleware."""

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        requests: Counter[tuple[str, int]] | None = None,  # by method and status, to count them
    ) -> None:
        self._app, self._access = app, access
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                if self._requests is not None:
                    method = scope["method"] if scope["method"] in METHODS else "other"
                    self._requests[method, message["status"]] += 1
                out = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    out.setdefault(name, value)
                if scope["path"].startswith("/api/"):
                    out.setdefault("cache-control", "no-store")
                if origin in self._access.origins:
                    out["access-control-allow-origin"] = str(origin)
                    out["vary"] = "Origin"
            await send(message)

        problem = self._refusal(scope, headers)
        await (problem.response() if problem else self._app)(scope, receive, answer)

    def _refusal(self, scope: Scope, headers: Headers) -> ProblemError | None:
        host = _name(headers.get("host", ""))
        if host not in self._access.hosts:
            return ProblemError("foreign-host", f"this server is not called {host[:80]!r}")
        origin = headers.get("origin")
        if (
            origin is not None
            and not self._own(origin, headers)
            and origin not in self._access.origins
        ):
            return ProblemError(
                "foreign-origin", f"pages of {origin[:80]!r} may not use this server"
            )
        site = headers.get("sec-fetch-site", "same-origin")
        if site not in ("same-origin", "none") and origin not in self._access.origins:
            plain = scope["method"] == "GET" and not scope["path"].startswith("/api/")
            if not plain:
                return ProblemError("foreign-origin", f"requests that are {site[:20]} are refused")
        if self._access.token is None or not scope["path"].startswith("/api/"):
            return None
        if scope["path"] == "/api/v1/session" or self._known(headers):
            return None
        return ProblemError(
            "token-needed",
            "send the token that the server printed: Authorization: Bearer TOKEN",
            headers={"www-authenticate": "Bearer"},
        )

    def _own(self, origin: str, headers: Headers) -> bool:
        parts = urlsplit(origin)
        return (
            parts.scheme in ("http", "https")
            and parts.netloc.lower() == headers.get("host", "").lower()
        )

    def _known(self, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.fits(given.strip()):
            return True
        try:
            cookie: Any = SimpleCookie(headers.get("cookie", "")).get(
                cookie_name(headers.get("host", ""))
            )
        except CookieError:
            return False
        return cookie is not None and self.fits(cookie.value)

    def fits(self, given: str) -> bool:
        """Whether this is the token; takes the same time for every wrong one."""
        token = self._access.token or ""
        return secrets.compare_digest(given.encode(errors="replace"), token.encode())


def cookie_name(host: str) -> str:
    """The cookie of the server with this Host header.

    Browsers send a host's cookies to all of its ports, so that two servers would overwrite each
    other's.
    """
    port = host.strip().rpartition(":")[2]
    return f"{COOKIE}-{port}" if port.isdecimal() else COOKIE


def _name(host: str) -> str:
    """A Host header without its port."""
    host = host.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
