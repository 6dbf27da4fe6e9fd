"""How records become documents and jobs: one transaction a group, together with the listing's cursor."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, bindparam, exists, func, or_, select, update

from penstock.errors import Fenced
from penstock.ledger.database import Database, clock
from penstock.ledger.known import Current, Places, documents_of, is_cancelled, is_unchanged, jobs_of, places_of
from penstock.ledger.listing import KnownDocument, KnownJob, Listing, Record, Route, Taken
from penstock.ledger.locks import lock_jobs
from penstock.ledger.rounds import new_round
from penstock.ledger.schema import (
    artifacts,
    batch_jobs,
    batches,
    documents,
    jobs,
    origins,
    outbox,
    scope_documents,
    stage_states,
    submissions,
)


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
            known = documents_of(connection, route, group)
            places = places_of(connection, route, group)
            current = jobs_of(connection, route, known.values())
            if all(is_unchanged(r, route, known.get(r.source_id), places, current) for r in group):
                taken = Taken(unchanged=len(group))
                self._let_be(route, taken, [current[known[r.source_id].id] for r in group])
            else:
                taken = self._take(connection, now, route, group, known, places, current, listing)
            self._join(connection, batch, [*taken.jobs, *self._unheld(connection, batch, taken.kept, listing)])
            if listing is not None:
                self._see(connection, listing, [doc.id for doc in known.values()], taken)
                moved = connection.execute(
                    update(submissions)
                    .where(submissions.c.id == listing.submission, submissions.c.token == listing.token)
                    .values(cursor=cursor, records=submissions.c.records + len(group))
                )
                if moved.rowcount != 1:
                    raise Fenced("another runner has taken this listing over")
        return taken

    def rebase(self, route: Route, batch: int) -> int:
        """Give the documents of a batch today's fingerprint: a new generation for each that has another. How many.

        Also for those under way whose payload another stage than today's listing gave, by its name: nothing could
        follow it.
        """
        listed = exists().where(stage_states.c.job_id == jobs.c.id, stage_states.c.stage == route.stage)
        count = 0
        while True:
            query = (
                select(documents.c.id, documents.c.content, documents.c.generation, jobs.c.id)
                .join(jobs, jobs.c.document_id == documents.c.id)
                .join(batch_jobs, batch_jobs.c.job_id == jobs.c.id)
                .where(
                    batch_jobs.c.batch_id == batch,
                    or_(jobs.c.fingerprint != route.fingerprint, and_(jobs.c.status == "pending", ~listed)),
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
                docs = [
                    KnownDocument(row[0], row[1], row[2] + 1, route.fingerprint, route.pipeline, "") for row in rows
                ]
                self._raise_generation(connection, now, route, docs)
                connection.execute(
                    batch_jobs.delete().where(
                        batch_jobs.c.batch_id == batch, batch_jobs.c.job_id.in_([row[3] for row in rows])
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
        known: dict[str, KnownDocument],
        places: Places,
        current: Current,
        listing: Listing | None,
    ) -> Taken:
        taken = Taken()
        fresh = [r for r in group if r.source_id not in known]
        ids = self._db.allocate(connection, documents.c.id, len(fresh)) if fresh else ()
        for r, number in zip(fresh, ids, strict=True):
            known[r.source_id] = KnownDocument(number, r.content, 1, route.fingerprint, route.pipeline, r.kind)
        if fresh:
            self._insert_documents(connection, now, route, [(known[r.source_id], r) for r in fresh])
        new_sources = {r.source_id for r in fresh}
        risen: list[tuple[KnownDocument, Record]] = []
        other_bytes: list[int] = []
        adopted: list[KnownDocument] = []
        for r in group:
            doc = known[r.source_id]
            elsewhere = r.content != doc.content and places.get(r.origin) != (r.content, doc.id)
            moved = elsewhere or r.kind != doc.kind  # all that is empty, unreadable or too large has equal bytes: none
            if r.source_id in new_sources or (not moved and is_cancelled(current.get(doc.id))):
                continue
            if moved or doc.fingerprint != route.fingerprint:
                doc.generation += 1
                doc.fingerprint = route.fingerprint
                if moved:
                    doc.content = r.content
                    other_bytes.append(doc.id)
                risen.append((doc, r))
                current.pop(doc.id, None)
            elif doc.pipeline != route.pipeline:
                adopted.append(doc)
        taken.new, taken.changed, taken.risen = len(fresh), len(other_bytes), len(risen) - len(other_bytes)
        taken.rivals = self._rivals(connection, other_bytes, group, listing)
        left = self._held_by(connection, route, group) - {d.id for d in known.values()}
        self._store(connection, now, route, known, group)
        self._forsake(connection, now, left)
        if risen:
            self._raise_generation(connection, now, route, [doc for doc, _ in risen])
            connection.execute(
                update(documents).where(documents.c.id == bindparam("b_id")).values(kind=bindparam("b_kind")),
                [{"b_id": doc.id, "b_kind": r.kind} for doc, r in risen],
            )
        if adopted:
            self._adopt(connection, now, route, adopted, current)
        missing = [d for d in known.values() if d.id not in current]
        made = dict(zip((d.id for d in missing), self._new_jobs(connection, now, route, missing), strict=True))
        taken.jobs += made.values()
        there = [current[doc.id] for r in group if (doc := known[r.source_id]).id not in made]
        again = [job.id for job in there if job.status in _TRIED_AGAIN]
        taken.retried = len(new_round(connection, now, again, _TRIED_AGAIN))
        taken.jobs += again
        left_alone = [job for job in there if job.status not in _TRIED_AGAIN]
        taken.unchanged = len(left_alone)
        self._let_be(route, taken, left_alone)
        return taken

    def _let_be(self, route: Route, taken: Taken, there: Sequence[KnownJob]) -> None:
        taken.kept += [job.id for job in there if job.pipeline == route.pipeline]
        taken.still_dead += sum(job.status == "dead" for job in there)
        taken.cancelled += sum(job.status == "cancelled" for job in there)

    def _see(self, connection: Connection, listing: Listing, ids: Sequence[int], taken: Taken) -> None:
        """The scope has these documents, as of now."""
        newest = int(connection.execute(select(func.max(submissions.c.id))).scalar_one())
        if taken.new < len(ids):
            held = and_(scope_documents.c.scope_id == listing.scope, scope_documents.c.document_id.in_(ids))
            if connection.execute(update(scope_documents).where(held).values(seen=newest)).rowcount == len(ids):
                return
        insert = self._db.insert(scope_documents).values(scope_id=listing.scope, seen=newest)
        connection.execute(
            insert.on_conflict_do_update(
                index_elements=["scope_id", "document_id"], set_={"seen": insert.excluded.seen}
            ),
            [{"document_id": number} for number in ids],
        )

    def _unheld(
        self, connection: Connection, batch: int, kept: Sequence[int], listing: Listing | None
    ) -> Sequence[int]:
        """Without those that another slice of the same submission holds: there they stay."""
        if listing is None or not kept:
            return kept
        held = (
            select(batch_jobs.c.job_id)
            .join(batches, batches.c.id == batch_jobs.c.batch_id)
            .where(batches.c.submission_id == listing.submission, batches.c.id != batch, batch_jobs.c.job_id.in_(kept))
        )
        elsewhere = set(connection.execute(held).scalars())
        return [job for job in kept if job not in elsewhere]

    def _rivals(
        self, connection: Connection, changed: Sequence[int], group: Sequence[Record], listing: Listing | None
    ) -> int:
        """How many of these documents this listing has seen before, at another place and with other bytes."""
        if not changed or listing is None:
            return 0
        query = select(func.count(origins.c.document_id.distinct())).where(
            origins.c.document_id.in_(changed),
            origins.c.seen_at >= listing.since,
            origins.c.key.not_in([r.origin for r in group]),
        )
        return int(connection.execute(query).scalar_one())

    def _insert_documents(
        self, connection: Connection, now: int, route: Route, pairs: Sequence[tuple[KnownDocument, Record]]
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
        self, connection: Connection, now: int, route: Route, known: dict[str, KnownDocument], group: Sequence[Record]
    ) -> None:
        """Payloads under their own hash, and what each place gave."""
        keep = self._db.insert(artifacts).values(kind="RawPayload")
        connection.execute(
            keep.on_conflict_do_update(index_elements=["document_id", "key"], set_={"head": keep.excluded.head}),
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

    def _raise_generation(self, connection: Connection, now: int, route: Route, docs: Sequence[KnownDocument]) -> None:
        """Make older generations superseded, with the new one in one transaction."""
        self._supersede(connection, now, jobs.c.document_id.in_([d.id for d in docs]))
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

    def _adopt(
        self, connection: Connection, now: int, route: Route, docs: Sequence[KnownDocument], current: Current
    ) -> None:
        """A pipeline of another name that does the very same takes documents over, and what was done of them with them.

        It was renamed, or copied.
        """
        ids = [d.id for d in docs]
        others = and_(jobs.c.document_id.in_(ids), jobs.c.pipeline != route.pipeline)
        generations = {d.id: d.generation for d in docs}
        lock_jobs(connection, others)
        found = select(jobs.c.document_id, jobs.c.generation, jobs.c.id, jobs.c.status).where(
            others, jobs.c.status != "superseded"
        )
        for document, generation, job, status in connection.execute(found.order_by(jobs.c.id)).all():
            if generation == generations[document] and document not in current:
                connection.execute(update(jobs).where(jobs.c.id == job).values(pipeline=route.pipeline, updated_at=now))
                current[document] = KnownJob(job, status, route.pipeline)
        self._supersede(connection, now, others)
        connection.execute(
            update(documents).where(documents.c.id.in_(ids)).values(pipeline=route.pipeline, updated_at=now)
        )

    def _supersede(self, connection: Connection, now: int, which: ColumnElement[bool]) -> None:
        """Whoever is at these jobs is fenced off."""
        older = and_(which, jobs.c.status.not_in(("superseded", "cancelled")))
        lock_jobs(connection, older)
        stale = select(jobs.c.id).where(older)
        connection.execute(
            update(stage_states)
            .where(stage_states.c.job_id.in_(stale), stage_states.c.status == "running")
            .values(status="pending", runner_id=None, token=stage_states.c.token + 1)
        )
        connection.execute(update(jobs).where(older).values(status="superseded", updated_at=now))

    def _new_jobs(self, connection: Connection, now: int, route: Route, docs: Sequence[KnownDocument]) -> list[int]:
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


_TRIED_AGAIN = ("failed", "superseded", "retiring", "retired")
"""Of jobs of today's generation: superseded is one whose only place had held another document for a while, or whose
pipeline another had taken the document from; retired is one that was gone from its source, and is back."""

__all__ = ["Intake", "Listing", "Record", "Route", "Taken"]
