"""Alerts over fakes: one mail per spell, at once or together, whatever fails between."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bots import alerting, digest
from bots.errors import RetryLater
from bots.handlers import alert_could_not_check, alert_flip, alert_inactive, check_eligibility
from bots.mapping import alert
from bots.ports import Exchange, Failure, Tools
from fhir_profiles import elements, systems
from tests import samples
from tests.fakes import NOW, FakeClearinghouse, FakeFhir, FakeMail, tools
from tests.unit.bots.test_handlers import responses, told, world


def inactive(fhir: FakeFhir, trace: str = "TRACE1", minutes: int = 0) -> dict[str, Any]:
    """Run a check that says inactive and return the stored response."""
    later = NOW + timedelta(minutes=minutes)
    wish = samples.request(identifier=[{"system": systems.TRACE, "value": trace}])
    kit = tools(fhir, FakeClearinghouse(told("EB*6**30")), now=lambda: later)
    check_eligibility.handle(wish, kit)
    return fhir.search("CoverageEligibilityResponse", [("identifier", f"{systems.TRACE}|{trace}")])[
        0
    ]


def test_one_mail_per_spell() -> None:
    """prior-art check 35: twice delivered, twice inactive, one mail."""
    fhir, mail = world(), FakeMail()
    first, second = inactive(fhir, "A"), inactive(fhir, "B", 5)
    for found in (first, first, second):
        alert_inactive.handle(found, tools(fhir, mail=mail))

    (message,) = fhir.all("Communication")
    assert (1, "completed") == (len(mail.sent), message["status"])
    assert ["billing@clinic.example"] == mail.sent[0]["to"]
    assert mail.sent[0]["id"] == elements.identifier(message, systems.MESSAGE_ID)


def asked_about(
    day: str, trace: str, words: str, minutes: int, fhir: FakeFhir, mail: FakeMail
) -> None:
    """Run a check about a day, and all that listens to its answer."""
    later = NOW + timedelta(minutes=minutes)
    wish = samples.request(
        identifier=[{"system": systems.TRACE, "value": trace}], servicedDate=day
    )  # fmt: skip
    kit = tools(fhir, FakeClearinghouse(told(words)), mail=mail, now=lambda: later)
    check_eligibility.handle(wish, kit)
    alert_inactive.handle(responses(fhir)[-1], kit)
    for task in fhir.all("Task"):
        alert_flip.handle(task, kit)


def test_a_day_that_is_over_is_news_to_nobody() -> None:
    """Neither a mail nor a flip, nor a mark on the coverage; what holds now is not asked again."""
    fhir, mail = world(), FakeMail()
    asked_about("2026-11-24", "A", "EB*1**30", 0, fhir, mail)
    before = fhir.all("Coverage"), fhir.all("CoverageEligibilityRequest")
    asked_about("2025-01-10", "B", "EB*6**30", 1, fhir, mail)
    assert before == (fhir.all("Coverage"), fhir.all("CoverageEligibilityRequest"))
    asked_about("2026-11-24", "C", "EB*1**30", 2, fhir, mail)

    assert ([], [], []) == (mail.sent, fhir.all("Task"), fhir.all("Flag"))
    assert "2025-01-10" in [one["servicedDate"] for one in responses(fhir)]


def test_a_new_spell_is_a_new_mail() -> None:
    """Inactive, active, inactive again."""
    fhir, mail = world(), FakeMail()
    alert_inactive.handle(inactive(fhir, "A"), tools(fhir, mail=mail))
    wish = samples.request(identifier=[{"system": systems.TRACE, "value": "B"}])
    later = NOW + timedelta(minutes=5)
    check_eligibility.handle(
        wish, tools(fhir, FakeClearinghouse(told("EB*1**30")), now=lambda: later)
    )
    alert_inactive.handle(inactive(fhir, "C", 10), tools(fhir, mail=mail))

    assert 2 == len(mail.sent)
    assert 2 == len({sent["id"] for sent in mail.sent})


def test_a_relay_that_is_down_raises_a_task_until_the_mail_is_out() -> None:
    """Retried, and people know meanwhile; the Task closes by itself."""
    fhir, mail = world(), FakeMail(down=True)
    found = inactive(fhir)
    for _ in range(2):
        with pytest.raises(RetryLater):
            alert_inactive.handle(found, tools(fhir, mail=mail))
    assert ["requested"] == [task["status"] for task in fhir.all("Task")]
    assert ["preparation"] == [c["status"] for c in fhir.all("Communication")]

    mail.down = False
    alert_inactive.handle(found, tools(fhir, mail=mail))

    assert ["completed"] == [task["status"] for task in fhir.all("Task")]
    assert 1 == len(mail.sent)


def test_a_crash_before_the_record_sends_the_same_message_again() -> None:
    """Never another alert: a second copy, after the claim ran out, has the same Message-ID."""
    fhir, mail = world(), FakeMail()
    found = inactive(fhir)
    with pytest.raises(SystemExit):
        alert_inactive.handle(found, tools(fhir, mail=Crash(mail)))
    with pytest.raises(RetryLater, match="another delivery sends"):
        alert_inactive.handle(found, tools(fhir, mail=mail))
    later = NOW + timedelta(seconds=alert.LEASE_S)
    alert_inactive.handle(found, tools(fhir, mail=mail, now=lambda: later))

    assert 2 == len(mail.sent)
    assert 1 == len({sent["id"] for sent in mail.sent})


class Crash(FakeMail):
    """A relay that takes the mail, and then the program dies."""

    def __init__(self, relay: FakeMail) -> None:
        super().__init__()
        self._relay = relay

    def send(self, *, message_id: str, to: Sequence[str], subject: str, text: str) -> list[str]:
        self._relay.send(message_id=message_id, to=to, subject=subject, text=text)
        raise SystemExit


def test_two_deliveries_at_once_send_one_mail() -> None:
    """Whoever claims the Communication sends; the other comes again and finds it done."""
    fhir, mail = world(), FakeMail()
    found = inactive(fhir)
    fhir.lose_next_update = True
    with pytest.raises(RetryLater, match="claimed"):
        alert_inactive.handle(found, tools(fhir, mail=mail))
    assert [] == mail.sent
    alert_inactive.handle(found, tools(fhir, mail=mail))
    alert_inactive.handle(found, tools(fhir, mail=mail))

    assert 1 == len(mail.sent)


def test_an_answer_that_comes_late_is_no_new_spell() -> None:
    """A slow check that was asked first and stored last moves the start, not the alert."""
    fhir, mail = world(), FakeMail()
    alert_inactive.handle(inactive(fhir, "B", 5), tools(fhir, mail=mail))
    alert_inactive.handle(inactive(fhir, "A", 0), tools(fhir, mail=mail))

    assert 1 == len(mail.sent)


def test_a_refused_recipient_is_told_by_a_task() -> None:
    """The mail went out, but not to everybody."""
    fhir, mail = world(), FakeMail()
    mail.refused = ["gone@clinic.example"]
    alert_inactive.handle(inactive(fhir), tools(fhir, mail=mail))

    (task,) = fhir.all("Task")
    assert ("requested", "completed") == (task["status"], fhir.all("Communication")[0]["status"])
    assert "gone@clinic.example" not in task["description"]


def test_what_is_not_inactive_mails_nobody() -> None:
    """Unknown is not inactive."""
    fhir, mail = world(), FakeMail()
    house = FakeClearinghouse(told("EB*B**98***27*5"))
    check_eligibility.handle(samples.request(), tools(fhir, house))
    alert_inactive.handle(responses(fhir)[0], tools(fhir, mail=mail))

    assert [] == mail.sent


def checked(fhir: FakeFhir, trace: str, exchange: Exchange, minutes: int = 0) -> dict[str, Any]:
    """Run a check that comes out so and return the stored response."""
    wish = samples.request(trace, identifier=[{"system": systems.TRACE, "value": trace}])
    kit = tools(fhir, FakeClearinghouse(exchange), now=lambda: NOW + timedelta(minutes=minutes))
    with suppress(RetryLater):
        check_eligibility.handle(wish, kit)
    (found,) = fhir.search(
        "CoverageEligibilityResponse", [("identifier", f"{systems.TRACE}|{trace}")]
    )
    return found


def test_a_plan_in_force_again_is_told_once() -> None:
    """By the Task of the flip; one that is no longer in force is told of as inactive."""
    fhir, mail = world(), FakeMail()
    checked(fhir, "A", told("EB*6**30"))
    checked(fhir, "B", told("EB*1**30"), 5)
    checked(fhir, "C", told("EB*6**30"), 10)
    back, gone = fhir.all("Task")
    for task in (back, back, gone, {**back, "status": "completed"}):
        alert_flip.handle(task, tools(fhir, mail=mail))

    assert ["Insurance is in force again: 1 coverage on 24 Nov 2026"] == [
        one["subject"] for one in mail.sent
    ]


LATER = NOW + timedelta(hours=1)
REFUSED = Exchange("fake", failure=Failure("request-refused", "No.", again=False))
DOWN = Exchange("fake", failure=Failure("no-answer", "No.", again=True))


@pytest.mark.parametrize(("exchange", "count"), [(REFUSED, 1), (DOWN, 0), (told("EB*1**30"), 0)])
def test_a_check_that_failed_is_told(exchange: Exchange, count: int) -> None:
    """At once if nothing more happens by itself; a hiccup of a payer is no news."""
    fhir, mail = world(), FakeMail()
    found = checked(fhir, "A", exchange)
    for _ in range(2):
        alert_could_not_check.handle(found, tools(fhir, mail=mail))

    assert count == len(mail.sent)
    assert all("could not be found out" in one["text"] for one in mail.sent)


@pytest.mark.parametrize(
    ("day", "minutes", "count"),
    [
        ("2026-11-24", 15, 0),
        ("2026-11-24", 16, 1),
        ("2026-11-25", 16, 1),
        ("2026-11-26", 16, 0),
        ("2026-11-24", 24 * 60 + 1, 0),
    ],
)
def test_an_outage_that_lasts_is_told_once(day: str, minutes: int, count: int) -> None:
    """After a quarter of an hour, where the visit is today or tomorrow."""
    fhir, mail = world(), FakeMail()
    wish = samples.request(servicedDate=day)
    with suppress(RetryLater):
        check_eligibility.handle(wish, tools(fhir, FakeClearinghouse(DOWN)))
    now = NOW + timedelta(minutes=minutes)
    for _ in range(2):
        digest.Clock(tools(fhir, mail=mail, now=lambda: now), print).tick()

    assert count == len(mail.sent)


def test_who_was_answered_is_not_told_of() -> None:
    """The repeated check found the plan in force."""
    fhir, mail = world(), FakeMail()
    checked(fhir, "A", DOWN)
    checked(fhir, "A", told("EB*1**30"), 5)
    digest.tell_of_long_outages(tools(fhir, mail=mail, now=lambda: LATER))

    assert [] == mail.sent


def test_roles_at_the_clinic_are_told_first() -> None:
    """A PractitionerRole with our code before the clinic's own contact."""
    code = {"coding": [{"system": systems.CONTACT_PURPOSE, "code": alert.PURPOSE}]}
    role = {"resourceType": "PractitionerRole", "id": "desk", "active": True, "code": [code],
            "organization": {"reference": "Organization/clinic"},
            "telecom": [{"system": "email", "value": "lea@clinic.example"}]}  # fmt: skip
    fhir, mail = world(role), FakeMail()
    alert_inactive.handle(inactive(fhir), tools(fhir, mail=mail))

    assert [["lea@clinic.example"]] == [one["to"] for one in mail.sent]


