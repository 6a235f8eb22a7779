"""Small fakes of the bots' ports, written once: a FHIR server, a clearinghouse, a mail relay."""

import itertools
from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from bots.domain.eligibility import Answer, Inquiry
from bots.errors import RetryLater
from bots.ports import Exchange, Finding, Submission, Tools
from bots.vault import Vault
from bots.x12 import eligibility_270, eligibility_271
from fhir_profiles import elements, prior_auth, systems
from server.validation import check

Resource = dict[str, Any]
NOW = datetime(2026, 11, 24, 15, 30, tzinfo=UTC)


VAULT = Vault(["a payload key of the tests, 32 characters"])


class FakeFhir:
    """A FHIR server in memory that keeps versions, with the searches that bots make."""

    def __init__(self, *resources: Resource) -> None:
        self.versions: dict[str, list[Resource]] = {}
        self._ids = itertools.count(1)
        self.lose_next_update = False
        for resource in resources:
            self.put(resource)

    def all(self, type_name: str) -> list[Resource]:
        return [v[-1] for a, v in self.versions.items() if a.startswith(f"{type_name}/")]

    def read_all(self, addresses: Sequence[str]) -> list[Resource | None]:
        return [self._read(address) for address in addresses]

    def _read(self, address: str) -> Resource | None:
        if "?" in address:
            type_name, _, query = address.partition("?")
            pairs = [
                (name, value) for name, _, value in (p.partition("=") for p in query.split("&"))
            ]
            found = self.search(type_name, pairs)
            entries = [{"resource": one} for one in found]
            return {"resourceType": "Bundle", "total": len(found), "entry": entries}
        versions = self.versions.get(address)
        return deepcopy(versions[-1]) if versions else None

    def previous(self, resource: Resource) -> Resource | None:
        versions = self.versions[f"{resource['resourceType']}/{resource['id']}"]
        place = int(resource["meta"]["versionId"]) - 2
        return deepcopy(versions[place]) if place >= 0 else None

    def search(self, type_name: str, parameters: Sequence[tuple[str, str]]) -> list[Resource]:
        found = [
            deepcopy(one)
            for one in self.all(type_name)
            if all(self._meets(one, name, value) for name, value in parameters)
        ]
        asked = dict(parameters)
        if asked.get("_sort") == "-created":
            found.sort(key=lambda one: str(one["created"]), reverse=True)
        return found[: int(asked.get("_count", len(found)))]

    def _meets(self, resource: Resource, name: str, value: str) -> bool:
        if name in ("_sort", "_count", "_summary", "_total"):
            return True
        if name in ("patient", "subject", "beneficiary", "request", "insurer"):
            return bool(resource[name]["reference"] == value)
        return SEARCHES[name](resource, value)  # a KeyError is a search that the fake cannot make

    def create(self, resource: Resource) -> Resource:
        return self.put({**resource, "id": f"new-{next(self._ids)}"})

    def create_once(self, resource: Resource, condition: str) -> Resource:
        name, _, value = condition.partition("=")
        found = self.search(resource["resourceType"], [(name, value)])
        return found[0] if found else self.put({**resource, "id": f"new-{next(self._ids)}"})

    def problems(self, resource: Resource, profile: str) -> list[tuple[str, str]]:
        issues = check.against(resource, profile)
        return [(one.expression, one.text) for one in issues]

    def create_each_once(self, resources: Sequence[tuple[Resource, str]]) -> None:
        for one, condition in resources:
            self.create_once(one, condition)

    def update(self, resource: Resource) -> Resource | None:
        there = self.versions[f"{resource['resourceType']}/{resource['id']}"][-1]
        if self.lose_next_update:
            self.lose_next_update = False
            return None
        if resource["meta"]["versionId"] != there["meta"]["versionId"]:
            return None
        return self.put(resource)

    def put(self, resource: Resource) -> Resource:
        versions = self.versions.setdefault(f"{resource['resourceType']}/{resource['id']}", [])
        meta = {**resource.get("meta", {}), "versionId": str(len(versions) + 1)}
        versions.append(deepcopy({**resource, "meta": meta}))
        return deepcopy(versions[-1])

    def put_all(self, resources: Sequence[Resource]) -> None:
        for resource in resources:
            self.put(resource)

    def transact(self, entries: Sequence[Resource]) -> list[Resource]:
        order = {"POST": 0, "PUT": 1, "GET": 2}
        answers: dict[int, Resource] = {}
        for place in sorted(range(len(entries)), key=lambda i: order[self._method(entries[i])]):
            answers[place] = self._done(entries[place])
        return [answers[place] for place in range(len(entries))]

    @staticmethod
    def _method(entry: Resource) -> str:
        return str(entry["request"]["method"])

    def _done(self, entry: Resource) -> Resource:
        resource, request = entry.get("resource", {}), entry["request"]
        if self._method(entry) == "GET":
            return {"resource": self._read(request["url"]), "response": {"status": "200 OK"}}
        name, _, value = request.get("ifNoneExist", "").partition("=")
        if self._method(entry) == "PUT":
            self.put(resource)
        elif self.search(resource["resourceType"], [(name, value)]):
            return {"response": {"status": "200 OK"}}
        else:
            self.put({**resource, "id": f"new-{next(self._ids)}"})
        return {"response": {"status": "201 Created"}}


