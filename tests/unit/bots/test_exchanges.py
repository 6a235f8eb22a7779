"""What went to a payer and came back: sealed, found by its trace number, read again."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from bots import exchanges
from bots.errors import NeverRetry
from bots.exchanges import NotKept
from bots.handlers import check_eligibility
from bots.mapping import payload
from bots.ports import Exchange, Failure
from bots.vault import Sealed, Vault
from bots.x12 import eligibility_270, eligibility_271
from bots.x12.envelope import Sender
from fhir_profiles import codec, elements, systems
from server.validation import structure
from tests import samples
from tests.fakes import NOW, VAULT, FakeClearinghouse, FakeFhir, tools
from tests.unit.bots.test_270 import INQUIRY
from tests.x12_texts import answer_271

SENT = eligibility_270.write(
    structs.replace(INQUIRY, subscriber=structs.replace(INQUIRY.subscriber, member_id="INF100001")),
    sender=Sender("INFORCE", "STEDI"), control=7, moment=NOW,
)  # fmt: skip
TEXT = answer_271("EB*1**30", "EB*B**98***27*25")
GOOD = Exchange("fake", answer=eligibility_271.read(TEXT), sent=SENT, received=TEXT.encode())


def world() -> FakeFhir:
    return FakeFhir(samples.coverage(), samples.patient(), samples.payer(), samples.clinic(),
                    samples.request())  # fmt: skip


def checked(fhir: FakeFhir, exchange: Exchange) -> dict[str, Any]:
    check_eligibility.handle(samples.request(), tools(fhir, FakeClearinghouse(exchange)))
    (stored,) = fhir.all("CoverageEligibilityResponse")
    return stored


def test_both_sides_are_kept_and_nobody_reads_them() -> None:
    """A DocumentReference over two sealed Binaries, valid R4, without a word of the payload."""
    fhir = world()
    stored = checked(fhir, GOOD)

    (link,) = elements.extensions(stored, systems.EXT_EXCHANGE)
    (document,) = fhir.all("DocumentReference")
    binaries = fhir.all("Binary")
    assert f"DocumentReference/{document['id']}" == link["valueReference"]["reference"]
    assert (2, "TRACE1") == (len(binaries), elements.identifier(document, systems.TRACE))
    for one in (document, *binaries):
        assert [] == structure.check(codec.decode(codec.encode(one)))
        assert b"RIVERA" not in codec.encode(one) + payload.content(one)
    assert [TEXT.encode()] == exchanges.shown(tools(fhir), "TRACE1", who="ada", sent=False)
    assert [SENT.encode()] == exchanges.shown(tools(fhir), "TRACE1", who="ada", sent=True)


def test_who_reads_is_recorded_before() -> None:
    """An AuditEvent names the person, the document and the patient; nothing is shown without."""
    fhir = world()
    checked(fhir, GOOD)
    exchanges.shown(tools(fhir), "TRACE1", who="ada", sent=False)

    (event,) = fhir.all("AuditEvent")
    assert [] == structure.check(codec.decode(codec.encode(event)))
    assert ("ada", "R") == (event["agent"][0]["altId"], event["action"])
    assert {"Patient/pat"} <= {one["what"]["reference"] for one in event["entity"]}
    with pytest.raises(NotKept):
        exchanges.shown(tools(fhir), "OTHER", who="ada", sent=False)


def test_every_way_an_exchange_ends_is_kept() -> None:
    """No answer, another person's, bytes that are no text, an earlier route: each by its bytes."""
    down = Failure("no-answer", "No whole answer.", again=False)
    other = TEXT.replace("RIVERA*ANA", "OKAFOR*BEN")
    for exchange, received in (
        (Exchange("fake", failure=down, sent=SENT), []),
        (Exchange("fake", failure=down, sent=SENT, received=b"\xff\x00"), [b"\xff\x00"]),
        (replace(GOOD, answer=eligibility_271.read(other), received=other.encode()),
         [other.encode()]),
        (replace(GOOD, earlier=(Exchange("first", failure=down, sent=SENT, received=b"half"),)),
         [b"half", TEXT.encode()]),
    ):  # fmt: skip
        fhir = world()
        checked(fhir, exchange)
        (sent, *_) = exchanges.shown(tools(fhir), "TRACE1", who="ada", sent=True)
        assert SENT.encode() == sent
        if received:
            shown = exchanges.shown(tools(fhir), "TRACE1", who="ada", sent=False)
            assert sorted(received) == sorted(shown)


