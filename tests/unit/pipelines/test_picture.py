"""The drawing of a topology."""

from __future__ import annotations

from collections.abc import Callable

from penstock.pipelines.picture import draw
from penstock.pipelines.topology import Topology


def lines(topology: Topology) -> list[str]:
    return [f"{row.lines} {row.stage.name}" if row.stage else row.lines for row in draw(topology)]


def edges(*given: str) -> str:
    """`b<a`: b depends on a, the first stage lists, the others translate."""
    text = 'version: "1.0"\nname: given\nstages:\n  - {name: z, type: IngestStage}\n'
    text += "  - {name: a, type: ParseStage, depends_on: [z]}\n"
    for edge in given:
        name, _, parents = edge.partition("<")
        document = parents.partition(",")[0]
        text += (
            f"  - {{name: {name}, type: TranslateStage, depends_on: [{parents}], inputs: {{document: {document}}}}}\n"
        )
    return text


def test_a_chain_is_a_line(load: Callable[[str], Topology]) -> None:
    assert lines(load(edges("b<a", "c<b"))) == ["● z", "● a", "● b", "● c"]


def test_branches_part_and_join(load: Callable[[str], Topology]) -> None:
    topology = load(edges("b<a", "c<a", "d<a", "e<b,c,d"))
    assert lines(topology) == ["● z", "● a", "├─┬─╮", "● │ │ b", "│ ● │ c", "│ │ ● d", "├─┴─╯", "● e"]


def test_a_join_crosses_what_runs_between(load: Callable[[str], Topology]) -> None:
    topology = load(edges("b<a", "c<a", "d<a", "e<b,d", "f<e,c"))
    assert lines(topology)[-4:] == ["├─┼─╯", "● │ e", "├─╯", "● f"]


def test_a_stage_that_ends_leaves_its_lane_free(load: Callable[[str], Topology]) -> None:
    topology = load(edges("b<a", "c<a", "d<c", "e<c"))
    assert lines(topology) == ["● z", "● a", "├─╮", "● │ b", "  ● c", "  ├─╮", "  ● │ d", "    ● e"]
    assert [row.under for row in draw(topology) if row.stage] == ["│", "│", "  │", "  │", "    │", ""]
