"""The benefit rows of an answer as insurance.item of a CoverageEligibilityResponse.

One item per limit, share or statement, in the payer's order; each leads back to its EB segments.
An absent amount stays absent. Source: FHIR R4 coverageeligibilityresponse.html.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from bots.domain import accumulators
from bots.domain.accumulators import Item
from bots.domain.eligibility import Benefit, Dated, Delivery, Entity, Procedure
from bots.domain.verdict import ACTIVE_KINDS, INACTIVE_KINDS
from bots.mapping import coding
from fhir_profiles import codes, systems

Resource = dict[str, Any]
EXCLUDING = frozenset({"E", "I", "O"})
STATEMENTS = ACTIVE_KINDS | INACTIVE_KINDS | EXCLUDING
UNLIMITED = "H"
REFERRAL = "9F"  # REF01
_CENT = Decimal("0.01")
_HUNDRED = Decimal(100)
_GREATEST_INT = 2**31 - 1
_PROCEDURE_SYSTEMS = {
    "HC": systems.HCPCS,
    "CJ": systems.CPT,
    "AD": "http://www.ada.org/cdt",
    "N4": "http://hl7.org/fhir/sid/ndc",
}
_UNKNOWN = {"url": systems.EXT_DATA_ABSENT, "valueCode": "unknown"}  # the payer named none
_CPT_LENGTH = 5
_CONTACTS = {"TE": "phone", "FX": "fax", "EM": "mail", "UR": "web", "EX": "extension"}  # PER03


def items(benefits: tuple[Benefit, ...]) -> list[Resource]:
    """Return the items of all rows that say something about benefits."""
    placed = [(row, _statement(row, rows)) for row, rows in _statements(benefits)]
    placed += [(item.row, _paired(item)) for item in accumulators.pair(benefits)]
    placed += [(row, _plain(row)) for row in benefits if is_plain(row)]
    placed.sort(key=lambda pair: (pair[0].index, pair[0].repeat))
    return [item for _, item in placed]


def is_plain(row: Benefit) -> bool:
    """Tell whether a row stands alone as an item: unlimited, or of a kind X12 does not list."""
    return row.kind == UNLIMITED or row.kind not in codes.names("eb01_benefit_information")


def money(amount: Decimal) -> Resource:
    """Return US dollars with at least two decimals; more are kept as the payer sent them."""
    cents = amount.quantize(_CENT)
    return {"value": cents if cents == amount else amount, "currency": "USD"}


def _statements(benefits: tuple[Benefit, ...]) -> Iterator[tuple[Benefit, list[Benefit]]]:
    """Yield each status or exclusion once, with all rows that say exactly the same."""
    groups: dict[Any, list[Benefit]] = {}
    for row in benefits:
        if row.kind in STATEMENTS:
            key = (
                row.kind,
                row.service_type,
                row.level,
                row.network,
                row.insurance_type,
                row.plan_name,
                row.period,
                row.amount,
                row.auth_raw,
                row.procedure,
                row.places,
                row.messages,
                row.dates,
                row.identifiers,
                row.entities,
            )
            groups.setdefault(key, []).append(row)
    yield from ((rows[0], rows) for rows in groups.values())


def _statement(row: Benefit, rows: list[Benefit]) -> Resource:
    excluded = row.kind in INACTIVE_KINDS | EXCLUDING
    return {**_frame(row, rows), "excluded": excluded, **_about(row)}


def _plain(row: Benefit) -> Resource:
    benefit: Resource = {"type": coding.benefit_type(row.kind, "", money=False)}
    if row.kind == UNLIMITED:
        benefit["allowedString"] = "unlimited"
    elif row.amount is not None:
        benefit["allowedMoney"] = money(row.amount)
    return {**_frame(row, [row]), **_about(row), "benefit": [benefit]}


def _paired(item: Item) -> Resource:
    row = item.row
    found = {**_frame(row, item.rows), **_about(row)}
    benefit: Resource = {
        "type": coding.benefit_type(row.kind, row.quantity_unit, money=row.amount is not None)
    }
    benefit.update(_quantified("allowed", row, item.allowed))
    benefit.update(_quantified("used", row, item.used))
    found["benefit"] = [benefit]
    found["extension"] = [*found["extension"], *_extras(item)]
    return found


def _quantified(name: str, row: Benefit, amount: Decimal | None) -> Resource:
    """Return name + Money, UnsignedInt or String: R4 has no decimal and no percent here."""
    if amount is None:
        return {}
    if row.amount is not None:
        return {f"{name}Money": money(amount)}
    if row.percent is not None and row.quantity is None:
        percent = amount * _HUNDRED
        if percent >= 0 and percent == percent.to_integral_value():
            return {f"{name}UnsignedInt": int(percent)}
        return {f"{name}String": f"{percent.normalize():f}%"}
    if 0 <= amount <= _GREATEST_INT and amount == amount.to_integral_value():
        return {f"{name}UnsignedInt": int(amount)}
    unit = codes.names("eb09_quantity_qualifier").get(row.quantity_unit, row.quantity_unit)
    return {f"{name}String": f"{amount:f} {unit.lower()}".strip()}


def _extras(item: Item) -> Iterator[Resource]:
    row = item.row
    for url, amount in (
        (systems.EXT_REMAINING, item.remaining),
        (systems.EXT_IMPLIED_TOTAL, item.implied_total),
    ):
        if amount is not None and row.amount is not None:
            yield {"url": url, "valueMoney": money(amount)}
        elif amount is not None:
            yield {"url": url, "valueDecimal": amount}
    if row.percent is not None:
        yield {"url": systems.EXT_PERCENT, "valueDecimal": row.percent}
    if item.derived:
        yield {"url": systems.EXT_DERIVED, "valueString": item.derived}
    if item.tier:
        yield {"url": systems.EXT_TIER, "valueString": " ".join(item.tier)}
    yield from flags(dict.fromkeys(item.flags))


def _frame(row: Benefit, rows: Iterable[Benefit]) -> Resource:
    """Return what places an item: its sources and the facts R4 has no element for."""
    extensions = [source(one) for one in rows]
    if row.insurance_type:
        name = codes.names("eb04_insurance_type").get(row.insurance_type, "")
        kind = coding.concept(systems.X12_INSURANCE_TYPE, row.insurance_type, name)
        extensions.append({"url": systems.EXT_INSURANCE_TYPE, "valueCodeableConcept": kind})
    if row.auth_raw and row.auth_required is None:
        extensions.append({"url": systems.EXT_AUTHORIZATION, "valueString": row.auth_raw})
    extensions += [
        {"url": systems.EXT_REFERRAL, "valueString": one.value}
        for one in row.identifiers
        if one.qualifier == REFERRAL and one.value
    ]
    extensions += [{"url": systems.EXT_PLACE_OF_SERVICE, "valueString": p} for p in row.places if p]
    extensions += [dated(one) for one in row.dates]
    extensions += [entity(one) for one in row.entities]
    extensions += flags(row.flags)
    return {"extension": extensions}


def _about(row: Benefit) -> Resource:
    """Return the elements of an item that the row itself fills."""
    found = _subject(row)
    if row.plan_name:
        found["name"] = row.plan_name
    text = _description(row)
    if text:
        found["description"] = text
    for name, code, concept in (
        ("network", row.network, coding.network),
        ("unit", row.level, coding.unit),
        ("term", row.period, coding.term),
    ):
        if code:
            found[name] = concept(code)
    if row.auth_required is not None:
        found["authorizationRequired"] = row.auth_required
    return found


def _subject(row: Benefit) -> Resource:
    """Return what the row is about: R4 wants a category or a procedure, never both (ces-1)."""
    category = coding.category(row.service_type) if row.service_type else None
    if row.procedure is None:
        return {"category": category or {"extension": [_UNKNOWN]}}
    found = _procedure(row.procedure)
    if category is not None:
        concept = found["productOrService"]
        concept["coding"] = [*concept.get("coding", []), *category.get("coding", [])]
        concept["text"] = f"{concept['text']} ({category['text']})"
    return found


def _procedure(procedure: Procedure) -> Resource:
    system = _PROCEDURE_SYSTEMS.get(procedure.qualifier)
    if (
        system == systems.HCPCS
        and procedure.code.isdecimal()
        and len(procedure.code) == _CPT_LENGTH
    ):
        system = systems.CPT
    range_end = f" to {procedure.code_to}" if procedure.code_to else ""
    concept: Resource = {"text": f"{procedure.code or 'not stated'}{range_end}"}
    if system and coding.is_code(procedure.code):
        concept["coding"] = [{"system": system, "code": procedure.code}]
    else:
        concept["text"] = f"{procedure.qualifier}:{concept['text']}"
    found: Resource = {"productOrService": concept}
    if procedure.modifiers:
        found["modifier"] = [{"text": modifier} for modifier in procedure.modifiers]
    return found


def _description(row: Benefit) -> str:
    sentences = [delivery(one) for one in row.deliveries]
    return " ".join([*(s for s in sentences if s), *row.messages])


def delivery(one: Delivery) -> str:
    """Return an HSD as a phrase: "20 visits per calendar year"."""
    if not one.quantity:
        return ""
    noun = codes.names("hsd01_quantity_qualifier").get(one.qualifier, one.qualifier).lower()
    text = f"{one.quantity} {noun}".strip()
    if one.unit:
        unit = codes.names("hsd03_unit").get(one.unit, one.unit).lower()
        text += f" per {unit}" if one.per in ("", "1") else f" per {one.per} {unit}"
    if one.period:
        period = codes.names("eb06_time_period").get(one.period, one.period).lower()
        text += f" per {period}" if one.periods in ("", "1") else f" in {one.periods} {period}s"
    return text


def source(row: Benefit) -> Resource:
    """Return the extension that leads back to an EB segment: its numbers and its text."""
    parts: list[Resource] = [
        {"url": "index", "valueUnsignedInt": row.index},
        {"url": "repeat", "valueUnsignedInt": row.repeat},
        {"url": "segment", "valueString": row.raw},
    ]
    if row.position:
        parts.insert(0, {"url": "position", "valuePositiveInt": row.position})
    return {"url": systems.EXT_SOURCE, "extension": parts}


def flags(found: Iterable[str]) -> list[Resource]:
    """Return one review-flag extension per flag."""
    return [{"url": systems.EXT_FLAG, "valueString": flag} for flag in found]


def dated(one: Dated) -> Resource:
    """Return a DTP of a row as an extension: its qualifier and its days."""
    name = codes.names("dtp01_date_qualifier").get(one.qualifier, one.qualifier)
    parts: list[Resource] = [{"url": "qualifier", "valueString": name or "not stated"}]
    period = {k: d.isoformat() for k, d in (("start", one.start), ("end", one.end)) if d}
    if period:
        parts.append({"url": "period", "valuePeriod": period})
    return {"url": systems.EXT_PERIOD, "extension": parts}


def entity(one: Entity) -> Resource:
    """Return a party of loop 2120 as an extension."""
    role = codes.names("nm101_entity_identifier").get(one.role, one.role) or "not stated"
    parts = [("role", role), ("name", one.name), ("id", one.id)]
    parts += [("contact", f"{_CONTACTS.get(kind, kind)} {number}") for kind, number in one.contacts]
    listed = [{"url": url, "valueString": text} for url, text in parts if text]
    return {"url": systems.EXT_ENTITY, "extension": listed}
