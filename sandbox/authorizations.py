"""The payer's authorizations: what it was asked, what it decides by scenario or control call."""

import itertools
import json
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sandbox import fixtures
from sandbox import pas_json as fhir
from sandbox.pas_answers import Authorization, Decision, controls, decide
from sandbox.pas_json import Json

APPROVED: Decision = {"code": "A1"}
DECIDED = frozenset({"A1", "A2", "A3", "A6"})
CODES = frozenset({"A1", "A2", "A3", "A4", "A6", "C", "CT", "NA"})


class Authorizations:
    """All authorizations of one payer. Methods are safe to call from any thread."""

    def __init__(self) -> None:
        """Know none yet."""
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._by_trace: dict[str, Authorization] = {}
        self._by_bundle: dict[tuple[str, str], tuple[Json, Authorization]] = {}
        self._decisions: dict[str, Json] = {}

    def clear(self) -> None:
        """Go back to the start; numbers go on, so that none is given twice."""
        with self._lock:
            for kept in (self._by_trace, self._by_bundle, self._decisions):
                kept.clear()

    def put_decision(self, trace: str, decision: Json) -> None:
        """Decide so on the request with this Claim identifier, whatever the scenarios say."""
        with self._lock:
            self._decisions[trace] = decision

    def submit(self, bundle: Json, edition: str) -> tuple[Json, float, Authorization]:
        """Return the answer to a request that is sound, and after how long which one changes.

        The same Bundle.identifier has the same answer; 0 seconds mean that nothing changes later.
        """
        key = (str(bundle["identifier"]["system"]), str(bundle["identifier"]["value"]))
        with self._lock:
            there = self._by_bundle.get(key)
            claim = bundle["entry"][0]["resource"]
            trace = str(claim["identifier"][0]["value"])
            if there is not None:
                return there[0], 0.0, there[1]
            before = self._prior(bundle)
            if before is not None and _is_denied(before):
                one = Authorization(trace, bundle, {}, error=_error("AA", "R", f"{_FIRST}.related"))
                one.plan = {item["sequence"]: APPROVED for item in claim["item"]}
                later: Decisions = []
                after_s = 0.0
            else:
                one, later, after_s = self._planned(bundle, trace, before)
            self._by_trace[trace] = one
            if before is not None:
                one.numbers = before.numbers
                one.times = {n: t for n, t in before.times.items() if _is_left(one, before, n)}
                self._by_trace[before.trace] = one
            answer = self._answered(one, edition)
            self._by_bundle[key] = answer, one
            one.later = later
            return answer, after_s, one

    def attach(self, control: str, member: str) -> Authorization | None:
        """Take a document of a member for what is asked for; None where nothing like it is.

        Once all have come, what they were asked for is approved at the next `settle`.
        """
        with self._lock:
            for one in self.every():
                asked = controls(one)
                if control in asked and member in _members(one.claim, fhir.by_url(one.request)):
                    one.attached.add(control)
                    if asked <= one.attached:
                        one.later = [(n, APPROVED) for n, d in one.plan.items() if "ask" in d]
                    return one
        return None

    def settle(self, one: Authorization, edition: str) -> Json | None:
        """Take the decisions that were pending, and return the answer that follows.

        None where an update took its place meanwhile.
        """
        with self._lock:
            if self._by_trace.get(one.trace) is not one:
                return None
            one.plan |= dict(one.later)
            return self._answered(one, edition)

    def every(self) -> list[Authorization]:
        """Return the current authorizations, each once."""
        with self._lock:
            return list({id(one): one for one in self._by_trace.values()}.values())

    def _answered(self, one: Authorization, edition: str) -> Json:
        codes = {decision["code"] for decision in one.plan.values()}
        one.was_pended |= "A4" in codes
        now = datetime.now(UTC)
        for sequence, decision in one.plan.items():
            received, decided = one.times.get(sequence, (now, None))
            if decided is None and decision["code"] in DECIDED and not one.error:
                decided = now
            one.times[sequence] = received, decided
        number = f"AUTH{next(self._numbers):06}"
        if not one.error and codes & (DECIDED | {"C"}):
            one.numbers.append(number)
        one.answer = decide(one, number, edition=edition)
        return one.answer

    def _prior(self, bundle: Json) -> Authorization | None:
        claim, known = bundle["entry"][0]["resource"], fhir.by_url(bundle)
        for related in claim.get("related", []):
            prior = known.get(fhir.reference(related["claim"]))
            named = prior["identifier"][0] if prior else related["claim"].get("identifier", {})
            return self._by_trace.get(str(named.get("value")))
        return None

    def _planned(
        self, bundle: Json, trace: str, before: Authorization | None
    ) -> tuple[Authorization, "Decisions", float]:
        """Return an authorization with what is decided now, what later, and after how long."""
        claim = bundle["entry"][0]["resource"]
        wish = self._decisions.get(trace, {})
        wished = {one["sequence"]: one for one in wish.get("items", [])}
        one = Authorization(trace, bundle, {}, is_withheld=bool(wish.get("withhold")))
        later, after_s = [], float(wish.get("after_s", 0))
        errors = [wish["error"]] if "error" in wish else []
        for item in claim["item"]:
            sequence = item["sequence"]
            decision = _settled(claim, item, before) or wished.get(sequence) or _scenario(item)
            errors += [decision["error"]] if "error" in decision else []
            now, then, wait_s = _split(decision, after_s if sequence in wished else 0.0)
            one.plan[sequence] = now
            if then is not None:
                later.append((sequence, then))
                after_s = max(after_s, wait_s)
        if errors:
            wrong = errors[0]
            one.error = _error(wrong["code"], wrong.get("follow_up", "C"), wrong.get("path", ""))
        return one, later, after_s if later else 0.0


