"""The bots' settings, from the environment or the TOML file that INFORCE_CONFIG names."""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

STEDI_URL, AVAILITY_URL = "https://healthcare.us.stedi.com", "https://api.availity.com"
CORE_URL, OPKIT_URL = "https://core.invalid", "https://api.opkit.co"
OPTUM_URL = "https://apigw.optum.com"
CORE_SHAPES = ("soap", "mime")
STEDI_SHAPES = ("raw-x12", "2024-04-01", "2026-06-01")
SECRET_LENGTH, TIMEOUT_LIMIT_S = 32, 110
SANDBOX_URL = "http://127.0.0.1:8082"
DEFAULT_ROUTES = ("sandbox",)


# What a route cannot do without.
_KEYS = (
    ("stedi", "INFORCE_BOTS_STEDI_KEY"),
    ("availity", "INFORCE_BOTS_AVAILITY_CLIENT_ID"),
    ("availity", "INFORCE_BOTS_AVAILITY_CLIENT_SECRET"),
    ("core", "INFORCE_BOTS_CORE_URL"),
    ("core", "INFORCE_BOTS_CORE_CLIENT_ID"),
    ("core", "INFORCE_BOTS_CORE_CLIENT_SECRET"),
    ("core", "INFORCE_BOTS_CORE_RECEIVER_ID"),
    ("opkit", "INFORCE_BOTS_OPKIT_KEY"),
    ("optum", "INFORCE_BOTS_OPTUM_CLIENT_ID"),
    ("optum", "INFORCE_BOTS_OPTUM_CLIENT_SECRET"),
    ("optum", "INFORCE_BOTS_OPTUM_RECEIVER_ID"),
)


class SettingRefused(Exception):
    """A setting that cannot be used; the message names it and the next step."""


