"""What the dictionary extractor costs: a vocabulary of a million synonyms, and text in which some of them stand.

    python -m benchmarks.dictionary [--synonyms 1000000] [--megabytes 20]

At least 5 MB of text a second. The text is drawn from words that stand in many names but are none, the common ones most
often, with a name about every fifteenth word; each name put there must be found.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections.abc import Callable, Iterator
from itertools import accumulate, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from penstock.ir import Origin, RawPayload, StageContext
from penstock.stages.contracts import Extractable
from penstock.stages.extract.dictionary import DictionaryExtractor
from penstock.stages.extract.matching import Matcher
from penstock.stages.parse.builder import DocumentBuilder

T = TypeVar("T")

LEAST_SPEED = 5
"""MB a second."""
SYNONYMS = 4
"""Names of one thing."""
WORDS = 200_000
DOCUMENT = 2_000
"""Words of a document, in paragraphs of a tenth."""
PLANTED = 15

Text = list[str]


def words(rng: random.Random) -> list[str]:
    """Different words of three to six syllables."""
    syllables = ["".join(pair) for pair in product("bcdfghklmnprstvz", "aeiou")]
    made: dict[str, None] = {}
    while len(made) < WORDS:
        made["".join(rng.choices(syllables, k=rng.randint(3, 6)))] = None
    return list(made)


def names(rng: random.Random, known: list[str], count: int) -> list[str]:
    """Different names of one to four words, those of one out of the later half of the known words."""
    made: dict[str, None] = {}
    while len(made) < count:
        number = rng.choice((1, 2, 2, 2, 3, 3, 3, 4))
        made[" ".join(rng.choices(known[len(known) // 2 :] if number == 1 else known, k=number))] = None
    return list(made)


def write_vocabulary(path: Path, made: list[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("id\tname\tsynonyms\ttype\n")
        for at in range(0, len(made), SYNONYMS):
            name, *others = made[at : at + SYNONYMS]
            file.write(f"mesh:X{at}\t{name}\t{'|'.join(others)}\tDrug\n")


def documents(rng: random.Random, known: list[str], made: list[str], size: int) -> Iterator[tuple[Text, int]]:
    """Paragraphs, and how many names were put into them, until `size` characters are there."""
    plain = known[: len(known) // 2]
    weights = list(accumulate(1 / (rank + 10) for rank in range(len(plain))))
    while size > 0:
        drawn = rng.choices(plain, cum_weights=weights, k=DOCUMENT)
        drawn[::PLANTED] = rng.choices(made, k=len(drawn[::PLANTED]))
        tenth = DOCUMENT // 10
        text = [". ".join(_sentences(drawn[at : at + tenth])) + "." for at in range(0, DOCUMENT, tenth)]
        size -= sum(map(len, text))
        yield text, len(drawn[::PLANTED])


def _sentences(drawn: list[str]) -> Iterator[str]:
    return (" ".join(drawn[at : at + 20]).capitalize() for at in range(0, len(drawn), 20))


def timed(work: Callable[[], T]) -> tuple[T, float, float]:
    """What `work` gives, its CPU seconds and the seconds it took."""
    cpu, clock = time.process_time(), time.perf_counter()
    value = work()
    return value, time.process_time() - cpu, time.perf_counter() - clock


def memory() -> float:
    """The most this process has held so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def extractable(text: Text) -> Extractable:
    content = "\n\n".join(text).encode()
    payload = RawPayload(
        source="files", source_id="x", kind="text", origin=Origin(uri="x.txt", key="x.txt"), content=content
    )
    builder = DocumentBuilder(CTX, payload, parser="benchmark", version="1")
    for paragraph in text:
        builder.block(paragraph, builder.span_of_bytes(0, len(content)))
    return Extractable(builder.build(), [])


CTX = StageContext("default", "doc-1", "c-1", {"generation": 1, "token": 1})


def measure(matcher: Matcher, extractor: DictionaryExtractor, texts: list[tuple[Text, int]]) -> None:
    size = sum(len(paragraph) for text, _ in texts for paragraph in text) / 1e6
    planted = sum(number for _, number in texts)

    def find() -> int:
        return sum(len(matcher.find(paragraph)) for text, _ in texts for paragraph in text)

    for turn in ("first", "again"):
        found, cpu, seconds = timed(find)
        assert found >= planted, (found, planted)
        print(
            f"matching, {turn}: {size / cpu:.1f} MB a CPU second (at least {LEAST_SPEED}), "
            f"{size / seconds:.1f} a second by the clock; {size:.0f} MB, {found:,} names found"
        )

    items = [extractable(text) for text, _ in texts]
    claims, cpu, seconds = timed(lambda: sum(len(extractor.execute(CTX, item).claims) for item in items))
    print(f"the whole stage: {size / cpu:.1f} MB a CPU second ({claims:,} claims with their sentences)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--synonyms", type=int, default=1_000_000)
    parser.add_argument("--megabytes", type=float, default=20)
    asked = parser.parse_args()
    rng = random.Random(7)
    known = words(rng)
    made = names(rng, known, asked.synonyms)
    texts = list(documents(rng, known, made, int(asked.megabytes * 1e6)))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "vocabulary.tsv"
        write_vocabulary(path, made)
        del made
        before = memory()
        print(f"{asked.synonyms:,} synonyms, {path.stat().st_size / 1e6:.0f} MB of TSV")
        extractor = DictionaryExtractor(DictionaryExtractor.Options(vocabulary=path))
        matcher, cpu, seconds = timed(extractor.matcher)
        assert matcher.names + matcher.homonyms == asked.synonyms, (matcher.names, matcher.homonyms)
        print(
            f"reading and building: {seconds:.1f} s ({cpu:.1f} CPU s), {memory() - before:.0f} MB more memory at most"
        )
        assert extractor.matcher() is DictionaryExtractor(DictionaryExtractor.Options(vocabulary=path)).matcher()
        measure(matcher, extractor, texts)


if __name__ == "__main__":
    main()
