"""Stedi, raw X12 shape: a 270 in JSON goes out, a 271 in JSON comes back.

POST {url}/2024-04-01/change/medicalnetwork/eligibility/v3/raw-x12 with the key in Authorization.
A payer's reject may come with HTTP 200 or 400; the X12 in the body decides, then `errors`, then
the status. The sandbox speaks the same shape.
"""

import re
import time
from dataclasses import replace
from functools import cache
from http import HTTPStatus
from importlib import resources
from typing import Any

import jsonschema
import requests
from requests.adapters import HTTPAdapter

from bots.connectors.access import Access
from bots.domain.eligibility import Answer, Inquiry, Reject
from bots.ports import Exchange, Failure
from bots.x12 import eligibility_270, eligibility_271
from bots.x12.eligibility_270 import OutsideGuide
from bots.x12.eligibility_271 import NotA271
from bots.x12.envelope import Sender
from fhir_profiles import codec, systems

PATH = "/2024-04-01/change/medicalnetwork/eligibility/v3/raw-x12"
RECEIVER_ID = "STEDI"
CONNECT_TIMEOUT_S = 5.0
CONNECTIONS = 64
CHUNK, SIZE_LIMIT = 64 * 1024, 16 * 1024 * 1024
NO_RESEND_S = 90  # CAQH CORE 153: no automatic re-send of an unanswered real-time request sooner
CREDENTIALS_WAIT_S = 300
_FOLLOW_UP = {
    "please correct and resubmit": "C",
    "resubmission not allowed": "N",
    "resubmission allowed": "R",
}
_LOOP = re.compile(r"\d{4}[A-D]")


def connect(access: Access) -> "Stedi":
    """Return the connector of one configured route."""
    return Stedi(access)


class Stedi:
    """A route over Stedi's API, or over anything that speaks its raw X12 shape."""

    payer_systems = (systems.STEDI_PAYER,)

    def __init__(self, access: Access) -> None:
        """Keep the access and a pool of connections."""
        self.name = access.name
        self._access = access
        self._session = requests.Session()
        adapter = HTTPAdapter(pool_connections=2, pool_maxsize=CONNECTIONS)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def check(self, inquiry: Inquiry, *, timeout_s: float) -> Exchange:
        """Send one 270. Every way to fail is a Failure in the Exchange, none is raised."""
        asked = inquiry.at(self.payer_systems[0])
        if not asked.payer_id:
            return self._failed(
                "payer-not-on-route",
                "This route has no id for the payer.",
                again=False,
                supported=False,
            )
        try:
            x12 = eligibility_270.write(
                asked,
                sender=Sender(self._access.sender_id, RECEIVER_ID),
                control=self._access.control(),
                moment=self._access.now(),
            )
        except OutsideGuide as error:
            return self._failed("not-sent", f"The question breaks the guide: {error}.", again=False)
        limit = time.monotonic() + timeout_s
        try:
            reply = self._session.post(
                self._access.url + PATH,
                data=codec.encode({"x12": x12}),
                headers={
                    "Authorization": self._access.key,
                    "Content-Type": "application/json",
                    "X-Request-Id": inquiry.trace,
                },
                timeout=(CONNECT_TIMEOUT_S, timeout_s),
                allow_redirects=False,
                stream=True,
            )
        except requests.ReadTimeout:
            return replace(self._no_answer(timeout_s), sent=x12)
        except requests.RequestException:
            return self._failed("not-delivered", "The clearinghouse cannot be reached.", again=True)
        content, is_whole = _content(reply, limit)
        found = self._read(reply, content) if is_whole else self._no_answer(timeout_s)
        return replace(found, sent=x12, received=content)

    def reread(self, route: str, received: bytes) -> Answer | None:
        """Return the answer in bytes that came from here earlier, None where there is none."""
        try:
            return _answer(received) if route == self.name else None
        except NotA271:
            return None

    def _read(self, reply: requests.Response, content: bytes) -> Exchange:
        try:
            answer = _answer(content)
        except NotA271 as error:
            return self._no_271(error)
        return Exchange(self.name, answer=answer) if answer is not None else self._by_status(reply)

    def _no_answer(self, timeout_s: float) -> Exchange:
        """The 270 went out and its answer did not come: never sent again at once."""
        text = f"No whole answer within {timeout_s:.0f} seconds."
        return self._failed("no-answer", text, again=True, after_s=NO_RESEND_S)

    def _no_271(self, error: NotA271) -> Exchange:
        told = error.acknowledgement
        if told is None:
            text = "The answer holds no readable 271."
            return self._failed("unreadable-answer", text, again=False)
        if told.is_accepted:
            text = f"The question was taken, and its answer did not come ({told})."
            return self._failed("no-answer", text, again=True, after_s=NO_RESEND_S)
        text = f"The clearinghouse refused our request ({told})."
        return self._failed("rejected-by-clearinghouse", text, again=False)

    def _by_status(self, reply: requests.Response) -> Exchange:
        match reply.status_code:
            case HTTPStatus.TOO_MANY_REQUESTS:
                wait = reply.headers.get("Retry-After", "")
                after_s = int(wait) if wait.isdecimal() else None
                return self._failed(
                    "throttled",
                    "The clearinghouse asks us to slow down.",
                    again=True,
                    after_s=after_s,
                )
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                return self._failed(
                    "credentials",
                    "The clearinghouse refuses our key.",
                    again=True,
                    after_s=CREDENTIALS_WAIT_S,
                )
            case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                return self._failed(
                    "route-failed", f"The clearinghouse failed (HTTP {status}).", again=True
                )
            case HTTPStatus.OK:
                return self._failed("unreadable-answer", "The answer holds no X12.", again=False)
            case status:
                return self._failed(
                    "request-refused",
                    f"The clearinghouse refused our request (HTTP {status}).",
                    again=False,
                )

    def _failed(
        self,
        code: str,
        text: str,
        *,
        again: bool,
        supported: bool = True,
        after_s: int | None = None,
    ) -> Exchange:
        failure = Failure(code, text, again=again, supported=supported, after_s=after_s)
        return Exchange(self.name, failure=failure)


