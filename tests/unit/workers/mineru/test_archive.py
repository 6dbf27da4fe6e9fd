"""Zips and pictures that are not as they should be."""

from __future__ import annotations

import struct
import zipfile
from io import BytesIO
from typing import Any

import pytest

from mineru_results import JPEG, PNG, as_zip, middle, spans, zipped
from penstock.errors import BadInput
from penstock.workers.mineru import archive, output, read_output

TEXT = {"type": "text", "content": spans("a")}


def figure(path: str) -> dict[str, Any]:
    return {"type": "image", "content": [{"type": "image_body", "content": "", "image_path": path}]}


def refused(content: bytes) -> BadInput:
    with pytest.raises(BadInput) as caught:
        read_output(content)
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "malformed"),
        (b"<html>Bad gateway</html>", "malformed"),
        (as_zip(middle([TEXT]))[:-30], "malformed"),
        (zipped({"readme.txt": "nothing here"}), "schema"),
        (zipped({"middle_json.json": "{"}), "truncated"),
        (zipped({"middle_json.json": "3"}), "schema"),
        (zipped({"middle_json.json": ""}), "empty"),
        (zipped({"layout.json": "{}"}), "schema"),
        (zipped({"../middle_json.json": "{}", "/middle_json.json": "{}", "a\n_middle.json": "{}"}), "schema"),
        (zipped({"a/x_middle.json": "{}", "b/y_middle.json": "{}"}), "schema"),
        (zipped({"middle_json.json": "[" * 100_000}), "malformed"),
    ],
)
def test_what_is_no_result_is_refused_in_one_line(content: bytes, reason: str) -> None:
    assert refused(content).reason == reason


def test_damage_is_found_by_its_checksum() -> None:
    content = zipped({"middle_json.json": "x" * 1000})
    at = content.index(b"middle_json.json") + len("middle_json.json") + 2
    assert refused(content[:at] + b"\x00" + content[at + 1 :]).reason in ("malformed", "truncated")


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBER", 1 << 20)
    assert refused(zipped({"middle_json.json": b" " * (2 << 20)})).reason == "too-large"


def test_what_all_files_give_together_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    result = as_zip(
        middle([figure("images/a.jpg"), figure("images/b.jpg"), TEXT]),
        **{
            "images/a.jpg": JPEG + b"a" * 60_000,
            "images/b.jpg": JPEG + b"b" * 60_000,
        },
    )
    monkeypatch.setattr(archive, "MAX_TOTAL", 100_000)
    assert [bool(element.image) for element in read_output(result).elements] == [True, False, False]


def test_too_many_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBERS", 2)
    assert refused(zipped({"a": "", "b": "", "middle_json.json": "{}"})).reason == "too-large"


def test_an_encrypted_zip_is_refused() -> None:
    content = bytearray(as_zip(middle([TEXT])))
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        struct.pack_into("<H", content, content.index(signature) + at, 1)
    assert refused(bytes(content)).reason == "encrypted"


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.jpg", JPEG), ("a.png", PNG), ("a.webp", b"RIFF\x00\x00\x00\x00WEBPVP8 ")],
)
def test_pictures_are_known_by_their_bytes(name: str, content: bytes) -> None:
    parsed = read_output(as_zip(middle([figure("images/wrong.gif")]), **{"images/wrong.gif": content}))
    (image,) = parsed.images
    assert parsed.images[image] == content
    assert image.rpartition(".")[2] == name.rpartition(".")[2]
    assert parsed.elements[0].image == image


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("images/none.jpg", None),
        ("images/a.jpg", b"GIF89a"),
        ("images/a.jpg", b""),
        ("../../etc/passwd", None),
        ("/etc/passwd", None),
        ("images/a.jpg", JPEG + b"x" * 2000),
    ],
)
def test_a_picture_that_can_t_be_had_costs_no_text(
    path: str, content: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "MAX_IMAGE", 1000)
    parsed = read_output(as_zip(middle([figure(path), TEXT]), **({path: content} if content is not None else {})))
    assert [(element.kind, element.image) for element in parsed.elements] == [("figure", None), ("paragraph", None)]
    assert parsed.images == {}


def test_a_link_is_no_picture() -> None:
    buffer = BytesIO(as_zip(middle([figure("images/a.jpg")])))
    with zipfile.ZipFile(buffer, "a") as added:
        link = zipfile.ZipInfo("images/a.jpg")
        link.external_attr = 0o120777 << 16
        added.writestr(link, JPEG)
    assert read_output(buffer.getvalue()).elements[0].image is None


def test_a_picture_used_twice_is_kept_once() -> None:
    parsed = read_output(as_zip(middle([figure("images/a.jpg"), figure("images/a.jpg")]), **{"images/a.jpg": JPEG}))
    assert len(parsed.images) == 1


def test_results_in_a_folder_find_their_pictures_beside_them() -> None:
    files = {"paper/auto/images/a.jpg": JPEG, "paper/auto/model_output.json": b"not read"}
    parsed = read_output(as_zip(middle([figure("images/a.jpg")]), "paper/auto/paper_middle.json", **files))
    assert parsed.elements[0].image in parsed.images
