"""`Guard`: lets only the browsers that were given an address of this run reach an application."""

import asyncio
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(:\d{1,5})?", re.IGNORECASE)

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not no-referrer, with which browsers send "Origin: null" along with a form; to other sites nothing is sent with this either.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""Of every answer."""


class Guard:
    """An ASGI middleware that answers 403 to whoever lacks the token, comes under another host's name, or sends from another page.

    The token comes once in the address, `/?token=...`, and then in a cookie that no script sees and no other site sends. The host's name is
    checked against DNS rebinding, the origin of whatever changes something against forged requests. The application finds the name that
    belongs to the token in `request.state.annotator`.

    Args:
        app: is called for every other request.
        tokens: of this run, secrets, each with the name of the annotator that it is for; the empty name is for whoever has it.
        port: that the server listens on; it is in the cookie's name, as cookies are shared by all ports.
        hosts: names of this machine, in lower case, under which it is reached besides the address that a connection came in by.
    """

    def __init__(self, app: ASGIApp, *, tokens: Mapping[str, str], port: int, hosts: Sequence[str] = ("localhost",)) -> None:
        self.app = app
        self._tokens = dict(tokens)
        self._hosts = tuple(hosts)
        self._cookie = f"textenv-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return  # a socket that nobody accepts is closed

        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        request = Request(scope)
        answer = self._refusal(request) or self._opening(request)
        name = self._annotator(request.cookies.get(self._cookie))
        scope["state"] = {**scope.get("state", {}), "annotator": name or ""}
        try:
            await (answer or self.app)(scope, receive, send_with_headers)
        except asyncio.CancelledError:  # the server ends, and this request, whose body has not come, was waited for long enough
            if not started:
                await PlainTextResponse("The page was ended before all of this came.", 503)(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        own = _written(request.scope["server"][0])
        match = _HOST.fullmatch(host)
        if match is None or match[1].lower() not in (own, *self._hosts):
            names = " and ".join(dict.fromkeys((own, *self._hosts)))
            return PlainTextResponse(f"This page is for {names} only.", 403)
        if request.method not in ("GET", "HEAD") and request.headers.get("origin") != f"http://{host}":
            return PlainTextResponse("This request was sent by another page.", 403)
        if self._annotator(request.cookies.get(self._cookie)) is None and self._annotator(request.query_params.get("token")) is None:
            return PlainTextResponse("Open the address that the command printed when it was started last; nothing you did is lost.", 403)
        return None

    def _opening(self, request: Request) -> Response | None:
        """Put the token of the address into the cookie, and leave the address.

        A page that leads on, and no redirect: where a link of another site led here, a redirect would not carry the cookie.
        """
        token = request.query_params.get("token", "")
        if self._annotator(token) is None:
            return None
        page = HTMLResponse('<!doctype html><title>textenv</title><a href="/">Go on</a>', headers={"Refresh": "0; url=/"})
        page.set_cookie(self._cookie, token, httponly=True, samesite="strict")
        return page

    def _annotator(self, value: str | None) -> str | None:
        """Return the name that belongs to a token, None if it is none."""
        given = (value or "").encode()
        names = [name for token, name in self._tokens.items() if hmac.compare_digest(given, token.encode())]
        return names[0] if names else None


def _written(address: str) -> str:
    """Write an address as the header Host has it."""
    return f"[{address}]" if ":" in address else address
