"""From when on a listing asks for changes: what an earlier one of the same request has seen is not fetched again."""

from __future__ import annotations

import orjson
from sqlalchemy import select

from penstock.ledger.database import Database
from penstock.ledger.schema import submissions, watermarks
from penstock.ledger.submissions import Submission


class Watermarks:
    def __init__(self, database: Database) -> None:
        self._db = database

    def since(self, submission: Submission, fingerprint: str) -> int:
        """Epoch milliseconds at which the newest listing before this one began; 0: all is to be listed.

        Listings count that came to their end, of the same request for the same pipeline with the same `fingerprint`:
        a pipeline that was changed takes all documents again. Decided once for a submission, so that it goes on with
        the same question however often it is stopped.
        """
        earlier = (
            select(submissions.c.created_at)
            .join(watermarks, watermarks.c.submission_id == submissions.c.id)
            .where(
                submissions.c.id < submission.id,
                submissions.c.tenant == submission.tenant,
                submissions.c.pipeline == submission.pipeline,
                submissions.c.source == submission.source,
                submissions.c.request == submission.request,
                submissions.c.status == "listed",
                watermarks.c.fingerprint == fingerprint,
            )
            .order_by(submissions.c.id.desc())
            .limit(1)
        )
        mine = watermarks.c.submission_id == submission.id
        with self._db.write() as connection:
            known = connection.execute(select(watermarks.c.since, watermarks.c.fingerprint).where(mine)).first()
            if known is None:
                since = connection.execute(earlier).scalar() or 0
                row = {"submission_id": submission.id, "since": since, "fingerprint": fingerprint}
                connection.execute(watermarks.insert(), [row])
                return since
            if not known.fingerprint:
                connection.execute(watermarks.update().where(mine).values(fingerprint=fingerprint))
            return int(known.since)

    def complete(self, submission: int) -> bool:
        """Whether a submission's listing, come to its end, gave all there is: neither changes only, nor as many
        records as its request's `limit` allows."""
        row = (
            select(submissions.c.request, submissions.c.records, watermarks.c.since)
            .outerjoin(watermarks, watermarks.c.submission_id == submissions.c.id)
            .where(submissions.c.id == submission)
        )
        with self._db.read() as connection:
            request, records, since = connection.execute(row).one()
        limit = orjson.loads(request).get("limit")
        return not since and not (isinstance(limit, int) and records >= limit)

    def came_up_short(self, submission: int) -> None:
        """A submission's listing left something out: no later one asks only for what changed since."""
        with self._db.write() as connection:
            mine = watermarks.c.submission_id == submission
            connection.execute(watermarks.update().where(mine).values(fingerprint=""))

    def changes_only(self, submission: int) -> bool:
        """Whether a submission's listing asks only for what changed."""
        with self._db.read() as connection:
            since = select(watermarks.c.since).where(watermarks.c.submission_id == submission)
            return bool(connection.execute(since).scalar())
