"""Entities by a vocabulary of the user's own: the things whose names stand in the text.

What a name in a text says is that the document mentions the thing, in that sentence, and no more: whether it is denied
there, and how two things of one sentence are related, is for later stages to tell.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator
from pydantic import Field as Option

from penstock.errors import UsageError
from penstock.ir import Document, Knowledge, StageContext
from penstock.ir.knowledge import TYPES
from penstock.pipelines.problems import Refused, suggest
from penstock.stages.contracts import Extractable
from penstock.stages.extract.gather import Gathering
from penstock.stages.extract.matching import Matcher, Rules
from penstock.stages.extract.quoting import Quotes, Span
from penstock.stages.extract.subject import document_entity
from penstock.stages.extract.vocabulary import Term, read_vocabulary, read_words

PREDICATE = "mentions"
LOOKED_AT = 1_000
"""Rows of a vocabulary that are checked before a run begins; the others when they are needed."""
_KEPT = 2
"""Matchers that stay in memory: the vocabulary in use, and the one it replaces."""


def _there(path: Path) -> Path:
    if not path.is_file():
        raise Refused(f"there is no file {path}", "name it from the folder in which penstock is run")
    return path


def _known(type: str) -> str:
    if type not in TYPES:
        raise Refused(f"there is no type {type!r}", suggest(type, TYPES))
    return type


File = Annotated[Path, AfterValidator(_there)]


class DictionaryExtractor:
    """ExtractStage "dictionary": the names of a vocabulary, found in the text (see vocabulary.py and matching.py).

    Each thing found is an entity by its preferred name and id, whose evidence is every place it is named at; the
    document `mentions` it, attributes: count, and the evidence is the sentences that name it.

    What an extractor before this one gave stays, and gets the ids of the things it names by whatever synonym, so that
    the graph has one node of what a field and a text name.
    """

    name = "dictionary"
    version = "1"
    contract = "ExtractStage"
    needs: tuple[str, ...] = ()

    class Options(BaseModel):
        """`vocabulary`: a CSV or TSV file with the columns name, id, synonyms, type. `scheme`: whose ids these are,
        where they don't say it themselves; `type`: of things that state none.

        `fold_case`, `fold_plurals`: whether such names are the same. `longest` false: names inside of longer ones are
        found too. Names of fewer than `min_length` characters, and those in `stop` or the file `stop_list` (one a
        line), are not looked for; those of at most `exact_up_to` are found in their own case only, and those spelt
        like a common word in capitals only. `homonyms`: a name that several things prefer, or have as a synonym, is
        passed over ("skip") or stands for the first in the file. `limit`: places and sentences kept of each thing."""

        model_config = ConfigDict(frozen=True, extra="forbid")

        vocabulary: File
        scheme: str = Option(default="", pattern=r"^([A-Za-z][\w.-]*)?$")
        type: Annotated[str, AfterValidator(_known)] = "Concept"
        fold_case: bool = True
        fold_plurals: bool = True
        longest: bool = True
        min_length: int = Option(default=2, ge=1, strict=True)
        exact_up_to: int = Option(default=4, ge=0, strict=True)
        homonyms: Literal["skip", "first"] = "skip"
        stop: tuple[str, ...] = ()
        stop_list: File | None = None
        limit: int = Option(default=100, ge=1, strict=True)

        @model_validator(mode="after")
        def _begins_well(self) -> Self:
            """Raises ConfigError for a vocabulary with something wrong in its first LOOKED_AT rows."""
            self.terms(_content(self.vocabulary), LOOKED_AT)
            return self

        def terms(self, content: bytes | None = None, rows: int | None = None) -> list[Term]:
            """The vocabulary's things. Raises ConfigError for a wrong one, UsageError for one that can't be read."""
            content = _content(self.vocabulary) if content is None else content
            return read_vocabulary(self.vocabulary, content, scheme=self.scheme, type=self.type, rows=rows)

    def __init__(self, options: Options) -> None:
        """Raises UsageError for a file that can't be read."""
        self._options = options
        stop = (*options.stop, *(read_words(options.stop_list) if options.stop_list else ()))
        self._rules = Rules(
            fold_case=options.fold_case,
            fold_plurals=options.fold_plurals,
            longest=options.longest,
            min_length=options.min_length,
            exact_up_to=options.exact_up_to,
            skip_homonyms=options.homonyms == "skip",
            stop=frozenset(word.casefold() for word in stop),
        )
        self._digest = sha256(_content(options.vocabulary)).hexdigest()

    def execute(self, ctx: StageContext, item: Extractable) -> Knowledge:
        """The first call of a process reads the vocabulary. Raises ConfigError for one that is wrong."""
        gathering = Gathering(item.knowledge)
        quotes = Quotes(item.document, item.chunks)
        itself = document_entity(gathering, item.document, quotes)
        matcher = self.matcher()
        for entity in item.knowledge.entities if item.knowledge else ():
            named = matcher.term(entity.name)
            if named is not None and _may_be(entity.type, named.type):
                gathering.identify(entity.key, named.identifiers)
        for term, spans in _found(item.document, matcher).items():
            key = gathering.entity(term.type, term.names[0], identifiers=term.identifiers)
            kept = spans[: self._options.limit]
            gathering.seen(key, filter(None, (quotes.of_span(*span) for span in kept)))
            count = {"count": str(len(spans))}
            for sentence in dict.fromkeys(quotes.sentence_around(*span) for span in kept):
                evidence = quotes.of_span(*sentence)
                assert evidence is not None, "a sentence lies in a block"
                gathering.claim(itself, PREDICATE, evidence, object=key, attributes=count)
        return gathering.knowledge(self.name, self.version)

    def matcher(self) -> Matcher:
        """The vocabulary, ready to be found; made once a process for each content and rules."""
        options = self._options
        return _matchers.get((self._digest, options.scheme, options.type, self._rules), self._build)

    def _build(self) -> Matcher:
        options = self._options
        content = _content(options.vocabulary)
        if sha256(content).hexdigest() != self._digest:
            raise UsageError(f"{options.vocabulary} has changed since this run began", next_step="run the same again")
        return Matcher(options.terms(content), self._rules)


