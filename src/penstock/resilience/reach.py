"""Which URLs may be asked at all: public ones by https, and what the operator configured.

A URL can come from a document or a redirect, so it is hostile. A name is resolved once, every address it has must be
public, and the connection goes to the address that was checked: a name that answers differently the second time gains
nothing. Host header, SNI and certificate check stay those of the name.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import httpcore
import httpx

from penstock.errors import TerminalError
from penstock.resilience.redaction import redact

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""Host and port to IP addresses, in the order to try."""

_PORTS = {"http": 80, "https": 443}
_MOST_ADDRESSES = 4

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NOT_FOR_US: tuple[IPv4Network | IPv6Network, ...] = (
    IPv4Network("192.0.0.0/24"),  # IETF protocols, a cloud's metadata among them; ipaddress calls most of it global
    IPv4Network("192.88.99.0/24"),  # 6to4 relays, RFC 7526
    IPv4Network("168.63.129.16/32"),  # Azure's metadata and DNS, by address alone a public host
    IPv6Network("2001::/23"),  # IETF protocols, Teredo and ORCHID among them, RFC 2928
    IPv6Network("2001:db8::/32"),
    IPv6Network("2002::/16"),  # 6to4: holds any IPv4 address
    IPv6Network("3fff::/20"),
)


def is_public(address: str) -> bool:
    """Whether an address is a global unicast one that holds no other address inside.

    Mapped, translated (NAT64) and tunnelled ones are refused, whatever they hold: nobody names a public host by them.
    """
    try:
        ip: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address) and ip not in _GLOBAL_UNICAST:
        return False
    if any(ip.version == net.version and ip in net for net in _NOT_FOR_US):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


class Reach:
    """`origins`: base URLs that the operator configured, whose addresses are not asked about (a server on loopback, or
    in the own network). `plain_http`: host names that may be asked without TLS. Give it only what one stage needs: a
    redirect may lead to any of them."""

    def __init__(self, origins: Iterable[str] = (), plain_http: Iterable[str] = ()) -> None:
        self._origins = {_origin(httpx.URL(url)) for url in origins}
        self._plain_http = {host.lower() for host in plain_http}

    def check(self, url: httpx.URL) -> None:
        """Raises TerminalError (forbidden-url) for what must not be asked, as far as the URL tells."""
        try:
            named = url.host != ""
        except UnicodeError as error:  # of what looks like an internationalised name, and is none
            raise _forbidden(url, "its host is no name") from error
        if url.scheme not in _PORTS or not named:
            raise _forbidden(url, "only https URLs are asked")
        if _origin(url) in self._origins:
            return
        if url.userinfo:
            raise _forbidden(url, "it carries credentials")
        if url.scheme == "http" and url.host not in self._plain_http:
            raise _forbidden(url, "only https URLs are asked")

    def trusts(self, host: str, port: int) -> bool:
        return any(known[1:] == (host, port) for known in self._origins)


class PinnedBackend(httpcore.AsyncNetworkBackend):
    """Resolves and checks a name, then connects to the very address that passed."""

    def __init__(
        self,
        reach: Reach,
        resolve: Resolver | None = None,
        network: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._reach = reach
        self._resolve = resolve or resolve_by_system
        self._network = network or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises TerminalError (forbidden-url) when any address of the host is not public."""
        if self._reach.trusts(host, port):
            return await self._network.connect_tcp(host, port, timeout, local_address, socket_options)
        addresses = await self._resolve(host, port)
        for address in addresses:
            if not is_public(address):
                raise TerminalError(
                    f"{host} is at {address}, which is no public address",
                    reason="forbidden-url",
                    next_step="configure the service's base URL if it is yours",
                )
        addresses = addresses[:_MOST_ADDRESSES]
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                each = timeout / len(addresses) if timeout else None
                return await self._network.connect_tcp(address, port, each, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise TerminalError("Unix sockets are not asked", reason="forbidden-url")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def resolve_by_system(host: str, port: int) -> list[str]:
    """By getaddrinfo. Raises socket.gaierror, or TerminalError for what can't be a host name."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise TerminalError(f"{host[:100]!r} is no host name", reason="forbidden-url") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.raw_host.decode("ascii"), url.port or _PORTS.get(url.scheme, 0)


def _forbidden(url: httpx.URL, why: str) -> TerminalError:
    return TerminalError(f"{redact(str(url))} was not asked: {why}", reason="forbidden-url")
