"""How records become documents and jobs: one transaction a group, together with the listing's cursor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, select, update

from penstock.errors import Fenced
from penstock.ir.model import clean_text
from penstock.ledger.database import Database, clock
from penstock.ledger.locks import lock_jobs
from penstock.ledger.rounds import new_round
from penstock.ledger.schema import (
    artifacts,
    batch_jobs,
    documents,
    jobs,
    origins,
    outbox,
    stage_states,
    submissions,
)


@dataclass(frozen=True, slots=True)
class Record:
    """One listed payload as the ledger takes it in. `body` None: it rests in the artifact store under `content`."""

    doc_id: str
    source_id: str
    kind: str
    origin: str
    uri: str
    version: str
    content: bytes
    size: int
    head: bytes
    body: bytes | None

    def __post_init__(self) -> None:
        # Cleaned here too, not only in the columns: what is read back is compared with these.
        for name in ("source_id", "origin", "uri", "version"):
            object.__setattr__(self, name, clean_text(getattr(self, name)))


@dataclass(frozen=True, slots=True)
class Route:
    """What the documents of a listing are taken for."""

    tenant: str
    source: str
    pipeline: str
    fingerprint: str
    stage: str
    definition_id: int
    correlation_id: str
    final: bool = False


@dataclass(slots=True)
class Taken:
    """What became of a group: jobs in order, and how many were new, changed, retried or as before."""

    jobs: list[int]
    new: int = 0
    changed: int = 0
    retried: int = 0
    unchanged: int = 0
    still_dead: int = 0


@dataclass(slots=True)
class _Doc:
    id: int
    content: bytes
    generation: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The lease under which a submission is being listed."""

    submission: int
    token: int


