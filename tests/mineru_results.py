"""Results as MinerU writes them: small ones made here, and the recorded ones as files by name."""

from __future__ import annotations

import html
import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from penstock.workers.parsed import Parsed

JPEG = b"\xff\xd8\xff\xe0 a picture"
PNG = b"\x89PNG\r\n\x1a\n a picture"


def zipped(files: dict[str, bytes | str]) -> bytes:
    buffer = BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def as_zip(result: Any, name: str = "middle_json.json", **files: bytes) -> bytes:
    return zipped({name: json.dumps(result), **files})


def folder(path: Path, ending: str) -> dict[str, bytes]:
    """The files of a recorded result; of those in JSON only the one with this ending."""
    found = [file for file in path.rglob("*") if file.is_file()]
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in found
        if file.suffix != ".json" or file.name.endswith(ending)
    }


def spans(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "content": text}]


def middle(*pages: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A result of MinerU 4 with these blocks on its pages, which are numbered in reading order."""
    return {
        "schema": "docvortex.middle",
        "schema_version": "2.0",
        "metadata": {"file_suffix": "pdf", "producer": {"name": "mineru", "version": "4.0.12"}},
        "extensions": {
            "mineru": {"tier": "standard", "parse_mode": "txt"},
            "docvortex_layout": {
                "version": 1,
                "pages": [{"page_idx": n, "width_pt": 612.0, "height_pt": 792.0} for n in range(len(pages))],
            },
        },
        "pages": [
            {
                "page_idx": number,
                "blocks": [{"index": at, "bbox": [0.1, 0.1, 0.9, 0.2], **block} for at, block in enumerate(page)],
            }
            if page
            else {"page_idx": number}
            for number, page in enumerate(pages)
        ],
        "is_full_document": True,
        **more,
    }


def words(text: str) -> list[str]:
    """In lower case; every character of a script without blanks is one."""
    return re.findall(r"[⺀-鿿]|[^\W_⺀-鿿]+", text.lower())


def shown(markdown: str) -> str:
    """What of Markdown that MinerU wrote is text."""
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", " ", markdown)
    text = re.sub(r"</?(?:sup|sub)\b[^>]*>", "", text)
    return html.unescape(re.sub(r"</?(?:t[drh]|table|tbody|html|body|details|summary)\b[^>]*>", " ", text))


def said(parsed: Parsed) -> str:
    """All its text: captions above tables and below figures, as MinerU's Markdown mostly has them."""
    return "\n".join(
        "\n".join((element.text, element.caption) if element.kind == "figure" else (element.caption, element.text))
        for element in parsed.elements
    )