def _has(identifier: Resource, token: str) -> bool:
    """Tell whether an identifier is that of `system|value`; a token may have one of them only."""
    system, bar, value = token.rpartition("|")
    is_system = not bar or identifier["system"] == system
    return is_system and value in ("", identifier["value"])


def _is_identified(resource: Resource, tokens: str) -> bool:
    identifiers = resource.get("identifier", [])
    return any(_has(one, token) for one in identifiers for token in tokens.split(","))


def _is_called(resource: Resource, start: str) -> bool:
    texts = [resource.get("name", ""), *resource.get("alias", [])]
    return any(text.casefold().startswith(start.casefold()) for text in texts)


def _is_of_type(resource: Resource, listed: str) -> bool:
    kinds = {c["code"] for one in resource.get("type", []) for c in one["coding"]}
    return not kinds.isdisjoint(listed.split(","))


def _is_tagged(resource: Resource, token: str) -> bool:
    system, _, code = token.partition("|")
    return elements.tag(resource, system) == code


def _is_coded(concept: Resource, tokens: str) -> bool:
    codings = {f"{c['system']}|{c['code']}" for c in concept["coding"]}
    return not codings.isdisjoint(tokens.split(","))


DATES: dict[str, Callable[[str, str], bool]] = {
    "ge": lambda date, bound: datetime.fromisoformat(date) >= datetime.fromisoformat(bound),
    "lt": lambda date, bound: datetime.fromisoformat(date) < datetime.fromisoformat(bound),
}
SEARCHES: dict[str, Callable[[Resource, str], bool]] = {
    "_tag": _is_tagged,
    "active": lambda one, value: str(one["active"]).lower() == value,
    "business-status": lambda one, value: _is_coded(one["businessStatus"], value),
    "code": lambda one, value: _is_coded(one["code"], value),
    "due": lambda one, value: (
        "restriction" in one
        and datetime.fromisoformat(one["restriction"]["period"]["end"])
        <= datetime.fromisoformat(value.removeprefix("le"))
    ),
    "date": lambda one, value: DATES[value[:2]](one["date"], value[2:]),
    "expires": lambda one, value: (
        str(elements.extension_value(one, prior_auth.EXT_EXPIRES) or "9")
        <= value.removeprefix("le")
    ),
    "measure": lambda one, value: bool(one["measure"] == value),
    "focus": lambda one, value: bool(one["focus"]["reference"] == value),
    "category": lambda one, value: any(
        _is_coded(concept, value) for concept in one.get("category", [])
    ),
    "organization": lambda one, value: bool(one["organization"]["reference"] == value),
    "role": lambda one, value: any(_is_coded(concept, value) for concept in one["code"]),
    "coverage": lambda one, value: bool(one["insurance"][0]["coverage"]["reference"] == value),
    "_lastUpdated": lambda _one, _value: True,  # the fake keeps no time of its own
    "created": lambda one, value: (
        str(one["created"]) < value[2:] if value[:2] == "lt" else str(one["created"]) >= value[2:]
    ),
    "identifier": _is_identified,
    "name": _is_called,
    "status": lambda one, value: one["status"] in value.split(","),
    "type": _is_of_type,
}


