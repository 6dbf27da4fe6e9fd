"""A chunker that writes down every call, and misbehaves as files in the folder WITNESS tell it to.

`calls`: a line (title) for each call. `outage`: while it is there, the service is away.
`hold`: while it is there, calls wait; `held` says that one does.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from penstock.errors import BadInput, ServiceUnavailable
from penstock.ir import Chunk, Document, StageContext
from penstock.stages.chunk import SentenceChunker


class WitnessChunker(SentenceChunker):
    name = "witness"
    version = "1"

    def execute(self, ctx: StageContext, document: Document) -> list[Chunk]:
        folder = Path(os.environ["WITNESS"])
        with (folder / "calls").open("a") as calls:
            calls.write(f"{document.title}\n")
        while (folder / "hold").exists():
            (folder / "held").touch()
            time.sleep(0.02)
        if (folder / "outage").exists():
            raise ServiceUnavailable("the witness's service is away")
        if "POISON" in document.text:
            raise BadInput("there is poison in it")
        return super().execute(ctx, document)
