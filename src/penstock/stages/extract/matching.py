"""Finds the names of a vocabulary in text, all at once.

Every word of the vocabulary becomes one character, every name the short string of its words; a text is matched after
its words have been replaced likewise, unknown ones by U+0000. So names begin and end where words do, words are folded
without moving an offset, and the automaton (Aho-Corasick, by ahocorasick_rs) stays small.

A word is a run of letters, digits, marks and underscores; any other visible character is a word of its own. Blanks,
line ends and hyphens only part words: `beta blocker` is found in `beta-blocker`. Across a tab nothing is found.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from ahocorasick_rs import AhoCorasick

from penstock.errors import UsageError
from penstock.stages.extract.vocabulary import Term

_COMMON = """
    a about all also an and any are as at be been both but by can cast did do does each even ever few for from get had
    has have he her him his how if impact in into is it its just large let like made make man many may men might more
    most much must my no nor not now of off on once one only or other our out over own per put rest same saw see set
    she should similar since so some such than that the their them then there these they this those to too two under up
    upon us use very via was we were what when where which while who why will with within would yes yet you your
"""
COMMON = frozenset(_COMMON.split())
"""Words that name nothing. A name spelt like one is found only where it stands in capitals: ALL, not all."""

_WORD = re.compile("([\\w\u0300-\u036f]+|[^\\w\u0300-\u036f\\s\\-‐‑‒–]|\t)")
_LETTER = re.compile(r"[^\W\d_]")
_ENDINGS = tuple(
    (re.compile(rf"(?:{plural})\Z"), singular)
    for plural, singular in (
        (r"(?<=stas)es|(?<=[bhmnr]os)es|(?<=lys)es", "is"),  # metastases, stenoses, paralyses
        (r"(?<=ss)es|(?<=us)es|(?<=sh)es|(?<=x)es", ""),  # abscesses, viruses, rashes, complexes
        (r"(?<![ae])ies", "y"),
        (r"(?<![isu])s", ""),
    )
)
_SHORTEST_PLURAL = 4
_LETTERS_OF_A_WORD = 6
"""Words of so many letters are no abbreviations, even in capitals."""
_UNKNOWN = "\0"
_NOBODY = -1
_SURROGATES = range(0xD800, 0xE000)
_MOST_WORDS = sys.maxunicode - len(_SURROGATES)
_REMEMBERED = 500_000
"""Spellings whose character is kept at hand."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as the same name, and which names count; DictionaryExtractor.Options says what each is."""

    fold_case: bool = True
    fold_plurals: bool = True
    longest: bool = True
    min_length: int = 2
    exact_up_to: int = 4
    skip_homonyms: bool = True
    stop: frozenset[str] = frozenset()
    """Case-folded."""


class Mention(NamedTuple):
    """`text[start:end]` is a name of `term`."""

    start: int
    end: int
    term: Term


