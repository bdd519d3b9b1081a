"""Serving an application until ctrl-C, on this machine only unless another address is asked for."""

import contextlib
import ipaddress
import logging
import os
import socket
from collections.abc import Callable, Mapping
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from textenv.errors import ArgumentError
from textenv.interrupts import Interrupts
from textenv.web.guard import Guard

HOST: Final = "127.0.0.1"
GRACE_SECONDS: Final = 1
"""For which requests that are being answered are waited for at the end, in addition to what the database takes."""


def bind(port: int, host: str = HOST) -> socket.socket:
    """Listen on a port of this machine.

    Args:
        port: 0 is any free one.
        host: an address or a name of this machine; 0.0.0.0 is all of its IPv4 addresses, :: all of its IPv6 ones.

    Raises:
        ArgumentError: the port is in use, or not for us, or the host is not this machine.
    """
    try:
        family, kind, _, _, (address, _, *rest) = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise ArgumentError(f"There is no host {host}: {_reason(error)}; give an address of this machine, or 0.0.0.0.") from error
    listening = socket.socket(family, kind)
    try:
        if os.name == "posix":  # elsewhere it lets two listen at once
            # A restart need not wait for the old connections to be forgotten.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((address, port, *rest))
        listening.listen(128)  # only now is the port ours: two can bind it at once
    except (OSError, OverflowError) as error:
        listening.close()
        where = f"Port {port}" if host == HOST else f"Port {port} of {host}"
        raise ArgumentError(f"{where} cannot be used: {_reason(error)}; choose another --port, or 0 for any that is free.") from error
    return listening


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def is_local(host: str) -> bool:
    """Tell whether an address or name is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_of(host: str) -> tuple[str, ...]:
    """Return the names under which whoever serves on a host is reached, in lower case, besides the addresses of connections."""
    if is_local(host):
        return ("localhost",)
    try:
        is_every = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return (host.lower(),)
    return (socket.gethostname().lower(), "localhost") if is_every else ()


def reachable(host: str) -> str:
    """Return what stands for a host in an address that is given to others."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        address = _outward(address.version) or address
    if address.is_unspecified:
        return socket.gethostname()
    return f"[{address}]" if address.version == 6 else str(address)


def _outward(version: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address of this machine that leads out of it; a connected datagram socket chooses it and sends nothing."""
    family, far = (socket.AF_INET, "192.0.2.1") if version == 4 else (socket.AF_INET6, "2001:db8::1")
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((far, 9))
            return ipaddress.ip_address(probe.getsockname()[0])
    except OSError:  # there is no network
        return None


def _is_news(record: logging.LogRecord) -> bool:
    """Tell whether a line is worth a reader's time: that a hanging client was left at the end is not."""
    return not record.getMessage().startswith("Cancel ")


def server_for(app: ASGIApp, *, tokens: Mapping[str, str], port: int, host: str = HOST) -> uvicorn.Server:
    """Put an application behind a `Guard` into a server that writes nothing but what goes wrong."""
    config = uvicorn.Config(
        Guard(app, tokens=tokens, port=port, hosts=names_of(host)),
        http="h11",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    return uvicorn.Server(config)


def serve(app: ASGIApp, listening: socket.socket, *, tokens: Mapping[str, str], host: str, tell: Callable[[str, str], None]) -> None:
    """Serve an application until SIGINT or SIGTERM, which let the requests that are being answered end.

    Args:
        app: an ASGI application.
        listening: of `bind`.
        tokens: see `Guard`.
        host: that `bind` was given.
        tell: is given each name with the address to open, which holds its token.
    """
    port = listening.getsockname()[1]
    server = server_for(app, tokens=tokens, port=port, host=host)
    # uvicorn raises the signals that it got again when it has finished.
    with contextlib.suppress(KeyboardInterrupt), Interrupts():
        for token, name in tokens.items():
            tell(name, f"http://{reachable(host)}:{port}/?token={token}")
        server.run(sockets=[listening])
