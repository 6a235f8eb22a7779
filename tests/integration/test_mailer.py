"""The mailer against real relays: what is taken, refused, and never sent in the clear."""

from collections.abc import Iterator
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from bots.errors import RetryLater
from bots.mailer import Mailer
from tests.programs import free_port

pytestmark = pytest.mark.loopback


class Relay:
    """A relay that does what the test says."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.data, self.quit = "250 kept", "221 bye"
        self.refuse = ""

    async def handle_RCPT(  # noqa: N802 aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address == self.refuse:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(  # noqa: N802 aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Any
    ) -> str:
        if self.data.startswith("250"):
            self.taken.append(envelope.content)
        return self.data

    async def handle_QUIT(self, _server: Any, _session: Any, _envelope: Any) -> str:  # noqa: N802 aiosmtpd's name
        return self.quit


@pytest.fixture
def relay() -> Iterator[tuple[Relay, str]]:
    kept, port = Relay(), free_port()
    controller = Controller(kept, hostname="127.0.0.1", port=port)
    controller.start()
    yield kept, f"127.0.0.1:{port}"
    controller.stop()


def send(url: str, *to: str) -> list[str]:
    mailer = Mailer(url, "inforce@clinic.example")
    return mailer.send(message_id="<1@x>", to=to or ("a@x.example",), subject="s", text="t")


def test_a_relay_that_stumbles_after_taking_the_mail_has_taken_it(
    relay: tuple[Relay, str],
) -> None:
    """An error on QUIT sends no second copy."""
    kept, address = relay
    kept.quit = "421 going away"

    assert [] == send(f"smtp://{address}")
    assert 1 == len(kept.taken)
    assert b"Message-ID: <1@x>" in kept.taken[0]


def test_who_is_refused_is_returned(relay: tuple[Relay, str]) -> None:
    """The others get the mail."""
    kept, address = relay
    kept.refuse = "gone@x.example"

    assert ["gone@x.example"] == send(f"smtp://{address}", "a@x.example", "gone@x.example")
    assert 1 == len(kept.taken)


@pytest.mark.parametrize("data", ["451 later", "554 never"])
def test_a_mail_that_is_not_taken_comes_again(relay: tuple[Relay, str], data: str) -> None:
    """Whatever the relay says: a person hears of it by the Task, and it is tried again."""
    kept, address = relay
    kept.data = data
    with pytest.raises(RetryLater, match="mail relay"):
        send(f"smtp://{address}")


def test_no_relay_and_no_recipient() -> None:
    """Both come again, with the reason."""
    with pytest.raises(RetryLater, match="ConnectionRefusedError"):
        send(f"smtp://127.0.0.1:{free_port()}")
    with pytest.raises(RetryLater, match="INFORCE_BOTS_ALERT_TO"):
        Mailer("smtp://127.0.0.1", "x").send(message_id="<1@x>", to=(), subject="", text="")
