"""The shape all flowing records share: immutable, closed, free of text that a database can't hold."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Replace U+0000 and lone surrogates by U+FFFD, one for one: PostgreSQL refuses them, offsets stay true."""
    if text.isascii():
        return text.replace("\0", "\ufffd") if "\0" in text else text
    return _UNSTORABLE.sub("\ufffd", text) if _UNSTORABLE.search(text) else text


Text = Annotated[str, AfterValidator(clean_text)]


class Record(BaseModel):
    """A frozen record. Unknown fields are refused, so a typo in a stage is seen at once."""

    model_config = ConfigDict(frozen=True, extra="forbid")
