"""MinerU's ZIPs as they are kept."""

from __future__ import annotations

from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pytest

from penstock.errors import BadInput
from penstock.workers.engines.mineru_raw import RawPart, kept

FILES = {"middle_json.json": b"{}" * 500, "images/a.jpg": b"picture", "empty": b""}


def zipped(year: int) -> bytes:
    packed = BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
        archive.comment = b"made by MinerU"
        for name, content in FILES.items():
            member = ZipInfo(name, (year, 5, 6, 7, 8, 10))
            member.comment, member.extra = b"of a member", b"\x99\x99\x02\x00ab"
            archive.writestr(member, content)
    return packed.getvalue()


def test_the_same_results_are_the_same_bytes_whenever_they_were_made() -> None:
    assert zipped(2025) != zipped(2026)
    assert kept([RawPart(1, 1, zipped(2025))]) == kept([RawPart(1, 1, zipped(2026))])


def test_all_but_the_times_is_kept() -> None:
    content = kept([RawPart(1, 9, zipped(2025))])
    assert len(content) == len(zipped(2025))
    with ZipFile(BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == FILES
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.comment == b"made by MinerU"


def test_several_are_kept_in_one() -> None:
    parts = [RawPart(1, 64, zipped(2025)), RawPart(65, 70, zipped(2026))]
    with ZipFile(BytesIO(kept(parts))) as archive:
        assert archive.namelist() == ["pages-00001-00064.zip", "pages-00065-00070.zip"]
        assert archive.read("pages-00001-00064.zip") == archive.read("pages-00065-00070.zip")
    assert kept(parts) == kept(parts)


@pytest.mark.parametrize("content", [b"", b"no zip", zipped(2025)[:-60]])
def test_what_is_no_zip_fails_the_document(content: bytes) -> None:
    with pytest.raises(BadInput):
        kept([RawPart(1, 1, content)])


def test_nor_does_a_directory_that_leads_out_of_it_do_harm() -> None:
    content = bytearray(zipped(2025))
    with ZipFile(BytesIO(content)) as archive:
        content[archive.start_dir + 42 : archive.start_dir + 46] = b"\xff\xff\xff\x7f"
    with pytest.raises(BadInput):
        kept([RawPart(1, 1, bytes(content))])
