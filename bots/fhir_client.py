"""fhirpy behind our port: kept connections, decimals to the digit, errors as retry or never.

Source: FHIR R4 http.html. The server may be any that speaks R4; batch is used to read several
resources at once.
"""

import logging
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Protocol

import requests
import urllib3
from fhirpy import SyncFHIRClient
from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy
from urllib3.exceptions import HTTPError

from bots.errors import NeverRetry, RetryLater
from bots.ports import RUN, Resource
from fhir_profiles import codec, elements

TIMEOUT = urllib3.Timeout(connect=5.0, read=30.0)
_VERSION = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9.\-]{1,64}/_history/[A-Za-z0-9.\-]{1,64}$")
_LOCAL = re.compile(r"[A-Z][A-Za-z]+(/[A-Za-z0-9.\-]{1,64}|\?.+)")
CONNECTIONS = 64
BATCH = 200  # resources that are created in one call
_ABOUT: tuple[Any, ...] = (None, [], ["profile"])  # where such an issue is about the profile itself
_UNTOLD = ("not-found", "not-supported")  # issues of a server that does not know the profile
_log = logging.getLogger(__name__)
_AGAIN = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.CONFLICT,
        HTTPStatus.LOCKED,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
    }
)
_PASSING = frozenset(str(one.value) for one in _AGAIN)


class Authorized(Protocol):
    """Gives the headers that let us in at the server, a new token in them if `renew`."""

    def __call__(self, *, renew: bool) -> dict[str, str]:
        """Return the headers. Raises RetryLater where none can be had now."""
        ...


def _as_nobody(*, renew: bool) -> dict[str, str]:
    """Give no header, for a server that is open to everybody."""
    del renew
    return {}


class Refused(Exception):
    """The server said no; `status` tells how."""

    def __init__(self, status: int, issues: str = "") -> None:
        """Keep the HTTP status; `issues` are codes and places, never texts with data."""
        super().__init__(f"HTTP {status} {issues}".strip())
        self.status = status


class _Client(SyncFHIRClient):
    """fhirpy's client with our JSON, whose own would turn 25.00 into 25.0, on kept connections."""

    def __init__(self, url: str, authorized: Authorized) -> None:
        super().__init__(url)
        self._connections = _connections(url)
        self._authorized = authorized

    def _do_request(  # noqa: PLR0913 fhirpy's own signature
        self,
        method: str,
        path: str,
        data: dict[str, Any] | None = None,
        params: dict[str, Any] | None = None,
        extra_headers: dict[str, str] | None = None,
        *,
        returning_status: bool = False,
    ) -> Any:
        headers = {**self._build_request_headers(), **_cause(), **(extra_headers or {})}
        body = None
        if data is not None:
            body = codec.encode(data)
            headers["Content-Type"] = "application/fhir+json"
        url = self._build_request_url(path, params)
        reply = self._sent(method.upper(), url, body, headers | self._authorized(renew=False))
        if reply.status == HTTPStatus.UNAUTHORIZED:
            # The token was ended there before its time: another one once.
            reply = self._sent(method.upper(), url, body, headers | self._authorized(renew=True))
        if reply.status in _AGAIN or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise RetryLater(f"FHIR server: HTTP {reply.status}")
        if reply.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise Refused(reply.status, _issues(reply.data))
        found = codec.decode(reply.data) if reply.data else None
        return (found, reply.status) if returning_status else found

    def _sent(
        self, method: str, url: str, body: bytes | None, headers: dict[str, str]
    ) -> urllib3.BaseHTTPResponse:
        try:
            return self._connections.request(
                method, url, body=body, headers=headers, redirect=False, timeout=TIMEOUT
            )
        except HTTPError as error:
            raise RetryLater(f"FHIR server: {type(error).__name__}") from error


def _connections(url: str) -> urllib3.PoolManager:
    """Return connections for a base URL, by the proxy and certificates of the environment.

    They are looked up once, and requests' own layer is left out: half of a call's time else.
    """
    way = requests.Session().merge_environment_settings(url, {}, None, None, None)
    proxy = select_proxy(url, way["proxies"])
    trusted = way["verify"] if isinstance(way["verify"], str) else DEFAULT_CA_BUNDLE_PATH
    options: dict[str, Any] = {"maxsize": CONNECTIONS, "retries": False, "ca_certs": trusted}
    if not proxy:
        return urllib3.PoolManager(**options)
    account = urllib3.make_headers(proxy_basic_auth=urllib3.util.parse_url(proxy).auth)
    return urllib3.ProxyManager(proxy, proxy_headers=account, **options)


