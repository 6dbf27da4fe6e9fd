"""Claim, commit, fail, give back: every document's turn is taken once, and a stale hand changes nothing."""

from __future__ import annotations

from dataclasses import replace

from ledger_scene import INDEX, PARSE, TAG, Scene, at_once, made, record
from penstock.errors import BadInput, InvalidOutput, ServiceUnavailable
from penstock.ledger.cancel import cancel
from penstock.ledger.ledger import Ledger
from penstock.ledger.schema import artifacts, chunks, dead_letters, documents, jobs, outbox, stage_states
from penstock.ledger.work import Failed, StageKey


def test_a_stage_is_due_when_what_it_comes_after_is_done(scene: Scene) -> None:
    batch = scene.documents(3)
    assert len(scene.work.candidates(batch, PARSE)) == 3
    assert scene.work.candidates(batch, INDEX) == []
    claims = scene.claim(PARSE, batch)
    assert scene.work.candidates(batch, PARSE) == []
    scene.commit(PARSE, claims[:2])
    assert [c.job_id for c in scene.work.candidates(batch, INDEX)] == [c.job_id for c in claims[:2]]
    both = StageKey("join", ("parse", "index"), 1)
    assert scene.work.candidates(batch, both) == []
    scene.finish(batch, INDEX)
    assert len(scene.work.candidates(batch, both)) == 2


def test_candidates_come_in_pages_by_job(scene: Scene) -> None:
    batch = scene.documents(5)
    first = scene.work.candidates(batch, PARSE, limit=2)
    rest = scene.work.candidates(batch, PARSE, after=first[-1].job_id)
    ids = [c.job_id for c in first + rest]
    assert ids == sorted(ids)
    assert (len(first), len(rest)) == (2, 3)


def test_a_job_is_done_when_all_of_its_stages_are(scene: Scene) -> None:
    batch = scene.documents(2)
    scene.finish(batch, PARSE)
    assert scene.statuses(batch) == {"pending": 2}
    scene.finish(batch, INDEX)
    assert scene.statuses(batch) == {"pending": 2}, "a sink that something follows is not the end"
    scene.finish(batch, TAG)
    assert scene.statuses(batch) == {"done": 2}


def test_the_last_of_two_ends_that_commit_at_once_makes_the_job_done(scene: Scene) -> None:
    """Each would count the other's stage as not done yet, and the job would stay open for ever."""
    ends = [StageKey(name, ("ingest",), 1, final=("ingest", "left", "right")) for name in ("left", "right")]
    batch = scene.documents(60)

    def run(ledger: Ledger, number: int) -> int:
        own, done = Scene(ledger), 0
        for claim in own.claim(ends[number], batch):
            done += own.commit(ends[number], [claim]).done
        return done

    assert at_once(scene.ledger.database, run, 2) == [60, 60]
    assert scene.statuses(batch) == {"done": 60}


def test_a_sink_is_due_again_when_its_store_was_replaced_and_the_job_is_done_after(scene: Scene) -> None:
    batch = scene.documents(2)
    scene.finish(batch)
    replaced = replace(INDEX, store="store-2")
    assert scene.work.candidates(batch, INDEX) == []
    claims = scene.claim(replaced, batch)
    assert [(c.token, c.round) for c in claims] == [(2, 2), (2, 2)]
    assert scene.statuses(batch) == {"pending": 2}
    assert scene.work.candidates(batch, TAG) == []
    scene.commit(replaced, claims)
    assert scene.statuses(batch) == {"done": 2}
    assert set(scene.ends().values()) == {1}, "one end a round, also of a stage that was done before"


def test_a_sink_that_is_redone_by_a_second_run_after_the_first_died_closes_its_job(scene: Scene) -> None:
    batch = scene.documents(1)
    scene.finish(batch)
    replaced = replace(INDEX, store="store-2")
    scene.work.release(replaced, scene.claim(replaced, batch))
    scene.commit(replaced, scene.claim(replaced, batch))
    assert scene.statuses(batch) == {"done": 1}
    assert set(scene.ends().values()) == {1}