def _answer(content: bytes) -> Answer | None:
    """Return the answer in a body: its X12, else its list of rejects. Raises NotA271."""
    body = _payload(content) or {}
    if body.get("x12"):
        return eligibility_271.read(body["x12"])
    rejects = _rejects(body)
    return Answer(rejects=rejects) if rejects else None


def _content(reply: requests.Response, limit: float) -> tuple[bytes, bool]:
    """Return the body, and whether it is all of it, by `limit` (monotonic) and SIZE_LIMIT."""
    parts, size = [], 0
    with reply:
        try:
            for part in reply.iter_content(CHUNK):
                parts.append(part)
                size += len(part)
                if time.monotonic() > limit or size > SIZE_LIMIT:
                    return b"".join(parts), False
        except requests.RequestException:
            return b"".join(parts), False
    return b"".join(parts), True


def _payload(content: bytes) -> dict[str, Any] | None:
    """Return the JSON that came, None unless it is of the published shape."""
    try:
        body = codec.decode(content)
        _validator().validate(body)
    except (ValueError, jsonschema.ValidationError):
        return None
    found: dict[str, Any] = body
    return found


@cache
def _validator() -> jsonschema.Draft202012Validator:
    schema = resources.files("bots.connectors").joinpath("schemas/stedi-raw-x12.json").read_bytes()
    return jsonschema.Draft202012Validator(codec.decode(schema))


def _rejects(body: dict[str, Any]) -> tuple[Reject, ...]:
    """Return the AAA rejects that the vendor lists in words where it sends no X12."""
    found = []
    for error in body.get("errors", []):
        if error.get("field") == "AAA" and error.get("code"):
            loop = _LOOP.search(error.get("location", ""))
            words = error.get("followupAction", "").lower()
            follow_up = next((c for text, c in _FOLLOW_UP.items() if words.startswith(text)), "")
            found.append(Reject(loop[0] if loop else "", "", error["code"], follow_up))
    return tuple(found)
