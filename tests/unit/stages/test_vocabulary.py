"""Vocabularies as people have them, and what is said of those that can't be taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import ConfigError, UsageError
from penstock.stages.extract.vocabulary import MOST_PROBLEMS, read_vocabulary, read_words

PATH = Path("drugs.csv")


def read(content: str | bytes, **options: str) -> list[tuple[str, str, list[str]]]:
    """(id, type, names) of each term."""
    raw = content.encode() if isinstance(content, str) else content
    return [(term.id, term.type, term.names) for term in read_vocabulary(PATH, raw, **options)]


def problems(content: str | bytes, **options: str) -> list[tuple[int, str, str]]:
    """(line, message, fix) of each."""
    with pytest.raises(ConfigError) as refused:
        read(content, **options)
    assert all(problem.file == "drugs.csv" for problem in refused.value.problems)
    return [(problem.line, problem.message, problem.fix) for problem in refused.value.problems]


METFORMIN = [("mesh:D008687", "Drug", ["Metformin", "Glucophage", "dimethylbiguanide"])]


@pytest.mark.parametrize(
    "content",
    [
        "id,name,synonyms,type\nmesh:D008687,Metformin,Glucophage|dimethylbiguanide,Drug\n",
        "ID\tName\tSynonyms\tTYPE\nMESH:D008687\tMetformin\tGlucophage;dimethylbiguanide\tdrug\n",
        "id;name;synonyms;type\nmesh:D008687;Metformin;Glucophage|dimethylbiguanide;Drug\n",
        "\ufeffid,name,synonyms,type\r\nmesh:D008687,Metformin,Glucophage | dimethylbiguanide |,Drug\r\n",
        'type,synonyms,name,id\nDrug,"Glucophage; dimethylbiguanide","Metformin",mesh:D008687',
        "\n\nid,name,synonyms,type\n\nmesh:D008687, Metformin ,Glucophage|Metformin|dimethylbiguanide,Drug\n,,,\n",
        "id,name,synonyms,note,type\nmesh:D008687,Metformin,Glucophage|dimethylbiguanide,anything,Drug\n",
    ],
    ids=["csv", "tsv", "semicolons", "excel", "quoted", "blank lines", "another column"],
)
def test_the_usual_forms_all_say_the_same(content: str) -> None:
    assert read(content) == METFORMIN


def test_a_name_is_enough() -> None:
    assert read("name\nmetformin\nobesity\n") == [("", "Concept", ["metformin"]), ("", "Concept", ["obesity"])]
    assert read("name\nmetformin\n", type="Drug") == [("", "Drug", ["metformin"])]


def test_rows_of_one_id_are_one_term_and_so_are_rows_without_id_of_one_name() -> None:
    content = "id,name,type\nmesh:D1,Gout,Condition\nmesh:D1,gouty arthritis,Condition\nmesh:D1,Gout,Condition\n"
    assert read(content) == [("mesh:D1", "Condition", ["Gout", "gouty arthritis"])]
    assert read("name,synonyms\ngout,a\ngout,b\n") == [("", "Concept", ["gout", "a", "b"])]


def test_an_id_states_its_scheme_or_the_option_does() -> None:
    assert read("id,name\nOMIM:143100,chorea\n", scheme="mesh")[0][0] == "omim:143100"
    assert read("id,name\nD006816,chorea\n", scheme="MeSH")[0][0] == "mesh:D006816"
    (problem,) = problems("id,name\nD006816,chorea\n")
    assert problem == (
        2,
        "the id 'D006816' names no scheme",
        "write mesh:D006816 (or whose it is), or set the option scheme",
    )


@pytest.mark.parametrize("word", ["Disease", "disease", "CONDITION"])
def test_a_type_is_ours_or_what_vocabularies_call_it(word: str) -> None:
    assert read(f"name,type\ngout,{word}\n") == [("", "Condition", ["gout"])]


@pytest.mark.parametrize(
    ("content", "line", "message", "fix"),
    [
        ("", 1, "there is no column 'name'", "name the columns in the first line: id, name, synonyms, type"),
        ("D1,Metformin\n", 1, "there is no column 'name'", "name the columns in the first line: id, name, synonyms"),
        ("id,name,synonims\nx:1,a,b\n", 1, "there is no column 'synonims'", "did you mean 'synonyms'?"),
        ("name,id,name\na,x:1,b\n", 1, "the column 'name' is there twice", "delete or rename one"),
        ("id,name\n\n", 1, "nothing follows the column names", "add a line for each thing"),
        ("id,name\nx:1,a\nx:2\n", 3, "1 cell where the first line has 2", "put cells that contain the separator"),
        ("id,name\nx:1,a, b\n", 2, "3 cells where the first line has 2", "put cells that contain the separator"),
        ("id,name\nx:1,\n", 2, "the name is empty", "give it one, or delete the line"),
        ("name,type\na,Drugg\n", 2, "there is no type 'Drugg'", "did you mean 'Drug'?"),
        ('name\n"a\nb\n', 2, "this row can't be read: unexpected end of data", "close the double quotes"),
        ('name\n"a\nb"\n"a"b\n', 4, "this row can't be read: ',' expected after '\"'", "close the double quotes"),
        (b"name\nok\n\xff\xfe\n", 3, "this is not UTF-8 text", "save the file as UTF-8"),
        (
            "id,name,type\nx:1,a,Drug\nx:1,b,Condition\n",
            3,
            "x:1 is a Condition here and a Drug on line 2",
            "give it one type, or two ids",
        ),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place_and_what_mends_it(
    content: str | bytes, line: int, message: str, fix: str
) -> None:
    (problem,) = problems(content)
    assert problem[:2] == (line, message)
    assert problem[2].startswith(fix)


def test_all_that_is_wrong_is_told_at_once_up_to_a_limit() -> None:
    assert [line for line, *_ in problems("name,type\n,Drug\na,Drug\nb,Dragon\n")] == [2, 4]
    assert len(problems("name,type\n" + "a,Dragon\n" * 100)) == MOST_PROBLEMS


def test_characters_that_no_database_holds_are_replaced() -> None:
    assert read("name\nmet\0formin\n") == [("", "Concept", ["met\ufffdformin"])]


def test_a_list_of_words_is_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "stop.txt"
    path.write_text("# not these\npatient\n\n  control \n")
    assert read_words(path) == ["patient", "control"]
    path.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_words(path)
    with pytest.raises(UsageError, match="can't be read: No such file"):
        read_words(tmp_path / "missing.txt")