def test_a_stage_added_to_a_done_job_can_fail_it(scene: Scene) -> None:
    batch = scene.documents(1)
    scene.finish(batch)
    added = StageKey("added", ("tag",), 1)
    scene.fail(added, scene.claim(added, batch), BadInput("torn"))
    assert scene.statuses(batch) == {"dead": 1}


def test_four_processes_over_300_jobs_claim_each_once(scene: Scene) -> None:
    batch = scene.documents(300)

    def run(ledger: Ledger, number: int) -> list[int]:
        own, got = Scene(ledger), []
        while page := own.work.candidates(batch, PARSE, limit=40):
            claims = own.work.claim(own.runner, PARSE, page[: 7 + number])
            got += [c.job_id for c in claims]
            assert own.commit(PARSE, claims).fenced == []
        return got

    answers = at_once(scene.ledger.database, run)
    got = sorted(job for part in answers for job in part)
    assert got == sorted(j.id for j in scene.rows(jobs))
    assert set(scene.ends().values()) == {1}
    assert {(s.status, s.token) for s in scene.rows(stage_states, stage_states.c.stage == "parse")} == {("done", 1)}


def test_claiming_what_somebody_else_took_gives_what_is_left(scene: Scene) -> None:
    batch = scene.documents(4)
    page, same = scene.work.candidates(batch, PARSE), scene.work.candidates(batch, PARSE)
    other = scene.ledger.leases.register(60)
    taken = scene.work.claim(other, PARSE, page[1:3])
    mine = scene.work.claim(scene.runner, PARSE, same)
    assert [c.job_id for c in mine] == [same[0].job_id, same[3].job_id]
    assert scene.work.still_held("parse", mine + taken) == {c.job_id for c in mine + taken}
    assert scene.work.busy(batch, ["parse"]) == 4
    assert scene.work.claim(other, PARSE, []) == []


def test_what_was_cancelled_or_superseded_since_it_was_looked_up_is_not_claimed(scene: Scene) -> None:
    batch = scene.documents(3)
    page = scene.work.candidates(batch, PARSE)
    cancel(scene.ledger.database, "default", [page[0].doc_id])
    scene.take(record("d00001", "changed"))
    claims = scene.work.claim(scene.runner, PARSE, page)
    assert [c.source_id for c in claims] == ["d00002"]
    assert [e.job_id for e in scene.rows(outbox, outbox.c.stage == "parse")] == [claims[0].job_id]
    assert scene.work.busy(batch, ["parse"]) == 1


def test_a_stale_token_changes_nothing_and_the_rest_of_the_group_still_commits(scene: Scene) -> None:
    batch = scene.documents(4)
    claims = scene.claim(PARSE, batch)
    scene.work.release(PARSE, claims[1:2])
    (newer,) = scene.claim(PARSE, batch)
    before = len(scene.rows(artifacts))
    committed = scene.work.commit(
        PARSE, [made(PARSE, c) for c in claims[:3]], [Failed(claims[3], BadInput("torn"), input=b"k")]
    )
    assert (committed.done, committed.failed, committed.fenced) == (2, 1, [claims[1]])
    assert len(scene.rows(artifacts)) == before + 2
    state = scene.rows(stage_states, stage_states.c.job_id == newer.job_id, stage_states.c.stage == "parse")[0]
    assert (state.status, state.token) == ("running", 2)
    assert scene.commit(PARSE, [newer]).done == 1
    assert scene.commit(PARSE, [newer]).done == 0, "a second commit of the same lease"
    assert scene.commit(PARSE, claims).done == 0
    assert set(scene.ends().values()) == {1}


