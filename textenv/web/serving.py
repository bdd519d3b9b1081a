"""Serving an application until ctrl-C, on this machine only unless another address is asked for."""

import contextlib
import ipaddress
import logging
import os
import re
import socket
from collections.abc import Callable, Mapping
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from textenv.errors import ArgumentError
from textenv.interrupts import Interrupts
from textenv.web.guard import Guard

HOST: Final = "127.0.0.1"
_LOOPBACK_NAME: Final = re.compile(r"(.+\.)?(localhost[46]?|ip6-localhost|ip6-loopback)(\.localdomain[46]?)?\.?", re.IGNORECASE)
GRACE_SECONDS: Final = 1
"""For which requests that are being answered are waited for at the end, in addition to what the database takes."""


def bind(port: int, host: str = HOST) -> socket.socket:
    """Listen on a port of this machine.

    Args:
        port: 0 is any free one.
        host: an address or a name of this machine; 0.0.0.0 is all of its IPv4 addresses, :: all of its IPv6 ones.

    Raises:
        ArgumentError: the port is in use, or not for us, or the host is not this machine, or is a
            name of it that only this machine itself can use.
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
    if is_local(listening) and not _is_number(host) and not _LOOPBACK_NAME.fullmatch(host):
        listening.close()  # others would be given an address that leads to their own machines
        raise ArgumentError(f"{host} is {address} here; give the machine's address, or 0.0.0.0.")
    return listening


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def is_local(listening: socket.socket) -> bool:
    """Return whether what listens is reached from this machine only."""
    return _address(listening).is_loopback


def names_of(host: str, listening: socket.socket) -> tuple[str, ...]:
    """Return the names under which a server is reached, besides the addresses of connections.

    Args:
        host: that `bind` was given.
        listening: what it returned.

    Returns:
        They are in lower case.
    """
    names: tuple[str, ...] = () if _is_number(host) else (host.lower(),)
    if _address(listening).is_unspecified:
        names += (socket.gethostname().lower(), "localhost")
    elif is_local(listening):
        names += ("localhost",)
    return tuple(dict.fromkeys(names))


def reachable(host: str, listening: socket.socket) -> str:
    """Return what stands for a host in an address that is given to others.

    Args:
        host: that `bind` was given.
        listening: what it returned.
    """
    if not _is_number(host):
        return host
    address = _address(listening)
    if address.is_unspecified:
        address = _outward(address.version) or address
    if address.is_unspecified:
        return socket.gethostname()
    return f"[{address}]" if address.version == 6 else str(address)


def _address(listening: socket.socket) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(listening.getsockname()[0])


def _is_number(host: str) -> bool:
    """Return whether a host is an address and no name; 0 and 127.1 are addresses, too."""
    try:
        socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return False
    return True


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


def server_for(app: ASGIApp, listening: socket.socket, *, tokens: Mapping[str, str], host: str = HOST) -> uvicorn.Server:
    """Put an application behind a `Guard` into a server that writes nothing but what goes wrong."""
    port = listening.getsockname()[1]
    config = uvicorn.Config(
        Guard(app, tokens=tokens, port=port, hosts=names_of(host, listening)),
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
    server = server_for(app, listening, tokens=tokens, host=host)
    # uvicorn raises the signals that it got again when it has finished.
    with contextlib.suppress(KeyboardInterrupt), Interrupts():
        for token, name in tokens.items():
            tell(name, f"http://{reachable(host, listening)}:{port}/?token={token}")
        server.run(sockets=[listening])
