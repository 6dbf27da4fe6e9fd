"""What is installed, found through real entry points: distributions are made on the spot."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from penstock.errors import NotFound, UsageError
from penstock.pipelines.catalogue import Catalogue
from penstock.stages import contracts
from penstock.stages.registry import EntryPointCatalogue, check

Install = Callable[..., None]

PLUGIN = """
from pydantic import BaseModel

class Shouter:
    name = "shout"
    version = "1"
    contract = "ChunkStage"
    needs = ("http",)

    class Options(BaseModel):
        size: int = 3

    def __init__(self, options, *, http):
        self.options, self.http = options, http

    def execute(self, ctx, document):
        return []
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a distribution with one module and its entry points on the path."""

    def install(dist: str, code: str = PLUGIN, *, module: str = "", **groups: str) -> None:
        folder = tmp_path / dist
        info = folder / f"{dist.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        info.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
        lines = [f"[penstock.{group}]\n{dedent(points)}" for group, points in groups.items()]
        info.joinpath("entry_points.txt").write_text("\n".join(lines))
        folder.joinpath(f"{module or dist}.py").write_text(code)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, module or dist, raising=False)

    return install


def test_ours_come_through_the_same_door() -> None:
    catalogue: Catalogue = EntryPointCatalogue()
    assert catalogue.contracts["ChunkStage"] is contracts.CHUNK
    assert len(catalogue.contracts) >= 8
    assert "files" in catalogue.sources
    assert {"sentences", "haystack"} <= set(catalogue.implementations("ChunkStage"))
    assert catalogue.ledger_fields["pdf_ir_ready"].worker


@pytest.mark.parametrize("contract", sorted(EntryPointCatalogue().contracts))
def test_every_implementation_of_ours_keeps_its_contract(contract: str) -> None:
    catalogue = EntryPointCatalogue()
    for name in catalogue.implementations(contract):
        assert catalogue.load(contract, name).name == name
    default = catalogue.contracts[contract].default
    assert not default or default in catalogue.implementations(contract)


def test_listing_imports_nothing_and_loading_only_what_is_named(install: Install) -> None:
    install("plug-a", module="plug_a", stages="ChunkStage.shout = plug_a:Shouter\nChunkStage.other = plug_b:Nothing")
    catalogue = EntryPointCatalogue()
    assert {"shout", "other"} <= set(catalogue.implementations("ChunkStage"))
    assert "plug_a" not in sys.modules
    assert catalogue.load("ChunkStage", "shout").__name__ == "Shouter"
    assert catalogue.load("ChunkStage", "shout") is catalogue.load("ChunkStage", "shout")


def test_an_unknown_name_is_not_found_with_a_hint() -> None:
    with pytest.raises(NotFound) as missing:
        EntryPointCatalogue().load("ChunkStage", "sentence")
    assert missing.value.message == "ChunkStage has no implementation 'sentence'"
    assert "'sentences'" in missing.value.next_step


def test_a_contract_may_come_from_outside_and_a_broken_one_breaks_only_itself(install: Install) -> None:
    code = """
    from penstock.pipelines.catalogue import Contract, Take
    from penstock.ir import Document
    from penstock.stages.contracts import ParseStage
    TRANSLATE = Contract("TranslateStage", ParseStage, (Take("document", Document),), Document)
    """
    install(
        "plug", dedent(code), contracts="TranslateStage = plug:TRANSLATE\nWrongName = plug:TRANSLATE\nGone = plug:NO"
    )
    catalogue = EntryPointCatalogue()
    assert catalogue.contracts["TranslateStage"].name == "TranslateStage"
    assert catalogue.contracts["ChunkStage"] is contracts.CHUNK
    with pytest.raises(UsageError, match="registered as"):
        catalogue.contracts["WrongName"]
    with pytest.raises(UsageError, match="can't be imported: AttributeError"):
        catalogue.contracts["Gone"]
    with pytest.raises(KeyError):
        catalogue.contracts["Absent"]
    assert catalogue.contracts.get("Absent") is None


def test_two_distributions_under_one_name_are_refused_by_name(install: Install) -> None:
    install("plug-one", module="one", stages="ChunkStage.shout = one:Shouter")
    install("plug-two", module="two", stages="ChunkStage.shout = two:Shouter")
    with pytest.raises(UsageError, match=r"registered twice .*plug-one \(one:Shouter\) and plug-two \(two:Shouter\)"):
        EntryPointCatalogue().load("ChunkStage", "shout")


@pytest.mark.parametrize(
    ("code", "point", "said", "fix"),
    [
        (
            "import torchvision_of_mars",
            "plug:X",
            "needs the module 'torchvision_of_mars'",
            "pip install 'torchvision_of_mars'",
        ),
        ("import mars.base", "plug:X [heavy]", "needs the module 'mars'", "pip install 'plug[heavy]'"),
        ("import plug.part", "plug:X", "needs the module 'plug.part'", "reinstall plug"),
        ("1 / 0", "plug:X", "ZeroDivisionError", "mend the plugin"),
        ("def f(:", "plug:X", "SyntaxError", "mend the plugin"),
        ("", "plug:X", "AttributeError", "mend the plugin"),
    ],
)
def test_a_plugin_that_can_not_be_imported_says_why(
    install: Install, code: str, point: str, said: str, fix: str
) -> None:
    install("plug", code, stages=f"ParseStage.x = {point}")
    with pytest.raises(UsageError) as refusal:
        EntryPointCatalogue().load("ParseStage", "x")
    assert said in refusal.value.message
    assert fix in refusal.value.next_step


def test_a_usage_error_of_a_plugin_passes_as_it_is(install: Install) -> None:
    code = "from penstock.errors import UsageError\nraise UsageError('no GPU here')"
    install("plug", code, stages="ParseStage.x = plug:X")
    with pytest.raises(UsageError, match=r"^no GPU here$"):
        EntryPointCatalogue().load("ParseStage", "x")


def test_a_name_that_differs_from_the_registered_one_is_refused(install: Install) -> None:
    install("plug", stages="ChunkStage.whisper = plug:Shouter")
    with pytest.raises(UsageError, match="registered as 'whisper', but its name is 'shout'"):
        EntryPointCatalogue().load("ChunkStage", "whisper")


def test_all_that_a_class_lacks_is_listed_at_once(install: Install) -> None:
    install("plug", "class X: pass", stages="IndexStage.x = plug:X")
    with pytest.raises(UsageError) as refusal:
        EntryPointCatalogue().load("IndexStage", "x")
    for missing in (
        "`name`",
        "`version`",
        "contract = 'IndexStage'",
        "`Options`",
        "`needs`",
        "`execute`",
        "`store_id`",
    ):
        assert missing in refusal.value.message


def test_build_passes_the_services_that_are_needed_and_no_others(install: Install) -> None:
    install("plug", stages="ChunkStage.shout = plug:Shouter")
    catalogue = EntryPointCatalogue()
    built: Any = catalogue.build("ChunkStage", "shout", None, {"http": "client", "index": "other"})
    assert (built.http, built.options.size) == ("client", 3)
    with pytest.raises(UsageError, match="needs the service 'http'; there is: index"):
        catalogue.build("ChunkStage", "shout", None, {"index": "other"})


def test_a_source_is_loaded_by_name(install: Install) -> None:
    install("plug", "class Api: pass", sources="api = plug:Api")
    catalogue = EntryPointCatalogue()
    assert "api" in catalogue.sources
    assert catalogue.source("api").__name__ == "Api"
    with pytest.raises(NotFound, match="there is no source 'apu'"):
        catalogue.source("apu")


@pytest.mark.parametrize(
    ("contract", "component", "options", "why"),
    [
        ("ChunkStage", "preprocessors.DocumentSplitter", {"split_length": 10, "split_overlap": 20},
         "split_overlap must be"),
        ("ChunkStage", "preprocessors.DocumentSplitter", {"split_by": "chapter"}, "split_by must be one of"),
        ("ChunkStage", "preprocessors.DocumentSplitter", {"length": 10}, "unexpected keyword argument 'length'"),
        ("ChunkStage", "joiners.DocumentJoiner", {}, "joins the documents of many"),
        ("ChunkStage", "writers.DocumentWriter", {}, "document_store"),
        ("ChunkStage", "writers.DocumentWriter", {"document_store": "x"}, "gives no documents"),
        ("EmbedStage", "embedders.MockTextEmbedder", {}, "can't be run on documents alone"),
    ],
)  # fmt: skip
def test_a_haystack_component_that_can_not_be_it_is_refused_with_its_options(
    contract: str, component: str, options: dict[str, object], why: str
) -> None:
    model = EntryPointCatalogue().load(contract, f"haystack.components.{component}").Options
    with pytest.raises(UsageError, match=why):
        model.model_validate(options)


def test_a_component_whose_secret_is_not_set_is_not_made_when_its_options_are_checked() -> None:
    model = EntryPointCatalogue().load("EmbedStage", "haystack.components.embedders.OpenAIDocumentEmbedder").Options
    assert model.model_validate({"api_key": {"type": "env_var", "env_vars": ["NOBODY_SETS_THIS"]}})


def test_a_source_says_what_it_may_be_asked() -> None:
    assert set(EntryPointCatalogue().query("files").model_fields) == {"paths"}


def test_a_haystack_component_by_its_dotted_name_becomes_a_chunk_stage() -> None:
    catalogue = EntryPointCatalogue()
    found = catalogue.load("ChunkStage", "haystack.components.preprocessors.DocumentSplitter")
    assert found.contract == "ChunkStage"
    with pytest.raises(UsageError, match="ParseStage takes no Haystack component"):
        catalogue.load("ParseStage", "haystack.components.preprocessors.DocumentSplitter")
    with pytest.raises(UsageError):
        catalogue.load("ChunkStage", "haystack.components.preprocessors.NoSuchThing")


def test_a_component_whose_import_breaks_is_a_usage_error(install: Install) -> None:
    install("plug", "1 / 0")
    with pytest.raises(UsageError, match=r"plug\.Splitter can't be imported: ZeroDivisionError"):
        EntryPointCatalogue().load("ChunkStage", "plug.Splitter")


class Good:
    name = "good"
    version = "1"
    contract = "ChunkStage"
    needs: ClassVar[tuple[str, ...]] = ()

    class Options(BaseModel):
        pass

    def __init__(self, options: Any) -> None: ...

    def execute(self, ctx: Any, document: Any) -> list[Any]:
        return []


def variant(**changes: Any) -> type:
    return type("Variant", (Good,), changes)


def test_a_class_that_keeps_the_contract_lacks_nothing() -> None:
    assert check(Good, contracts.CHUNK) == []
    assert check(variant(execute=staticmethod(lambda ctx, document: [])), contracts.CHUNK) == []
    assert check(variant(execute=lambda self, *args: []), contracts.CHUNK) == []
    assert check(variant(execute=lambda self, ctx, document, more=None: []), contracts.CHUNK) == []


async def execute_async(self: Any, ctx: Any, document: Any) -> list[Any]:
    return []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": ""}, "`name`"),
        ({"name": property(lambda self: "x")}, "`name`"),
        ({"version": 1}, "`version`"),
        ({"contract": "ParseStage"}, "contract = 'ChunkStage'"),
        ({"Options": dict}, "`Options`"),
        ({"needs": "http"}, "`needs`"),
        ({"needs": ["http"]}, "`needs`"),
        ({"needs": ("http",)}, "constructed as Variant(options, http=…)"),
        ({"execute": None}, "`execute`"),
        ({"execute": lambda self, ctx: []}, "does not take 2 arguments"),
        ({"execute": lambda self, ctx, document, more: []}, "does not take 2 arguments"),
        ({"execute": staticmethod(lambda ctx: [])}, "does not take 2 arguments"),
        ({"execute": execute_async}, "async `execute`"),
    ],
)
def test_what_a_class_lacks_is_named(changes: dict[str, Any], said: str) -> None:
    [missing] = check(variant(**changes), contracts.CHUNK)
    assert said in missing


def test_an_instance_is_no_class() -> None:
    assert check(Good(None), contracts.CHUNK) == ["is not a class"]