class Intake:
    def __init__(self, database: Database) -> None:
        self._db = database

    def take(
        self, route: Route, batch: int, group: Sequence[Record], *, listing: Listing | None = None, cursor: str = ""
    ) -> Taken:
        """Take in a group that names no document twice. Raises Fenced when the listing was lost."""
        with self._db.write() as connection:
            self._db.take_turns(connection, f"intake {route.tenant}")
            now = clock(connection)
            known = self._documents(connection, route, group)
            places = self._places(connection, route, group)
            job_rows = self._jobs(connection, route, [d.id for d in known.values()])
            unchanged = all(
                (doc := known.get(r.source_id)) is not None
                and doc.fingerprint == route.fingerprint
                and places.get(r.origin) == (r.content, doc.id)
                and (job := job_rows.get((doc.id, doc.generation))) is not None
                and job[1] in ("done", "pending", "waiting", "dead")
                for r in group
            )
            if unchanged:
                rows = [job_rows[known[r.source_id].id, known[r.source_id].generation] for r in group]
                taken = Taken([job for job, _ in rows], unchanged=len(rows))
                taken.still_dead = sum(status == "dead" for _, status in rows)
            else:
                taken = self._take(connection, now, route, group, known, places, job_rows)
            self._join(connection, batch, taken.jobs)
            if listing is not None:
                moved = connection.execute(
                    update(submissions)
                    .where(submissions.c.id == listing.submission, submissions.c.token == listing.token)
                    .values(cursor=cursor, records=submissions.c.records + len(group))
                )
                if moved.rowcount != 1:
                    raise Fenced("another runner has taken this listing over")
        return taken

    def rebase(self, route: Route, batch: int) -> int:
        """Give the documents of a batch today's fingerprint: a new generation for each that has another. How many."""
        count = 0
        while True:
            query = (
                select(documents.c.id, documents.c.content, documents.c.generation, documents.c.fingerprint, jobs.c.id)
                .join(jobs, jobs.c.document_id == documents.c.id)
                .join(batch_jobs, batch_jobs.c.job_id == jobs.c.id)
                .where(
                    batch_jobs.c.batch_id == batch,
                    jobs.c.fingerprint != route.fingerprint,
                    jobs.c.generation == documents.c.generation,
                    jobs.c.status.not_in(("cancelled", "superseded")),
                )
                .order_by(jobs.c.id)
                .limit(256)
            )
            with self._db.write() as connection:
                self._db.take_turns(connection, f"intake {route.tenant}")
                rows = connection.execute(query).all()
                if not rows:
                    return count
                now = clock(connection)
                docs = [_Doc(row[0], row[1], row[2] + 1, route.fingerprint) for row in rows]
                self._raise_generation(connection, now, route, docs)
                connection.execute(
                    batch_jobs.delete().where(
                        batch_jobs.c.batch_id == batch, batch_jobs.c.job_id.in_([row[4] for row in rows])
                    )
                )
                self._join(connection, batch, self._new_jobs(connection, now, route, docs))
                count += len(rows)

    def _take(
        self,
        connection: Connection,
        now: int,
        route: Route,
        group: Sequence[Record],
        known: dict[str, _Doc],
        places: dict[str, tuple[bytes, int]],
        existing: dict[tuple[int, int], tuple[int, str]],
    ) -> Taken:
        taken = Taken([])
        fresh = [r for r in group if r.source_id not in known]
        ids = self._db.allocate(connection, documents.c.id, len(fresh)) if fresh else ()
        for r, number in zip(fresh, ids, strict=True):
            known[r.source_id] = _Doc(number, r.content, 1, route.fingerprint)
        if fresh:
            self._insert_documents(connection, now, route, [(known[r.source_id], r) for r in fresh])
        new_sources = {r.source_id for r in fresh}
        risen: list[_Doc] = []
        kinds: dict[int, str] = {}
        for r in group:
            if r.source_id in new_sources:
                continue
            doc = known[r.source_id]
            moved = r.content != doc.content and places.get(r.origin) != (r.content, doc.id)
            if moved or doc.fingerprint != route.fingerprint:
                doc.generation += 1
                doc.fingerprint = route.fingerprint
                if moved:
                    doc.content = r.content
                    kinds[doc.id] = r.kind
                risen.append(doc)
        taken.new, taken.changed = len(fresh), len(risen)
        left = self._held_by(connection, route, group) - {d.id for d in known.values()}
        self._store(connection, now, route, known, group)
        self._forsake(connection, now, left)
        if risen:
            self._raise_generation(connection, now, route, risen)
        if kinds:
            connection.execute(
                update(documents).where(documents.c.id == bindparam("b_id")).values(kind=bindparam("b_kind")),
                [{"b_id": number, "b_kind": kind} for number, kind in kinds.items()],
            )
        missing = [d for d in known.values() if (d.id, d.generation) not in existing]
        made = dict(zip((d.id for d in missing), self._new_jobs(connection, now, route, missing), strict=True))
        retry = []
        for r in group:
            doc = known[r.source_id]
            if doc.id in made:
                taken.jobs.append(made[doc.id])
                continue
            job, status = existing[doc.id, doc.generation]
            taken.jobs.append(job)
            if status in _TRIED_AGAIN:
                retry.append(job)
            else:
                taken.unchanged += 1
                taken.still_dead += status == "dead"
        taken.retried = len(new_round(connection, now, retry, _TRIED_AGAIN))
        return taken

    def _documents(self, connection: Connection, route: Route, group: Sequence[Record]) -> dict[str, _Doc]:
        query = select(
            documents.c.source_id,
            documents.c.id,
            documents.c.content,
            documents.c.generation,
            documents.c.fingerprint,
        ).where(
            documents.c.tenant == route.tenant,
            documents.c.source == route.source,
            documents.c.source_id.in_([r.source_id for r in group]),
        )
        return {row[0]: _Doc(*row[1:]) for row in connection.execute(query)}

    def _places(self, connection: Connection, route: Route, group: Sequence[Record]) -> dict[str, tuple[bytes, int]]:
        query = select(origins.c.key, origins.c.content, origins.c.document_id).where(
            origins.c.tenant == route.tenant,
            origins.c.source == route.source,
            origins.c.key.in_([r.origin for r in group]),
        )
        return {row[0]: (row[1], row[2]) for row in connection.execute(query)}

    def _jobs(self, connection: Connection, route: Route, ids: Sequence[int]) -> dict[tuple[int, int], tuple[int, str]]:
        query = select(jobs.c.document_id, jobs.c.generation, jobs.c.id, jobs.c.status).where(
            jobs.c.document_id.in_(ids), jobs.c.pipeline == route.pipeline
        )
        return {(row[0], row[1]): (row[2], row[3]) for row in connection.execute(query)}

    def _insert_documents(
        self, connection: Connection, now: int, route: Route, pairs: Sequence[tuple[_Doc, Record]]
    ) -> None:
        connection.execute(
            documents.insert().values(
                tenant=route.tenant,
                source=route.source,
                pipeline=route.pipeline,
                fingerprint=route.fingerprint,
                generation=1,
                created_at=now,
                updated_at=now,
            ),
            [
                {"id": d.id, "doc_id": r.doc_id, "source_id": r.source_id, "kind": r.kind, "content": r.content}
                for d, r in pairs
            ],
        )

    def _store(
        self, connection: Connection, now: int, route: Route, known: dict[str, _Doc], group: Sequence[Record]
    ) -> None:
        """Payloads under their own hash, and what each place gave."""
        connection.execute(
            self._db.insert(artifacts).values(kind="RawPayload").on_conflict_do_nothing(),
            [
                {
                    "document_id": known[r.source_id].id,
                    "key": r.content,
                    "hash": r.content,
                    "size": r.size,
                    "head": r.head,
                    "body": r.body,
                }
                for r in group
            ],
        )
        insert = self._db.insert(origins)
        connection.execute(
            insert.values(tenant=route.tenant, source=route.source, seen_at=now).on_conflict_do_update(
                index_elements=["tenant", "source", "key"],
                set_={name: insert.excluded[name] for name in ("document_id", "content", "uri", "version", "seen_at")},
            ),
            [
                {
                    "key": r.origin,
                    "document_id": known[r.source_id].id,
                    "content": r.content,
                    "uri": r.uri,
                    "version": r.version,
                }
                for r in group
            ],
        )

    def _held_by(self, connection: Connection, route: Route, group: Sequence[Record]) -> set[int]:
        """The documents that these very places (of one name and one address) gave last time."""
        query = select(origins.c.key, origins.c.uri, origins.c.document_id).where(
            origins.c.tenant == route.tenant,
            origins.c.source == route.source,
            origins.c.key.in_([r.origin for r in group]),
        )
        here = {(r.origin, r.uri) for r in group}
        return {row[2] for row in connection.execute(query) if (row[0], row[1]) in here}

    def _forsake(self, connection: Connection, now: int, left: set[int]) -> None:
        """A failed document whose only place now holds another document has been mended under another name."""
        if left:
            elsewhere = select(origins.c.document_id).where(origins.c.document_id == jobs.c.document_id).exists()
            failed = and_(jobs.c.document_id.in_(left), jobs.c.status.in_(("failed", "dead")), ~elsewhere)
            connection.execute(update(jobs).where(failed).values(status="superseded", updated_at=now))

    def _raise_generation(self, connection: Connection, now: int, route: Route, docs: Sequence[_Doc]) -> None:
        """Make older generations superseded and fence off whoever is at them, with the new one in one transaction."""
        older = and_(jobs.c.document_id.in_([d.id for d in docs]), jobs.c.status.not_in(("superseded", "cancelled")))
        lock_jobs(connection, older)
        connection.execute(
            update(documents)
            .where(documents.c.id == bindparam("b_id"))
            .values(
                generation=bindparam("b_generation"),
                content=bindparam("b_content"),
                fingerprint=route.fingerprint,
                pipeline=route.pipeline,
                updated_at=now,
            ),
            [{"b_id": d.id, "b_generation": d.generation, "b_content": d.content} for d in docs],
        )
        stale = select(jobs.c.id).where(older)
        connection.execute(
            update(stage_states)
            .where(stage_states.c.job_id.in_(stale), stage_states.c.status == "running")
            .values(status="pending", runner_id=None, token=stage_states.c.token + 1)
        )
        connection.execute(update(jobs).where(older).values(status="superseded", updated_at=now))

    def _new_jobs(self, connection: Connection, now: int, route: Route, docs: Sequence[_Doc]) -> list[int]:
        """Jobs whose ingest is done, since their payload is here; their ids, in order."""
        if not docs:
            return []
        ids = list(self._db.allocate(connection, jobs.c.id, len(docs)))
        connection.execute(
            jobs.insert().values(
                pipeline=route.pipeline,
                fingerprint=route.fingerprint,
                correlation_id=route.correlation_id,
                status="done" if route.final else "pending",
                current_stage=route.stage,
                created_at=now,
                updated_at=now,
            ),
            [{"id": n, "document_id": d.id, "generation": d.generation} for n, d in zip(ids, docs, strict=True)],
        )
        connection.execute(
            stage_states.insert().values(
                stage=route.stage,
                status="done",
                token=1,
                attempts=1,
                started_at=now,
                finished_at=now,
                definition_id=route.definition_id,
            ),
            [{"job_id": n, "output": d.content} for n, d in zip(ids, docs, strict=True)],
        )
        for kind in ("started", "completed"):
            connection.execute(
                outbox.insert().values(at=now, type=kind, stage=route.stage, round=1, token=1),
                [{"job_id": n} for n in ids],
            )
        return ids

    def _join(self, connection: Connection, batch: int, ids: Sequence[int]) -> None:
        if ids:
            connection.execute(
                self._db.insert(batch_jobs).values(batch_id=batch).on_conflict_do_nothing(),
                [{"job_id": job} for job in ids],
            )


_TRIED_AGAIN = ("failed", "superseded")
"""Of jobs of today's generation: superseded is one whose only place had held another document for a while."""

__all__ = ["Intake", "Listing", "Record", "Route", "Taken"]
