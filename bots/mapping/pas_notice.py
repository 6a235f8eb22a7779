"""What a payer tells us unasked: its Subscription as we ask for it, and its messages as they come.

Source: Da Vinci PAS 2.2.1, specification.html; Subscriptions R5 Backport 1.1 for R4.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_profiles import crosswalk, elements, pas, pas_rules, systems

Resource = dict[str, Any]
EXT_NOTICES = f"{systems.BASE}/StructureDefinition/payer-notices"
SUBSCRIPTION = f"{systems.BASE}/NamingSystem/payer-subscription"
_TRANSMISSION = f"{pas.PROFILES}/extension-TransmissionIdentifiers"
_V2 = systems.V2_IDENTIFIER_TYPE


class NoNotice(Exception):
    """What came is no notification Bundle; the message names what was expected."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message: its kind, and how many events there were since the Subscription began.

    `answers` are the response Bundles of its events; `lost` counts the events without one.
    """

    kind: str
    count: int
    answers: tuple[Resource, ...]
    lost: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What we know of our Subscription at a payer: its address, the senders, the events seen."""

    address: str
    senders: frozenset[str]
    seen: int


def senders(sent: Resource) -> frozenset[str]:
    """Return who sends a request: its interchange sender, else the NPIs of who asks."""
    claim = sent["entry"][0]["resource"]
    for extension in elements.extensions(claim, _TRANSMISSION):
        told = elements.parts(extension).get("interchangeSenderID")
        if told:
            return frozenset({str(told)})
    known = {e["fullUrl"]: e["resource"] for e in sent["entry"]}
    provider = known.get(elements.reference(claim.get("provider")), {})
    behind = [elements.reference(provider.get(name)) for name in ("organization", "practitioner")]
    who = [provider, *(known.get(address, {}) for address in behind)]
    return frozenset(filter(None, (elements.identifier(one, systems.NPI) for one in who)))


def subscription(who: Iterable[str], endpoint: str, token: str) -> Resource:
    """Return the Subscription to ask a payer for: all that it decides on requests of `who`."""
    text = f"org-identifier={','.join(sorted(who))}"
    content = {"url": systems.EXT_CONTENT, "valueCode": "full-resource"}
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "Decisions on prior authorizations",
        "criteria": pas.TOPIC,
        "_criteria": {"extension": [{"url": systems.EXT_FILTER, "valueString": text}]},
        "channel": {
            "type": "rest-hook",
            "endpoint": endpoint,
            "payload": "application/fhir+json",
            "_payload": {"extension": [content]},
            "header": [f"Authorization: Bearer {token}"],
        },
    }


def kept(endpoint: Resource) -> Kept:
    """Return what an Endpoint says of our Subscription at it."""
    address = elements.identifier(endpoint, SUBSCRIPTION)
    nothing: Resource = {"extension": []}
    found = next(elements.extensions(endpoint, EXT_NOTICES), nothing)
    who = [p["valueString"] for p in found["extension"] if p["url"] == "sender"]
    return Kept(address, frozenset(who), int(elements.parts(found).get("seen") or 0))


def keeping(endpoint: Resource, what: Kept) -> Resource:
    """Return the Endpoint with what we know of our Subscription at it."""
    others = [i for i in endpoint.get("identifier", []) if i.get("system") != SUBSCRIPTION]
    parts: list[Resource] = [{"url": "sender", "valueString": one} for one in sorted(what.senders)]
    parts.append({"url": "seen", "valueUnsignedInt": what.seen})
    extensions = [e for e in endpoint.get("extension", []) if e.get("url") != EXT_NOTICES]
    return {
        **endpoint,
        "identifier": [*others, {"system": SUBSCRIPTION, "value": what.address}],
        "extension": [*extensions, {"url": EXT_NOTICES, "extension": parts}],
    }


