"""Writes the 270 of an Inquiry: 005010X279A1, one subscriber or dependent, strict.

Whatever the guide requires and the Inquiry lacks is refused before anything is written, all of it
at once. Our delimiters and control characters are taken out of the data, never escaped.
"""

import re
from collections.abc import Sequence
from datetime import datetime

from bots.domain.eligibility import Inquiry, Person
from bots.x12 import elements, envelope, guide
from bots.x12.envelope import Sender
from bots.x12.guide import Finding
from bots.x12.syntax import Segment, Separators, Unreadable, repeats
from fhir_profiles import npi
from fhir_profiles.names import plain

# TRN03: ten characters, 9 and a code of the originator's own (X279A1 2000C TRN).
ORIGINATOR = "9INFORCE01"
_OUTSIDE = re.compile(r"[^A-Z0-9 !\"&'()+,\-./;?=%@\[\]_{}\\|<>#$]")
_ENTITY_PERSON, _ENTITY_ORGANIZATION = "1", "2"


class Incomplete(Exception):
    """The Inquiry lacks what a 270 must have; `missing` names every gap."""

    def __init__(self, missing: tuple[str, ...]) -> None:
        """Name the gaps: codes such as `member-id`, never values."""
        super().__init__("missing: " + ", ".join(missing))
        self.missing = missing


class OutsideGuide(Exception):
    """The Inquiry holds what the guide does not allow; `findings` say where and what."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        """Keep the findings, which hold no data."""
        super().__init__("; ".join(str(finding) for finding in findings))
        self.findings = tuple(findings)


def write(inquiry: Inquiry, *, sender: Sender, control: int, moment: datetime) -> str:
    """Return the interchange that asks `inquiry`.

    `control` numbers it, `moment` (aware) dates it. Raises Incomplete naming all gaps, and
    OutsideGuide where a value breaks the guide.
    """
    gaps = missing(inquiry)
    if gaps:
        raise Incomplete(gaps)
    body = _body(inquiry, moment)
    findings = guide.check("270", [_segment(line) for line in body], Separators())
    if findings:
        raise OutsideGuide(findings)
    return envelope.wrap(
        body,
        set_id="270",
        group_id="HS",
        sender=sender,
        control=control,
        moment=moment,
    )


def read(text: str) -> Inquiry:
    """Return the Inquiry of a 270 as `write` makes them. Raises Unreadable where it is none."""
    found = next((one for one in envelope.transactions(text) if one.set_id == "270"), None)
    if found is None:
        raise Unreadable("expected a 270")
    level = ""
    people: dict[str, Person] = {}
    parties: dict[str, Segment] = {}
    facts: dict[str, Segment] = {}
    for segment in found.segments:
        match segment.id:
            case "HL":
                level = segment.get(3)
            case "NM1" if segment.get(1) in ("IL", "03"):
                people[level] = elements.person(segment)
            case "NM1":
                parties[level] = segment
            case "DMG":
                people[level] = elements.with_demographics(people[level], segment)
            case "TRN" | "INS" | "DTP" | "EQ":
                facts[segment.id] = segment
    return _inquiry(people, parties, facts, found.marks)


def _inquiry(
    people: dict[str, Person],
    parties: dict[str, Segment],
    facts: dict[str, Segment],
    marks: Separators,
) -> Inquiry:
    """Put together what the levels say: 20 the payer, 21 the provider, 22 and 23 the persons."""
    try:
        payer, provider, dtp = parties["20"], parties["21"], facts["DTP"]
        on = elements.day(dtp.get(3))
        if on is None:
            raise Unreadable("expected a day in DTP03")
        return Inquiry(
            trace=facts["TRN"].get(2),
            payer_name=payer.get(3),
            payer_id=payer.get(9),
            provider_name=provider.get(3),
            provider_npi=provider.get(9),
            subscriber=people["22"],
            service_date=on,
            dependent=people.get("23"),
            relationship=facts["INS"].get(2) if "INS" in facts else "",
            service_types=tuple(repeats(facts["EQ"].get(1), marks)),
        )
    except KeyError as error:
        raise Unreadable(f"expected {error} in the 270") from error


def missing(inquiry: Inquiry) -> tuple[str, ...]:
    """Return what the primary search of X279A1 needs and the Inquiry does not have, in order."""
    patient = inquiry.dependent or inquiry.subscriber
    needed = (
        ("payer-id", bool(clean(inquiry.payer_id, 80))),
        ("payer-name", bool(clean(inquiry.payer_name, 60))),
        ("provider-npi", npi.is_npi(inquiry.provider_npi)),
        ("provider-name", bool(clean(inquiry.provider_name, 60))),
        ("member-id", len(clean(inquiry.subscriber.member_id, 80)) > 1),
        ("patient-name", bool(clean(patient.last, 60))),
        ("birth-date", patient.birth_date is not None),
        ("relationship", inquiry.dependent is None or inquiry.relationship in ("01", "19", "34")),
        ("service-type", bool(inquiry.service_types)),
    )
    return tuple(name for name, there in needed if not there)


def clean(text: str, length: int) -> str:
    """Return `text` as X12 data: upper case, accents folded, our delimiters gone, cut to length."""
    return " ".join(_OUTSIDE.sub(" ", plain(text)).split())[:length].rstrip()


def _segment(line: list[str]) -> Segment:
    return Segment(line[0], tuple(line), "")


def _body(inquiry: Inquiry, moment: datetime) -> list[list[str]]:
    dependent = inquiry.dependent
    trace = ["TRN", "1", inquiry.trace, ORIGINATOR]
    lines = [
        ["BHT", "0022", "13", inquiry.trace, moment.strftime("%Y%m%d"), moment.strftime("%H%M")],
        ["HL", "1", "", "20", "1"],
        [
            "NM1",
            "PR",
            _ENTITY_ORGANIZATION,
            clean(inquiry.payer_name, 60),
            "",
            "",
            "",
            "",
            "PI",
            clean(inquiry.payer_id, 80),
        ],
        ["HL", "2", "1", "21", "1"],
        [
            "NM1",
            "1P",
            _ENTITY_ORGANIZATION,
            clean(inquiry.provider_name, 60),
            "",
            "",
            "",
            "",
            "XX",
            inquiry.provider_npi,
        ],
        ["HL", "3", "2", "22", "1" if dependent else "0"],
    ]
    if dependent is None:
        lines.append(trace)
        lines += _person("IL", inquiry.subscriber)
    else:
        lines += _person("IL", inquiry.subscriber)
        lines += [["HL", "4", "3", "23", "0"], trace]
        lines += _person("03", dependent)
        lines.append(["INS", "N", inquiry.relationship])
    lines.append(["DTP", "291", "D8", f"{inquiry.service_date:%Y%m%d}"])
    lines.append(["EQ", "^".join(inquiry.service_types)])
    return lines


def _person(role: str, person: Person) -> list[list[str]]:
    has_id = role == "IL"
    name = [
        "NM1",
        role,
        _ENTITY_PERSON,
        clean(person.last, 60),
        clean(person.first, 35),
        clean(person.middle, 25),
        "",
        clean(person.suffix, 10),
        "MI" if has_id else "",
        clean(person.member_id, 80) if has_id else "",
    ]
    lines = [name]
    if person.birth_date is not None:
        lines.append(["DMG", "D8", f"{person.birth_date:%Y%m%d}", person.gender])
    return lines
