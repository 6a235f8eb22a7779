"""What the extensions of a Subscription say, under every name that users know them by.

Ours stand under our own base. Medplum's users write theirs with and without `www.`, with http and
https, and with the path in other letters; each means the same here. Another extension of these
namespaces, or one of a later FHIR release, is refused: it would be lost in silence.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fhir_profiles import systems
from server.errors import Issue

SECRET, INTERACTION, PATH = "secret", "interaction", "path"
SUCCESS, ATTEMPTS = "success", "attempts"
_VALUES = {
    systems.EXT_HOOK_SECRET: (SECRET, "valueString"),
    systems.EXT_HOOK_INTERACTION: (INTERACTION, "valueCode"),
    systems.EXT_HOOK_PATH: (PATH, "valueString"),
    systems.EXT_HOOK_SUCCESS: (SUCCESS, "valueString"),
    systems.EXT_HOOK_ATTEMPTS: (ATTEMPTS, "valueInteger"),
}
# Medplum's, by the last part of their address.
_MEDPLUM = re.compile(
    r"https?://(?:www\.)?medplum\.com/fhir/StructureDefinition/(.+)", re.IGNORECASE
)
_BY_NAME = {url.rpartition("/")[2]: url for url in _VALUES}
_NUMBERS = {
    systems.EXT_HEARTBEAT: "valueUnsignedInt",
    systems.EXT_TIMEOUT: "valueUnsignedInt",
    systems.EXT_MAX_COUNT: "valuePositiveInt",
}
_LATER_RELEASE = re.compile(r"http://hl7\.org/fhir/[0-9]+\.[0-9]+/")
# Where each extension of the Backport may stand: the element, and what it is called there.
_PLACES = {
    systems.EXT_FILTER: "_criteria",
    systems.EXT_CONTENT: "_payload",
    systems.EXT_CHANNEL_TYPE: "_type",
}


@dataclass(frozen=True, slots=True)
class Said:
    """One extension that we act on: its name here, its value, and where it stands."""

    name: str
    value: Any
    place: str


def canonical(url: str) -> str:
    """Return our URL of an extension that another name means too; the URL itself otherwise."""
    found = _MEDPLUM.fullmatch(url)
    return _BY_NAME.get(found[1].lower(), url) if found else url


def said(body: dict[str, Any]) -> list[Said]:
    """Return what the extensions on the Subscription itself say, by our names for them."""
    found = []
    for index, extension in enumerate(body.get("extension", [])):
        known = _VALUES.get(canonical(extension["url"]))
        if known is not None:
            place = f"Subscription.extension[{index}]"
            found.append(Said(known[0], extension.get(known[1]), place))
    return found


def number(channel: dict[str, Any], url: str) -> int:
    """Return a number that an extension of the channel gives, 0 if it does not."""
    for extension in channel.get("extension", []):
        if extension["url"] == url:
            return int(extension.get(_NUMBERS[url]) or 0)
    return 0


def content(channel: dict[str, Any]) -> str:
    """Return what a notification carries: empty, id-only or full-resource; "" if not said."""
    for extension in _extensions(channel, "_payload"):
        if extension["url"] == systems.EXT_CONTENT:
            return str(extension.get("valueCode", ""))
    return ""


def filters(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Return each filter of a topic Subscription, with its place."""
    place = "Subscription.criteria.extension"
    return [
        (str(extension.get("valueString", "")), f"{place}[{index}]")
        for index, extension in enumerate(_extensions(body, "_criteria"))
        if extension["url"] == systems.EXT_FILTER
    ]


def problems(body: dict[str, Any]) -> Iterator[Issue]:
    """Yield what is wrong with the extensions of a Subscription, wherever they stand."""
    for index, extension in enumerate(body.get("extension", [])):
        yield from _known(extension, f"Subscription.extension[{index}]")
    for one in said(body):
        if one.value in (None, ""):
            yield Issue("value", "The extension has no value of its type.", one.place)
    channel = body["channel"]
    for index, extension in enumerate(channel.get("extension", [])):
        yield from _of_channel(extension, f"Subscription.channel.extension[{index}]")
    yield from _on_primitive(body, "_criteria", "Subscription")
    for name in ("_payload", "_type", "_endpoint"):
        yield from _on_primitive(channel, name, "Subscription.channel")


def _of_channel(extension: dict[str, Any], place: str) -> Iterator[Issue]:
    name = _NUMBERS.get(extension["url"])
    if name is None:
        yield from _foreign(extension["url"], place)
    elif not isinstance(extension.get(name), int):
        yield Issue("value", f"Expected {name}.", place)


def _on_primitive(holder: dict[str, Any], name: str, path: str) -> Iterator[Issue]:
    for index, extension in enumerate(_extensions(holder, name)):
        if _PLACES.get(extension["url"]) != name:
            yield from _foreign(extension["url"], f"{path}.{name[1:]}.extension[{index}]")


def _known(extension: dict[str, Any], place: str) -> Iterator[Issue]:
    url = extension["url"]
    if canonical(url) in _VALUES or url == systems.EXT_SUBSCRIPTION_ID:
        return
    if _MEDPLUM.fullmatch(url):
        listed = ", ".join(sorted(_BY_NAME))
        yield Issue("extension", f"Of these extensions we know {listed}.", f"{place}.url")
        return
    yield from _foreign(url, place)


def _foreign(url: str, place: str) -> Iterator[Issue]:
    """Yield a refusal where an extension would change the meaning and is not understood here."""
    ours = url.startswith((systems.BASE, systems.BACKPORT)) or canonical(url) in _VALUES
    if ours or _LATER_RELEASE.match(url):
        yield Issue("extension", "This extension is not known here.", f"{place}.url")


def _extensions(holder: dict[str, Any], name: str) -> list[dict[str, Any]]:
    node = holder.get(name)
    found = node.get("extension", []) if isinstance(node, dict) else []
    return [one for one in found if isinstance(one, dict)]