class FhirClient:
    """A FHIR R4 server for bots.

    Every call raises RetryLater when the server cannot serve now, and NeverRetry when it refuses
    for good what we ask.
    """

    def __init__(self, url: str, authorized: Authorized = _as_nobody) -> None:
        """Talk to the server whose base URL is `url`, with the headers that `authorized` gives."""
        self._base = url
        self._client = _Client(url, authorized)

    def read_all(self, addresses: Sequence[str]) -> list[Resource | None]:
        """Read resources and searches (as Bundles) in one batch; None for what is not there.

        What this server cannot have (another server's address, a urn, a contained resource, no
        address at all) gives None without being asked for.
        """
        here = [self._here(address) for address in addresses]
        wanted = [address for address in dict.fromkeys(here) if address]
        found = dict(zip(wanted, self._batch(wanted), strict=True)) if wanted else {}
        return [found.get(address) for address in here]

    def _here(self, address: str) -> str:
        """Return Type/id or Type?query on this server, "" for anything else."""
        local = address.removeprefix(f"{self._base}/").partition("/_history/")[0]
        return local if _LOCAL.fullmatch(local) else ""

    def previous(self, resource: Resource) -> Resource | None:
        """Return the version before this one; None for a first version, or where none is kept."""
        version = resource.get("meta", {}).get("versionId", "")
        address = f"{resource['resourceType']}/{resource['id']}/_history"
        if version in ("", "1"):
            return None
        if version.isdecimal():
            return self._get(f"{address}/{int(version) - 1}")
        return self._before(self._get(address) or {}, version)

    def search(self, type_name: str, parameters: Sequence[tuple[str, str]]) -> list[Resource]:
        """Return every match, following the pages; a parameter may stand several times."""
        found: list[Resource] = []
        wanted: dict[str, list[str]] = {}
        for name, value in parameters:
            wanted.setdefault(name, []).append(value)
        page = self._get(type_name, wanted)
        while page is not None:
            found += [entry["resource"] for entry in page.get("entry", [])]
            links = page.get("link", [])
            following = next((k["url"] for k in links if k["relation"] == "next"), "")
            page = self._get(following) if following else None
        return found

    def problems(self, resource: Resource, profile: str) -> list[tuple[str, str]]:
        """Return where a resource breaks a profile, as FHIRPath and words, by `$validate`.

        [] from a server that has no such operation, or does not know the profile.
        """
        path = f"{resource['resourceType']}/$validate"
        try:
            found = self._client.execute(
                path, method="post", data=resource, params={"profile": profile}
            )
        except Refused as error:
            _log.warning("this FHIR server does not hold resources against profiles: %s", error)
            return []
        listed = found.get("issue", []) if isinstance(found, dict) else []
        issues = [one for one in listed if one["severity"] in ("error", "fatal")]
        if any(one["code"] in _UNTOLD and one.get("expression") in _ABOUT for one in issues):
            _log.warning("this FHIR server does not know the profile %s", profile)
            return []
        return [(next(iter(one.get("expression", [])), ""), _words(one)) for one in issues]

    def create(self, resource: Resource) -> Resource:
        """Store a new resource and return it."""
        try:
            stored = self._send("post", resource["resourceType"], resource, {})
        except Refused as error:
            text = f"FHIR server refused a new {resource['resourceType']}: {error}"
            raise NeverRetry(text) from error
        return resource if stored is None else stored

    def create_once(self, resource: Resource, condition: str) -> Resource:
        """Create unless something meets `condition` (If-None-Exist); return what is then there."""
        headers = {"If-None-Exist": condition, "Prefer": "return=representation"}
        try:
            stored = self._send("post", resource["resourceType"], resource, headers)
        except Refused as error:
            raise NeverRetry(
                f"FHIR server refused a new {resource['resourceType']}: {error}"
            ) from error
        if stored is not None:
            return stored
        type_name, name, value = resource["resourceType"], *condition.split("=", 1)
        return self.search(type_name, [(name, value)])[0]

    def create_each_once(self, resources: Sequence[tuple[Resource, str]]) -> None:
        """Create each resource unless something meets its condition, many in one call.

        Each stands for itself. Raises NeverRetry where some are refused, once the others are there.
        """
        refused = 0
        for start in range(0, len(resources), BATCH):
            entries = [
                {"resource": one, "request": {
                    "method": "POST", "url": one["resourceType"], "ifNoneExist": condition}}
                for one, condition in resources[start : start + BATCH]
            ]  # fmt: skip
            statuses = [str(one["response"]["status"]) for one in self._each(entries)]
            if any(one.startswith("5") or one[:3] in _PASSING for one in statuses):
                raise RetryLater("FHIR server: not all of a batch was stored")
            refused += sum(1 for one in statuses if not one.startswith("2"))
        if refused:
            raise NeverRetry(f"FHIR server refused {refused} of {len(resources)} resources")

    def update(self, resource: Resource) -> Resource | None:
        """Store the next version under If-Match; None where the resource changed meanwhile."""
        version = resource.get("meta", {}).get("versionId")
        headers = {"If-Match": f'W/"{version}"'} if version else {}
        try:
            return self._put(resource, headers)
        except Refused as error:
            if error.status in (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.GONE):
                return None
            raise NeverRetry(f"FHIR server refused {resource['resourceType']}: {error}") from error

    def put(self, resource: Resource) -> Resource:
        """Store the resource under its id, whatever is there."""
        try:
            return self._put(resource, {})
        except Refused as error:
            raise NeverRetry(f"FHIR server refused {resource['resourceType']}: {error}") from error

    def put_all(self, resources: Sequence[Resource]) -> None:
        """Store all resources under their ids in one transaction, or none."""
        self.transact([elements.put_entry(one) for one in resources])

    def transact(self, entries: Sequence[Resource]) -> list[Resource]:
        """Run the entries of a transaction, all or none; return their answers.

        What was only written is not in them. Of a server that tells less there are empty ones.
        """
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        headers = {"Prefer": "return=minimal"}
        try:
            answer = self._client._do_request(  # noqa: SLF001 the way to set headers
                "post", "", data=bundle, extra_headers=headers
            )
        except Refused as error:
            raise NeverRetry(f"FHIR server refused a transaction: {error}") from error
        answers: list[Resource] = (answer or {}).get("entry", [])
        if len(answers) != len(entries):
            return [{} for _ in entries]
        for entry, told in zip(entries, answers, strict=True):
            if "resource" in entry:
                _note_created(entry["resource"], told.get("response", {}))
        return answers

    def _put(self, resource: Resource, headers: dict[str, str]) -> Resource:
        address = f"{resource['resourceType']}/{resource['id']}"
        stored = self._send("put", address, resource, headers)
        return resource if stored is None else stored

    def _send(
        self, method: str, path: str, body: Resource, headers: dict[str, str]
    ) -> Resource | None:
        found: Resource | None
        found, status = self._client._do_request(  # noqa: SLF001 the way to set headers
            method, path, data=body, extra_headers=headers, returning_status=True
        )
        version = (found or {}).get("meta", {}).get("versionId")
        # A conditional create that found one has written nothing, nor has an update without change.
        is_new = status == HTTPStatus.CREATED or version != body.get("meta", {}).get("versionId")
        if found is not None and version and is_new:
            _note(f"{found['resourceType']}/{found['id']}/_history/{version}")
        return found

    def _get(self, path: str, parameters: dict[str, list[str]] | None = None) -> Resource | None:
        try:
            found: Resource | None = self._client.execute(path, method="get", params=parameters)
        except Refused as error:
            if error.status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
                return None
            raise NeverRetry(f"FHIR server refused a read: {error}") from error
        return found

    def _batch(self, addresses: Sequence[str]) -> list[Resource | None]:
        if len(addresses) == 1 and "?" not in addresses[0]:
            return [self._get(addresses[0])]
        entries = [{"request": {"method": "GET", "url": a}} for a in addresses]
        return [_entry(one) for one in self._each(entries)]

    def _each(self, entries: list[Resource]) -> list[Resource]:
        """Return the answer to each entry of a batch."""
        bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries}
        try:
            answer = self._client.execute("", method="post", data=bundle) or {}
        except Refused as error:
            raise NeverRetry(f"FHIR server refused a batch: {error}") from error
        listed: list[Resource] = answer.get("entry", [])
        if len(listed) != len(entries):
            raise RetryLater("FHIR server: the batch was not answered entry by entry")
        return listed

    def _before(self, history: Resource, version: str) -> Resource | None:
        versions = [e["resource"] for e in history.get("entry", []) if "resource" in e]
        numbers = [one.get("meta", {}).get("versionId") for one in versions]
        place = numbers.index(version) + 1 if version in numbers else len(versions)
        return versions[place] if place < len(versions) else None