def test_a_server_that_takes_no_payload_costs_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is stored, and says that its bytes are not kept."""

    def refuse(_self: FakeFhir, _resources: object) -> None:
        raise NeverRetry("FHIR server refused a transaction")

    for name in ("put_all", "transact"):
        monkeypatch.setattr(FakeFhir, name, refuse)
    stored = checked(world(), GOOD)

    flags = [e["valueString"] for e in elements.extensions(stored, systems.EXT_FLAG)]
    assert (["payload-not-kept"], "complete") == (flags, stored["outcome"])


def test_reading_again_finds_nothing_until_the_reader_changes() -> None:
    """Determinism: the same bytes give the same response; a change is told and stored on demand."""
    fhir = world()
    stored = checked(fhir, GOOD)
    assert [()] == [one.differs for one in exchanges.read_again(tools(fhir))]

    older = {**stored, "disposition": "As an older reader had it."}
    older["insurance"] = [{**stored["insurance"][0], "item": stored["insurance"][0]["item"][:1]}]
    fhir.put(older)
    (one,) = exchanges.read_again(tools(fhir))
    assert ("disposition", "insurance.item: 1 become 2") == one.differs
    assert exchanges.store(tools(fhir), one)

    (mended,) = fhir.all("CoverageEligibilityResponse")
    assert stored["insurance"] == mended["insurance"]
    assert stored["created"] == mended["created"]
    assert [()] == [one.differs for one in exchanges.read_again(tools(fhir))]


def test_the_order_of_members_is_no_difference() -> None:
    """Whatever order an older version, or another server, wrote them in."""
    fhir = world()
    stored = checked(fhir, GOOD)
    fhir.put(turned(stored))

    assert stored == turned(stored)
    assert [()] == [one.differs for one in exchanges.read_again(tools(fhir))]


def turned(value: Any) -> Any:
    """Return JSON with the members of every object in the other order."""
    if isinstance(value, dict):
        return {name: turned(one) for name, one in reversed(value.items())}
    return [turned(one) for one in value] if isinstance(value, list) else value


def test_what_cannot_be_read_again_is_named() -> None:
    """Another key: a problem of that response, and nothing of it is touched."""
    fhir = world()
    checked(fhir, GOOD)
    kit = replace(tools(fhir), vault=Vault(["another key that did not seal it, ever"]))

    (one,) = exchanges.read_again(kit)
    assert "none of our keys opens the payload" in one.problem
    assert not exchanges.store(kit, one)


def test_who_tries_in_vain_is_recorded_as_such() -> None:
    """Another key opens nothing: an AuditEvent of outcome 4, serious failure."""
    fhir = world()
    checked(fhir, GOOD)
    kit = replace(tools(fhir), vault=Vault(["another key that did not seal it, ever"]))
    with pytest.raises(NotKept):
        exchanges.shown(kit, "TRACE1", who="ada", sent=False)

    (audit,) = fhir.all("AuditEvent")
    assert ("4", "ada") == (audit["outcome"], audit["agent"][0]["altId"])


def test_keys_change_and_old_payloads_stay_readable() -> None:
    """The first seals, all open; a payload that was changed opens by none."""
    old = VAULT.seal(b"ISA", "application/edi-x12")
    both = Vault(
        ["a new key that seals from now on, 32+", "a payload key of the tests, 32 characters"]
    )

    assert b"ISA" == both.open(old)
    new = both.seal(b"ISA", "application/edi-x12")
    with pytest.raises(Sealed):
        VAULT.open(new)
    for broken in (old[:-4] + b"AAAA", b"", b"a.b.c.d.e"):
        with pytest.raises(Sealed):
            VAULT.open(broken)
