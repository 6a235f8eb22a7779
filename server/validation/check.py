"""Everything that validation says of a body: structure, invariants, then the profiles it claims."""

from typing import Any

from server.errors import Issue
from server.validation import profiles, structure


def check(resource: Any) -> list[Issue]:
    """Return every problem of `resource`; an empty list means that it may be stored.

    The profiles that meta.profile claims, and we know, are enforced; others are not.
    """
    issues = structure.check(resource)
    if not issues:
        for url in resource.get("meta", {}).get("profile", ()):
            issues += profiles.check(resource, url)
    return issues


def against(resource: Any, url: str) -> list[Issue]:
    """Return where `resource` breaks a profile, whether it claims it or not.

    A profile that is not known here is an issue itself.
    """
    if not profiles.is_known(url):
        return [Issue("not-found", "This profile is not known here.", "profile")]
    return structure.check(resource) or profiles.check(resource, url)
