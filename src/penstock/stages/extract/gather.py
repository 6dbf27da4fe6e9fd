"""Collects one document's entities and claims, each once, in the order they are first met."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from penstock.ir import Claim, Entity, Evidence, Identifier, Knowledge


@dataclass(slots=True)
class _Thing:
    type: str
    name: str
    identifiers: dict[tuple[str, str], Identifier] = field(default_factory=dict)
    evidence: list[Evidence] = field(default_factory=list)


_Statement = tuple[str, str, str | None, str | None]


class Gathering:
    """`entity` answers the local key that `claim` refers to. The same entity or claim again adds to the first.

    `earlier` is what the extractor before this one gave: it comes first and all of it stays.
    """

    def __init__(self, earlier: Knowledge | None = None) -> None:
        self._things: dict[str, _Thing] = {}
        self._claims: dict[_Statement, dict[Evidence, None]] = {}
        self._attributes: dict[_Statement, dict[str, str]] = {}
        self._earlier = earlier
        for entity in earlier.entities if earlier else ():
            identifiers = {(one.scheme, one.value): one for one in entity.identifiers}
            self._things[entity.key] = _Thing(entity.type, entity.name, identifiers, list(entity.evidence))

    def entity(
        self,
        type: str,
        name: str,
        *,
        identifiers: Iterable[Identifier] = (),
        evidence: Evidence | None = None,
        apart: str = "",
    ) -> str:
        """`apart` tells entities of one type and name apart that are not the same."""
        name = " ".join(name.split())
        key = _key(type, name, apart)
        thing = self._things.setdefault(key, _Thing(type, name))
        self.identify(key, identifiers)
        if evidence is not None and not thing.evidence:
            thing.evidence.append(evidence)
        return key

    def seen(self, key: str, places: Iterable[Evidence]) -> None:
        """Further places at which the entity of this key is named."""
        thing = self._things[key]
        thing.evidence = list(dict.fromkeys((*thing.evidence, *places)))

    def identify(self, key: str, identifiers: Iterable[Identifier]) -> None:
        """Further identifiers of the entity of this key."""
        self._things[key].identifiers.update({(one.scheme, one.value): one for one in identifiers})

    def has(self, type: str, name: str) -> bool:
        """Whether an entity of this type and name is there (one that nothing tells apart)."""
        return _key(type, " ".join(name.split())) in self._things

    def claim(
        self,
        subject: str,
        predicate: str,
        evidence: Evidence,
        *,
        object: str | None = None,
        value: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """subject —predicate→ object or value. Nothing is related to itself."""
        if subject == object:
            return
        statement = (subject, predicate, object, value)
        self._claims.setdefault(statement, {})[evidence] = None
        known = self._attributes.setdefault(statement, {})
        for name, text in (attributes or {}).items():
            if text:
                known.setdefault(name, text)

    def knowledge(self, extractor: str, version: str) -> Knowledge:
        """Said to be by both extractors, where there was an earlier one: `structured+dictionary`."""
        before = self._earlier.claims if self._earlier else ()
        if self._earlier:
            extractor = f"{self._earlier.extractor}+{extractor}"
            version = f"{self._earlier.version}+{version}"
        return Knowledge(
            entities=tuple(
                Entity(
                    key=key,
                    type=thing.type,
                    name=thing.name,
                    identifiers=tuple(thing.identifiers.values()),
                    evidence=tuple(thing.evidence),
                )
                for key, thing in self._things.items()
            ),
            claims=before
            + tuple(
                Claim(
                    subject=subject,
                    predicate=predicate,
                    object=object,
                    value=value,
                    attributes=self._attributes[subject, predicate, object, value],
                    evidence=tuple(evidence),
                )
                for (subject, predicate, object, value), evidence in self._claims.items()
            ),
            extractor=extractor,
            version=version,
        )


def _key(type: str, name: str, apart: str = "") -> str:
    return f"{type}:{name.casefold()}#{apart}" if apart else f"{type}:{name.casefold()}"
