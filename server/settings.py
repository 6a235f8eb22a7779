"""The server's settings, from the environment or the TOML file that INFORCE_CONFIG names."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from server.access import people
from server.access.people import LOOPBACK, Provider, RolesRefused
from server.subscriptions.endpoints import Policy

NUMBER_LIMIT = 36_500
KEY_LENGTH = 32
_SIGN_IN = (
    "INFORCE_SIGN_IN_ISSUER",
    "INFORCE_SIGN_IN_CLIENT_ID",
    "INFORCE_SIGN_IN_CLIENT_SECRET",
    "INFORCE_SIGN_IN_SCOPE",
    "INFORCE_SIGN_IN_CLAIM",
    "INFORCE_SIGN_IN_ROLES",
)


class SettingRefused(Exception):
    """A setting that cannot be used; the message names it and the next step."""


@dataclass(frozen=True)
class Settings:
    """What an operator chose. `host` and `port` come from the command line, defaults from here."""

    database: str = "sqlite:///inforce.db"
    public_url: str = "http://127.0.0.1:8080"
    auth: str = "smart"
    allow_private_hooks: bool = False
    plain_http_hooks: bool = False
    hook_hosts: tuple[str, ...] = ()
    delivery: str = "server"
    chain_limit: int = 8
    audit_days: int = 90
    skip_review: bool = False
    cors_origins: tuple[str, ...] = ()
    body_limit_bytes: int = 10 * 1024 * 1024
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    provider: Provider | None = None
    session_keys: tuple[str, ...] = field(default=(), repr=False)

    @property
    def policy(self) -> Policy:
        """Where Subscriptions may go."""
        return Policy(self.allow_private_hooks, self.plain_http_hooks, self.hook_hosts)

    @property
    def is_open(self) -> bool:
        """Whether everybody who reaches the server may do everything."""
        return self.auth == "open"

    @property
    def fhir_base(self) -> str:
        """The base of every FHIR URL we write."""
        return f"{self.public_url}/fhir"


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


def hand_down(values: Mapping[str, str]) -> None:
    """Put settings that came from the command line where worker processes read theirs."""
    os.environ.update(values)  # noqa: TID251 this is the door


def read(env: Mapping[str, str]) -> Settings:
    """Return the settings in `env`. Raises SettingRefused naming the first that is wrong."""
    public_url = env.get("INFORCE_PUBLIC_URL", Settings.public_url).rstrip("/")
    if not public_url.startswith(("http://", "https://")):
        raise SettingRefused("INFORCE_PUBLIC_URL: expected http://… or https://…")
    auth = _choice(env, "INFORCE_AUTH", ("smart", "open"))
    provider = _provider(env, public_url)
    return Settings(
        database=env.get("INFORCE_DATABASE", Settings.database),
        public_url=public_url,
        auth=auth,
        allow_private_hooks=_flag(env, "INFORCE_ALLOW_PRIVATE_HOOKS"),
        plain_http_hooks=_flag(env, "INFORCE_PLAIN_HTTP_HOOKS"),
        hook_hosts=tuple(env.get("INFORCE_HOOK_HOSTS", "").lower().split()),
        delivery=_choice(env, "INFORCE_DELIVERY", ("server", "workers")),
        chain_limit=_number(env, "INFORCE_CHAIN_LIMIT", Settings.chain_limit),
        audit_days=_number(env, "INFORCE_AUDIT_DAYS", Settings.audit_days),
        skip_review=_flag(env, "INFORCE_SKIP_REVIEW"),
        cors_origins=tuple(env.get("INFORCE_CORS_ORIGINS", "").split()),
        zone=_zone(env.get("INFORCE_TIME_ZONE", "UTC")),
        provider=provider,
        session_keys=_session_keys(env) if provider is not None else (),
    )


def check_exposure(settings: Settings, host: str) -> None:
    """Refuse to serve health data to a network without authorization, or without encryption."""
    if host in LOOPBACK:
        return
    if settings.is_open:
        raise SettingRefused(
            f"INFORCE_AUTH=open serves without authorization, so --host must be loopback, "
            f"not {host}. Use --host 127.0.0.1."
        )
    if not settings.public_url.startswith("https://"):
        raise SettingRefused(
            f"INFORCE_PUBLIC_URL: tokens and health data go over https only, so with --host {host} "
            "it must be the https://… address by which a proxy in front of us is reached."
        )


def _provider(env: Mapping[str, str], public_url: str) -> Provider | None:
    """Return who signs people in, None where nobody does."""
    given = {name for name in env if name.startswith("INFORCE_SIGN_IN_") and env[name]}
    if unknown := sorted(given - set(_SIGN_IN)):
        raise SettingRefused(f"{unknown[0]}: expected one of {', '.join(_SIGN_IN)}")
    if not given or env.get("INFORCE_AUTH") == "open":
        return None
    issuer = env.get("INFORCE_SIGN_IN_ISSUER", "")
    if not people.is_closed_way(issuer) or any(one in issuer for one in ("?", "#", "@", "/.well")):
        raise SettingRefused("INFORCE_SIGN_IN_ISSUER: expected the https://… of an OpenID provider")
    scope = env.get("INFORCE_SIGN_IN_SCOPE") or "openid profile"
    if "openid" not in scope.split():
        raise SettingRefused("INFORCE_SIGN_IN_SCOPE: expected openid among others")
    if not people.is_closed_way(public_url) or urlsplit(public_url).path:
        raise SettingRefused(
            "INFORCE_PUBLIC_URL: people sign in over https only, at a host of its own: expected "
            "https://host without a path"
        )
    try:
        groups = people.by_group(env.get("INFORCE_SIGN_IN_ROLES", ""))
    except RolesRefused as error:
        raise SettingRefused(f"INFORCE_SIGN_IN_ROLES: {error}") from error
    return Provider(
        issuer=issuer,
        client_id=_needed(env, "INFORCE_SIGN_IN_CLIENT_ID"),
        client_secret=_needed(env, "INFORCE_SIGN_IN_CLIENT_SECRET"),
        scope=scope,
        claim=env.get("INFORCE_SIGN_IN_CLAIM") or "groups",
        groups=groups,
    )


def _needed(env: Mapping[str, str], name: str) -> str:
    if not env.get(name):
        raise SettingRefused(f"{name}: needed, as the provider registered us")
    return env[name]


def _session_keys(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys of sessions: the first signs, all are good."""
    keys = tuple(env.get("INFORCE_SECRET_KEY", "").split())
    if not keys or any(len(key) < KEY_LENGTH for key in keys):
        raise SettingRefused(
            f"INFORCE_SECRET_KEY: expected {KEY_LENGTH} characters or more; "
            "inforce doctor --generate prints one"
        )
    return keys


def _flag(env: Mapping[str, str], name: str) -> bool:
    text = env.get(name, "false").lower()
    if text not in ("true", "false", "1", "0"):
        raise SettingRefused(f"{name}: expected true or false")
    return text in ("true", "1")


def _choice(env: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    text = env.get(name, choices[0])
    if text not in choices:
        raise SettingRefused(f"{name}: expected {' or '.join(choices)}")
    return text


def _number(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, str(default))
    if not text.isdecimal() or not 1 <= int(text) <= NUMBER_LIMIT:
        raise SettingRefused(f"{name}: expected a whole number from 1 to {NUMBER_LIMIT}")
    return int(text)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise SettingRefused(
            f"INFORCE_TIME_ZONE: {name!r} is no time zone, try America/New_York"
        ) from error