ZONE = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-24T07:00", "2026-11-24T07:00"),
        ("2026-11-24T13:59", "2026-11-24T07:00"),
        ("2026-11-24T14:00", "2026-11-24T14:00"),
        ("2026-11-24T06:59", "2026-11-23T14:00"),
    ],
)
def test_a_digest_is_of_the_last_time(now: str, expected: str) -> None:
    """The exact minute belongs to it."""
    at, last = (datetime.fromisoformat(text).replace(tzinfo=ZONE) for text in (now, expected))

    assert last == digest.last_time((time(7), time(14)), at)


def gathered(fhir: FakeFhir, mail: FakeMail, now: datetime = NOW) -> Tools:
    """Return tools that mail at 11:00, half an hour after NOW in the clinic's zone."""
    return replace(tools(fhir, mail=mail, now=lambda: now), digest=(time(11),))


def test_alerts_wait_for_the_digest() -> None:
    """Two coverages in one mail, at its time and once; one that was answered meanwhile is out."""
    fhir, mail = world(samples.coverage("two")), FakeMail()
    focus = [{"focal": True, "coverage": {"reference": "Coverage/two"}}]
    alert_inactive.handle(checked(fhir, "A", told("EB*6**30")), gathered(fhir, mail))
    wish = samples.request(
        "B", identifier=[{"system": systems.TRACE, "value": "B"}], insurance=focus
    )
    check_eligibility.handle(wish, tools(fhir, FakeClearinghouse(REFUSED)))
    for found in responses(fhir):
        alert_could_not_check.handle(found, gathered(fhir, mail))
    assert ([], 0) == (mail.sent, digest.run(gathered(fhir, mail)))

    assert 2 == digest.run(gathered(fhir, mail, LATER))
    assert 0 == digest.run(gathered(fhir, mail, LATER))
    (sent,) = mail.sent
    assert "Insurance needs attention: 2 coverages" == sent["subject"]
    for part in ("/benefits/cov\n", "/benefits/two\n", "not in force", "could not be found out"):
        assert part in sent["text"]
    assert {"completed"} == {one["status"] for one in fhir.all("Communication")}


