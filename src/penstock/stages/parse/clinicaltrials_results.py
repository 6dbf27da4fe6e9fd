"""What a ClinicalTrials.gov study found: its `resultsSection` as prose and tables."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.stages.parse.jsonnode import Node, Writer

_EVENTS = (("Serious adverse events", "seriousEvents"), ("Other adverse events", "otherEvents"))
_ANALYSIS = (
    ("Groups", "groupIds"),
    ("Method", "statisticalMethod"),
    ("P value", "pValue"),
    ("Parameter", "paramType"),
    ("Estimate", "paramValue"),
    ("From", "ciLowerLimit"),
    ("To", "ciUpperLimit"),
)


def write_results(write: Writer, results: Node) -> None:
    if not results:
        return
    _flow(write, results["participantFlowModule"])
    _baseline(write, results["baselineCharacteristicsModule"])
    _measures(write, results.at("outcomeMeasuresModule", "outcomeMeasures"))
    _events(write, results["adverseEventsModule"])
    write.out.section("Limitations", 1)
    write.prose(results.at("moreInfoModule", "limitationsAndCaveats", "description"))


def _flow(write: Writer, module: Node) -> None:
    write.out.section("Participant flow", 1)
    write.prose(module["recruitmentDetails"])
    write.prose(module["preAssignmentDetails"])
    groups = _groups(write, module["groups"])
    for period in module["periods"]:
        rows = [["", *groups.values()]]
        for key, counts in (("milestones", "achievements"), ("dropWithdraws", "reasons")):
            for step in period[key]:
                numbers = {n["groupId"].text: n["numSubjects"].scalar for n in step[counts]}
                rows.append([step["type"].text, *_aligned(groups, numbers)])
        write.out.table(rows, write.locator(period), caption=period["title"].text, header_rows=1)


def _baseline(write: Writer, module: Node) -> None:
    write.out.section("Baseline characteristics", 1)
    write.prose(module["populationDescription"])
    groups = _groups(write, module["groups"])
    for measure in module["measures"]:
        write.heading(measure["title"], 2)
        write.prose(measure["description"], level=3)
        write.prose(measure["populationDescription"], level=3)
        _measurements(write, measure, groups)


def _measures(write: Writer, measures: Node) -> None:
    write.out.section("Results", 1)
    for measure in measures:
        write.heading(measure["title"], 2)
        write.prose(measure["description"], level=3)
        write.prose(measure["populationDescription"], level=3)
        write.line(measure["timeFrame"])
        groups = _groups(write, measure["groups"])
        _measurements(write, measure, groups)
        _analyses(write, measure["analyses"], groups)


def _measurements(write: Writer, measure: Node, groups: dict[str, str]) -> None:
    rows = [["", *groups.values()]]
    rows += [[node["units"].text, *_aligned(groups, _counts(node["counts"]))] for node in measure["denoms"]]
    for part in measure["classes"]:
        for category in part["categories"]:
            label = ", ".join(name for name in (part["title"].text, category["title"].text) if name)
            values = {value["groupId"].text: _value(value) for value in category["measurements"]}
            rows.append([label, *_aligned(groups, values)])
    if len(rows) > 1:
        stated = (measure["paramType"].text, measure["dispersionType"].text, measure["unitOfMeasure"].text)
        caption = ", ".join(word.replace("_", " ").capitalize() if word.isupper() else word for word in stated if word)
        write.out.table(rows, write.locator(measure), caption=caption, header_rows=1)


def _analyses(write: Writer, analyses: Node, groups: dict[str, str]) -> None:
    rows = [[heading for heading, _ in _ANALYSIS]]
    for analysis in analyses:
        compared = "; ".join(groups.get(group.text, group.text) for group in analysis["groupIds"])
        rows.append([compared, *(analysis[key].scalar for _, key in _ANALYSIS[1:])])
        write.prose(analysis["groupDescription"])
        write.prose(analysis["estimateComment"])
    if len(rows) > 1:
        write.out.table(rows, write.locator(analyses), caption="Statistical analyses", header_rows=1)


def _events(write: Writer, module: Node) -> None:
    write.out.section("Adverse events", 1)
    write.prose(module["description"])
    write.line(module["timeFrame"])
    groups = _groups(write, module["eventGroups"])
    for caption, key in _EVENTS:
        rows = [["", "", *groups.values()]]
        for event in module[key]:
            counts = {
                stat["groupId"].text: f"{stat['numAffected'].scalar}/{stat['numAtRisk'].scalar}".strip("/")
                for stat in event["stats"]
            }
            rows.append([event["term"].text, event["organSystem"].text, *_aligned(groups, counts)])
            write.prose(event["notes"])
        if len(rows) > 1:
            write.out.table(rows, write.locator(module[key]), caption=caption, header_rows=1)


def _groups(write: Writer, groups: Node) -> dict[str, str]:
    """The groups' titles by their ids; what describes them goes into the text."""
    titles: dict[str, str] = {}
    for group in groups:
        titles[group["id"].text] = group["title"].text
        write.prose(group["description"])
    return titles


def _counts(nodes: Iterable[Node]) -> dict[str, str]:
    return {node["groupId"].text: node["value"].scalar for node in nodes}


def _value(node: Node) -> str:
    value, spread = node["value"].scalar, node["spread"].scalar
    low, high = node["lowerLimit"].scalar, node["upperLimit"].scalar
    around = f" ({low} to {high})" if low or high else f" ({spread})" if spread else ""
    return value + around


def _aligned(groups: dict[str, str], values: dict[str, str]) -> list[str]:
    return [values.get(group, "") for group in groups]
