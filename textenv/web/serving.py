"""Serving an application on this machine only, until ctrl-C."""

import contextlib
import secrets
import socket
from collections.abc import Callable
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from textenv.errors import ArgumentError
from textenv.web.guard import Guard

HOST: Final = "127.0.0.1"


def bind(port: int) -> socket.socket:
    """Take a port of this machine.

    Args:
        port: 0 is any free one.

    Raises:
        ArgumentError: it is in use, or not for us.
    """
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart need not wait for the old connections to be forgotten
        listening.bind((HOST, port))
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise ArgumentError(f"Port {port} cannot be used: {reason}; choose another --port, or 0 for any that is free.") from error
    return listening


def server_for(app: ASGIApp, *, token: str, port: int) -> uvicorn.Server:
    """Put an application behind a `Guard` into a server that writes nothing but what goes wrong."""
    return uvicorn.Server(
        uvicorn.Config(
            Guard(app, token=token, port=port),
            http="h11",
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=5,
        )
    )


def serve(app: ASGIApp, listening: socket.socket, tell: Callable[[str], None]) -> None:
    """Serve an application on this machine until SIGINT, which lets the requests that are being answered end.

    Args:
        app: an ASGI application.
        listening: of `bind`.
        tell: is given the address to open, which holds the token of this run, once it can be opened.
    """
    port = listening.getsockname()[1]
    token = secrets.token_urlsafe(24)
    server = server_for(app, token=token, port=port)
    listening.listen()
    tell(f"http://{HOST}:{port}/?token={token}")
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again when it has finished
        server.run(sockets=[listening])
