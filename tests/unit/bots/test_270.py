"""The 270 we send, against the usage table of the guide (x12 4.1; R002-12 to R002-17)."""

import csv
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bots.domain.eligibility import Inquiry, Person
from bots.x12 import eligibility_270, guide
from bots.x12.eligibility_270 import Incomplete, OutsideGuide
from bots.x12.envelope import Sender, transactions
from bots.x12.syntax import Unreadable, separators

USAGE = Path(__file__).parents[3] / "fhir_profiles" / "x12" / "x279a1_270_usage.csv"
MOMENT = datetime(2026, 11, 24, 15, 30, tzinfo=UTC)
SUBSCRIBER = Person("Rivera", "Ana", "Q", member_id="MEM0001", birth_date=date(1985, 2, 14),
                    gender="F")  # fmt: skip
INQUIRY = Inquiry(
    trace="TRACE0001",
    payer_name="Example Health",
    payer_id="00099",
    provider_name="Riverside Clinic",
    provider_npi="1999999984",
    subscriber=SUBSCRIBER,
    service_date=date(2026, 12, 1),
)
DEPENDENT = replace(
    INQUIRY,
    dependent=Person("Rivera", "Robin", birth_date=date(2015, 3, 4), gender="M"),
    relationship="19",
)


def write(inquiry: Inquiry, control: int = 7) -> str:
    return eligibility_270.write(inquiry, sender=Sender("INFORCE", "STEDI"), control=control,
                                 moment=MOMENT)  # fmt: skip


def lines(text: str) -> list[str]:
    return [part for part in text.split("~") if part]


def test_a_subscriber_inquiry_segment_by_segment() -> None:
    """The whole transaction, as the guide orders it."""
    assert lines(write(INQUIRY))[2:-2] == [
        "ST*270*0001*005010X279A1",
        "BHT*0022*13*TRACE0001*20261124*1530",
        "HL*1**20*1",
        "NM1*PR*2*EXAMPLE HEALTH*****PI*00099",
        "HL*2*1*21*1",
        "NM1*1P*2*RIVERSIDE CLINIC*****XX*1999999984",
        "HL*3*2*22*0",
        "TRN*1*TRACE0001*9INFORCE01",
        "NM1*IL*1*RIVERA*ANA*Q***MI*MEM0001",
        "DMG*D8*19850214*F",
        "DTP*291*D8*20261201",
        "EQ*30",
        "SE*13*0001",
    ]


def test_a_dependent_inquiry_has_both_loops() -> None:
    """prior-art check 9: the subscriber's id above, the dependent with relationship below."""
    assert (
        lines(write(DEPENDENT))[8:-3]
        == [
            "HL*3*2*22*1",
            "NM1*IL*1*RIVERA*ANA*Q***MI*MEM0001",
            "DMG*D8*19850214*F",
            "HL*4*3*23*0",
            "TRN*1*TRACE0001*9INFORCE01",
            "NM1*03*1*RIVERA*ROBIN",
            "DMG*D8*20150304*M",
            "INS*N*19",
            "DTP*291*D8*20261201",
            "EQ*30",
            "SE*17*0001",
        ][:-1]
    )


def test_the_envelope() -> None:
    """ISA is 106 characters, control numbers agree, GS01 is HS."""
    text = write(INQUIRY, control=123)

    isa, gs = lines(text)[:2]
    assert "~" == text[105]
    assert (
        "ISA*00*          *00*          *ZZ*INFORCE        *ZZ*STEDI          *261124*1530*^*00501"
        "*000000123*0*P*:" == isa
    )
    assert "GS*HS*INFORCE*STEDI*20261124*1530*123*X*005010X279A1" == gs
    assert ["GE*1*123", "IEA*1*000000123"] == lines(text)[-2:]


def test_all_gaps_are_named_at_once() -> None:
    """prior-art check 14: nothing is sent, everything that is missing is told."""
    empty = Inquiry("T", "", "", "", "", Person(""), date(2026, 1, 1))
    with pytest.raises(Incomplete) as refused:
        write(empty)

    assert (
        "payer-id", "payer-name", "provider-npi", "provider-name", "member-id", "patient-name",
        "birth-date",
    ) == refused.value.missing  # fmt: skip


@pytest.mark.parametrize(
    ("change", "gap"),
    [
        ({"relationship": "18"}, "relationship"),
        ({"dependent": Person("Rivera", "Robin")}, "birth-date"),
        ({"service_types": ()}, "service-type"),
        ({"provider_npi": "1999999985"}, "provider-npi"),
    ],
)
def test_one_gap(change: dict[str, object], gap: str) -> None:
    """A dependent needs a relationship and a birth date; an NPI its check digit (R002-14)."""
    changed = replace(DEPENDENT, **change)

    assert (gap,) == eligibility_270.missing(changed)


