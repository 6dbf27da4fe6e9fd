# ruff: noqa: S608 — only words of this program become SQL; what comes from outside is bound
"""The search index's tables, and the check that a file is such an index.

- `documents`: one row a document, also after it was removed (`live` 0, emptied), so that a late writer is still fenced
  off. Its chunks are the rows `first … first + chunks - 1` of `chunks`: deleting them needs no index of their own.
- `words` (FTS5): text, title (with the headings above the chunk) and the tenant as one token of zero weight. It keeps
  no copy of the text (contentless), and deletes by row number without reading it. `deletemerge` 40 rather than 10:
  replacing every document cost 1.3 CPU s instead of 4.6 at 20,000 chunks. Titles at weight 2 gave the best nDCG@10 on
  CISI and Cranfield.
- `vectors` (sqlite-vec, made when the first vectors come): float32, cosine, one partition a tenant.
"""

from __future__ import annotations

import uuid
from pathlib import Path

import apsw

from penstock.errors import UsageError

VERSION = 1
APPLICATION = 0x50535449  # "PSTI", SQLite's application_id: tells an index from any other SQLite database
TOKENIZER = ("porter", ("unicode61", "remove_diacritics", "2"))
PAGE_SIZE = 16384

_TABLES = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE tenants (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE documents (
  number INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, doc_id TEXT NOT NULL,
  generation INTEGER NOT NULL, token INTEGER NOT NULL, live INTEGER NOT NULL,
  source TEXT NOT NULL, source_id TEXT NOT NULL, kind TEXT NOT NULL, title TEXT NOT NULL, date TEXT,
  metadata TEXT NOT NULL, first INTEGER NOT NULL, chunks INTEGER NOT NULL, vectors INTEGER NOT NULL,
  UNIQUE (tenant, doc_id)
) STRICT;
CREATE TABLE chunks (
  number INTEGER PRIMARY KEY, document INTEGER NOT NULL, chunk_id TEXT NOT NULL, ordinal INTEGER NOT NULL,
  start INTEGER NOT NULL, "end" INTEGER NOT NULL, heading TEXT NOT NULL, text TEXT NOT NULL
) STRICT;
CREATE INDEX chunk_ids ON chunks (chunk_id);
CREATE VIRTUAL TABLE words USING fts5 (
  text, title, tenant, content='', contentless_delete=1, tokenize='{TOKENIZER[0]} {" ".join(TOKENIZER[1])}'
);
INSERT INTO words (words, rank) VALUES ('rank', 'bm25(1.0, 2.0, 0.0)');
INSERT INTO words (words, rank) VALUES ('hashsize', 8388608);
INSERT INTO words (words, rank) VALUES ('deletemerge', 40);
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
"""

_LOOK = """
SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
FROM pragma_application_id, pragma_user_version
"""  # one statement, one state of the file: another process may be making it just now

_VECTORS = """
CREATE VIRTUAL TABLE vectors USING vec0 (
  tenant integer partition key, embedding float[{dimension}] distance_metric=cosine
)
"""


def prepare(connection: apsw.Connection, path: Path) -> None:
    """Make the tables in an empty file, or see that they are there. Raises UsageError for any other file."""
    if _is_index(connection, path):
        return
    connection.pragma("page_size", PAGE_SIZE)
    connection.pragma("journal_mode", "wal")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not _is_index(connection, path):
            connection.execute(_TABLES)
            connection.execute("INSERT INTO meta VALUES ('uuid', ?)", (str(uuid.uuid4()),))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def create_vectors(connection: apsw.Connection, dimension: int) -> None:
    connection.execute(_VECTORS.format(dimension=int(dimension)))


def _is_index(connection: apsw.Connection, path: Path) -> bool:
    """True: an index of this version. False: an empty database."""
    [(application, version, tables)] = connection.execute(_LOOK)
    if application == APPLICATION and version == VERSION:
        return True
    if application == APPLICATION:
        raise UsageError(
            f"{path} is a search index of schema version {version}; this Penstock reads version {VERSION}",
            reason="index-version",
            next_step=rebuild(path),
        )
    if application or version or tables:
        raise UsageError(
            f"{path} is a SQLite database, but not a search index",
            reason="not-an-index",
            next_step="name another file: PENSTOCK_INDEX_PATH",
        )
    return False


def rebuild(path: Path) -> str:
    """What helps when an index can't be used as it is: nothing in it is only there."""
    begun = "penstock index discard (a new one is half built), then " if _is_building(path) else ""
    return f"{begun}delete {path} (with -wal and -shm beside it); the next run builds it anew"


def _is_building(path: Path) -> bool:
    """Whether a generation of the index that `path` is one of is under construction (search_generations)."""
    return any(path.parent.glob(f"{path.stem.partition('.')[0]}*.next"))


OTHER_MODEL = "penstock index rebuild builds it anew with another model (one half built: penstock index discard first)"
"""What changes an index's model; what is there stays searchable meanwhile."""
