"""The ledger: one database, and a small object for each thing one does with it."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import select

from penstock.ledger.batches import Batches
from penstock.ledger.database import Database
from penstock.ledger.definitions import Definitions
from penstock.ledger.gates import Gates
from penstock.ledger.intake import Intake
from penstock.ledger.leases import Leases
from penstock.ledger.migrate import ensure_current
from penstock.ledger.outputs import Outputs
from penstock.ledger.rates import Rates
from penstock.ledger.reports import Reports
from penstock.ledger.resumes import Resumes
from penstock.ledger.retirement import Retirement
from penstock.ledger.runs import Runs
from penstock.ledger.schema import ledger_meta
from penstock.ledger.stores import Stores
from penstock.ledger.submissions import Submissions
from penstock.ledger.told import Tellings
from penstock.ledger.waiting import Waiting
from penstock.ledger.watermarks import Watermarks
from penstock.ledger.work import Work
from penstock.ledger.workers import Workers


class Ledger:
    """Opened lazily: nothing touches the database before the first use, which brings an SQLite file up to date."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.batches = Batches(database)
        self.definitions = Definitions(database)
        self.gates = Gates(database)
        self.intake = Intake(database)
        self.leases = Leases(database)
        self.outputs = Outputs(database)
        self.rates = Rates(database)
        self.reports = Reports(database)
        self.resumes = Resumes(database)
        self.retirement = Retirement(database)
        self.runs = Runs(database)
        self.stores = Stores(database)
        self.submissions = Submissions(database)
        self.tellings = Tellings(database, self.gates)
        self.waiting = Waiting(database)
        self.watermarks = Watermarks(database)
        self.work = Work(database)
        self.workers = Workers(database)

    def open(self) -> None:
        """Migrate an SQLite ledger; check a PostgreSQL one. Raises UsageError when `penstock ledger migrate` is due."""
        ensure_current(self.database)

    def uuid(self) -> str:
        """The ledger's own name, made once."""
        with self.database.write() as connection:
            connection.execute(
                self.database.insert(ledger_meta).values(name="uuid", value=str(uuid4())).on_conflict_do_nothing()
            )
            return str(connection.execute(select(ledger_meta.c.value).where(ledger_meta.c.name == "uuid")).scalar_one())
