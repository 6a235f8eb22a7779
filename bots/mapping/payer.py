"""A row of a payer list on top of the Organization that is there: nothing known is overwritten.

An id that changes ends the day before the new one begins, so that a check for an earlier day of
service still finds the earlier id; a name that changes stays as an alias.
Source: FHIR R4 organization.html, metadatatypes.html#Identifier.
"""

from datetime import date, timedelta
from typing import Any

from bots.mapping.payer_list import Id, Row
from fhir_profiles import payers, systems
from fhir_profiles.payers import Enrolment, Support

Resource = dict[str, Any]
_DONE = (Enrolment.LIVE.value, Enrolment.PENDING.value)
_ASKED = (Enrolment.SUPPORTED.value, Enrolment.NEEDED.value)


class Conflict(Exception):
    """A row that contradicts what is there; the message says how."""


def merged(row: Row, there: Resource | None, on: date) -> Resource:
    """Return the payer as it is after the row; new ids of a payer that had others hold from `on`.

    Raises Conflict for an id that begins before the present one.
    """
    found: Resource = {"resourceType": "Organization", "active": True, **(there or {})}
    if not payers.is_payer({"type": found.get("type", [])}):
        coding = {"system": systems.ORGANIZATION_TYPE, "code": payers.PAYER_TYPES[0]}
        found["type"] = [*found.get("type", []), {"coding": [coding]}]
    found["identifier"] = list(found.get("identifier", []))
    for one in row.ids:
        found["identifier"] = _with_id(found["identifier"], one, row.valid_from or on)
    found["name"] = row.name
    former = payers.labels(there or {})
    found["alias"] = _other_names(row.name, [*former, *row.aliases])
    found["telecom"] = _with_phone(found.get("telecom", []), row.phone)
    found["extension"] = _with_support(found.get("extension", []), row)
    return {key: value for key, value in found.items() if value != []}


def _with_id(identifiers: list[Resource], one: Id, on: date) -> list[Resource]:
    same = [i for i in identifiers if i.get("system") == one.system]
    if one.is_alias:
        known = any(i.get("value") == one.value for i in same)
        return identifiers if known else [*identifiers, _identifier(one)]
    used = [
        i for i in same
        if i.get("use") != "secondary" and tuple(payers.transactions(i)) == one.transactions
    ]  # fmt: skip
    current = [i for i in used if "end" not in i.get("period", {})]
    if any(i.get("value") == one.value for i in current):
        return identifiers
    for former in current:
        if former.get("period", {}).get("start", "") >= on.isoformat():
            raise Conflict(f"{former['value']} holds from {on} on already, or begins later")
    ended = [_until(i, on) if i in current else i for i in identifiers]
    began = {"period": {"start": on.isoformat()}} if used else {}
    return [*ended, {**_identifier(one), **began}]


def _until(identifier: Resource, on: date) -> Resource:
    last = (on - timedelta(days=1)).isoformat()
    return {**identifier, "period": {**identifier.get("period", {}), "end": last}}


def _identifier(one: Id) -> Resource:
    served = [{"url": systems.EXT_TRANSACTION, "valueCode": code} for code in one.transactions]
    return {
        **({"extension": served} if served else {}),
        **({"use": "secondary"} if one.is_alias else {}),
        "system": one.system,
        "value": one.value,
    }


def _other_names(name: str, texts: list[str]) -> list[str]:
    """Return each name once, however it is spelled, without that which the payer has now."""
    found: dict[str, str] = {}
    for text in texts:
        found.setdefault(payers.key(text) or text, text)
    found.pop(payers.key(name) or name, None)
    return list(found.values())


def _with_phone(telecom: list[Resource], phone: str) -> list[Resource]:
    if not phone or any(one.get("value") == phone for one in telecom):
        return telecom
    return [{"system": "phone", "value": phone}, *telecom]


def _with_support(extensions: list[Resource], row: Row) -> list[Resource]:
    """Return the extensions with what the row tells first, in its order.

    What a vendor's list says a payer asks for does not take back what is done already.
    """
    had = payers.supports({"extension": extensions})
    done = {(h.transaction, h.route): h for h in had if h.state in _DONE}
    told = [
        done.get((one.transaction, one.route), one)
        if row.is_vendors and one.state in _ASKED
        else one
        for one in row.support
    ]
    ways = {(one.transaction, one.route) for one in told}
    kept = [one for one in had if (one.transaction, one.route) not in ways]
    since = {(one.transaction, one.route, one.state): one.since for one in had}
    others = [one for one in extensions if one.get("url") != systems.EXT_SUPPORT]
    return [*others, *(_support(one, since) for one in (*told, *kept))]


def _support(one: Support, since: dict[tuple[str, str, str], str]) -> Resource:
    began = one.since or since.get((one.transaction, one.route, one.state), "")
    parts: list[Resource] = [
        {"url": "transaction", "valueCode": one.transaction},
        {"url": "route", "valueString": one.route},
        {"url": "state", "valueCode": one.state},
    ]
    if began:
        parts.append({"url": "since", "valueDate": began})
    return {"url": systems.EXT_SUPPORT, "extension": parts}


def first_id(row: Row) -> str:
    """Return system|value of the id that a new payer is known by."""
    return f"{row.ids[0].system}|{row.ids[0].value}"


def ids_of(payer: Resource, on: date) -> tuple[list[str], list[str]]:
    """Return system|value of the ids that a payer has on a day or later, and of its other ones."""
    current: list[str] = []
    other: list[str] = []
    for one in payer.get("identifier", []):
        if one.get("system") and one.get("value"):
            end = str(one.get("period", {}).get("end", ""))
            is_sent = one.get("use") not in ("secondary", "old") and (not end or end >= str(on))
            (current if is_sent else other).append(f"{one['system']}|{one['value']}")
    return current, other