@pytest.mark.parametrize(
    "asked", [INQUIRY, DEPENDENT, replace(INQUIRY, service_types=("98", "UC"))]
)
def test_what_was_written_is_read_again(asked: Inquiry) -> None:
    """The question as it went out, in capitals."""

    def capitals(person: Person) -> Person:
        return replace(person, last=person.last.upper(), first=person.first.upper())

    dependent = asked.dependent and capitals(asked.dependent)
    assert eligibility_270.read(write(asked)) == replace(
        asked, payer_name="EXAMPLE HEALTH", provider_name="RIVERSIDE CLINIC",
        subscriber=capitals(asked.subscriber), dependent=dependent,
    )  # fmt: skip


@pytest.mark.parametrize("text", ["", "ISA", write(INQUIRY).replace("DTP*291", "DTX*291"),
                                  write(INQUIRY).replace("ST*270", "ST*271")])  # fmt: skip
def test_what_is_no_270_is_refused(text: str) -> None:
    """With what was expected."""
    with pytest.raises(Unreadable):
        eligibility_270.read(text)


def test_what_the_guide_does_not_allow_is_not_written() -> None:
    """Refused with the place and the rule, without the value."""
    with pytest.raises(OutsideGuide) as refused:
        write(replace(INQUIRY, service_types=("30", "ZZZ")))

    assert ["EQ01 in loop 2110C, segment 12: element too long",
            "EQ01 in loop 2110C, segment 12: invalid code value"] == list(
                map(str, refused.value.findings))  # fmt: skip
    assert "ZZZ" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "length", "expected"),
    [
        ("O'Brien", 60, "O'BRIEN"),
        ("Núñez", 60, "NUNEZ"),
        ("Łukaszøwski Æ", 60, "LUKASZOWSKI AE"),
        ("A*B~C:D^E", 60, "A B C D E"),
        ("x" * 61, 60, "X" * 60),
        ("a\n\tb", 60, "A B"),
    ],
)
def test_names_are_made_fit(text: str, length: int, expected: str) -> None:
    """Accents folded, our delimiters and control characters out, cut to length."""
    assert expected == eligibility_270.clean(text, length)


def usage() -> dict[tuple[str, str], dict[str, str]]:
    with USAGE.open(encoding="utf-8") as file:
        return {(row["loop"], row["element"]): row for row in csv.DictReader(file)}


def loops_of(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return (loop, segment) of everything between ST and SE, by the HL levels."""
    (one,) = transactions(text)
    level, found = "", []
    for segment in one.segments:
        if segment.id == "HL":
            level = {"20": "A", "21": "B", "22": "C", "23": "D"}[segment.get(3)]
        number = {"NM1": "2100", "DMG": "2100", "INS": "2100", "DTP": "2100", "EQ": "2110"}
        loop = f"{number.get(segment.id, '2000')}{level}" if level else "HEADER"
        found.append((loop, tuple(segment.elements)))
    return found


names = st.text(min_size=1, max_size=80).filter(lambda t: bool(eligibility_270.clean(t, 60)))


@given(names, names, st.booleans(), st.lists(st.sampled_from(["30", "98", "UC"]), min_size=1,
                                             max_size=3, unique=True))  # fmt: skip
def test_everything_we_write_is_within_the_guide(
    last: str, payer: str, dependent: bool, types: list[str]
) -> None:  # fmt: skip
    """Whatever the names hold: lengths, codes and required elements of the usage table."""
    person = replace(SUBSCRIBER, last=last)
    base = DEPENDENT if dependent else INQUIRY
    text = write(replace(base, subscriber=person, payer_name=payer, service_types=tuple(types)))

    (whole,) = transactions(text)
    assert [] == guide.check("270", whole.segments, whole.marks)
    table = usage()
    assert separators(text).segment == "~"
    for loop, (name, *elements) in loops_of(text):
        for number, value in enumerate(elements, start=1):
            row = table.get((loop, f"{name}{number:02d}"))
            if row is None or not value:
                continue
            for one in value.split("^"):
                assert int(row["min"]) <= len(one) <= int(row["max"]), (loop, name, number)
                allowed = row["codes"].split()
                listed = bool(allowed) and allowed[0] != "see"
                assert not listed or one in allowed, (loop, name, number, one)
