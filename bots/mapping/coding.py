"""Codings of an eligibility response: the X12 code always, the HL7 code where it means the same."""

import re
from functools import lru_cache

from fhir.resources.R4B.codeableconcept import CodeableConcept
from fhir.resources.R4B.coding import Coding

from fhir_profiles import codes, systems

_CODE = re.compile(r"\S+( \S+)*")  # FHIR R4 datatypes.html#code

# The 24 service types whose X12 code HL7's ex-benefitcategory shares.
_HL7_CATEGORIES = frozenset(
    "1 2 3 4 5 14 23 24 25 26 27 28 30 35 36 37 49 55 56 61 62 63 69 76".split()  # noqa: SIM905
)
_HL7_NETWORKS = {"Y": ("in", "In Network"), "N": ("out", "Out of Network")}
_HL7_UNITS = {
    "IND": ("individual", "Individual"),
    "FAM": ("family", "Family"),
    "EMP": ("individual", "Individual"),
}
_HL7_TERMS = {
    "22": ("annual", "Annual"),
    "23": ("annual", "Annual"),
    "24": ("annual", "Annual"),
    "25": ("annual", "Annual"),
    "32": ("lifetime", "Lifetime"),
    "33": ("lifetime", "Lifetime"),
    "7": ("day", "Day"),
    "13": ("day", "Day"),
}
_HL7_TYPES = {
    "A": ("copay-percent", "Copayment Percent per service"),
    "B": ("copay", "Copayment per service"),
    "C": ("deductible", "Deductible"),
}
_PCT_TYPES = {
    "A": ("coinsurance", "Co-Insurance"),
    "B": ("copay", "CoPay"),
    "C": ("deductible", "Deductible"),
}
_OUR_TYPES = {
    "G": ("out-of-pocket-maximum", "Out-of-pocket maximum"),
    "J": ("cost-containment-penalty", "Cost containment penalty"),
    "Y": ("spend-down", "Spend down"),
    "K": ("reserve", "Reserve"),
    "F": ("limitation", "Limitation"),
    "H": ("unlimited", "Unlimited"),
}
_NETWORK_TEXTS = {
    "Y": "In network",
    "N": "Out of network",
    "W": "In and out of network",
    "U": "Network unknown",
}
_VISITS = "VS"  # EB09


def concept(system: str, code: str, display: str, *more: tuple[str, str, str]) -> CodeableConcept:
    """Return a CodeableConcept with text, of (system, code, display) triples.

    What a payer sends in the place of a code and FHIR allows in none stands in the text only.
    """
    text = display or (f"Code {code} (not yet described)" if code else "Code not stated")
    if not is_code(code):
        return CodeableConcept(text=text)
    triples = ((system, code, display), *more)
    codings = [Coding(system=s, code=code, display=shown or None) for s, code, shown in triples]
    return CodeableConcept(text=text, coding=codings)


_kept = lru_cache(maxsize=1024)(concept)


def listed(system: str, code: str, name: str, *more: tuple[str, str, str]) -> CodeableConcept:
    """Return the concept of a code with its `name` on the list, "" for a code that is on none.

    One that is on its list is made once for all, so nobody changes it.
    """
    return (_kept if name else concept)(system, code, name, *more)


def is_code(text: str) -> bool:
    """Tell whether FHIR allows `text` as a code."""
    return _CODE.fullmatch(text) is not None


def category(service_type: str) -> CodeableConcept:
    """Return EB03 as item.category."""
    name = codes.names("service_type_codes").get(service_type, "")
    more = (
        [(systems.BENEFIT_CATEGORY, service_type, name)] if service_type in _HL7_CATEGORIES else []
    )
    return listed(systems.X12_SERVICE_TYPE, service_type, name, *more)


def network(code: str) -> CodeableConcept:
    """Return EB12 as item.network: W holds in and out alike, so it has no HL7 code."""
    more = [(systems.BENEFIT_NETWORK, *_HL7_NETWORKS[code])] if code in _HL7_NETWORKS else []
    return listed(systems.X12_NETWORK, code, _NETWORK_TEXTS.get(code, ""), *more)


def unit(code: str) -> CodeableConcept:
    """Return EB02 as item.unit."""
    name = codes.names("eb02_coverage_level").get(code, "")
    more = [(systems.BENEFIT_UNIT, *_HL7_UNITS[code])] if code in _HL7_UNITS else []
    return listed(systems.X12_LEVEL, code, name, *more)


def term(code: str) -> CodeableConcept:
    """Return EB06 as item.term."""
    name = codes.names("eb06_time_period").get(code, "")
    more = [(systems.BENEFIT_TERM, *_HL7_TERMS[code])] if code in _HL7_TERMS else []
    return listed(systems.X12_PERIOD, code, name, *more)


def benefit_type(kind: str, quantity_unit: str, *, money: bool) -> CodeableConcept:
    """Return EB01 as item.benefit.type.

    HL7 `benefit` is the most the plan pays, so EB01 G, the most the patient pays, is not it; EB01
    F is it when the limit is money, and `visit` when the limit is visits.
    """
    name = codes.names("eb01_benefit_information").get(kind, "")
    more = []
    if kind in _HL7_TYPES:
        more.append((systems.HL7_BENEFIT_TYPE, *_HL7_TYPES[kind]))
        more.append((systems.PCT_FINANCIAL, *_PCT_TYPES[kind]))
    elif kind == "F" and money:
        more.append((systems.HL7_BENEFIT_TYPE, "benefit", "Benefit"))
    elif kind == "F" and quantity_unit == _VISITS:
        more.append((systems.HL7_BENEFIT_TYPE, "visit", "Visit"))
    elif kind in _OUR_TYPES:
        more.append((systems.BENEFIT_TYPE, *_OUR_TYPES[kind]))
    return listed(systems.X12_BENEFIT, kind, name, *more)


def rejection(reason: str) -> CodeableConcept:
    """Return AAA03 as error.code."""
    rule = codes.policy("aaa03_policy").get(reason, {})
    return listed(systems.X12_REJECT, reason, rule.get("name", ""))
