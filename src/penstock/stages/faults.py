"""Payloads of which the source itself says that their bytes are no good."""

from __future__ import annotations

from penstock.errors import BadInput
from penstock.ir import RawPayload
from penstock.sources.sniff import FAULTS

_LARGER = "raise PENSTOCK_MAX_PAYLOAD_MB, then run the same again"


def check_sound(payload: RawPayload, where: str = "") -> None:
    """Raises BadInput, with the source's own words after `where`, for a payload of a kind that says what is wrong."""
    if payload.kind in FAULTS:
        raise BadInput(
            f"{where}{payload.note or FAULTS[payload.kind]}",
            reason=payload.kind,
            next_step=_LARGER if payload.kind == "too-large" else None,
        )
