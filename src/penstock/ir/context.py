"""What a stage may know about the work it is given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock.errors import UsageError


@dataclass(frozen=True, slots=True)
class StageContext:
    """`metadata` carries `generation` and `token` (integers), which a sink must compare and keep, and `pipeline`."""

    tenant_id: str
    doc_id: str
    correlation_id: str
    metadata: Mapping[str, object] = field(default_factory=dict)

    @property
    def generation(self) -> int:
        value = self.metadata.get("generation", 0)
        return value if isinstance(value, int) else 0

    @property
    def token(self) -> int:
        value = self.metadata.get("token", 0)
        return value if isinstance(value, int) else 0


_TENANT = re.compile(r"[a-z0-9-]{1,63}")


def check_tenant(name: str) -> str:
    """The name. Raises UsageError for one that is no tenant's."""
    if not _TENANT.fullmatch(name):
        raise UsageError(f"the tenant {name!r}: a name is 1 to 63 small letters, digits and dashes")
    return name
