from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.errors import NotFound
from penstock.sources.walk import Place, roots, walk


def names(*paths: Path | str) -> list[str]:
    return [place.name for root in roots([str(path) for path in paths]) for place in walk(root)]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.txt", "b/c.txt", "b/d/e.txt", "b.txt", ".hidden", ".git/config", "z.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def test_a_folder_is_walked_in_the_order_of_its_names_without_what_is_hidden(tree: Path) -> None:
    assert names(tree) == ["a.txt", "b/c.txt", "b/d/e.txt", "b.txt", "z.txt"]


def test_a_listing_goes_on_from_any_file(tree: Path) -> None:
    [root] = roots([str(tree)])
    everything = list(walk(root))
    for index, place in enumerate(everything):
        assert list(walk(root, after=place.parts)) == everything[index:]


def test_files_keep_their_names_whether_given_as_folder_pattern_or_one_by_one(tree: Path) -> None:
    assert names(tree / "b") == ["c.txt", "d/e.txt"]
    assert names(tree / "b" / "**" / "*.txt") == ["c.txt", "d/e.txt"]
    assert names(tree / "b" / "c.txt", tree / "b" / "d" / "e.txt") == ["c.txt", "d/e.txt"]
    assert names(tree / "a.txt") == ["a.txt"]
    assert names(tree / "z.txt", tree / "b", tree / "a.txt") == ["a.txt", "b/c.txt", "b/d/e.txt", "z.txt"]


def test_two_folders_with_files_of_the_same_name_keep_them_apart(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.md").write_text("x")
    assert names(tmp_path / "one", tmp_path / "two") == ["one/x.md", "two/x.md"]


def test_a_hidden_file_is_listed_when_it_is_named(tree: Path) -> None:
    assert names(tree / ".hidden") == [".hidden"]


@pytest.mark.parametrize("path", ["nowhere", "nowhere/*.json", "*.nothing"])
def test_what_is_not_there_is_said_before_anything_is_listed(tree: Path, path: str) -> None:
    with pytest.raises(NotFound, match="no file or folder"):
        roots([str(tree), str(tree / path)])


def test_a_name_that_looks_like_a_pattern_is_a_name_first(tmp_path: Path) -> None:
    (tmp_path / "a[1].txt").write_text("x")
    assert names(tmp_path / "a[1].txt") == ["a[1].txt"]


def test_links_are_followed_to_files_inside_the_root_and_nowhere_else(
    tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.txt").write_text("secret")
    (tree / "link-out.txt").symlink_to(outside / "secret.txt")
    (tree / "link-out").symlink_to(outside)
    (tree / "link-loop").symlink_to(tree)
    (tree / "link-nowhere").symlink_to(tree / "missing")
    (tree / "link-self").symlink_to(tree / "link-self")
    (tree / "link-in.txt").symlink_to(tree / ".hidden")
    assert names(tree) == ["a.txt", "b/c.txt", "b/d/e.txt", "b.txt", "link-in.txt", "z.txt"]


def test_what_is_no_regular_file_is_passed_over(tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    assert "pipe" not in names(tree)


def test_a_folder_that_cannot_be_opened_is_a_problem_and_not_an_end(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.scandir

    def scandir(path: str) -> object:
        if path.endswith(os.sep + "b"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    [root] = roots([str(tree)])
    found = list(walk(root))
    assert [place.name for place in found] == ["a.txt", "b", "b.txt", "z.txt"]
    assert found[1] == Place(str(tree / "b"), "", ("b",), problem="Permission denied")


def test_a_name_that_is_no_utf_8_gets_a_printable_form(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    assert names(tmp_path) == ["caf%E9.txt"]


def test_folders_deeper_than_the_stack_are_walked(tmp_path: Path) -> None:
    folders = [str(tmp_path) + "/d" * depth for depth in range(1, 1200)]
    for folder in folders:
        os.mkdir(folder)
    try:
        assert names(tmp_path) == []
    finally:
        for folder in reversed(folders):
            os.rmdir(folder)
