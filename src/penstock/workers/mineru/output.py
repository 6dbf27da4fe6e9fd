"""Which of MinerU's files to read, and with what reader."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256

from penstock.errors import BadInput
from penstock.sources.jsontext import load_json
from penstock.stages.parse.jsonnode import Node
from penstock.workers.mineru import content_list, content_list_v2, middle, pdf_info
from penstock.workers.mineru.archive import ZippedFiles
from penstock.workers.mineru.draft import Draft
from penstock.workers.parsed import Parsed

MAX_IMAGE = 32 << 20
"""Bytes of one picture."""
_BEST_FIRST = tuple(
    re.compile(f"(?:{names})\\.json")
    for names in (
        "(?:.*_)?middle_json",
        "layout|(?:.*_)?middle",
        "(?:.*_)?content_list_v2",
        "(?:.*_)?content_list",
    )
)
"""What the files that can be read are called, without their folder."""


def read_output(content: bytes) -> Parsed:
    """What the zip that MinerU's server, cloud or command line gave says of one PDF.

    Pages have the numbers they have in the PDF, so those of a page range start where it does. Raises BadInput: schema,
    where it is not what MinerU writes, naming the place; too-large, truncated, malformed or encrypted, of the zip.
    """
    return read_files(ZippedFiles(content))


def read_files(files: Mapping[str, bytes]) -> Parsed:
    """The same of files by name. Raises BadInput as `read_output` does."""
    name = _best(files)
    pictures = _Pictures(files, name[: name.rfind("/") + 1])
    root = Node(load_json(files[name]))
    try:
        parsed = _read(root, Draft(pictures))
    except BadInput as error:
        raise BadInput(f"{name}: {error}", reason=error.reason) from error
    return parsed.model_copy(update={"images": pictures.found})


def _best(files: Mapping[str, bytes]) -> str:
    for called in _BEST_FIRST:
        found = [name for name in files if called.fullmatch(name.rpartition("/")[2])]
        if len(found) > 1:
            raise BadInput(f"results of more than one document: {found[0]}, {found[1]}", reason="schema")
        if found:
            return found[0]
    raise BadInput("none of the files that MinerU writes its results to is there", reason="schema")


def _read(root: Node, draft: Draft) -> Parsed:
    """By what the file holds: the same name has meant different things."""
    if isinstance(root.value, list):
        paged = any(isinstance(page, list) for page in root.value)
        return content_list_v2.read(root, draft) if paged else content_list.read(root, draft)
    if root["schema"]:
        return middle.read(root, draft)
    return pdf_info.read(root, draft)


class _Pictures:
    """Image files that are asked for: `found` by a name made of their bytes, so that those of several outputs go
    together."""

    def __init__(self, files: Mapping[str, bytes], folder: str) -> None:
        self._files = files
        self._folder = folder
        self.found: dict[str, bytes] = {}

    def __call__(self, name: str) -> str | None:
        """A picture that is missing, damaged, too large or no picture is no reason to lose the text around it."""
        for path in (f"{self._folder}{name}", f"{self._folder}images/{name}"):
            if path not in self._files:
                continue
            try:
                content = self._files[path]
            except BadInput:
                return None
            ending = _ending(content)
            if not ending or len(content) > MAX_IMAGE:
                return None
            own = f"{sha256(content).hexdigest()}.{ending}"
            self.found[own] = content
            return own
        return None


def _ending(content: bytes) -> str | None:
    if content.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    return "webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else None
