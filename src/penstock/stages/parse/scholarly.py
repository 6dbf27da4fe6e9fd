"""How scholarly records write dates, persons and identifiers, brought to one form."""

from __future__ import annotations

import re
from datetime import date

from penstock.ir import Identifier

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_YEAR = re.compile(r"(?<!\d)(1[5-9]\d\d|20\d\d)(?!\d)")
_ISO = re.compile(r"(\d{4})(?:[-/](\d{1,2})(?:[-/](\d{1,2}))?)?(?![\d/-])")
_WORDED = re.compile(r"(\d{4})\s+([A-Za-z]{3})[a-z]*\.?(?:\s+(\d{1,2})(?!\d))?")
_DOI = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:\s*)?(10\.\d{4,9}/\S+)", re.IGNORECASE)
_ORCID = re.compile(r"(?:https?://(?:www\.)?orcid\.org/)?(\d{4}-?\d{4}-?\d{4}-?\d{3}[\dXx])/?")
_ROR = re.compile(r"(?:https?://(?:www\.)?ror\.org/)?(0[a-z0-9]{6}\d{2})/?")
_PMCID = re.compile(r"(?:PMC)?(\d{1,9})(?:\.\d+)?", re.IGNORECASE)
_ISSN = re.compile(r"(?:issn:\s*)?(\d{4}-\d{3}[\dXx])", re.IGNORECASE)
_PMID = re.compile(r"(?:PMID:?\s*)?(\d{1,9})", re.IGNORECASE)


def iso_date(year: str, month: str = "", day: str = "") -> str | None:
    """ISO 8601, as precise as what is given allows; months by number or English name. None without a year."""
    if not _YEAR.fullmatch(year.strip()):
        return None
    parts = [int(year)]
    month = month.strip().lower()
    number = (
        _MONTHS.index(month[:3]) + 1 if month[:3] in _MONTHS else int(month) if re.fullmatch(r"\d\d?", month) else 0
    )
    if 1 <= number <= 12:
        parts.append(number)
        if re.fullmatch(r"\d\d?", day.strip()) and _exists(parts[0], number, int(day)):
            parts.append(int(day))
    return "-".join(f"{part:02d}" for part in parts)


def written_date(text: str) -> str | None:
    """The date that a text begins with: 2024-03-09T…, 2024/03, 2010 Jun 1, 1998 Dec-1999 Jan; else a year it names."""
    text = text.strip()
    for pattern in (_WORDED, _ISO):
        if found := pattern.match(text):
            return iso_date(*(part or "" for part in found.groups()))
    found = _YEAR.search(text)
    return found[1] if found else None


def identifier(scheme: str, stated: str | None) -> Identifier | None:
    """doi, issn, orcid, ror, pmid or pmcid without address or label; None when `stated` is no such thing."""
    pattern = {"doi": _DOI, "issn": _ISSN, "orcid": _ORCID, "ror": _ROR, "pmid": _PMID, "pmcid": _PMCID}[scheme]
    found = pattern.fullmatch("".join((stated or "").split()))
    if found is None:
        return None
    value = found[1]
    if scheme == "doi":
        value = value.lower()
    elif scheme == "orcid":
        digits = value.replace("-", "").upper()
        value = "-".join(digits[at : at + 4] for at in range(0, 16, 4))
    elif scheme == "pmcid":
        value = f"PMC{value}"
    return Identifier(scheme=scheme, value=value)


def position(index: int, count: int) -> str:
    """Where in a list of authors one stands: first, middle or last."""
    return "first" if index == 0 else "last" if index == count - 1 else "middle"


def _exists(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True
