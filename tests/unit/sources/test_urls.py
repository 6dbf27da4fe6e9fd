from __future__ import annotations

import pytest

from penstock.errors import UsageError
from penstock.sources.urls import Urls


def test_an_address_is_a_payload_of_its_own() -> None:
    (payload,) = Urls().list({"urls": "HTTPS://Example.org/A%20b.pdf?x=1,2#page=3"})
    url = "https://example.org/A%20b.pdf?x=1,2"
    assert (payload.source_id, payload.kind, payload.media_type) == (url, "uri-list", "text/uri-list")
    assert payload.content == f"{url}\r\n".encode()
    assert payload.urls == (url,)
    assert (payload.origin.uri, payload.origin.key) == (url, url)


@pytest.mark.parametrize(
    "given",
    [
        "https://a.org/1 https://a.org/2",
        "https://a.org/1, https://a.org/2\n",
        "https://a.org/1,https://a.org/2",
        ["https://a.org/1", "https://a.org/2", "https://a.org/1#again"],
    ],
)
def test_addresses_may_be_named_in_many_ways(given: object) -> None:
    assert [payload.source_id for payload in Urls().list({"urls": given})] == ["https://a.org/1", "https://a.org/2"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.pdf",
        "ftp://a.org/1",
        "file:///etc/passwd",
        "https://",
        "https://user:secret@a.org/1",
        "https://a.org:99999/",
        "https://[::1/",
        "https://a.org/" + "x" * 2000,
        ["https://a.org/a b"],
        ["https://a.org/\x00"],
        7,
    ],
)
def test_what_is_no_address_is_refused_at_once(url: object) -> None:
    with pytest.raises(UsageError, match=r"urls: .* is no http\(s\) URL") as caught:
        Urls().list({"urls": url})
    assert len(caught.value.message) < 200


def test_no_address_at_all_is_refused() -> None:
    for query in ({}, {"urls": []}):
        with pytest.raises(UsageError, match="urls: "):
            Urls().list(query)


def test_a_limit_is_kept() -> None:
    many = [f"https://a.org/{n}" for n in range(50)]
    assert len(list(Urls().list({"urls": many, "limit": 30}))) == 30