def read(body: Any) -> Notice:
    """Return a message of a payer. Raises NoNotice for anything else."""
    entries = body.get("entry") if isinstance(body, dict) else None
    if not isinstance(entries, list) or not entries or body.get("type") != "history":
        message = "expected a Bundle of type history"
        raise NoNotice(message)
    resources = [
        (str(e.get("fullUrl", "")), e.get("resource")) for e in entries if isinstance(e, dict)
    ]
    status = resources[0][1] if resources else None
    listed = _parameters(status, "parameter") if isinstance(status, dict) else []
    told = {str(p.get("name")): p for p in listed}
    if "type" not in told:
        message = "expected the status of the Subscription first"
        raise NoNotice(message)
    focuses = [_focus(p) for p in listed if p.get("name") == "notification-event"]
    answers = [one for focus in focuses if (one := _held(focus, resources)) is not None]
    count = str(told.get("events-since-subscription-start", {}).get("valueString", "0"))
    return Notice(
        str(told["type"].get("valueCode", "")),
        int(count) if count.isdecimal() else 0,
        tuple(answers),
        len(focuses) - len(answers),
    )


def _held(focus: str, resources: list[tuple[str, Any]]) -> Resource | None:
    """Return the resource that a focus names by its address, or by the end of it."""
    for url, resource in resources:
        if focus and isinstance(resource, dict) and (url == focus or url.endswith(f"/{focus}")):
            return resource
    return None


def _focus(event: Resource) -> str:
    parts = _parameters(event, "part")
    found = (p.get("valueReference") for p in parts if p.get("name") == "focus")
    return elements.reference(next(found, None))


def _parameters(node: Mapping[str, Any], name: str) -> list[Resource]:
    listed = node.get(name)
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def traces(answer: Resource) -> list[tuple[str, str]]:
    """Return (system, value) of what a ClaimResponse says the request is called."""
    entries = _parameters(answer, "entry")
    first = entries[0].get("resource") if entries else None
    named = _parameters(first, "identifier") if isinstance(first, dict) else []
    return [(str(i.get("system", "")), str(i["value"])) for i in named if i.get("value")]


def inquiry(sent: Resource, *, number: str, uid: str, moment: str) -> Resource:
    """Return the Bundle that asks how a request stands: by member id, provider, payer and number.

    Source: Da Vinci PAS 2.2.1, profile-pas-inquiry-request-bundle; the identifier of the Claim only
    names the inquiry.
    """
    claim = sent["entry"][0]["resource"]
    entries = {e["fullUrl"]: e["resource"] for e in sent["entry"]}
    asked: Resource = {
        "resourceType": "Claim",
        "identifier": [{"system": claim["identifier"][0]["system"], "value": number}],
        **{name: claim[name] for name in _ASKED if name in claim},
    }
    todo = [node["reference"] for _, node in pas_rules.references(asked)]
    found: dict[str, Resource] = {}
    while todo:
        address = todo.pop(0)
        if address in entries and address not in found:
            found[address] = entries[address]
            todo += [node["reference"] for _, node in pas_rules.references(found[address])]
    patient = elements.reference(claim["patient"])
    found[patient] = _with_member_id(found[patient], entries.values())
    return {
        "resourceType": "Bundle",
        "identifier": {"system": sent["identifier"]["system"], "value": number},
        "type": "collection",
        "timestamp": moment,
        "entry": [
            {"fullUrl": f"urn:uuid:{uid}", "resource": asked},
            *({"fullUrl": url, "resource": one} for url, one in found.items()),
        ],
    }


_ASKED = ("status", "type", "use", "patient", "created", "insurer", "provider", "priority",
          "insurance")  # fmt: skip


def _with_member_id(patient: Resource, resources: Iterable[Resource]) -> Resource:
    """Return the patient with the member id of its coverage, by which the payer finds it."""
    if any(elements.code(i.get("type"), _V2) == "MB" for i in patient.get("identifier", [])):
        return patient
    coverages = [one for one in resources if one["resourceType"] == "Coverage"]
    found = [i for one in coverages for i in crosswalk.member_identifiers(one)][:1]
    return {**patient, "identifier": [*found, *patient.get("identifier", [])]}


def inquired(body: Any) -> list[Resource]:
    """Return the response Bundles in the answer to an inquiry, in each shape that payers send."""
    if not isinstance(body, dict):
        return []
    if body.get("resourceType") == "Bundle":
        return [body] if body.get("entry") else []
    named = ("return", "responseBundle")
    return [
        p["resource"] for p in _parameters(body, "parameter")
        if p.get("name") in named and isinstance(p.get("resource"), dict)
    ]  # fmt: skip
