"""The picture of a place in a PDF: its pages, drawn, with the boxes marked."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from penstock.errors import BadInput, Crashed
from penstock.ir.places import Box, PagePlace
from penstock.workers.children import Child, ChildDied, Limits
from penstock.workers.engine import Progress
from penstock.workers.host import ChildHost
from penstock.workers.parsed import Page, Parsed

if TYPE_CHECKING:
    from PIL import Image

    from penstock.stores.artifacts import ArtifactStore

MOST_PAGES = 8
MOST_BOXES = 200
"""Of one page; a chunk of text has a handful."""
_MOST_PIXELS = 4000
"""Along a page's longer side, whatever was asked for: pages may be of any size."""
_GAP = 12
_FILL, _LINE, _GROUND = (255, 214, 10, 72), (214, 60, 20, 255), (120, 120, 120)
_LIMITS = Limits(memory_mb=2048, page_seconds=30.0, document_seconds=120.0)


class PictureOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    places: tuple[PagePlace, ...] = Field(min_length=1, max_length=MOST_PAGES)
    dpi: int = Field(default=110, ge=20, le=600)


class Painter:
    """An engine for the eye: what it gives is no text but a picture, `Parsed.images["picture"]`, as PNG.

    One page stands below the other. Where a page would be too large for its `dpi` it is drawn smaller.
    """

    name = "picture"
    version = "1"
    Options = PictureOptions

    def __init__(self, options: PictureOptions) -> None:
        self._options = options

    def parse(self, pdf: Path, progress: Progress) -> Parsed:
        """Raises BadInput (corrupt) for a PDF or page that can't be drawn."""
        import pypdfium2 as pdfium

        drawn, pages = [], []
        try:
            with pdfium.PdfDocument(pdf) as document:
                for number, place in enumerate(self._options.places, 1):
                    page = document[place.page - 1]
                    width, height = page.get_size()
                    scale = min(self._options.dpi / 72, _MOST_PIXELS / max(width, height, 1))
                    drawn.append(marked(page.render(scale=scale).to_pil(), place.boxes))
                    pages.append(Page(number=number, width=width, height=height))
                    progress(number, len(self._options.places))
        except (pdfium.PdfiumError, IndexError) as error:
            raise BadInput(f"the PDF can't be drawn: {error}", reason="corrupt") from error
        return Parsed(pages=tuple(pages), elements=(), images={"picture": png(drawn)})


def marked(page: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    """The page with each box (fractions of it) tinted and outlined."""
    from PIL import Image, ImageDraw

    over = Image.new("RGBA", page.size)
    pen, (width, height) = ImageDraw.Draw(over), page.size
    for x0, y0, x1, y1 in boxes[:MOST_BOXES]:
        corners = (x0 * width - 2, y0 * height - 2, x1 * width + 2, y1 * height + 2)
        pen.rectangle(corners, fill=_FILL, outline=_LINE, width=2)
    return Image.alpha_composite(page.convert("RGBA"), over).convert("RGB")


def png(pages: Sequence[Image.Image]) -> bytes:
    """One below the other."""
    from PIL import Image

    size = max(page.width for page in pages), sum(page.height + _GAP for page in pages) - _GAP
    whole = Image.new("RGB", size, _GROUND)
    top = 0
    for page in pages:
        whole.paste(page, (0, top))
        top += page.height + _GAP
    file = io.BytesIO()
    whole.save(file, "PNG")
    return file.getvalue()


def picture(artifacts: ArtifactStore, digest: str, places: Sequence[PagePlace], dpi: int) -> bytes:
    """PNG of a PDF's pages, drawn in a child process with limits. `digest` names the PDF in the artifact store.

    Raises BadInput, ArtifactLost, or Crashed when the child came to a bad end.
    """
    wanted = [place.model_dump(mode="json") for place in places[:MOST_PAGES]]
    for place in wanted:
        place["boxes"] = place["boxes"][:MOST_BOXES]
    options: dict[str, Any] = {"places": wanted, "dpi": dpi}
    child = Child(ChildHost("picture", "1", f"{__name__}:{Painter.__name__}", limits=_LIMITS, options=options))
    try:
        with TemporaryDirectory(prefix="penstock-picture-") as folder:
            pdf = Path(folder, "document.pdf")
            artifacts.fetch(digest, pdf)
            return child.parse(pdf, lambda _done, _total: None, lambda: None).images["picture"]
    except ChildDied as died:
        raise Crashed(f"the process that drew it came to a bad end: {died}") from None
    finally:
        child.close()
