"""What a stage may know about the work it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
