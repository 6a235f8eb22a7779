"""HTTP to a clearinghouse: one bounded call, and the Failure that each way to fail stands for.

Classes of failure and what follows from them: CAQH CORE 153, and RFC 9110 for the status codes.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, NewConnectionError

from bots.ports import Failure, Finding
from bots.x12.acknowledgement import Acknowledgement
from bots.x12.eligibility_270 import OutsideGuide
from bots.x12.eligibility_271 import NotA271
from fhir_profiles import codec

CONNECT_TIMEOUT_S = 5.0
CONNECTIONS = 64
CHUNK, SIZE_LIMIT = 64 * 1024, 16 * 1024 * 1024
NO_RESEND_S = 90  # CAQH CORE 153: no automatic re-send of an unanswered real-time request sooner
CREDENTIALS_WAIT_S = 300
REJECTED = "rejected-by-clearinghouse"


# The first left nothing there; after the second nobody knows whether it arrived.
UNREACHED = Failure("not-delivered", "The clearinghouse cannot be reached.", again=True)
CUT_OFF = Failure("not-delivered", "The connection ended before an answer.", again=True)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: not all of it where `is_whole` is False."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    is_whole: bool = True


class Wire:
    """The connections of one route. Safe to use from several threads."""

    def __init__(self) -> None:
        """Keep a pool of connections."""
        self._session = requests.Session()
        adapter = HTTPAdapter(pool_connections=2, pool_maxsize=CONNECTIONS)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def call(  # noqa: PLR0913 what a call needs
        self,
        method: str,
        url: str,
        *,
        limit: float,
        headers: Mapping[str, str],
        data: Any = None,
        parts: Mapping[str, str] | None = None,
    ) -> Reply | Failure:
        """Send one request and return what came back by `limit` (monotonic), redirects unfollowed.

        `data` are bytes, or the fields of a form; `parts` those of a multipart form. Nothing is
        raised: a Failure tells why there is no reply.
        """
        timeout_s = max(limit - time.monotonic(), 0.001)
        try:
            reply = self._session.request(
                method,
                url,
                data=data,
                files={name: (None, text) for name, text in parts.items()} if parts else None,
                headers=dict(headers),
                timeout=(min(CONNECT_TIMEOUT_S, timeout_s), timeout_s),
                allow_redirects=False,
                stream=True,
            )
        except requests.ReadTimeout:
            return no_answer()
        except requests.RequestException as error:
            return UNREACHED if _is_unreached(error) else CUT_OFF
        content, is_whole = _content(reply, limit)
        return Reply(reply.status_code, reply.headers, content, is_whole)


def findings(reply: Reply | Failure, *, key_told: bool) -> list[Finding]:
    """Return what a call that asks nothing shows: the way there, and with `key_told` the key.

    A server that refuses an empty question has been reached, and has let us in.
    """
    if isinstance(reply, Failure):
        text = "Check the address, the network and the certificate; then the vendor's status page."
        return [Finding("reached", works=False, text=f"{reply.text} {text}")]
    found = [Finding("reached", works=True, text=f"HTTP {reply.status}")]
    if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return [Finding("reached", works=False, text=f"It fails (HTTP {reply.status}): wait.")]
    if key_told:
        refused_key = reply.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
        text = f"The key is refused (HTTP {reply.status}): set another one." if refused_key else ""
        found.append(Finding("key taken", works=not refused_key, text=text))
    return found


def _is_unreached(error: requests.RequestException) -> bool:
    """Tell whether a call failed before a byte of it could go out."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.SSLError):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", cause), NewConnectionError)


def _content(reply: requests.Response, limit: float) -> tuple[bytes, bool]:
    """Return the body, and whether it is all of it, by `limit` (monotonic) and SIZE_LIMIT.

    Read as it comes, not in whole chunks: a body that drips is seen to be late.
    """
    parts, size = [], 0
    with reply:
        try:
            while part := reply.raw.read1(CHUNK, decode_content=True):
                parts.append(part)
                size += len(part)
                if time.monotonic() > limit or size > SIZE_LIMIT:
                    return b"".join(parts), False
        except (requests.RequestException, HTTPError):
            return b"".join(parts), False
    return b"".join(parts), True


def no_answer() -> Failure:
    """The question went out and its answer did not come: never sent again at once."""
    return Failure(
        "no-answer", "No whole answer in the time allowed.", again=True, after_s=NO_RESEND_S
    )


def refused(reply: Reply) -> Failure:
    """Return what a reply without an answer stands for, by its status."""
    match reply.status:
        case HTTPStatus.TOO_MANY_REQUESTS:
            wait = reply.headers.get("Retry-After", "")
            text = "The clearinghouse asks us to slow down."
            after_s = int(wait) if wait.isdecimal() else None
            return Failure("throttled", text, again=True, after_s=after_s)
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return no_key()
        case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            text = f"The clearinghouse failed (HTTP {status})."
            return Failure("route-failed", text, again=True)
        case status if status < HTTPStatus.MULTIPLE_CHOICES:
            return unreadable("The answer is not in the published shape.")
        case status:
            text = f"The clearinghouse refused our request (HTTP {status})."
            return Failure("request-refused", text, again=False)


def no_key() -> Failure:
    """Return the failure of a key that is refused."""
    text = "The clearinghouse refuses our key."
    return Failure("credentials", text, again=True, after_s=CREDENTIALS_WAIT_S)


def unreadable(text: str) -> Failure:
    """Return the failure of an answer that cannot be read; the bytes are kept."""
    return Failure("unreadable-answer", text, again=False)


def no_271(error: NotA271) -> Failure:
    """Return the failure of X12 that is no 271: an acknowledgement, or nothing that can be read."""
    told = error.acknowledgement
    return unreadable("The answer holds no readable 271.") if told is None else acknowledged(told)


def acknowledged(told: Acknowledgement) -> Failure:
    """Return the failure of a 999, 997 or TA1 that came in the place of an answer."""
    if told.is_accepted:
        text = f"The question was taken, and its answer did not come ({told})."
        return Failure("no-answer", text, again=True, after_s=NO_RESEND_S)
    return Failure(REJECTED, f"The clearinghouse refused our request ({told}).", again=False)


def not_sent(error: OutsideGuide) -> Failure:
    """Return the failure of a question that breaks the guide."""
    return Failure("not-sent", f"The question breaks the guide: {error}.", again=False)


def not_on_route() -> Failure:
    """Return the failure of a payer that the route does not know."""
    text = "This route has no id for the payer."
    return Failure("payer-not-on-route", text, again=False, supported=False)


def payload(content: bytes) -> dict[str, Any] | None:
    """Return the JSON object in a body, None where it holds none."""
    try:
        body = codec.decode(content)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def of_payer(failure: Failure) -> Failure:
    """Return a failure of the wire as one of a payer, whom it is told of."""
    return replace(failure, text=failure.text.replace("clearinghouse", "payer"))
