"""Who may call a bot, and what it answers (prior-art check 27)."""

import hashlib
import hmac
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers

from bots import receiver, registry
from bots.deadline import Deadline
from bots.errors import NeverRetry, RetryLater
from bots.ports import Bot, Tools
from fhir_profiles import elements, systems
from tests.fakes import NOW, FakeFhir, tools

SECRET = "s" * 32
BODY = b'{"resourceType":"Coverage","id":"c"}'


def signed(body: bytes = BODY, *, at: int = int(NOW.timestamp()), secret: str = SECRET) -> Headers:
    mac = hmac.new(secret.encode(), f"{at}.d1.".encode() + body, hashlib.sha256).hexdigest()
    return Headers({
        "X-Inforce-Timestamp": str(at),
        "X-Inforce-Delivery": "d1",
        "X-Inforce-Signature": f"v1={mac}",
    })  # fmt: skip


def changed(name: str, value: str) -> Headers:
    found = signed()
    found[name] = value
    return found


@pytest.mark.parametrize(
    ("headers", "genuine"),
    [
        (signed(), True),
        (signed(at=int(NOW.timestamp()) - 299), True),
        (signed(at=int(NOW.timestamp()) - 301), False),
        (signed(at=int(NOW.timestamp()) + 301), False),
        (signed(b"{}"), False),
        (signed(secret="other"), False),
        (changed("X-Inforce-Delivery", "d2"), False),
        (changed("X-Inforce-Timestamp", "x"), False),
        (Headers(), False),
        (Headers({"Authorization": f"Bearer {SECRET}"}), True),
        (Headers({"Authorization": "Bearer é"}), False),
    ],
)
def test_only_who_knows_the_secret_may_call(headers: Headers, genuine: bool) -> None:
    """Signed over time, id and body; a replay after five minutes is refused."""
    assert genuine is receiver.is_genuine(headers, BODY, SECRET, int(NOW.timestamp()))


class Play:
    """A bot that does what the test says."""

    raises: Exception | None = None
    seen: dict[str, Any] | None = None

    def handle(self, resource: dict[str, Any], _tools: Tools) -> None:
        self.seen = resource
        if self.raises is not None:
            raise self.raises


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    made = Play()
    monkeypatch.setitem(registry.BY_NAME, "play", Bot("play", "Coverage", made.handle))
    return made


@pytest.fixture
def client() -> FlaskClient:
    return receiver.receiver(tools(FakeFhir()), SECRET, Deadline(30, 2)).test_client()


@pytest.mark.parametrize(
    ("raises", "status", "wait"),
    [
        (None, 200, None),
        (RetryLater("payer down"), 503, None),
        (RetryLater("payer down", after_s=90), 503, "90"),
        (NeverRetry("refused"), 422, None),
        (KeyError("MEM0001"), 500, None),
        (TimeoutError("MEM0001"), 500, None),
    ],
)
def test_what_follows_from_what_a_bot_raises(
    client: FlaskClient,
    play: Play,
    caplog: pytest.LogCaptureFixture,
    raises: Exception | None,
    status: int,
    wait: str | None,
) -> None:
    """Done, later, never, or a fault of ours that is tried again; no data in the log."""
    play.raises = raises
    answer = client.post("/hooks/play", data=BODY, headers=signed())

    assert (status, wait) == (answer.status_code, answer.headers.get("Retry-After"))
    assert "MEM0001" not in caplog.text + answer.get_data(as_text=True)


def test_strict_r4_delivery_by_put(client: FlaskClient, play: Play) -> None:
    """Servers that PUT to endpoint/Type/id are understood."""
    answer = client.put("/hooks/play/Coverage/c", data=BODY, headers=signed())

    assert (200, "c") == (answer.status_code, (play.seen or {})["id"])


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/hooks/none", BODY, 404),
        ("/hooks/play", b"", 422),
        ("/hooks/play", b"{", 422),
        ("/hooks/play", b"[]", 422),
        ("/hooks/play", b'{"resourceType":"Coverage"}', 422),
    ],
)
def test_what_is_no_notification(
    client: FlaskClient, play: Play, path: str, body: bytes, status: int
) -> None:
    """An empty or broken payload will not get better: 422."""
    assert status == client.post(path, data=body, headers=signed(body)).status_code
    assert play.seen is None
    assert 401 == client.post(path, data=body).status_code


def test_registration_is_the_same_every_time() -> None:
    """A PUT of it changes nothing; the secret goes where the server can use it."""
    for bot in registry.BOTS:
        ours, again, plain = (
            registry.subscription(bot, hooks_url="http://b", secret=SECRET, header=h, timeout_s=70)
            for h in (False, False, True)
        )

        assert ours == again
        assert f"http://b/hooks/{bot.name}" == ours["channel"]["endpoint"]
        assert SECRET == elements.extension_value(ours, systems.EXT_HOOK_SECRET)
        assert bot.change == (elements.extension_value(ours, systems.EXT_HOOK_PATH) or "")
        assert [f"Authorization: Bearer {SECRET}"] == plain["channel"]["header"]
        assert SECRET not in str(plain.get("extension"))
