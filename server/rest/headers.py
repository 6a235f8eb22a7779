"""HTTP headers of FHIR's API, read and written (FHIR R4 http.html#versions, #mime-type)."""

import re
from email.utils import format_datetime

from werkzeug.datastructures import Headers

from server.errors import BadRequest, NotAcceptable, UnsupportedMediaType
from server.interactions import _write

JSON = "application/fhir+json"
_ACCEPTED = ("application/fhir+json", "application/json", "application/*", "*/*", "text/json")
_FORMATS = (*_ACCEPTED[:2], "json", "text/json")
_ETAG = re.compile(r'(?:W/)?"(\d{1,18})"')
_TRACE = re.compile(r"[A-Za-z0-9._\-]{1,64}")


def if_match(headers: Headers) -> int | None:
    """Return the version that If-Match names, or None. Raises BadRequest where it is malformed."""
    text = headers.get("If-Match")
    if text is None:
        return None
    found = _ETAG.fullmatch(text.strip())
    if found is None:
        raise BadRequest('If-Match must look like W/"1".')
    return int(found[1])


def check_accept(headers: Headers, wanted: str | None) -> None:
    """Raise NotAcceptable unless the client takes JSON; `wanted` is the _format parameter."""
    if wanted is not None:
        if wanted.replace(" ", "+") not in _FORMATS:
            raise NotAcceptable("Only JSON is served.", expression="_format")
        return
    accepted = headers.get("Accept", "*/*") or "*/*"
    kinds = (part.partition(";")[0].strip() for part in accepted.split(","))
    if not any(kind in _ACCEPTED for kind in kinds):
        raise NotAcceptable("Only application/fhir+json is served.")


def check_content_type(headers: Headers) -> None:
    """Raise UnsupportedMediaType unless the body is declared as JSON."""
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in (JSON, "application/json"):
        raise UnsupportedMediaType("Expected Content-Type application/fhir+json.")


def trace(headers: Headers) -> str:
    """Return the client's X-Request-Id if it is usable, else ""."""
    text = headers.get("X-Request-Id", "")
    return text if _TRACE.fullmatch(text) else ""


def version_headers(version: int, updated: int) -> dict[str, str]:
    """Return ETag and Last-Modified of a stored version (`updated` in microseconds)."""
    moment = format_datetime(_write.moment(updated), usegmt=True)
    return {"ETag": f'W/"{version}"', "Last-Modified": moment}