def test_what_was_answered_meanwhile_is_left_out() -> None:
    """The same check, repeated, found the plan in force: nobody needs to hear."""
    fhir, mail = world(), FakeMail()
    alerting.tell(alert.COULD_NOT_CHECK, checked(fhir, "A", DOWN), gathered(fhir, mail))
    checked(fhir, "A", told("EB*1**30"), 5)

    assert 0 == digest.run(gathered(fhir, mail, LATER))
    assert ["not-done"] == [one["status"] for one in fhir.all("Communication")]


def at(fhir: FakeFhir, mail: FakeMail, minutes: int, **more: Any) -> Tools:
    """Return tools that mail at once, so many minutes after NOW."""
    kit = tools(fhir, mail=mail, now=lambda: NOW + timedelta(minutes=minutes))
    return replace(kit, **more)


def test_an_alert_that_a_relay_refused_is_not_lost() -> None:
    """The outage was told of while the relay was down; it goes out when that is over."""
    fhir, mail = world(), FakeMail(down=True)
    checked(fhir, "A", DOWN)
    with pytest.raises(RetryLater):
        digest.tell_of_long_outages(at(fhir, mail, 20))
    mail.down = False
    digest.tell_of_long_outages(at(fhir, mail, 30))
    assert [1, 0] == [digest.run(at(fhir, mail, minutes)) for minutes in (40, 60)]

    assert 1 == len(mail.sent)
    assert ["completed"] == [task["status"] for task in fhir.all("Task")]


