"""Which person looks at our pages, and what of them is for which role.

Each role sees the least that its work needs. Source: 45 CFR 164.514(d)(2), minimum necessary uses.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Right(StrEnum):
    """What a person may see, and do there."""

    CHECKS = "checks"  # the day, and the benefits of a plan
    SEGMENTS = "segments"  # a benefit's segments, as the payer sent them
    AUTHORIZATIONS = "authorizations"
    PAYERS = "payers"
    DELIVERIES = "deliveries"


ROLES: Mapping[str, frozenset[Right]] = {
    "front-desk": frozenset({Right.CHECKS, Right.PAYERS}),
    "billing": frozenset({Right.CHECKS, Right.SEGMENTS, Right.AUTHORIZATIONS, Right.PAYERS}),
    "clinician": frozenset({Right.CHECKS, Right.AUTHORIZATIONS}),
    "payer-relations": frozenset({Right.PAYERS}),
    "integrator": frozenset({Right.PAYERS, Right.DELIVERIES}),
}


class RolesRefused(ValueError):
    """A text that gives no roles to groups; the message tells what was expected."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody by the id that the provider gives them, and the name to show."""

    subject: str
    name: str
    roles: tuple[str, ...]
    issuer: str = ""

    def may(self, right: Right) -> bool:
        """Tell whether one of the roles has the right."""
        return any(right in ROLES.get(role, ()) for role in self.roles)


@dataclass(frozen=True, slots=True)
class Provider:
    """The OpenID provider of the clinic, and as what it knows us.

    `scope` is what it is asked for; `groups` are roles by the groups that its claim named `claim`
    tells of a person.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str
    claim: str
    groups: Mapping[str, str]


EVERYBODY = Person("", "", tuple(ROLES))
"""Whoever looks at an open server, which knows nobody."""


def is_closed_way(address: str) -> bool:
    """Tell whether nobody on the way to an address reads what is sent: https, or on loopback."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    )


def by_group(text: str) -> dict[str, str]:
    """Return the role of each group of a text such as `billing=Billing Team; clinician=Doctors`.

    An empty text: a group has the name of its role. Raises RolesRefused.
    """
    if not text:
        return {role: role for role in ROLES}
    found: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        role, _, group = (one.strip() for one in part.partition("="))
        if role not in ROLES or not group:
            expected = f"expected role=group, with a role of {', '.join(ROLES)}"
            raise RolesRefused(f"{part!r}: {expected}")
        if found.setdefault(group, role) != role:
            raise RolesRefused(f"{group!r}: a group has one role; give its people a second one")
    if not found:
        raise RolesRefused("expected at least one role=group")
    return found


def roles_of(claimed: object, groups: Mapping[str, str]) -> tuple[str, ...]:
    """Return the roles of whoever is in these groups: a list, or a single one, as a claim says."""
    named: Iterable[object] = claimed if isinstance(claimed, list) else [claimed]
    return tuple(sorted({groups[one] for one in named if isinstance(one, str) and one in groups}))
