"""Keeps secrets and people's addresses out of messages."""

from __future__ import annotations

import re

_LONGEST = 400

_USERINFO = re.compile(r"(?P<keep>[a-z][a-z0-9+.-]*://)[^/?#\s]+@", re.IGNORECASE)
_QUERY = re.compile(
    r"(?P<keep>(?:\b|_)(?:key|apikey|token|secret|password|passwd|pwd|auth|signature|sig|credential|e?mail|mailto)=)"
    r"""[^\s&;,"'<>)\]}#]+""",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"""(?P<keep>\b(?:x-)?(?:api[_-]?key|apikey|[a-z_-]*token|[a-z_-]*secret|password|authorization)["']?\s*:\s*["']?"""
    r"""(?:(?:bearer|basic)\s+)?)[^\s,"'<>)\]}]+""",
    re.IGNORECASE,
)
_CREDENTIAL = re.compile(r"(?P<keep>\b(?:bearer|basic)\s+)[a-z0-9._~+/=-]{8,}", re.IGNORECASE)


def redact(text: str) -> str:
    """`text` with `***` for URL user info, for the values of parameters and headers such as api_key, token or email,
    and for bearer tokens; cut to 400 characters."""
    text = text[: 4 * _LONGEST]
    for secret in (_USERINFO, _QUERY, _LABEL, _CREDENTIAL):
        text = secret.sub(r"\g<keep>***", text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