@dataclass(frozen=True, slots=True)
class RouteSetting:
    """One configured clearinghouse: its name, base URL and key, and what else its vendor asks."""

    name: str
    url: str
    key: str = field(repr=False, default="")
    shape: str = ""
    client_id: str = ""
    receiver_id: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator chose; secrets never appear in its repr."""

    fhir_url: str
    fhir_client_id: str
    fhir_key: str = field(repr=False)
    public_url: str
    pages_url: str
    hook_secret: str = field(repr=False)
    payload_keys: tuple[str, ...] = field(repr=False)
    routes: tuple[RouteSetting, ...]
    rates: dict[str, float]
    in_flight: int
    smtp: str = field(repr=False)
    mail_from: str
    alert_to: tuple[str, ...]
    provider: str
    pas_client_id: str
    pas_key: str = field(repr=False)
    pas_hosts: tuple[str, ...]
    sender_id: str
    timeout_s: int
    sweep_at: time | None
    digest_at: tuple[time, ...]
    zone: ZoneInfo


def environment() -> dict[str, str]:
    """Return the environment over the file of INFORCE_CONFIG, both with the same names."""
    file = os.environ.get("INFORCE_CONFIG")  # noqa: TID251 this is the door
    found = {}
    if file:
        try:
            found = {k: str(v) for k, v in tomllib.loads(Path(file).read_text("utf-8")).items()}
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise SettingRefused(f"INFORCE_CONFIG: cannot read {file}: {error}") from error
    return found | dict(os.environ)  # noqa: TID251 this is the door


def read(env: Mapping[str, str], *, hooks: bool = True, payloads: bool = False) -> Settings:
    """Return the settings in `env`. Raises SettingRefused naming the first that is wrong.

    What takes no `hooks` needs no secret for them; what opens `payloads` needs a key.
    """
    secret = env.get("INFORCE_BOTS_HOOK_SECRET", "")
    if hooks and len(secret) < SECRET_LENGTH:
        raise SettingRefused(
            f"INFORCE_BOTS_HOOK_SECRET: set a random text of at least {SECRET_LENGTH} characters "
            "(inforce doctor --generate prints one); hooks are taken only when signed with it"
        )
    payload_keys = _payload_keys(env.get("INFORCE_PAYLOAD_KEY", ""), secret)
    if payloads and not payload_keys:
        raise SettingRefused("INFORCE_PAYLOAD_KEY: set the key that the running bots have")
    pages = env.get("INFORCE_PUBLIC_URL", "http://127.0.0.1:8080").rstrip("/")
    return Settings(
        fhir_url=_url(env, "INFORCE_BOTS_FHIR_URL", "http://127.0.0.1:8080/fhir"),
        fhir_client_id=env.get("INFORCE_BOTS_FHIR_CLIENT_ID", ""),
        fhir_key=_private_key(env, "INFORCE_BOTS_FHIR_KEY", "INFORCE_BOTS_FHIR_CLIENT_ID"),
        public_url=_url(env, "INFORCE_BOTS_PUBLIC_URL", "http://127.0.0.1:8081"),
        pages_url=pages,
        hook_secret=secret,
        payload_keys=payload_keys,
        routes=_routes(env),
        rates=_rates(env),
        in_flight=_count(env, "INFORCE_BOTS_IN_FLIGHT"),
        smtp=env.get("INFORCE_BOTS_SMTP", "smtp://127.0.0.1:8025"),
        mail_from=env.get("INFORCE_BOTS_MAIL_FROM", "inforce@localhost"),
        alert_to=_list(env, "INFORCE_BOTS_ALERT_TO"),
        provider=env.get("INFORCE_BOTS_PROVIDER", ""),
        pas_client_id=env.get("INFORCE_BOTS_PAS_CLIENT_ID", ""),
        pas_key=_private_key(env, "INFORCE_BOTS_PAS_KEY", "INFORCE_BOTS_PAS_CLIENT_ID"),
        pas_hosts=tuple(env.get("INFORCE_BOTS_PAS_HOSTS", "").lower().split()),
        sender_id=_sender(env.get("INFORCE_BOTS_SENDER_ID", "INFORCE")),
        timeout_s=_seconds(env.get("INFORCE_BOTS_TIMEOUT", "70")),
        sweep_at=_hour(env.get("INFORCE_BOTS_SWEEP", "12:00")),
        digest_at=_hours(env, "INFORCE_BOTS_DIGEST"),
        zone=_zone(env.get("INFORCE_TIME_ZONE", "UTC")),
    )


def _routes(env: Mapping[str, str]) -> tuple[RouteSetting, ...]:
    known = {
        "availity": RouteSetting(
            "availity",
            _url(env, "INFORCE_BOTS_AVAILITY_URL", AVAILITY_URL),
            env.get("INFORCE_BOTS_AVAILITY_CLIENT_SECRET", ""),
            client_id=env.get("INFORCE_BOTS_AVAILITY_CLIENT_ID", ""),
        ),
        "core": RouteSetting(
            "core",
            _url(env, "INFORCE_BOTS_CORE_URL", CORE_URL),
            env.get("INFORCE_BOTS_CORE_CLIENT_SECRET", ""),
            shape=_shape(env, "INFORCE_BOTS_CORE_SHAPE", CORE_SHAPES),
            client_id=env.get("INFORCE_BOTS_CORE_CLIENT_ID", ""),
            receiver_id=env.get("INFORCE_BOTS_CORE_RECEIVER_ID", ""),
        ),
        "opkit": RouteSetting(
            "opkit",
            _url(env, "INFORCE_BOTS_OPKIT_URL", OPKIT_URL),
            env.get("INFORCE_BOTS_OPKIT_KEY", ""),
        ),
        "optum": RouteSetting(
            "optum",
            _url(env, "INFORCE_BOTS_OPTUM_URL", OPTUM_URL),
            env.get("INFORCE_BOTS_OPTUM_CLIENT_SECRET", ""),
            client_id=env.get("INFORCE_BOTS_OPTUM_CLIENT_ID", ""),
            receiver_id=env.get("INFORCE_BOTS_OPTUM_RECEIVER_ID", ""),
        ),
        "stedi": RouteSetting(
            "stedi",
            _url(env, "INFORCE_BOTS_STEDI_URL", STEDI_URL),
            env.get("INFORCE_BOTS_STEDI_KEY", ""),
            shape=_shape(env, "INFORCE_BOTS_STEDI_SHAPE", STEDI_SHAPES),
        ),
        "sandbox": RouteSetting("sandbox", _url(env, "INFORCE_BOTS_SANDBOX_URL", SANDBOX_URL)),
    }
    names = _list(env, "INFORCE_BOTS_ROUTES") or DEFAULT_ROUTES
    for name in names:
        if name not in known:
            listed = ", ".join(sorted(known))
            raise SettingRefused(f"INFORCE_BOTS_ROUTES: {name!r} is none of {listed}")
    routes = tuple(known[name] for name in names)
    for name, needed in _KEYS:
        if name in names and not env.get(needed):
            raise SettingRefused(f"{needed}: the route {name} needs it")
    return routes


def _rates(env: Mapping[str, str]) -> dict[str, float]:
    """Return route -> questions per second."""
    found = {}
    for part in _list(env, "INFORCE_BOTS_RATES"):
        name, _, rate = part.partition("=")
        is_rate = re.fullmatch(r"\d+(\.\d+)?", rate) and float(rate) > 0
        if name not in (_list(env, "INFORCE_BOTS_ROUTES") or DEFAULT_ROUTES) or not is_rate:
            raise SettingRefused(
                "INFORCE_BOTS_RATES: expected ROUTE=PER_SECOND, such as stedi=20, of routes in use"
            )
        found[name] = float(rate)
    return found


def _count(env: Mapping[str, str], name: str) -> int:
    text = env.get(name, "0")
    if not text.isdecimal():
        raise SettingRefused(f"{name}: expected a number, 0 for no limit")
    return int(text)


def _shape(env: Mapping[str, str], name: str, shapes: tuple[str, ...]) -> str:
    text = env.get(name, shapes[0])
    if text not in shapes:
        raise SettingRefused(f"{name}: {text!r} is none of {', '.join(shapes)}")
    return text


def _url(env: Mapping[str, str], name: str, default: str) -> str:
    text = env.get(name, default).rstrip("/")
    if not text.startswith(("http://", "https://")):
        raise SettingRefused(f"{name}: expected http://… or https://…")
    return text


def _list(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in env.get(name, "").split(",") if part.strip())


def _sender(text: str) -> str:
    if not re.fullmatch(r"[A-Z0-9]{2,15}", text):
        raise SettingRefused("INFORCE_BOTS_SENDER_ID: expected 2 to 15 capital letters or digits")
    return text


def _seconds(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= TIMEOUT_LIMIT_S:
        raise SettingRefused(f"INFORCE_BOTS_TIMEOUT: expected 1 to {TIMEOUT_LIMIT_S} seconds")
    return int(text)


def _hour(text: str) -> time | None:
    if text == "off":
        return None
    try:
        return time.fromisoformat(text)
    except ValueError as error:
        raise SettingRefused("INFORCE_BOTS_SWEEP: expected HH:MM, or off") from error


def _hours(env: Mapping[str, str], name: str) -> tuple[time, ...]:
    try:
        return tuple(time.fromisoformat(text) for text in _list(env, name))
    except ValueError as error:
        raise SettingRefused(f"{name}: expected HH:MM, with commas between several") from error


def _payload_keys(text: str, fallback: str) -> tuple[str, ...]:
    """Return the key texts; without any, the hook secret serves, for nothing may lie open."""
    keys = tuple(text.split())
    if any(len(key) < SECRET_LENGTH for key in keys):
        raise SettingRefused(
            f"INFORCE_PAYLOAD_KEY: expected texts of at least {SECRET_LENGTH} characters, "
            "separated by blanks (inforce doctor --generate prints one)"
        )
    return keys or ((fallback,) if fallback else ())


def _private_key(env: Mapping[str, str], name: str, client: str) -> str:
    """Return a private key, "" where there is none; with one there is a client id, too."""
    text = env.get(name, "")
    if not text:
        return ""
    try:
        key = json.loads(text)
    except ValueError:
        key = None
    if not isinstance(key, dict) or not {"kty", "kid", "alg", "d"} <= key.keys():
        raise SettingRefused(
            f"{name}: expected a private JWK with kid and alg (inforce-bots jwks --new prints one)"
        )
    if not env.get(client):
        raise SettingRefused(f"{client}: set the id under which the key of {name} is known")
    return text


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise SettingRefused(
            f"INFORCE_TIME_ZONE: {name!r} is no time zone, try America/New_York"
        ) from error