def test_released_documents_go_back_untouched_and_a_stale_release_does_nothing(scene: Scene) -> None:
    batch = scene.documents(2)
    claims = scene.claim(PARSE, batch)
    scene.work.release(PARSE, claims)
    again = scene.claim(PARSE, batch)
    assert [(c.token, c.lost, c.attempts) for c in again] == [(2, 0, 0)] * 2
    scene.work.release(PARSE, claims)
    assert scene.work.busy(batch, ["parse"]) == 2
    scene.work.release(PARSE, [])


def test_a_terminal_failure_is_a_dead_letter_whose_bytes_are_there(scene: Scene) -> None:
    batch = scene.documents(1)
    (claim,) = scene.claim(PARSE, batch)
    key = bytes(scene.rows(stage_states, stage_states.c.stage == "ingest")[0].output)
    scene.fail(PARSE, [claim], BadInput("torn", reason="truncated"), input=key, detail="Traceback", attempts=2)
    (letter,) = scene.rows(dead_letters)
    assert (letter.stage, letter.round, letter.error_type, letter.reason) == ("parse", 1, "BadInput", "truncated")
    assert letter.detail == "Traceback"
    found = scene.ledger.outputs.existing("RawPayload", [(claim.document_id, bytes(letter.input))])
    assert [bytes(body or b"") for _, body in scene.ledger.outputs.bodies(found.values()).values()] == [b"d00000"]
    (failure,) = scene.ledger.reports.failures(batch)
    assert (failure.status, failure.reason, failure.message, failure.attempts) == ("dead", "truncated", "torn", 2)
    assert scene.statuses(batch) == {"dead": 1}


def test_a_transient_failure_is_retryable_and_no_dead_letter(scene: Scene) -> None:
    batch = scene.documents(1)
    scene.fail(PARSE, scene.claim(PARSE, batch), ServiceUnavailable("away"), terminal=False, attempts=3)
    assert scene.statuses(batch) == {"failed": 1}
    assert scene.rows(dead_letters) == []
    assert scene.work.candidates(batch, PARSE) == []


def test_each_round_of_a_stage_ends_once(scene: Scene) -> None:
    batch = scene.documents(1)
    for _ in range(3):
        scene.fail(PARSE, scene.claim(PARSE, batch), ServiceUnavailable("away"), terminal=False)
        assert scene.ledger.batches.new_round(batch) == 1
    scene.finish(batch, PARSE)
    ends = [(round_, n) for (_, stage, round_), n in sorted(scene.ends().items()) if stage == "parse"]
    assert ends == [(1, 1), (2, 1), (3, 1), (4, 1)]


def test_a_claim_that_does_not_commit_leaves_no_started_behind(scene: Scene) -> None:
    batch = scene.documents(2)
    started = (outbox.c.type == "started", outbox.c.stage == "parse")
    assert len(scene.claim(PARSE, batch)) == len(scene.rows(outbox, *started)) == 2
    page = scene.work.candidates(scene.documents(0) or batch, PARSE)
    assert scene.work.claim(scene.runner, PARSE, page) == []
    assert len(scene.rows(outbox, *started)) == 2


def test_messages_and_titles_that_no_database_can_hold_are_cleaned(scene: Scene) -> None:
    batch = scene.documents(2)
    failing, titled = scene.claim(PARSE, batch)
    error = InvalidOutput("torn \0 \ud800", reason="odd\0", next_step="mend\udcff")
    scene.work.commit(
        PARSE, [made(PARSE, titled, title="a\0b\udcff")], [Failed(failing, error, detail="at \0 line \ud83d")]
    )
    (letter,) = scene.rows(dead_letters)
    assert (letter.message, letter.detail, letter.reason) == ("torn � �", "at � line �", "odd�")
    assert scene.rows(documents)[1].title == "a�b�"
    scene.ledger.batches.close(batch, "failed", "why \0 \udcff")
    scene.submit(idempotency_key="k\0\udcff")
    assert scene.submit(idempotency_key="k\0\udcff")[2] is False
    assert scene.ledger.batches.retry(tenant="default", queued=False, doc_ids=["\0\udcff"]) == []
    assert len(scene.ledger.batches.retry(tenant="default", queued=False, reason="odd\0")) == 1


