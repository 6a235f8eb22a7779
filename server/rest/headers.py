"""HTTP headers of FHIR's API, read and written (FHIR R4 http.html#versions, #mime-type)."""

import re
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from urllib.parse import parse_qsl

from werkzeug.datastructures import Headers

from server.access.caller import Caller
from server.errors import BadRequest, NotAcceptable, UnsupportedMediaType
from server.interactions._write import Origin
from server.store.deliveries import BATCH, REAL_TIME

JSON = "application/fhir+json"
CAUSE = ("X-Inforce-Depth", "X-Inforce-Priority")
DEPTH_DIGITS = 4
PATCHES = ("application/json-patch+json", "application/merge-patch+json")
_ACCEPTED = ("application/fhir+json", "application/json", "application/*", "*/*", "text/json")
_FORMATS = (*_ACCEPTED[:2], "json", "text/json")
_NDJSON = ("application/fhir+ndjson", "application/ndjson", "ndjson")
_ETAG = re.compile(r'(?:W/)?"(\d{1,18})"')
_TRACE = re.compile(r"[A-Za-z0-9._\-]{1,64}")


def if_match(headers: Headers) -> int | None:
    """Return the version that If-Match names, or None. Raises BadRequest where it is malformed."""
    text = headers.get("If-Match")
    if text is None:
        return None
    found = version_of(text)
    if found is None:
        raise BadRequest('If-Match must look like W/"1".', expression="If-Match")
    return found


def version_of(etag: str) -> int | None:
    """Return the version that an ETag names, None where it is none of ours."""
    found = _ETAG.fullmatch(etag.strip())
    return int(found[1]) if found else None


def if_modified_since(headers: Headers) -> datetime | None:
    """Return the moment of If-Modified-Since, None where it is missing or no date (RFC 9110)."""
    text = headers.get("If-Modified-Since")
    try:
        found = parsedate_to_datetime(text) if text else None
    except (ValueError, OverflowError):
        return None
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)


def preferences(headers: Headers) -> frozenset[str]:
    """Return the parts of Prefer as `name` or `name=value`, without blanks and quotes."""
    text = ",".join(headers.getlist("Prefer")).replace(" ", "").replace('"', "")
    return frozenset(part for part in re.split("[,;]", text) if part)


def check_accept(headers: Headers, wanted: str | None) -> None:
    """Raise NotAcceptable unless the client takes JSON; `wanted` is the _format parameter."""
    if wanted is not None:
        kind = wanted.replace(" ", "+").partition(";")[0].lower()
        if kind not in (*_FORMATS, *_NDJSON):
            raise NotAcceptable("Only JSON is served.", expression="_format")
        return
    accepted = headers.get("Accept", "*/*") or "*/*"
    kinds = (part.partition(";")[0].strip().lower() for part in accepted.split(","))
    if not any(kind in _ACCEPTED or kind in _NDJSON for kind in kinds):
        raise NotAcceptable("Only application/fhir+json is served.", expression="Accept")


def content_type(headers: Headers, *allowed: str) -> str:
    """Return the media type of the body.

    Raises UnsupportedMediaType unless it is one of JSON, or of `allowed`, in UTF-8.
    """
    kind, _, rest = headers.get("Content-Type", "").partition(";")
    kind = kind.strip().lower()
    if kind not in (JSON, "application/json", *allowed):
        raise UnsupportedMediaType(f"Expected Content-Type {JSON}.", expression="Content-Type")
    charset = re.search(r"charset\s*=\s*\"?([\w-]+)", rest, re.IGNORECASE)
    if charset and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMediaType("Expected a body in UTF-8.", expression="Content-Type")
    return kind


def query_pairs(query: str) -> tuple[tuple[str, str], ...]:
    """Return the parameters of a query in order, repeated ones included."""
    return tuple(parse_qsl(query, keep_blank_values=True))


def usable_trace(text: str) -> str:
    """Return an X-Request-Id if it is usable, else ""."""
    return text if _TRACE.fullmatch(text) else ""


def origin(trace: str, depth: str, priority: str, caller: Caller) -> Origin:
    """Return the origin of a write by its headers X-Inforce-Depth and X-Inforce-Priority.

    A depth that is no small number counts as none; every priority but `batch` is real-time.
    """
    known = int(depth) if depth.isdecimal() and len(depth) <= DEPTH_DIGITS else 0
    urgency = BATCH if priority.strip().lower() == "batch" else REAL_TIME
    return Origin(trace, depth=known, priority=urgency, caller=caller)


def version_headers(version: int, updated: int) -> dict[str, str]:
    """Return ETag and Last-Modified of a stored version (`updated` in microseconds)."""
    return {"ETag": f'W/"{version}"', "Last-Modified": _http_date(updated // 1_000_000)}


@lru_cache(maxsize=16)
def _http_date(second: int) -> str:
    """Return a second since 1970 as HTTP writes it; answers of one moment share it."""
    return formatdate(second, usegmt=True)
