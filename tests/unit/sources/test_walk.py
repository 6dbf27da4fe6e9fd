from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.errors import NotFound
from penstock.sources.walk import Place, named, parts, roots, walk


def listed(*paths: Path | str) -> list[str]:
    return [place.path for root in roots([str(path) for path in paths]) for place in walk(root)]


def names(folder: Path, *patterns: str) -> list[str]:
    """What is found of the folder, or of these below it, as paths below the folder."""
    return [os.path.relpath(path, folder) for path in listed(*(folder / name for name in patterns or ("",)))]


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
        assert list(walk(root, after=parts(place.given))) == everything[index:]


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (("*.txt",), ["a.txt", "b.txt", "z.txt"]),
        (("*",), ["a.txt", "b/c.txt", "b/d/e.txt", "b.txt", "z.txt"]),
        (("b*",), ["b/c.txt", "b/d/e.txt", "b.txt"]),
        (("?",), ["b/c.txt", "b/d/e.txt"]),
        (("*/*.txt",), ["b/c.txt"]),
        (("**",), ["a.txt", "b/c.txt", "b/d/e.txt", "b.txt", "z.txt"]),
        (("**/*.txt",), ["a.txt", "b/c.txt", "b/d/e.txt", "b.txt", "z.txt"]),
        (("**/d",), ["b/d/e.txt"]),
        (("b/**/e.*",), ["b/d/e.txt"]),
        (("[az].txt",), ["a.txt", "z.txt"]),
        ((".h*",), [".hidden"]),
        ((".*/*",), [".git/config"]),
        (("z.txt", "b", "a.txt"), ["a.txt", "b/c.txt", "b/d/e.txt", "z.txt"]),
    ],
)
def test_a_pattern_takes_files_and_folders_with_all_below_them(
    tree: Path, patterns: tuple[str, ...], found: list[str]
) -> None:
    assert names(tree, *patterns) == found


def test_what_is_given_twice_is_listed_once(tree: Path) -> None:
    assert names(tree, "", "b", "b/d/e.txt", "*.txt", "./b/../b") == names(tree)
    assert names(tree, "", ".hidden") == [*names(tree), ".hidden"]


def test_the_home_folder_has_its_sign(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tree))
    assert listed("~/b") == listed("~/b/*") == [str(tree / "b/c.txt"), str(tree / "b/d/e.txt")]


def test_a_hidden_file_is_listed_when_it_is_named(tree: Path) -> None:
    assert names(tree, ".hidden") == [".hidden"]


def test_a_pattern_that_only_hidden_names_answer_to_says_so(tree: Path) -> None:
    with pytest.raises(NotFound, match=r"only hidden names answer to '.*\*dden', such as '.*/\.hidden'"):
        roots([str(tree / "*dden")])


def test_a_pattern_is_not_led_in_circles(tree: Path) -> None:
    for name in ("one", "two", "three"):
        (tree / "b" / name).symlink_to(tree)
    assert names(tree, "**/e.txt") == ["b/d/e.txt"]


def test_a_folder_in_a_patterns_way_that_cannot_be_opened_is_a_problem(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut(monkeypatch, "b")
    assert [p.problem for root in roots([str(tree / "*/*/e.txt")]) for p in walk(root)] == ["Permission denied"]


@pytest.mark.parametrize("path", ["nowhere", "nowhere/*.json", "*.nothing", "a.txt/*", "link-nowhere", "\ud800/x*"])
def test_what_is_not_there_is_said_before_anything_is_listed(tree: Path, path: str) -> None:
    (tree / "link-nowhere").symlink_to(tree / "missing")
    with pytest.raises(NotFound, match="no file or folder"):
        roots([str(tree), str(tree / path)])


def test_a_name_is_found_again_by_what_it_is_called(tmp_path: Path) -> None:
    for name in (b"caf\xe9.txt", b"C#!.md", b"[a]*.md", b"100%25.md"):
        path = tmp_path / os.fsdecode(name)
        path.write_text("x")
        assert listed(named(str(path))) == listed(path.as_uri()) == [str(path)]


def test_a_name_that_looks_like_a_pattern_is_a_name_first(tmp_path: Path) -> None:
    (tmp_path / "a[1].txt").write_text("x")
    assert names(tmp_path, "a[1].txt") == ["a[1].txt"]


def test_links_are_followed_to_files_inside_the_root_and_nowhere_else(
    tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.txt").write_text("secret")
    (tree / "link-out.txt").symlink_to(outside / "secret.txt")
    (tree / "link-out").symlink_to(outside)
    (tree / "link-loop").symlink_to(tree)
    (tree / "link-in.txt").symlink_to(tree / ".hidden")
    (tree / "link-to-what-is-listed.txt").symlink_to(tree / "a.txt")
    assert names(tree) == ["a.txt", "b/c.txt", "b/d/e.txt", "b.txt", ".hidden", "z.txt"]


@pytest.mark.parametrize("target", ["missing", "b/missing/too", "../elsewhere/missing", "link-broken"])
def test_a_link_to_nothing_is_listed_where_it_lies(tree: Path, target: str) -> None:
    (tree / "link-broken").symlink_to(target)
    everything = ["a.txt", "b/c.txt", "b/d/e.txt", "b.txt", "link-broken", "z.txt"]
    assert names(tree) == names(tree, "*") == names(tree, "", "link-*") == everything
    assert names(tree, "link-*") == names(tree, "**/link-*") == ["link-broken"]


def test_what_is_no_regular_file_is_passed_over(tree: Path) -> None:
    before = names(tree)
    os.mkfifo(tree / "pipe")
    (tree / "link-to-a-pipe").symlink_to("pipe")
    assert names(tree) == names(tree, "*") == before


def shut(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    real = os.scandir

    def scandir(path: str) -> object:
        if path.endswith(os.sep + folder):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)


def test_a_folder_that_cannot_be_opened_is_a_problem_and_not_an_end(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut(monkeypatch, "b")
    [root] = roots([str(tree)])
    found = list(walk(root))
    assert [os.path.relpath(place.path, tree) for place in found] == ["a.txt", "b", "b.txt", "z.txt"]
    assert found[1] == Place(str(tree / "b"), str(tree / "b"), problem="Permission denied")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a/b.txt", "/a/b.txt"),
        ("/a/é 100%.txt", "/a/é 100%.txt"),
        (os.fsdecode(b"/a/caf\xe9.txt"), "file:///a/caf%E9.txt"),
        ("/a/C#.md", "file:///a/C%23.md"),
        ("/a!/100%.md", "file:///a%21/100%25.md"),
    ],
)
def test_a_name_is_text_that_is_no_other_files(path: str, name: str) -> None:
    assert named(path) == name


def test_folders_deeper_than_the_stack_are_walked(tmp_path: Path) -> None:
    folders = [str(tmp_path) + "/d" * depth for depth in range(1, 1200)]
    for folder in folders:
        os.mkdir(folder)
    try:
        assert names(tmp_path) == []
        with pytest.raises(NotFound):
            names(tmp_path, "**/*.txt")
    finally:
        for folder in reversed(folders):
            os.rmdir(folder)
