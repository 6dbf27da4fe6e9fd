"""Articles of PubMed Central: found by E-utilities (https://www.ncbi.nlm.nih.gov/books/NBK25499/), had from its open
data (https://pmc-oa-opendata.s3.amazonaws.com/README.txt), an S3 bucket that answers plain HTTPS.

The bucket has an article's versions each under PMC<number>.<version>/ and says of each in metadata/ what it is, under
which licence it stands, and whether there is a PDF.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, Self

import httpx
from lxml import etree
from pydantic import BaseModel, BeforeValidator, model_validator

from penstock.errors import BadInput, UsageError
from penstock.sources.api import Api, HttpService, Missing, Refused
from penstock.sources.identify import stated_pmcid
from penstock.sources.jsontext import load_json
from penstock.sources.lookup import PAGE, Answered, LookupSource, each_once, given
from penstock.sources.paging import PagedQuery, something_asked
from penstock.sources.service import Page

BUCKET = "https://pmc-oa-opendata.s3.amazonaws.com"
MOST = 9_999
"""How many of a search E-utilities list."""
_METADATA = re.compile(r"metadata/PMC\d+\.(\d{1,4})\.json")
_OBJECT = re.compile(r"s3://[^/]+(/[^?#]+)(?:\?.*)?")


class PmcQuery(PagedQuery):
    """`query` is in PMC's syntax, as in its search box; of what it finds the open-access articles are listed."""

    pmcids: Annotated[tuple[str, ...], BeforeValidator(partial(each_once, stated_pmcid, "PMCID"))] = ()
    """PMCIDs, with or without PMC, in place of a query."""

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        if self.query and self.pmcids:
            raise ValueError("say either a query or pmcids")
        return something_asked(self)


class PmcFulltext(LookupSource[PmcQuery]):
    """The newest version of each article, as the bucket's metadata tell of it; its PDF where the licence allows one.

    What a search finds is asked for in pages, from where a stopped listing stood. An article that is in PMC but not
    in the bucket is "not-found".
    """

    name = "pmc-fulltext"
    needs = ("http", "url", "key", "bucket_url")
    Query: type[BaseModel] = PmcQuery
    per_second = 3.0
    per_second_with_key = 10.0
    example: ClassVar[Mapping[str, object]] = {"query": "metformin"}

    SERVICE = "NCBI"
    URL = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils"
    KEY = "10 requests a second instead of 3 (free: account.ncbi.nlm.nih.gov/settings)"
    KIND = "pmc-record"

    def __init__(self, *, http: HttpService, bucket_url: str = "", **services: Any) -> None:
        """`bucket_url`: where the open data are, when it is not `BUCKET`."""
        super().__init__(http=http, **services)
        self.bucket = Api(self.name, bucket_url or BUCKET, None, http, (f"PENSTOCK_{self.SERVICE}_BUCKET_URL", ""))

    def _keys(self, asked: PmcQuery, token: str) -> Page[str]:
        if asked.pmcids:
            return given(asked.pmcids, token)
        if token and not token.isdecimal():
            raise UsageError(f"source {self.name}: {token[:80]!r} is no cursor of this listing")
        begin, size = int(token or 0), min(asked.limit or PAGE, PAGE)

        def read(answer: httpx.Response) -> Page[str]:
            ids, total, start = self._found(answer)
            if total > MOST and (asked.limit or total) > MOST:
                raise UsageError(
                    f"source {self.name}: {total:,} articles match, and no more than {MOST:,} of a search are listed",
                    next_step="narrow the query, as by AND 2026/01/01:2026/01/31[pmcrdat], or say --limit",
                )
            if start not in (None, begin):
                raise self._no_answer(answer, f"articles from {begin:,} on were asked for, not from {start:,}")
            return self._at_offset(answer, ids, begin, size, total)

        params = {
            "db": "pmc",
            "term": f"({asked.query}) AND open_access[Filter]",
            "retmode": "json",
            "tool": "penstock",
        }
        return self.api.get("/esearch.fcgi", params | {"retstart": str(begin), "retmax": str(size)}, read)

    def _found(self, answer: httpx.Response) -> tuple[tuple[str, ...], int, int | None]:
        """The PMCIDs of one page of a search, how many it finds in all, and where the page begins, if it says so."""
        try:
            value = load_json(answer.content)
        except BadInput as error:
            raise self._no_answer(answer, error.message) from None
        if isinstance(value, dict) and "error" in value:
            raise self._no_answer(answer, self.api.reason_in(answer.content))
        result = value.get("esearchresult") if isinstance(value, dict) else None
        if isinstance(result, dict) and "ERROR" in result:
            raise Refused(f"source {self.name}: {str(result['ERROR'])[:200]}", next_step="correct --query")
        try:
            ids, total = tuple(map(stated_pmcid, result["idlist"])), int(result["count"])  # type: ignore[index]
            start = int(result["retstart"]) if "retstart" in result else None  # type: ignore[operator, index]
        except (KeyError, TypeError, ValueError):
            ids, total, start = ("",), 0, None
        if not all(ids):
            raise self._strange("the answer has no list of ids ('esearchresult', 'idlist', 'count')")
        return ids, total, start

    def _ask(self, key: str) -> Answered:
        versions = self.bucket.get("/", {"list-type": "2", "prefix": f"metadata/{key}."}, self._versions)
        if not versions:
            raise Missing(f"{key} is not among PMC's open data: there is no such article, or its licence forbids it")
        path = f"/metadata/{key}.{max(versions)}.json"
        return self.bucket.get(
            path, {}, lambda answer: Answered(self._one(answer), self.bucket.url + path, answer.headers.get("ETag", ""))
        )

    def _versions(self, answer: httpx.Response) -> list[int]:
        """The versions that a listing of the bucket has metadata of."""
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
        try:
            root = etree.fromstring(answer.content, parser)
        except etree.XMLSyntaxError as error:
            raise self._no_answer(answer, str(error.msg)[:200]) from None
        if etree.QName(root).localname != "ListBucketResult":
            raise self._strange("the answer is no listing of a bucket")
        keys = (element.text or "" for element in root.iterfind("{*}Contents/{*}Key"))
        return [int(found[1]) for key in keys if (found := _METADATA.fullmatch(key))]

    def _urls(self, content: bytes) -> tuple[str, ...]:
        stated = load_json(content).get("pdf_url")
        found = _OBJECT.fullmatch(stated) if isinstance(stated, str) else None
        return (self.bucket.url + found[1],) if found else ()
