"""One exchange with a payer about a prior authorization -> a MeasureReport; many -> a summary.

What is recorded is what Da Vinci PAS 2.2.1 lists in PASMetricData: who asked whom, how and when,
how long it took, and what was decided on each item. A record names resources, and nobody.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from bots.domain import decision_figures
from bots.domain.decision_figures import Decided, Share, Times
from bots.mapping.request import trace_of
from fhir_profiles import elements, pas, prior_auth, prior_auth_clock, systems
from fhir_profiles.decision_clock import Urgency
from fhir_profiles.decisions import Action, Item
from fhir_profiles.prior_auth import METRIC

Resource = dict[str, Any]
SUMMARY = f"{systems.BASE}/Measure/prior-auth-decisions"
_SLOW = timedelta(seconds=15)  # PAS: what a person waits for an answer
RESTFUL, X12 = "restful", "x12"  # how, as PASMetricData calls it
_UCUM = "http://unitsofmeasure.org"
_APPEALS = ("1", "2")  # of certification types (X12 1322): immediate, standard
_APPROVED = frozenset({Action.CERTIFIED, Action.PARTIAL, Action.MODIFIED})
_RESULTS = {
    Action.CERTIFIED: "approved", Action.PARTIAL: "modified", Action.MODIFIED: "modified",
    Action.DENIED: "denied", Action.PENDED: "pended", Action.CONTACT_PAYER: "pended",
    Action.CANCELLED: "cancelled", Action.NOT_REQUIRED: "not-required",
}  # fmt: skip


class Kind(StrEnum):
    """What an exchange was for; SUBSEQUENT is a payer's word that came later by itself."""

    INITIAL = "initial"
    UPDATE = "update"
    CANCEL = "cancel"
    QUERY = "query"
    SUBSEQUENT = "subsequent"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Exchanged:
    """One exchange: for what, since when a person waited, when it was over, and what failed."""

    kind: Kind
    asked: datetime
    answered: datetime
    failure: str = ""
    method: str = RESTFUL

    @property
    def is_slow(self) -> bool:
        """Tell whether somebody waited longer for the answer than PAS asks for."""
        return self.kind is not Kind.SUBSEQUENT and self.answered - self.asked > _SLOW


def kind_of(sent: Resource) -> Kind:
    """Return what a request Bundle is for."""
    claim = sent["entry"][0]["resource"]
    if not claim.get("related"):
        return Kind.INITIAL
    concept = elements.extension_value(claim, pas.EXT_CERTIFICATION)
    is_gone = elements.code(concept, pas.CERTIFICATION_TYPE) == pas.CANCEL
    return Kind.CANCEL if is_gone else Kind.UPDATE


def record(
    task: Resource, claim: Resource, sent: Resource, told: Exchanged, items: Iterable[Item]
) -> Resource:
    """Return the MeasureReport of one exchange about the Task of a prior authorization.

    `claim` is the stored one, `sent` the Bundle as it went out, `items` what the payer decided.
    """
    took = (told.answered - told.asked).total_seconds()
    urgency = prior_auth_clock.urgency(task, sent["entry"][0]["resource"]).value
    facts = {
        "method": told.method, "payer": elements.reference(claim.get("insurer")),
        "request": prior_auth.group(task), "urgency": urgency, "issue": told.failure,
        "slow": "above-15-s" if told.is_slow else "",
    }  # fmt: skip
    first: Resource = {
        "code": _coded(told.kind),
        "measureScore": _quantity(took, "s"),
        "stratifier": [_stratifier(name, value) for name, value in facts.items() if value],
    }
    mark = f"{task['id']}|{told.kind}|{_instant(told.asked)}|{told.failure}"
    return {
        "resourceType": "MeasureReport",
        "identifier": [{"system": systems.CAUSE, "value": f"exchange-{trace_of(mark)}"}],
        "status": "complete",
        "type": "individual",
        "measure": prior_auth.EXCHANGE,
        "date": _instant(told.answered),
        "reporter": claim["provider"],
        "period": {"start": _instant(told.asked), "end": _instant(told.answered)},
        "group": [first, *_items(task, sent, told, items)],
        "evaluatedResource": [{"reference": f"Task/{task['id']}"}],
    }


