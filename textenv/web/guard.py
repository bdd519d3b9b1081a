"""`Guard`: lets only the browser that was given the address of this run reach an application on 127.0.0.1."""

import hmac
import re
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HOST: Final = re.compile(r"(127\.0\.0\.1|localhost)(:\d{1,5})?")

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
    checked against DNS rebinding, the origin of whatever changes something against forged requests.

    Args:
        app: is called for every other request.
        token: of this run, a secret.
        port: that the server listens on; it is in the cookie's name, as cookies are shared by all ports.
    """

    def __init__(self, app: ASGIApp, *, token: str, port: int) -> None:
        self.app = app
        self._token = token
        self._cookie = f"textenv-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return  # a socket that nobody accepts is closed

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        request = Request(scope)
        answer = self._refusal(request) or self._opening(request)
        await (answer or self.app)(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if not _HOST.fullmatch(host):
            return PlainTextResponse("This page is for 127.0.0.1 and localhost only.", 403)
        if request.method not in ("GET", "HEAD") and request.headers.get("origin") != f"http://{host}":
            return PlainTextResponse("This request was sent by another page.", 403)
        if not (self._is_token(request.cookies.get(self._cookie)) or self._is_token(request.query_params.get("token"))):
            return PlainTextResponse("Open the address that the command printed when it was started last; nothing you did is lost.", 403)
        return None

    def _opening(self, request: Request) -> Response | None:
        """Put the token of the address into the cookie, and leave the address.

        A page that leads on, and no redirect: where a link of another site led here, a redirect would not carry the cookie.
        """
        if not self._is_token(request.query_params.get("token")):
            return None
        page = HTMLResponse('<!doctype html><title>textenv</title><a href="/">Go on</a>', headers={"Refresh": "0; url=/"})
        page.set_cookie(self._cookie, self._token, httponly=True, samesite="strict")
        return page

    def _is_token(self, value: str | None) -> bool:
        return value is not None and hmac.compare_digest(value.encode(), self._token.encode())