def _content(vocabulary: Path) -> bytes:
    try:
        return vocabulary.read_bytes()
    except OSError as error:
        raise UsageError(f"the vocabulary {vocabulary} can't be read: {error.strerror}") from None


def _found(document: Document, matcher: Matcher) -> dict[Term, list[Span]]:
    """Where each term is named, by block: no name goes from one into the next, nor from cell to cell of a table."""
    found: dict[Term, list[Span]] = defaultdict(list)
    for block in document.blocks:
        text = document.text[block.start : block.end]
        for start, end, term in matcher.find(text.replace("\n", "\t") if block.kind == "table" else text):
            found[term].append((block.start + start, block.start + end))
    return found


def _may_be(type: str, other: str) -> bool:
    """Whether what a field calls one is what a vocabulary calls the other."""
    return type == other or "Concept" in (type, other) or {type, other} == {"Drug", "Substance"}


class _Matchers:
    """Each made once, the last used kept.

    A thread of its own makes it: a big vocabulary may take longer than one attempt may, and is there for the next.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._made: OrderedDict[Hashable, Future[Matcher]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Matcher]) -> Matcher:
        with self._lock:
            future = self._made.get(key)
            if future is None:
                thread = ThreadPoolExecutor(1, "vocabulary")
                future = self._made[key] = thread.submit(make)
                thread.shutdown(wait=False)
            self._made.move_to_end(key)
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
        try:
            return future.result()
        except Exception:
            with self._lock:
                if self._made.get(key) is future:
                    del self._made[key]
            raise


_matchers = _Matchers()