def _note(version: str) -> None:
    """Remember what the run has written, as Type/id/_history/version."""
    run = RUN.get()
    if run is not None:
        run.wrote.append(version)


def _note_created(sent: Resource, response: Resource) -> None:
    """Remember what an entry of a transaction created.

    A Binary is part of the document that refers to it.
    """
    version = _VERSION.search(response.get("location", ""))
    is_new = str(response.get("status", "")).startswith(str(HTTPStatus.CREATED.value))
    if is_new and version is not None and sent["resourceType"] != "Binary":
        _note(version[0])


def _cause() -> dict[str, str]:
    """Return the headers that tell the server which delivery a request follows from."""
    run = RUN.get()
    if run is None:
        return {}
    told = {"X-Request-Id": run.trace, "X-Inforce-Depth": run.depth}
    return {name: value for name, value in told.items() if value}


def _entry(one: Resource) -> Resource | None:
    """Return the resource of one batch answer, None for what is not there or makes no sense."""
    status = str(one.get("response", {}).get("status", ""))[:3]
    if status in ("400", "404", "410"):
        return None
    if not status.startswith("2"):
        raise RetryLater(f"FHIR server: HTTP {status} in a batch")
    found: Resource | None = one.get("resource")
    return found


def _words(issue: Resource) -> str:
    return str(issue.get("diagnostics") or issue.get("details", {}).get("text", ""))


def _issues(content: bytes) -> str:
    """Return code and place of each issue of an OperationOutcome, "" where there is none."""
    try:
        listed = codec.decode(content).get("issue", [])
        return ", ".join(
            " at ".join([issue["code"], *issue.get("expression", [])]) for issue in listed
        )
    except (ValueError, AttributeError, KeyError, TypeError):
        return ""