def test_inputs_are_the_artifacts_of_the_stages_before(scene: Scene) -> None:
    batch = scene.documents(2)
    scene.finish(batch, PARSE)
    claims = scene.claim(INDEX, batch)
    found = scene.ledger.outputs.inputs(["parse", "ingest"], claims)
    assert sorted(found) == sorted((c.job_id, s) for c in claims for s in ("ingest", "parse"))
    bodies = scene.ledger.outputs.bodies(found.values())
    assert bytes(bodies[found[claims[0].job_id, "parse"].id][1] or b"") == made(PARSE, claims[0]).body


def test_an_output_that_is_there_already_is_found_by_its_key(scene: Scene) -> None:
    batch = scene.documents(2)
    claims = scene.claim(PARSE, batch)
    outputs = [made(PARSE, c) for c in claims]
    scene.work.commit(PARSE, outputs[:1])
    wanted = [(o.stored.document_id, o.stored.key) for o in outputs]
    assert list(scene.ledger.outputs.existing("Document", wanted)) == wanted[:1]
    assert scene.ledger.outputs.existing("Vectors", wanted) == {}
    found = scene.ledger.outputs.existing("Document", wanted)[wanted[0]]
    scene.work.commit(PARSE, [replace(outputs[1], stored=replace(found, document_id=claims[1].document_id))])


def test_the_newest_output_of_a_kind_is_known_by_document(scene: Scene) -> None:
    batch = scene.documents(2)
    first, other = scene.claim(PARSE, batch)
    newest = scene.ledger.outputs.newest
    assert newest("Document", "default", first.doc_id) is None
    for body in (b"older", b"newer"):
        output = made(PARSE, first)
        stored = replace(output.stored, key=body)
        scene.ledger.outputs.keep(replace(output, stored=stored, body=body))
    scene.ledger.outputs.keep(replace(made(PARSE, first), body=None))
    assert newest("Document", "default", first.doc_id) == (b"{}", b"newer")
    for asked in (("PDFFile", "default", first.doc_id), ("Document", "t", first.doc_id)):
        assert newest(*asked) is None
    assert newest("Document", "default", other.doc_id) is None


def test_chunks_are_those_of_the_last_time_the_stage_was_done(scene: Scene) -> None:
    batch = scene.documents(1)
    scene.work.release(PARSE, scene.claim(PARSE, batch))
    scene.commit(PARSE, scene.claim(PARSE, batch), chunk_rows=[("c0", 0, 5), ("c1", 5, 9)])
    assert [(c.ordinal, c.chunk_id, c.start, c.end) for c in scene.rows(chunks)] == [(0, "c0", 0, 5), (1, "c1", 5, 9)]


def test_a_stage_sets_the_field_its_contract_names(scene: Scene) -> None:
    batch = scene.documents(1)
    stage = StageKey("download", ("ingest",), 1, sets="pdf_downloaded")
    scene.commit(stage, scene.claim(stage, batch))
    assert [(j.pdf_downloaded, j.pdf_ir_ready, j.current_stage) for j in scene.rows(jobs)] == [
        (True, False, "download")
    ]


def test_a_branch_that_commits_after_another_failed_leaves_the_job_failed(scene: Scene) -> None:
    left, right = (StageKey(name, ("ingest",), 1, final=("ingest", "left", "right")) for name in ("left", "right"))
    batch = scene.documents(1)
    first, second = scene.claim(left, batch), scene.claim(right, batch)
    scene.fail(left, first, BadInput("torn"))
    assert scene.commit(right, second).done == 1
    assert scene.statuses(batch) == {"dead": 1}
