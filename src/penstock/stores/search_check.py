"""Whether two indexes hold the same, and whether one is sound."""

from __future__ import annotations

from hashlib import sha256

import apsw
import orjson

from penstock.stores.search_write import space

_CONTENT = """
SELECT t.name, d.source, d.source_id, d.kind, d.title, d.date, d.metadata, d.first, d.first + d.chunks - 1
FROM documents d JOIN tenants t ON t.number = d.tenant WHERE d.live
ORDER BY t.name, d.source, d.source_id, d.doc_id
"""
_CHUNKS = (
    'SELECT ordinal, start, "end", heading, text, number FROM chunks WHERE number BETWEEN ? AND ? ORDER BY ordinal'
)
_ORPHANS = {
    "chunks of no document": """
        SELECT count(*) FROM chunks c LEFT JOIN documents d ON d.number = c.document
        WHERE d.number IS NULL OR c.number NOT BETWEEN d.first AND d.first + d.chunks - 1""",
    "chunks that can't be found by words": """
        SELECT count(*) FROM chunks WHERE number NOT IN (SELECT id FROM words_docsize)""",
    "words of no chunk": "SELECT count(*) FROM words_docsize WHERE id NOT IN (SELECT number FROM chunks)",
    "chunks missing from documents": """
        SELECT (SELECT coalesce(sum(chunks), 0) FROM documents) - (SELECT count(*) FROM chunks)""",
}
_ORPHAN_VECTORS = {
    "vectors of no chunk": "SELECT count(*) FROM vectors_rowids WHERE rowid NOT IN (SELECT number FROM chunks)",
    "vectors missing from documents": """
        SELECT (SELECT coalesce(sum(vectors), 0) FROM documents) - (SELECT count(*) FROM vectors_rowids)""",
}


def digest(db: apsw.Connection) -> str:
    total = sha256()
    held = space(db)
    total.update(repr(held).encode())
    for *document, first, last in list(db.execute(_CONTENT)):
        total.update(orjson.dumps(document))
        for *chunk, row in list(db.execute(_CHUNKS, (first, last))):
            total.update(orjson.dumps(chunk))
            if held is not None:
                total.update(db.execute("SELECT embedding FROM vectors WHERE rowid = ?", (row,)).get or b"-")
    return total.hexdigest()


def problems(db: apsw.Connection) -> list[str]:
    found = [str(line) for (line,) in db.execute("PRAGMA quick_check") if line != "ok"]
    checks = _ORPHANS if space(db) is None else _ORPHANS | _ORPHAN_VECTORS
    for name, sql in checks.items():
        number = db.execute(sql).get
        if number:
            found.append(f"{number} {name}")
    return found
