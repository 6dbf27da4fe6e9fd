"""What comes in: bytes, and where they are from."""

from __future__ import annotations

from hashlib import sha256

from pydantic import Field

from penstock.ir.model import Record, Text


class Request(Record):
    """What a submission asks of a source: the source's name and its own options.

    `since`: epoch milliseconds; what the source knows to be unchanged since then need not be listed. 0: everything.
    """

    source: str
    query: dict[str, object] = Field(default_factory=dict)
    since: int = 0


class Origin(Record):
    """Where a payload's bytes were found.

    `uri` is a path or URL. For one record out of a file of many, `offset` is the byte at which it starts in that file
    (its length is the payload's) and `member` the name of the file inside an archive. `key` identifies this place
    within its source from one listing to the next; `version` is a cheap mark (ETag, size and mtime) or "".
    """

    uri: Text
    key: Text
    offset: int | None = None
    member: Text | None = None
    version: str = ""
    fetched_at: int = 0
    """Epoch milliseconds."""


class RawPayload(Record):
    """One record's bytes exactly as they were sent, with its identity.

    `kind` is the sniffed format (see sources.sniff.KINDS), `source_id` the identifier that the content states, else
    the place it was found in. `cursor` is where a listing goes on after this payload. `note` says what is wrong with
    bytes that the source itself could not take (see sources.sniff.FAULTS); they still go through, so that none is lost.
    `page_end`: the last of a page; what is listed is committed before the next page is asked for.
    """

    source: str
    source_id: Text
    kind: str
    media_type: str = "application/octet-stream"
    origin: Origin
    content: bytes = Field(repr=False)
    urls: tuple[Text, ...] = ()
    """Where the full text may be had, best first, when the payload is only a record about it."""
    cursor: str = ""
    note: Text = ""
    page_end: bool = False

    @property
    def sha256(self) -> str:
        return sha256(self.content).hexdigest()


class PDFFile(Record):
    """A PDF at rest: `artifact` names its bytes in the artifact store (their sha256)."""

    artifact: str
    size: int
    origin: Origin
