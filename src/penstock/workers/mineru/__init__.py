"""What MinerU writes, read: `read_output` makes `Parsed` out of a zip of its results, whichever of its versions did it.

MinerU 2 to 4 has said the same in four ways; the best of those that are there is read:

| file | of | boxes | what else |
|---|---|---|---|
| `middle_json.json` | 4.x | fractions | `middle`: blocks in reading order, what goes on where, page sizes |
| `layout.json`, `*_middle.json` | 2.x, 3.x | points | `pdf_info`: lines and spans, page sizes, unmerged blocks |
| `*_content_list_v2.json` | 3.x | thousandths | `content_list_v2`: pages, spans |
| `*_content_list.json` | 2.x, 3.x | thousandths | `content_list`: one flat list, text as Markdown |
"""

from penstock.workers.mineru.output import read_files, read_output

__all__ = ["read_files", "read_output"]
