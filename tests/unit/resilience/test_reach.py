from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpcore
import httpx
import pytest

from penstock.errors import PenstockError, ServiceUnavailable, TerminalError
from penstock.resilience.http import Http
from penstock.resilience.limits import LocalLimits
from penstock.resilience.policy import Policy
from penstock.resilience.reach import Reach, is_public, resolve_by_system
from wire import NASTY, Canary, LoopbackOnly, Names

QUICK = Policy(max_attempts=2, backoff_strategy="none", timeout_seconds=2.0)

NOT_PUBLIC = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "localhost",
    "0x7f.1",
    "127.1",
    "2130706433",
]


@pytest.fixture
def canary() -> Iterator[Canary]:
    canary = Canary()
    yield canary
    canary.close()


class Nowhere(httpcore.AsyncNetworkBackend):
    """Connects to nothing and remembers what it was asked to."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def connect_tcp(self, host: str, *_: Any) -> httpcore.AsyncNetworkStream:
        self.asked.append(host)
        raise httpcore.ConnectError("nowhere")


def guarded(policy: Policy = QUICK, **options: Any) -> Http:
    return Http(policy, limits=LocalLimits(), **options)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "2a00:1450::1"])
def test_a_public_address_is_let_through(address: str) -> None:
    assert is_public(address)


def test_no_nasty_url_reaches_the_canary(canary: Canary) -> None:
    assert len(NASTY) >= 40
    found: list[tuple[str, str]] = []
    network = LoopbackOnly()
    with guarded(network=network) as http, http.client() as client:
        for url in NASTY:
            try:
                client.get(url.format(port=canary.port))
                reason = "came through"
            except PenstockError as error:
                reason = error.reason
            except (httpx.InvalidURL, httpx.UnsupportedProtocol):
                reason = "refused by httpx"
            found.append((url, reason))
    assert [(url, reason) for url, reason in found if reason not in ("forbidden-url", "refused by httpx", "dns")] == []
    assert network.asked == []
    assert canary.hits == 0


def test_plain_http_allowed_for_a_host_does_not_make_its_address_allowed(canary: Canary) -> None:
    with (
        guarded(plain_http=["localhost"]) as http,
        http.client() as client,
        pytest.raises(TerminalError, match="no public address"),
    ):
        client.get(f"http://localhost:{canary.port}/")
    assert canary.hits == 0


def test_a_name_that_rebinds_between_attempts_is_refused_the_second_time(canary: Canary) -> None:
    names, network = Names(["93.184.216.34"], ["127.0.0.1"]), Nowhere()
    with (
        guarded(resolve=names, network=network) as http,
        http.client() as client,
        pytest.raises(TerminalError, match=r"127\.0\.0\.1"),
    ):
        client.get(f"https://rebinding.example:{canary.port}/")
    assert network.asked == ["93.184.216.34"]
    assert canary.hits == 0


def test_a_name_is_resolved_once_an_attempt_and_its_checked_address_is_connected_to() -> None:
    names, network = Names(["93.184.216.34"]), Nowhere()
    with (
        guarded(resolve=names, network=network) as http,
        http.client() as client,
        pytest.raises(ServiceUnavailable) as caught,
    ):
        client.get("https://public.example/")
    assert caught.value.reason == "connect"
    assert caught.value.attempts == names.asked == 2
    assert network.asked == ["93.184.216.34"] * 2


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    names, network = Names(["93.184.216.34", "10.0.0.1"]), Nowhere()
    with (
        guarded(resolve=names, network=network) as http,
        http.client() as client,
        pytest.raises(TerminalError, match=r"10\.0\.0\.1"),
    ):
        client.get("https://mixed.example/")
    assert network.asked == []


def test_each_address_of_a_host_is_tried() -> None:
    network = Nowhere()
    names = Names(["2606:2800:220:1:248:1893:25c8:1946", "93.184.216.34"])
    with (
        guarded(Policy(max_attempts=1), resolve=names, network=network) as http,
        http.client() as client,
        pytest.raises(ServiceUnavailable),
    ):
        client.get("https://public.example/")
    assert network.asked == ["2606:2800:220:1:248:1893:25c8:1946", "93.184.216.34"]


def test_a_configured_origin_is_trusted_and_no_other_port_scheme_or_host() -> None:
    reach = Reach(origins=["http://127.0.0.1:8000/v1"])
    reach.check(httpx.URL("http://127.0.0.1:8000/v1/embeddings"))
    assert reach.trusts("127.0.0.1", 8000)
    assert not reach.trusts("127.0.0.1", 8001)
    assert not reach.trusts("localhost", 8000)
    for url in ("http://127.0.0.1:8001/", "http://localhost:8000/"):
        with pytest.raises(PenstockError):
            reach.check(httpx.URL(url))


def test_a_default_port_is_the_same_origin_said_or_not() -> None:
    reach = Reach(origins=["https://embed.internal/v1"])
    assert reach.trusts("embed.internal", 443)
    reach.check(httpx.URL("https://embed.internal:443/v1"))


def test_a_refusal_tells_no_credentials() -> None:
    with pytest.raises(TerminalError) as caught:
        Reach().check(httpx.URL("https://user:s3cret@example.org/?api_key=s3cret"))
    assert "s3cret" not in caught.value.message


def test_what_cannot_be_a_host_name_is_refused_rather_than_a_crash() -> None:
    with pytest.raises(TerminalError):
        asyncio.run(resolve_by_system("a" * 70 + ".example", 443))
