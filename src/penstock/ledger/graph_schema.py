"""The graph's tables, in the ledger's database and on its metadata.

Nothing here depends on the order in which documents came: an entity row is what a name (or, for individuals, an
identifier) says, a claim row is what subject, predicate and object say, and everything a particular document adds to
them (spelling, identifiers, sentences) is a row of that document's. So a document's share goes as a whole, and two
histories that end in the same documents, and the same names set apart, end in the same rows (ids aside).
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, PrimaryKeyConstraint, String, Table, Text, UniqueConstraint

from penstock.ledger.schema import Id, metadata

graph_meta = Table(
    "graph_meta",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)
"""`store`: the uuid of this graph."""

graph_documents = Table(
    "graph_documents",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("tenant", String, nullable=False),
    Column("doc_id", String, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("extractor", String, nullable=False),
    Column("version", String, nullable=False),
    Column("entities", Integer, nullable=False),
    Column("claims", Integer, nullable=False),
    UniqueConstraint("tenant", "doc_id"),
)
"""What stands for a document: which generation, written under which token, by which extractor, and how much."""

graph_entities = Table(
    "graph_entities",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("tenant", String, nullable=False),
    Column("key", String, nullable=False),
    Column("type", String, nullable=False),
    Column("identity", Text, nullable=False),
    UniqueConstraint("tenant", "key"),
)
"""A fine-grained entity. `identity` is what makes it itself, `key` a hash of type and identity (see graph_names)."""

graph_mentions = Table(
    "graph_mentions",
    metadata,
    Column("document_id", Id, nullable=False),
    Column("entity_id", Id, nullable=False),
    Column("name", Text, nullable=False),
    Column("folded", String, nullable=False),
    Column("evidence", Text, nullable=False),
    PrimaryKeyConstraint("document_id", "entity_id"),
    Index("graph_mentions_by_entity", "entity_id"),
    Index("graph_mentions_by_name", "folded"),
    sqlite_with_rowid=False,
)
"""A document names an entity: as it spells it, as it is looked up (`folded`), and where (a JSON list of Evidence)."""

graph_identifiers = Table(
    "graph_identifiers",
    metadata,
    Column("document_id", Id, nullable=False),
    Column("entity_id", Id, nullable=False),
    Column("scheme", String, nullable=False),
    Column("value", String, nullable=False),
    PrimaryKeyConstraint("document_id", "entity_id", "scheme", "value"),
    Index("graph_identifiers_by_value", "value", "scheme"),
    Index("graph_identifiers_by_entity", "entity_id"),
    sqlite_with_rowid=False,
)
"""A document says that an entity has an identifier. Entities that share one are read as one node (see graph_merge)."""

graph_claims = Table(
    "graph_claims",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("tenant", String, nullable=False),
    Column("key", String, nullable=False),
    Column("subject_id", Id, nullable=False),
    Column("predicate", String, nullable=False),
    Column("object_id", Id),
    Column("value", Text),
    UniqueConstraint("tenant", "key"),
    Index("graph_claims_by_subject", "subject_id"),
    Index("graph_claims_by_object", "object_id"),
)
"""subject —predicate→ object, or a literal `value`. `key`, a hash of the three, is the edge's public id."""

graph_evidence = Table(
    "graph_evidence",
    metadata,
    Column("document_id", Id, nullable=False),
    Column("claim_id", Id, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("chunk_id", String),
    Column("field", String),
    Column("start", Integer),
    Column("end", Integer),
    Column("quote", Text, nullable=False),
    Column("locator", Text, nullable=False),
    Column("attributes", Text),
    PrimaryKeyConstraint("document_id", "claim_id", "ordinal"),
    Index("graph_evidence_by_claim", "claim_id"),
    sqlite_with_rowid=False,
)
"""Why a document says a claim is so. Generation, extractor and version are the document's row's; `attributes` is what
that document adds to the claim (a role, a phase) as JSON."""

graph_apart = Table(
    "graph_apart",
    metadata,
    Column("tenant", String, nullable=False),
    Column("name", String, nullable=False),
    Column("doc_id", String, nullable=False),
    Column("type", String, nullable=False),
    Column("sense", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "name", "doc_id", "type"),
    Index("graph_apart_by_document", "tenant", "doc_id"),
    sqlite_with_rowid=False,
)
"""A person says that in a document a folded name of a type ("": of any) means another thing, `sense`. It outlives what
the document says at the moment. `at` is epoch milliseconds."""

TABLES = (
    graph_meta,
    graph_documents,
    graph_entities,
    graph_mentions,
    graph_identifiers,
    graph_claims,
    graph_evidence,
    graph_apart,
)