def _is_left(one: Authorization, before: Authorization, sequence: int) -> bool:
    """Tell whether an update left the decision of an item alone."""
    return one.plan.get(sequence) == before.plan.get(sequence)


def _settled(claim: Json, item: Json, before: Authorization | None) -> Decision | None:
    """Return what is no question any more: what is cancelled, and what an update left alone."""
    gone = fhir.code(fhir.value(claim, "certificationType")) == fhir.CANCEL
    if gone or fhir.is_cancelled(item):
        return {"code": "C"}
    if before is None or fhir.value(item, "infoChanged") is not None:
        return None
    return before.plan.get(item["sequence"])


def _split(decision: Decision, after_s: float) -> tuple[Decision, Decision | None, float]:
    """Return what is said now, what is said later if anything, and after how many seconds."""
    now = {"code": "A1"} | {k: v for k, v in decision.items() if k not in ("error", "then")}
    if "then" in decision:
        return now, decision["then"], float(decision.get("after_s", 0))
    if after_s and now["code"] not in ("A4", "C"):
        return {"code": "A4"}, now, after_s
    return now, None, 0.0


Decisions = list[tuple[int, Decision]]
_FIRST = "Bundle.entry[0].resource"


def problem(decision: Any) -> str:
    """Return what is wrong with a decision that is put in, "" if nothing is."""
    if not isinstance(decision, dict) or not (decision.keys() & {"items", "error", "withhold"}):
        return 'expected an object with "items": [{"sequence": 1, "code": "A1"}], or "error"'
    for item in decision.get("items", []):
        if not isinstance(item, dict) or not isinstance(item.get("sequence"), int):
            return "expected a sequence for each item"
        if item.get("code") not in CODES:
            return f"expected code, one of {', '.join(sorted(CODES))}"
    return ""


def scenario(code: str) -> Decision | None:
    """Return what is decided on a service by its code, None where no scenario names it."""
    text = (fixtures.ROOT / "pas" / "scenarios.json").read_text("utf-8")
    found: dict[str, Decision] = json.loads(text)
    return found.get(code)


def _scenario(item: Json) -> Decision:
    found = scenario(fhir.code(item["productOrService"]))
    return dict(found) if found else dict(APPROVED)


def _is_denied(one: Authorization) -> bool:
    return {decision["code"] for decision in one.plan.values()} == {"A3"}


def _error(code: str, follow_up: str, path: str) -> Json:
    return {
        "code": fhir.concept(fhir.REJECT, code),
        "extension": [
            {"url": fhir.url("errorFollowupAction"),
             "valueCodeableConcept": fhir.concept(fhir.FOLLOW_UP, follow_up)},
            *([{"url": fhir.url("errorPath"), "valueString": path}] if path else []),
        ],
    }  # fmt: skip


def matching(every: Iterable[Authorization], asked: Json) -> tuple[list[Authorization], bool]:
    """Return the authorizations that an inquiry Bundle is about, and whether some are withheld.

    The member id and the NPI of who ordered or renders must match; the inquiry's own identifier
    only names it. Other elements narrow what is found.
    """
    claim, known = asked["entry"][0]["resource"], fhir.by_url(asked)
    members = _members(claim, known)
    npis = _npis(known)
    number = fhir.value(claim, "authorizationNumber")
    found, withheld = [], False
    for one in every:
        theirs = fhir.by_url(one.request)
        if not members & _members(one.claim, theirs) or not npis & _npis(theirs):
            continue
        if number is not None and number not in one.numbers:
            continue
        if not all(_fits(wanted, one) for wanted in claim.get("item", [])):
            continue
        if one.is_withheld and number is None:
            withheld = True
        else:
            found.append(one)
    return found, withheld


def _members(claim: Json, known: dict[str, Json]) -> set[str]:
    patient = known.get(fhir.reference(claim.get("patient")), {})
    coverages = [
        known.get(fhir.reference(entry.get("coverage")), {}) for entry in claim.get("insurance", [])
    ]
    return set().union(*(fhir.member_ids(one) for one in (patient, *coverages)))


def _npis(known: dict[str, Json]) -> set[str]:
    kinds = ("Organization", "Practitioner", "PractitionerRole")
    providers = [one for one in known.values() if one["resourceType"] in kinds]
    return set().union(*(fhir.identifiers(one, fhir.NPI) for one in providers))


def _fits(wanted: Json, one: Authorization) -> bool:
    """Tell whether an item of the authorization is what an item of the inquiry asks for."""
    product, day = fhir.code(wanted.get("productOrService")), wanted.get("servicedDate")
    action = fhir.code(fhir.value(wanted, "reviewActionCode"))
    for item in one.claim["item"]:
        decided = one.plan[item["sequence"]]["code"]
        if product not in ("", "not-applicable") and product != fhir.code(item["productOrService"]):
            continue
        if day and item.get("servicedDate") not in (None, day):
            continue
        if action and action != decided:
            continue
        return True
    return False
