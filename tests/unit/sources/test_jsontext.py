from __future__ import annotations

import json

import pytest

from penstock.errors import BadInput
from penstock.sources.jsontext import load_json


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_every_unicode_encoding_is_read(encoding: str) -> None:
    assert load_json('{"a": "äß€"}'.encode(encoding)) == {"a": "äß€"}


def test_a_lone_surrogate_is_taken_as_it_stands() -> None:
    assert load_json(rb'{"a": "x\ud800y"}') == {"a": "x\ud800y"}


def test_the_last_of_duplicate_keys_counts() -> None:
    assert load_json(b'{"a": 1, "a": 2}') == {"a": 2}
    assert load_json(rb'{"b": "\ud800", "a": 1, "a": 2}')["a"] == 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b" \n ", "empty"),
        (b'{"a": NaN}', "malformed"),
        (b'{"a": -Infinity}', "malformed"),
        (b'{"a": "x\xff"}', "malformed"),
        (b'{"a": 1,}', "malformed"),
        (b'{"a": "\x00"}', "malformed"),
        (b"[" * 100_000, "malformed"),
        (b"[" * 100_000 + b"]" * 100_000, "malformed"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "malformed"),
        (b'{"a": ' + b"9" * 5000 + rb', "b": "\ud800"}', "malformed"),
        (b'{"a": ', "truncated"),
        (b'{"a": "unfin', "truncated"),
        (b'{"a": 1', "truncated"),
        ('{"a": "€'.encode()[:-1], "truncated"),
    ],
)
def test_what_is_no_json_is_refused_with_its_reason(content: bytes, reason: str) -> None:
    with pytest.raises(BadInput) as caught:
        load_json(content)
    assert caught.value.reason == reason
    assert len(caught.value.message) < 200


def test_a_number_beyond_64_bits_does_no_harm() -> None:
    assert json.dumps(load_json(b'{"a": 123456789012345678901234567890}')).startswith('{"a": 1')
