"""Run by Alembic, always with a connection that ledger.migrate opened and locked."""

from alembic import context

from penstock.ledger import graph_schema  # noqa: F401 — puts its tables on the metadata
from penstock.ledger.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
