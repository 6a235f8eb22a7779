"""Settings of both programs: read, refused with the next step, secrets masked."""

from pathlib import Path

import pytest

from bots import settings as bots_settings
from server import settings as server_settings

BOTS = {"INFORCE_BOTS_HOOK_SECRET": "s" * 32}


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"INFORCE_AUTH": "none"}, "INFORCE_AUTH"),
        ({"INFORCE_PUBLIC_URL": "localhost"}, "INFORCE_PUBLIC_URL"),
        ({"INFORCE_ALLOW_PRIVATE_HOOKS": "maybe"}, "INFORCE_ALLOW_PRIVATE_HOOKS"),
        ({"INFORCE_TIME_ZONE": "Mars/North"}, "INFORCE_TIME_ZONE"),
    ],
)
def test_a_wrong_server_setting_is_named(env: dict[str, str], named: str) -> None:
    """Exit 2 with the name and what was expected."""
    with pytest.raises(server_settings.SettingRefused, match=named):
        server_settings.read(env)


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"INFORCE_BOTS_HOOK_SECRET": ""}, "INFORCE_BOTS_HOOK_SECRET"),
        ({"INFORCE_BOTS_FHIR_URL": "x"}, "INFORCE_BOTS_FHIR_URL"),
        ({"INFORCE_BOTS_ROUTES": "nobody"}, "INFORCE_BOTS_ROUTES"),
        ({"INFORCE_BOTS_ROUTES": "stedi"}, "INFORCE_BOTS_STEDI_KEY"),
        ({"INFORCE_BOTS_SENDER_ID": "A-LONG-SENDER-ID-OF-CLINIC"}, "INFORCE_BOTS_SENDER_ID"),
        ({"INFORCE_BOTS_STEDI_SHAPE": "2020-01-01"}, "INFORCE_BOTS_STEDI_SHAPE"),
        ({"INFORCE_BOTS_ROUTES": "availity"}, "INFORCE_BOTS_AVAILITY_CLIENT_ID"),
        (
            {"INFORCE_BOTS_ROUTES": "availity", "INFORCE_BOTS_AVAILITY_CLIENT_ID": "x"},
            "INFORCE_BOTS_AVAILITY_CLIENT_SECRET",
        ),
        ({"INFORCE_BOTS_ROUTES": "optum"}, "INFORCE_BOTS_OPTUM_CLIENT_ID"),
        ({"INFORCE_TIME_ZONE": "Mars/North"}, "INFORCE_TIME_ZONE"),
        ({"INFORCE_BOTS_SWEEP": "noon"}, "INFORCE_BOTS_SWEEP"),
        ({"INFORCE_BOTS_DIGEST": "07:00,late"}, "INFORCE_BOTS_DIGEST"),
        ({"INFORCE_BOTS_RATES": "sandbox=fast"}, "INFORCE_BOTS_RATES"),
        ({"INFORCE_BOTS_RATES": "sandbox=0"}, "INFORCE_BOTS_RATES"),
        ({"INFORCE_BOTS_RATES": "sandbox"}, "INFORCE_BOTS_RATES"),
        ({"INFORCE_BOTS_RATES": "sandbax=20"}, "INFORCE_BOTS_RATES"),
        ({"INFORCE_BOTS_IN_FLIGHT": "-1"}, "INFORCE_BOTS_IN_FLIGHT"),
    ],
)
def test_a_wrong_bots_setting_is_named(env: dict[str, str], named: str) -> None:
    """The same for the bots."""
    with pytest.raises(bots_settings.SettingRefused, match=named):
        bots_settings.read(BOTS | env)


def test_defaults() -> None:
    """What an empty environment means is what docs/settings.md says."""
    server, bots = server_settings.read({}), bots_settings.read(BOTS)

    assert ("sqlite:///inforce.db", "smart", False, "http://127.0.0.1:8080/fhir") == (
        server.database, server.auth, server.allow_private_hooks, server.fhir_base)  # fmt: skip
    assert ("http://127.0.0.1:8080/fhir", "http://127.0.0.1:8081", "smtp://127.0.0.1:8025") == (
        bots.fhir_url, bots.public_url, bots.smtp)  # fmt: skip
    assert ["sandbox"] == [route.name for route in bots.routes]
    assert ({}, 0, ()) == (bots.rates, bots.in_flight, bots.digest_at)


@pytest.mark.parametrize(
    ("auth", "url", "host", "refused"),
    [
        ("open", "http://127.0.0.1:8080", "127.0.0.1", ""),
        ("open", "http://127.0.0.1:8080", "::1", ""),
        ("open", "https://a.example", "0.0.0.0", "INFORCE_AUTH"),  # noqa: S104 refused
        ("smart", "http://127.0.0.1:8080", "127.0.0.1", ""),
        ("smart", "http://a.example", "0.0.0.0", "INFORCE_PUBLIC_URL"),  # noqa: S104 refused
        ("smart", "https://a.example", "0.0.0.0", ""),  # noqa: S104 behind a proxy
    ],
)
def test_health_data_is_not_served_openly(auth: str, url: str, host: str, refused: str) -> None:
    """Without tokens only on loopback, without TLS neither."""
    settings = server_settings.Settings(auth=auth, public_url=url)
    if refused:
        with pytest.raises(server_settings.SettingRefused, match=refused):
            server_settings.check_exposure(settings, host)
    else:
        server_settings.check_exposure(settings, host)


def test_the_file_stands_below_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INFORCE_CONFIG names a TOML file with the same names."""
    file = tmp_path / "inforce.toml"
    file.write_text('INFORCE_AUTH = "open"\nINFORCE_DATABASE = "sqlite:///a.db"\n')
    monkeypatch.setenv("INFORCE_CONFIG", str(file))
    monkeypatch.setenv("INFORCE_DATABASE", "sqlite:///b.db")

    for module in (server_settings, bots_settings):
        found = module.environment()
        assert ("open", "sqlite:///b.db") == (found["INFORCE_AUTH"], found["INFORCE_DATABASE"])
    file.write_text("not toml")
    for module in (server_settings, bots_settings):
        with pytest.raises(module.SettingRefused, match="INFORCE_CONFIG"):
            module.environment()


def test_secrets_are_masked() -> None:
    """They are in no repr, so in no log."""
    env = {"INFORCE_BOTS_STEDI_KEY": "stedi-key", "INFORCE_BOTS_SMTP": "smtp://u:pass@h"}
    text = repr(bots_settings.read(BOTS | env | {"INFORCE_BOTS_ROUTES": "stedi"}))

    for secret in ("s" * 32, "stedi-key", "pass"):
        assert secret not in text