class Matcher:
    """The names of some terms, ready to be looked for. May be shared between threads.

    `names` is how many are, `homonyms` how many are not because several terms go by them.
    """

    def __init__(self, terms: Sequence[Term], rules: Rules) -> None:
        """Raises UsageError for more than 1.1 million different words."""
        self._terms = terms
        self._rules = rules
        self._characters = _Characters(rules)
        # A key is a name's characters; if it is guarded, U+0000 and its spelling follow.
        preferred: dict[str, int] = {}
        others: dict[str, int] = {}
        for number, term in enumerate(terms):
            for rank, name in enumerate(term.names):
                if key := self._key(name):
                    self._claim(others if rank else preferred, key, number)
        self._characters.learning = False
        self._owners = others | preferred
        self.homonyms = sum(owner == _NOBODY for owner in self._owners.values())
        self.names = len(self._owners) - self.homonyms
        patterns = sorted({key.partition(_UNKNOWN)[0] for key in self._owners})  # built in a third of the time
        self._automaton = AhoCorasick(patterns, store_patterns=False)

    def find(self, text: str) -> list[Mention]:
        """The names in a text, in order; unless nested ones are asked for, of those that overlap the first, longest."""
        pieces = _WORD.split(text)  # what parts words, a word, what parts words, a word, …
        encoded = "".join(map(self._characters.__getitem__, pieces[1::2]))
        found = self._automaton.find_matches_as_indexes(encoded, overlapping=True)
        if not found:
            return []
        ends = list(accumulate(map(len, pieces)))
        mentions = []
        reached = 0
        for _, first, end in sorted(found, key=lambda match: (match[1], -match[2])):
            if first < reached:
                continue
            owner = self._owner(encoded[first:end], pieces[2 * first + 1 : 2 * end : 2])
            if owner is None:
                continue
            if owner != _NOBODY:
                mentions.append(Mention(ends[2 * first], ends[2 * end - 1], self._terms[owner]))
            reached = end if self._rules.longest else 0
        return mentions

    def term(self, name: str) -> Term | None:
        """What a name, taken whole, is one of."""
        return next((term for start, end, term in self.find(name) if (start, end) == (0, len(name))), None)

    def _key(self, name: str) -> str:
        """What a name is found by; empty if it is not to be found."""
        words = _WORD.findall(name)
        spelling = "".join(words)
        folded = name.casefold()
        if len(spelling) < self._rules.min_length or folded in self._rules.stop or not _LETTER.search(spelling):
            return ""
        key = "".join(map(self._characters.__getitem__, words))
        if folded in COMMON:
            return f"{key}{_UNKNOWN}{spelling.upper()}"
        return f"{key}{_UNKNOWN}{spelling}" if len(spelling) <= self._rules.exact_up_to else key

    def _claim(self, owners: dict[str, int], key: str, number: int) -> None:
        if owners.setdefault(key, number) != number and self._rules.skip_homonyms:
            owners[key] = _NOBODY

    def _owner(self, key: str, words: Sequence[str]) -> int | None:
        """The number of the term that these words name; _NOBODY where several contend, None where they name none."""
        owner = self._owners.get(key)
        if owner is not None:
            return owner
        spelling = "".join(words)
        forms = [spelling]
        if spelling[1:].islower():
            forms.append(spelling.lower())  # the capital may be the sentence's
        if self._rules.fold_plurals and spelling.endswith("s"):
            forms += [form[:-1] for form in forms]
        owned = (self._owners.get(f"{key}{_UNKNOWN}{form}") for form in forms)
        return next((owner for owner in owned if owner is not None), None)


class _Characters(dict[str, str]):
    """Word as it is spelt → the character that stands for it. While `learning`, a new word gets one of its own;
    afterwards it is unknown."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._known: dict[str, str] = {}
        self.learning = True

    def __missing__(self, word: str) -> str:
        if not self.learning and len(self) >= _REMEMBERED:
            self.clear()
        folded = self._fold(word)
        character = self._known.get(folded, _UNKNOWN)
        if character == _UNKNOWN and self.learning:
            character = self._known[folded] = self._next()
        self[word] = character
        return character

    def _next(self) -> str:
        number = len(self._known) + 1
        if number > _MOST_WORDS:
            message = f"the vocabulary has more than {_MOST_WORDS:,} different words"
            raise UsageError(message, next_step="split it between two stages")
        return chr(number if number < _SURROGATES.start else number + len(_SURROGATES))

    def _fold(self, word: str) -> str:
        rules = self._rules
        folded = word if word.isascii() else unicodedata.normalize("NFC", word.replace("’", "'"))
        if rules.fold_case:
            folded = folded.casefold()
        if (
            rules.fold_plurals
            and len(word) >= _SHORTEST_PLURAL
            and (word[-1] == "s" or len(word) >= _LETTERS_OF_A_WORD)
        ):
            for plural, singular in _ENDINGS:
                if found := plural.search(folded):
                    return folded[: found.start()] + singular
        return folded
