"""The benefit rows of an answer as insurance.item of a CoverageEligibilityResponse.

One item per limit, share or statement, in the payer's order; each leads back to its EB segments.
An absent amount stays absent. Source: FHIR R4 coverageeligibilityresponse.html.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

from fhir.resources.R4B.codeableconcept import CodeableConcept
from fhir.resources.R4B.coding import Coding
from fhir.resources.R4B.coverageeligibilityresponse import (
    CoverageEligibilityResponseInsuranceItem,
    CoverageEligibilityResponseInsuranceItemBenefit,
)
from fhir.resources.R4B.extension import Extension
from fhir.resources.R4B.money import Money

from bots.domain import accumulators
from bots.domain.eligibility import Benefit, Dated, Delivery, Entity, Procedure
from bots.domain.verdict import ACTIVE_KINDS, INACTIVE_KINDS
from bots.mapping import coding, models
from fhir_profiles import codes, systems

Values = dict[str, Any]  # by the names of a model's elements
EXCLUDING = frozenset({"E", "I", "O"})
STATEMENTS = ACTIVE_KINDS | INACTIVE_KINDS | EXCLUDING
UNLIMITED = "H"
_NOTES = frozenset({"CB", "D", "M", "P", "Q"})
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
_UNNAMED = CodeableConcept(  # the payer named none
    extension=[models.Extension(url=systems.EXT_DATA_ABSENT, valueCode="unknown")]
)
_CPT_LENGTH = 5
_CONTACTS = {"TE": "phone", "FX": "fax", "EM": "mail", "UR": "web", "EX": "extension"}  # PER03


def items(benefits: tuple[Benefit, ...]) -> list[CoverageEligibilityResponseInsuranceItem]:
    """Return the items of all rows that say something about benefits."""
    placed = [(row, _statement(row, rows)) for row, rows in _statements(benefits)]
    placed += [(item.row, _paired(item)) for item in accumulators.pair(benefits)]
    placed += [(row, _plain(row)) for row in benefits if is_plain(row)]
    placed.sort(key=lambda pair: (pair[0].index, pair[0].repeat))
    return [CoverageEligibilityResponseInsuranceItem(**item) for _, item in placed]


def is_plain(row: Benefit) -> bool:
    """Tell whether a row stands alone as an item.

    That is one that is unlimited, of a kind X12 does not list, or a note with a number or with a
    word on authorization.
    """
    if row.kind in _NOTES:
        return bool(row.auth_raw) or accumulators.value(row) is not None
    return row.kind == UNLIMITED or row.kind not in codes.names("eb01_benefit_information")


def money(amount: Decimal) -> Money:
    """Return US dollars with at least two decimals; more are kept as the payer sent them."""
    return _money(str(amount))


@lru_cache(maxsize=1024)  # as they name the same few amounts; equal ones may differ in digits
def _money(written: str) -> Money:
    amount = Decimal(written)
    cents = amount.quantize(_CENT) if amount else abs(amount).quantize(_CENT)
    return Money(value=cents if cents == amount else amount, currency="USD")


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


def _statement(row: Benefit, rows: list[Benefit]) -> Values:
    excluded = row.kind in INACTIVE_KINDS | EXCLUDING
    return {"extension": _extensions(row, rows), "excluded": excluded, **_about(row)}


def _plain(row: Benefit) -> Values:
    if row.kind == UNLIMITED:
        allowed: Values = {"allowedString": "unlimited"}
    else:
        allowed = _quantified("allowed", row, accumulators.value(row))
    kind = coding.benefit_type(row.kind, "", money=False)
    benefit = CoverageEligibilityResponseInsuranceItemBenefit(type=kind, **allowed)
    extensions = _extensions(row, [row])
    if row.percent is not None:
        extensions.append(models.Extension(url=systems.EXT_PERCENT, valueDecimal=row.percent))
    return {"extension": extensions, **_about(row), "benefit": [benefit]}


def _paired(item: accumulators.Item) -> Values:
    row = item.row
    benefit = CoverageEligibilityResponseInsuranceItemBenefit(
        type=coding.benefit_type(row.kind, row.quantity_unit, money=row.amount is not None),
        **_quantified("allowed", row, item.allowed),
        **_quantified("used", row, item.used),
    )
    extensions = [*_extensions(row, item.rows), *_extras(item)]
    return {"extension": extensions, **_about(row), "benefit": [benefit, *_further(row)]}


def _further(row: Benefit) -> Iterator[CoverageEligibilityResponseInsuranceItemBenefit]:
    """Yield the quantity of a row that has an amount, too: a limit by both."""
    if row.amount is not None and row.quantity is not None and accumulators.role(row) == "":
        yield CoverageEligibilityResponseInsuranceItemBenefit(
            type=coding.benefit_type(row.kind, row.quantity_unit, money=False),
            allowedString=_counted(row, row.quantity),
        )


def _quantified(name: str, row: Benefit, amount: Decimal | None) -> Values:
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
    return {f"{name}String": _counted(row, amount)}


def _counted(row: Benefit, quantity: Decimal) -> str:
    unit = codes.names("eb09_quantity_qualifier").get(row.quantity_unit, row.quantity_unit)
    return f"{quantity:f} {unit.lower()}".strip()


def _extras(item: accumulators.Item) -> Iterator[Extension]:
    row = item.row
    for url, amount in (
        (systems.EXT_REMAINING, item.remaining),
        (systems.EXT_IMPLIED_TOTAL, item.implied_total),
    ):
        if amount is not None and row.amount is not None:
            yield _left(url, str(amount))
        elif amount is not None:
            yield models.Extension(url=url, valueDecimal=amount)
    if row.percent is not None:
        yield models.Extension(url=systems.EXT_PERCENT, valueDecimal=row.percent)
    if item.derived:
        yield _derived(item.derived)
    if item.tier:
        yield _said(systems.EXT_TIER, " ".join(item.tier))
    yield from flags(dict.fromkeys(item.flags))


@cache
def _derived(how: str) -> Extension:
    return _said(systems.EXT_DERIVED, how)


@lru_cache(maxsize=1024)
def _left(url: str, written: str) -> Extension:
    return models.Extension(url=url, valueMoney=_money(written))


def _extensions(row: Benefit, rows: Iterable[Benefit]) -> list[Extension]:
    """Return what places an item: its sources and the facts R4 has no element for."""
    found = [source(one) for one in rows]
    if row.insurance_type:
        name = codes.names("eb04_insurance_type").get(row.insurance_type, "")
        kind = coding.listed(systems.X12_INSURANCE_TYPE, row.insurance_type, name)
        found.append(models.Extension(url=systems.EXT_INSURANCE_TYPE, valueCodeableConcept=kind))
    if row.auth_raw and row.auth_required is None:
        found.append(_said(systems.EXT_AUTHORIZATION, row.auth_raw))
    found += [
        _said(systems.EXT_REFERRAL, one.value)
        for one in row.identifiers
        if one.qualifier == REFERRAL and one.value
    ]
    found += [_said(systems.EXT_PLACE_OF_SERVICE, place) for place in row.places if place]
    found += [dated(one) for one in row.dates]
    found += [entity(one) for one in row.entities]
    return found + flags(row.flags)


def _said(url: str, text: str) -> Extension:
    return models.Extension(url=url, valueString=text)


def _about(row: Benefit) -> Values:
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


def _subject(row: Benefit) -> Values:
    """Return what the row is about: R4 wants a category or a procedure, never both (ces-1)."""
    category = coding.category(row.service_type) if row.service_type else None
    if row.procedure is None:
        return {"category": category or _UNNAMED}
    codings, text = _procedure(row.procedure)
    if category is not None:
        codings += category.coding or []
        text = f"{text} ({category.text})"
    found: Values = {"productOrService": CodeableConcept(coding=codings or None, text=text)}
    if row.procedure.modifiers:
        found["modifier"] = [CodeableConcept(text=one) for one in row.procedure.modifiers]
    return found


def _procedure(procedure: Procedure) -> tuple[list[Coding], str]:
    """Return the coding of a procedure, none where its system is unknown, and its text."""
    system = _PROCEDURE_SYSTEMS.get(procedure.qualifier)
    if (
        system == systems.HCPCS
        and procedure.code.isdecimal()
        and len(procedure.code) == _CPT_LENGTH
    ):
        system = systems.CPT
    range_end = f" to {procedure.code_to}" if procedure.code_to else ""
    text = f"{procedure.code or 'not stated'}{range_end}"
    if system and coding.is_code(procedure.code):
        return [Coding(system=system, code=procedure.code)], text
    return [], f"{procedure.qualifier}:{text}"


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
        text += (
            f" per {period}"
            if one.periods in ("", "1")
            else f" in {one.periods} {period.removesuffix('s')}s"
        )
    return text


def source(row: Benefit) -> Extension:
    """Return the extension that leads back to an EB segment: its numbers and its text."""
    parts = [_number("index", row.index), _number("repeat", row.repeat), _said("segment", row.raw)]
    if row.position:
        parts.insert(0, _position(row.position))
    return models.Extension(url=systems.EXT_SOURCE, extension=parts)


@lru_cache(maxsize=4096)
def _number(url: str, number: int) -> Extension:
    return models.Extension(url=url, valueUnsignedInt=number)


@lru_cache(maxsize=4096)
def _position(number: int) -> Extension:
    return models.Extension(url="position", valuePositiveInt=number)


def flags(found: Iterable[str]) -> list[Extension]:
    """Return one review-flag extension per flag."""
    return [_said(systems.EXT_FLAG, flag) for flag in found]


@lru_cache(maxsize=1024)  # the rows of an answer name the same few days
def dated(one: Dated) -> Extension:
    """Return a DTP of a row as an extension: its qualifier and its days."""
    name = codes.names("dtp01_date_qualifier").get(one.qualifier, one.qualifier)
    parts = [_said("qualifier", name or "not stated")]
    if one.start or one.end:
        parts.append(models.Extension(url="period", valuePeriod=models.period(one.start, one.end)))
    return models.Extension(url=systems.EXT_PERIOD, extension=parts)


def entity(one: Entity) -> Extension:
    """Return a party of loop 2120 as an extension."""
    role = codes.names("nm101_entity_identifier").get(one.role, one.role) or "not stated"
    parts = [("role", role), ("name", one.name), ("id", one.id)]
    parts += [("contact", f"{_CONTACTS.get(kind, kind)} {number}") for kind, number in one.contacts]
    listed = [_said(url, text) for url, text in parts if text]
    return models.Extension(url=systems.EXT_ENTITY, extension=listed)