class FakeClearinghouse:
    """A route that answers what it is told to, and remembers what it was asked."""

    payer_systems = (systems.STEDI_PAYER,)

    def __init__(self, *exchanges: Exchange, name: str = "fake") -> None:
        self.name = name
        self.asked: list[Inquiry] = []
        self.timeouts: list[float] = []
        self._exchanges = list(exchanges)

    def check(self, inquiry: Inquiry, *, timeout_s: float) -> Exchange:
        assert timeout_s > 0
        self.asked.append(inquiry)
        self.timeouts.append(timeout_s)
        return self._exchanges.pop(0)

    def probe(self, *, timeout_s: float) -> list[Finding]:
        return [Finding("reached", works=timeout_s > 0)]

    def reread(self, route: str, sent: bytes, received: bytes) -> tuple[Inquiry, Answer] | None:
        if route != self.name:
            return None
        return eligibility_270.read(sent.decode()), eligibility_271.read(received.decode())


class FakeMail:
    """A relay that keeps mails, or is down."""

    def __init__(self, *, down: bool = False) -> None:
        self.sent: list[dict[str, Any]] = []
        self.down = down
        self.refused: list[str] = []

    def send(self, *, message_id: str, to: Sequence[str], subject: str, text: str) -> list[str]:
        if self.down:
            raise RetryLater("mail relay: SMTPDataError 451")
        self.sent.append({"id": message_id, "to": list(to), "subject": subject, "text": text})
        return self.refused


class FakePayer:
    """A payer that answers what it is told to, and remembers what it was sent."""

    def __init__(self, *submissions: Submission | Callable[[Resource], Submission]) -> None:
        self.sent: list[tuple[str, Resource]] = []
        self.subscribed: list[tuple[str, Resource]] = []
        self.takes_subscriptions = True
        self.discovered: list[str] = []
        self.published: dict[str, str] = {}
        self.alive: set[str] = set()
        self._submissions = list(submissions)

    def submit(self, address: str, bundle: Resource, *, timeout_s: float) -> Submission:
        assert timeout_s > 0
        self.sent.append((address, deepcopy(bundle)))
        found = self._submissions.pop(0)
        return found(bundle) if callable(found) else found

    def inquire(self, address: str, bundle: Resource, *, timeout_s: float) -> Submission:
        return self.submit(address, bundle, timeout_s=timeout_s)

    def attach(self, address: str, parameters: Resource, *, timeout_s: float) -> Submission:
        return self.submit(address, parameters, timeout_s=timeout_s)

    def match(self, address: str, parameters: Resource, *, timeout_s: float) -> Submission:
        return self.submit(address, parameters, timeout_s=timeout_s)

    def discover(self, location: str, *, timeout_s: float) -> dict[str, str]:
        assert timeout_s > 0
        self.discovered.append(location)
        return self.published

    def is_subscribed(self, address: str, there: str, *, timeout_s: float) -> bool:
        return bool(address and timeout_s) and there in self.alive

    def subscribe(
        self, address: str, subscription: Resource, there: str, *, timeout_s: float
    ) -> str:
        assert timeout_s > 0
        self.subscribed.append((there, deepcopy(subscription)))
        made = f"{address}/Subscription/ours" if self.takes_subscriptions else ""
        self.alive.add(made)
        return made


class FakeOrders:
    """A payer's CDS service that answers what it is told to, and remembers what it was asked."""

    def __init__(self, *answers: Submission | Callable[[Resource], Submission]) -> None:
        self.asked: list[tuple[str, Resource]] = []
        self._answers = list(answers)

    def call(self, address: str, body: Resource, *, timeout_s: float) -> Submission:
        assert timeout_s > 0
        self.asked.append((address, deepcopy(body)))
        found = self._answers.pop(0)
        return found(body) if callable(found) else found


def tools(
    fhir: FakeFhir,
    clearinghouse: FakeClearinghouse | None = None,
    mail: FakeMail | None = None,
    prior_auth: "FakePayer | None" = None,
    now: Callable[[], datetime] = lambda: NOW,
    orders: FakeOrders | None = None,
) -> Tools:
    """Return tools over these fakes."""
    return Tools(
        fhir=fhir,
        clearinghouse=clearinghouse or FakeClearinghouse(),
        orders=orders or FakeOrders(),
        prior_auth=prior_auth or FakePayer(),
        mail=mail or FakeMail(),
        vault=VAULT,
        now=now,
        zone=ZoneInfo("America/New_York"),
        pages="https://inforce.clinic.example",
        alert_to=("billing@clinic.example",),
        provider="",
        site="1999999984@http://127.0.0.1:8080/fhir",
    )
