"""A payer that speaks Da Vinci PAS: Claim/$submit, Claim/$inquire and Subscription over HTTP.

Source: Da Vinci PAS 2.2.1, specification.html: 2xx is an answer, 4xx is never sent again, 5xx may
be with the same Bundle.
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from bots.connectors import wire
from bots.connectors.backend_services import BackendServices
from bots.connectors.wire import Reply, Wire
from bots.ports import Failure, Submission
from fhir_profiles import codec
from fhir_profiles.pas import WELL_KNOWN

_HEADERS = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}
WORDS_LIMIT = 500
_HOST, _ODD = re.compile(r"[a-z0-9.-]+|[0-9a-f:]+"), re.compile(r"[\\\s\x00-\x1f]")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)


class PasRoute:
    """Sends request Bundles to whatever payer the address is of."""

    def __init__(self, client_id: str = "", key: str = "", hosts: Sequence[str] = ()) -> None:
        """Keep a pool of connections; with a key (a private JWK as JSON) come with tokens.

        Addresses are discovered at these hosts only; one that begins with a dot stands for every
        name below it.
        """
        self._wire, self._hosts = Wire(), tuple(hosts)
        self._door = BackendServices(client_id, key, self._wire)

    def submit(self, address: str, bundle: dict[str, Any], *, timeout_s: float) -> Submission:
        """Post a request Bundle; return what came back, whatever it is."""
        found = self._posted(address, "Claim/$submit", bundle, timeout_s)
        kind = (found.answer or {}).get("resourceType")
        if kind == "OperationOutcome":
            return Submission(found.received, failure=_refused(HTTPStatus.OK, found.answer))
        return found if kind == "Bundle" or found.failure else replace(found, answer=None)

    def inquire(self, address: str, bundle: dict[str, Any], *, timeout_s: float) -> Submission:
        """Post an inquiry Bundle; return whatever resource came back."""
        return self._posted(address, "Claim/$inquire", bundle, timeout_s)

    def attach(self, address: str, parameters: dict[str, Any], *, timeout_s: float) -> Submission:
        """Post a document (CDex `$submit-attachment`, of the whole system)."""
        return self._posted(address, "$submit-attachment", parameters, timeout_s)

    def match(self, address: str, parameters: dict[str, Any], *, timeout_s: float) -> Submission:
        """Post a question about a member (HRex `$member-match`)."""
        return self._posted(address, "Patient/$member-match", parameters, timeout_s)

    def discover(self, location: str, *, timeout_s: float) -> Mapping[str, str]:
        """Return what addresses a payer publishes, by code. Source: HRex 1.2.0, endpoint discovery.

        Redirects are not followed, and what leads to a host that is not ours to trust is left out.
        """
        if not self._is_trusted(location) or not location.endswith(WELL_KNOWN):
            return {}
        headers = {"Accept": "application/json"}
        limit = time.monotonic() + timeout_s
        reply = self._wire.call("GET", location, limit=limit, headers=headers)
        if isinstance(reply, Failure) or reply.status != HTTPStatus.OK:
            return {}
        found = (wire.payload(reply.content) or {}).get("endpoints")
        pairs = found.items() if isinstance(found, dict) else ()
        return {code: str(url) for code, url in pairs if self._is_trusted(str(url))}

    def _is_trusted(self, url: str) -> bool:
        """Tell whether health data may go to where an address leads."""
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").lower()
        except ValueError:
            return False
        if not _HOST.fullmatch(host) or _ODD.search(url):
            return False  # readers of URLs do not agree where such a one leads
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)
        is_known = any(
            host == one or (one.startswith(".") and host.endswith(one)) for one in self._hosts
        )
        return is_safe and is_known and not parts.username

    def is_subscribed(self, address: str, there: str, *, timeout_s: float) -> bool:
        """Look whether a Subscription is there and lives; a payer that is away has it still."""
        path = f"Subscription/{there.rpartition('/')[2]}"
        reply = self._called("GET", address, path, None, time.monotonic() + timeout_s)
        if isinstance(reply, Failure) or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return True
        found = wire.payload(reply.content) or {}
        return reply.status == HTTPStatus.OK and found.get("status") not in ("error", "off")

    def subscribe(
        self, address: str, subscription: dict[str, Any], there: str, *, timeout_s: float
    ) -> str:
        """POST a Subscription, or PUT it in place of the one `there`; return its address."""
        limit = time.monotonic() + timeout_s
        fhir_id = there.rpartition("/")[2]
        method, path = ("PUT", f"Subscription/{fhir_id}") if there else ("POST", "Subscription")
        body = codec.encode(subscription | ({"id": fhir_id} if there else {}))
        reply = self._called(method, address, path, body, limit)
        if there and isinstance(reply, Reply) and reply.status in _GONE:
            return self.subscribe(address, subscription, "", timeout_s=timeout_s)
        if isinstance(reply, Failure) or reply.status not in (HTTPStatus.OK, HTTPStatus.CREATED):
            return ""
        found = wire.payload(reply.content) or {}
        if found.get("status") in ("error", "off") or not found.get("id"):
            return ""
        return f"{address.rstrip('/')}/Subscription/{found['id']}"

    def _called(
        self, method: str, address: str, path: str, body: bytes | None, limit: float
    ) -> Reply | Failure:
        """Call with a token where we have a key; one that is refused is renewed once."""
        base = address.rstrip("/")
        for is_last in (False, True):
            door = self._door.headers(base, limit, renew=is_last)
            if isinstance(door, Failure):
                return replace(door, again=True)  # the request did not go out
            headers = {**_HEADERS, **door}
            reply = self._wire.call(
                method, f"{base}/{path}", limit=limit, headers=headers, data=body
            )
            is_refused = isinstance(reply, Reply) and reply.status == HTTPStatus.UNAUTHORIZED
            if is_last or not door or not is_refused:
                return reply
        raise AssertionError("the second call is the last")

    def _posted(
        self, address: str, path: str, bundle: dict[str, Any], timeout_s: float
    ) -> Submission:
        limit = time.monotonic() + timeout_s
        reply = self._called("POST", address, path, codec.encode(bundle), limit)
        if isinstance(reply, Failure):
            return Submission(failure=wire.of_payer(reply))
        found = wire.payload(reply.content)
        if reply.status < HTTPStatus.MULTIPLE_CHOICES:
            if not reply.is_whole:
                return Submission(reply.content, failure=wire.no_answer())
            return Submission(reply.content, answer=found)
        return Submission(reply.content, failure=_failure(reply, found))


def _failure(reply: Reply, outcome: dict[str, Any] | None) -> Failure:
    """Return why a payer did not answer; in the words of its OperationOutcome, if it sent one."""
    told = wire.refused(reply)
    if told.again and reply.status != HTTPStatus.FORBIDDEN:
        return wire.of_payer(told)
    return _refused(reply.status, outcome)


def _refused(status: int, outcome: dict[str, Any] | None) -> Failure:
    issues = (outcome or {}).get("issue", [])
    words = "; ".join(filter(None, map(_words, issues)))[:WORDS_LIMIT]
    text = f"The payer refused the request (HTTP {status}). {words}".strip()
    return Failure("request-refused", text, again=False)


def _words(issue: Any) -> str:
    if not isinstance(issue, dict):
        return ""
    details = issue.get("details")
    text = str(issue.get("diagnostics") or (details or {}).get("text") or issue.get("code", ""))
    where = ", ".join(str(one) for one in issue.get("expression", []))
    return f"{where}: {text}" if where and where not in text else text