def test_a_circle_without_an_address_keeps_nobody_waiting() -> None:
    """Its Task says what is missing, and the others are told."""
    role = {"resourceType": "PractitionerRole", "id": "desk", "active": True,
            "code": [{"coding": [{"system": systems.CONTACT_PURPOSE, "code": alert.PURPOSE}]}],
            "organization": {"reference": "Organization/other"},
            "telecom": [{"system": "email", "value": "lea@other.example"}]}  # fmt: skip
    other = {**samples.clinic(), "id": "other"}
    fhir, mail = world(role, other), FakeMail()
    focus = [{"focal": True, "coverage": {"reference": "Coverage/two"}}]
    fhir.put(samples.coverage("two"))
    first = checked(fhir, "A", told("EB*6**30"))
    traces = [{"system": systems.TRACE, "value": "B"}]
    wish = samples.request("B", identifier=traces, insurance=focus,
                           provider={"reference": "Organization/other"})  # fmt: skip
    check_eligibility.handle(wish, tools(fhir, FakeClearinghouse(told("EB*6**30"))))
    second = next(one for one in responses(fhir) if one["id"] != first["id"])
    for found in (first, second):
        alert_inactive.handle(found, gathered(fhir, mail))
    with pytest.raises(RetryLater, match="no address"):
        digest.run(replace(gathered(fhir, mail, LATER), alert_to=()))

    assert [["lea@other.example"]] == [one["to"] for one in mail.sent]
    assert ["nobody is named for alerts"] == [
        task["description"] for task in fhir.all("Task") if "alert" in str(task["code"])
    ]