def _items(
    task: Resource, sent: Resource, told: Exchanged, items: Iterable[Item]
) -> Iterator[Resource]:
    """Yield a group for each item; the score of one that is decided is the time since it was sent.

    `extended` is of the Task, `appealed` of the item as it was sent.
    """
    since = prior_auth.sent_at(task) or told.asked
    asked = {one["sequence"]: one for one in sent["entry"][0]["resource"].get("item", [])}
    for item in items:
        if item.action is None:
            continue
        line = asked.get(item.sequence, {})
        certification = elements.extension_value(line, pas.EXT_CERTIFICATION)
        facts = {
            "review-action": item.action.value,
            "appealed": "yes"
            if elements.code(certification, pas.CERTIFICATION_TYPE) in _APPEALS
            else "",
            "extended": "yes" if prior_auth.extension(task) else "",
            "changed": "yes" if elements.has_extension(line, pas.EXT_CHANGED) else "",
        }
        facts |= {f"reason-{n}": code for n, (code, _) in enumerate(item.reasons, 1)}
        group: Resource = {
            "code": {"coding": [{"system": METRIC, "code": "item"}], "text": str(item.sequence)},
            "population": [{"code": _coded(_RESULTS[item.action]), "count": 1}],
            "stratifier": [_stratifier(name, value) for name, value in facts.items() if value],
        }
        if item.action not in (Action.PENDED, Action.CONTACT_PAYER):
            group["measureScore"] = _quantity((told.answered - since).total_seconds(), "s")
        yield group


def decided(records: Iterable[Resource], since: datetime | None = None) -> list[Decided]:
    """Return each item that was decided, once, by its first decision in the records.

    What an update left alone is the same item; what it changed is decided anew. What was decided
    first before `since` is left out.
    """
    found: dict[tuple[str, str], Decided] = {}
    newest: dict[tuple[str, str], tuple[str, str]] = {}  # an item -> the same, as changed last
    earlier: set[tuple[str, str]] = set()
    for one in sorted(records, key=lambda r: datetime.fromisoformat(r["period"]["end"])):
        task = elements.reference(one["evaluatedResource"][0])
        head, *groups = one["group"]
        urgency = Urgency(_said(head, "urgency"))
        for group in groups:
            actions = {action.value: action for action in Action}
            action = actions[_said(group, "review-action")]
            if action in _APPROVED or action is Action.DENIED:
                item = (_said(head, "request"), group["code"]["text"])
                if _said(group, "changed"):
                    newest[item] = (task, group["code"]["text"])
                key = newest.get(item, item)
                if since is not None and datetime.fromisoformat(one["period"]["end"]) < since:
                    earlier.add(key)
                found.setdefault(key, Decided(
                    urgency, action in _APPROVED,
                    timedelta(seconds=float(group["measureScore"]["value"])),
                    extended=_said(group, "extended") == "yes",
                    appealed=_said(group, "appealed") == "yes",
                ))  # fmt: skip
    return [one for key, one in found.items() if key not in earlier]


def summary(items: list[Decided], start: date, end: date, moment: datetime) -> Resource:
    """Return the MeasureReport of the items decided from one day to another, both included."""
    found = decision_figures.figures(items)
    groups: list[Resource] = []
    for name in (field.name for field in fields(found)):
        told = getattr(found, name)
        groups += _share(name, told) if isinstance(told, Share) else _times(name, told)
    return {
        "resourceType": "MeasureReport",
        "id": f"prior-auth-{start.isoformat()}-{end.isoformat()}",
        "status": "complete",
        "type": "summary",
        "measure": SUMMARY,
        "date": _instant(moment),
        "period": {"start": start.isoformat(), "end": end.isoformat()},
        "group": groups,
    }


def _share(name: str, told: Share) -> list[Resource]:
    """Return the group of a share; one of nothing has no score."""
    group: Resource = {
        "code": _coded(name.replace("_", "-")),
        "population": [_population("denominator", told.of), _population("numerator", told.count)],
    }
    if told.of:
        group["measureScore"] = {"value": _rounded(told.count / told.of)}
    return [group]


def _times(name: str, told: Times) -> Iterator[Resource]:
    urgency = name.partition("_")[0]
    for what, time in (("average", told.average), ("median", told.middle)):
        group: Resource = {
            "code": _coded(f"{urgency}-{what}-time"),
            "population": [_population("denominator", told.count)],
        }
        if time is not None:
            group["measureScore"] = _quantity(time.total_seconds() / 3600, "h")
        yield group


def _population(code: str, count: int) -> Resource:
    concept = {"coding": [{"system": systems.MEASURE_POPULATION, "code": code}]}
    return {"code": concept, "count": count}


def _coded(code: str) -> Resource:
    return {"coding": [{"system": METRIC, "code": str(code)}]}


def _stratifier(name: str, value: str) -> Resource:
    return {"code": [_coded(name)], "stratum": [{"value": {"text": value}}]}


def _said(group: Resource, name: str) -> str:
    """Return the value of one stratifier, "" where the group has none of that name."""
    for one in group.get("stratifier", []):
        if elements.code(one["code"][0], METRIC) == name:
            return str(one["stratum"][0]["value"]["text"])
    return ""


def _quantity(value: float, unit: str) -> Resource:
    return {"value": _rounded(value), "unit": unit, "system": _UCUM, "code": unit}


def _rounded(value: float) -> Decimal:
    return Decimal(str(round(value, 4)))


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
