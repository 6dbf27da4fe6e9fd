"""When two names, or two identifiers, are the same: the rules that make entity and claim keys.

Kinds of things (drugs, conditions, organizations, concepts, substances) are told apart by type and folded name: the
same name from two sources is the same thing. Individuals (persons, studies, publications, labels, pages) are not: many
people, corrections and labels bear one name. Where an individual has identifiers, the first of them, sorted, is its
identity; where it has none, its name must do.
"""

from __future__ import annotations

import re
import unicodedata
from base64 import b32encode
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256

from penstock.ir import Identifier

MAX_NAME = 200
"""Characters of a folded name that are kept: enough to tell names apart, short enough for any index."""
MAX_IDENTIFIER = 300
INDIVIDUALS = frozenset({"Person", "Study", "Publication", "Label", "Page"})
VOCABULARY = frozenset({"Drug", "Condition", "Substance", "Concept"})
"""Types that vocabularies such as MeSH name. One name or descriptor is one thing, whichever type a source gave it."""

_UPPER = frozenset({"nct", "pmcid", "openalex", "mesh", "unii", "orcid", "wikidata", "cas"})
_LOWER = frozenset({"doi", "ror", "spl-set-id"})
_MARKS = str.maketrans("", "", "®™©℠")
_TRIVIAL = re.compile(r"(?<=\w)[-‐-―](?=\w)|[,;:_'\"‘’“”`´()\[\]{}]|\.(?!\d)")


@lru_cache(16_384)
def fold(name: str) -> str:
    """A name as it is compared: NFKC, case folded, trivial punctuation and trade marks gone, single blanks."""
    plain = unicodedata.normalize("NFKC", name.translate(_MARKS)).casefold()
    folded = " ".join(_TRIVIAL.sub(" ", plain).split())
    return (folded or " ".join(plain.split()) or name)[:MAX_NAME]


def canonical(identifier: Identifier) -> tuple[str, str] | None:
    """(scheme, value) in the scheme's usual case; None for one that is empty or longer than any real one."""
    scheme, value = identifier.scheme.strip().lower(), " ".join(identifier.value.split())
    if not scheme or not value or len(scheme) + len(value) > MAX_IDENTIFIER:
        return None
    if scheme in _UPPER and "/" not in value:
        value = value.upper()
    elif scheme in _LOWER:
        value = value.lower()
    return scheme, value


def family(type: str) -> str:
    """Entities of one family that share an identifier are one node."""
    return "vocabulary" if type in VOCABULARY else type


def identity(type: str, name: str, identifiers: Iterable[tuple[str, str]]) -> str:
    """What makes an entity itself: `scheme:value` for an individual that has identifiers, else its folded name."""
    if type in INDIVIDUALS:
        for scheme, value in sorted(identifiers):
            return f"{scheme}:{value}"
    return fold(name)


def of_sense(name: str, sense: str) -> str:
    """A name in one of its senses, `mercury [planet]`; no name folds to that, since brackets fold away."""
    return f"{name} [{sense}]" if sense else name


def sense_of(identity: str) -> tuple[str, str]:
    """The name and the sense that of_sense put together; what has no sense comes as it is."""
    name, bracket, sense = identity.partition(" [")
    return (name, sense[:-1]) if bracket and sense.endswith("]") and is_name(identity) else (identity, "")


def is_name(identity: str) -> bool:
    """Not `scheme:value`: a folded name has no colon, unless it is nothing but punctuation."""
    return ":" not in identity


def key_of(*parts: str | None) -> str:
    """80 bits of sha256 over the parts as 16 letters and digits; an absent part differs from an empty one."""
    packed = b"".join(b"-" if part is None else b"%d:%b" % (len(raw := part.encode()), raw) for part in parts)
    return b32encode(sha256(packed).digest()[:10]).decode().lower()