def test_a_digest_that_was_broken_off_goes_out_under_the_same_id() -> None:
    """Mailed, and not recorded: the copy has the Message-ID of the first, whatever is new."""
    fhir, mail = world(samples.coverage("two")), FakeMail()
    focus = [{"focal": True, "coverage": {"reference": "Coverage/two"}}]
    traces = [{"system": systems.TRACE, "value": "B"}]
    checked(fhir, "A", told("EB*6**30"))
    wish = samples.request("B", identifier=traces, insurance=focus)
    check_eligibility.handle(wish, tools(fhir, FakeClearinghouse(told("EB*6**30"))))
    for found in responses(fhir):
        alert_inactive.handle(found, gathered(fhir, mail))
    with pytest.raises(SystemExit):
        digest.run(gathered(fhir, Crash(mail), LATER))
    assert 0 == digest.run(gathered(fhir, mail, LATER))
    assert 2 == digest.run(gathered(fhir, mail, LATER + timedelta(minutes=1)))

    assert (2, 1) == (len(mail.sent), len({sent["id"] for sent in mail.sent}))


def test_an_alert_about_nothing_is_given_up() -> None:
    """The response is gone: nobody waits for its mail for ever."""
    fhir, mail = world(), FakeMail()
    found = checked(fhir, "A", told("EB*6**30"))
    alert_inactive.handle(found, gathered(fhir, mail))
    del fhir.versions[f"CoverageEligibilityResponse/{found['id']}"]

    assert 0 == digest.run(gathered(fhir, mail, LATER))
    assert ["not-done"] == [one["status"] for one in fhir.all("Communication")]


def test_a_digest_that_fails_is_made_up_for() -> None:
    """A Task tells of it, the next tick sends, and the Task closes."""
    fhir, mail = world(), FakeMail(down=True)
    alert_inactive.handle(checked(fhir, "A", told("EB*6**30")), gathered(fhir, mail))
    said: list[str] = []
    now = [LATER]
    kit = replace(gathered(fhir, mail), now=lambda: now[0])
    clock = digest.Clock(kit, said.append)
    clock.tick()
    assert ["requested"] == [task["status"] for task in fhir.all("Task")]
    mail.down = False
    clock.tick()  # too soon: the relay is left alone for a while
    assert 1 == len(said)
    now[0] += digest.PAUSE
    clock.tick()
    clock.tick()

    assert ["alerts: later: mail relay: SMTPDataError 451", "digest: 1 alerts sent"] == said
    assert ["completed"] == [task["status"] for task in fhir.all("Task")]
    assert 1 == len(mail.sent)
