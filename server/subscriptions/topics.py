"""SubscriptionTopics: what can be subscribed to, from the files in fhir_profiles.

A topic is a Basic resource that carries R5's SubscriptionTopic in extensions, as the Subscriptions
R5 Backport has it for R4. To add one, add its file. Source: R5 subscriptiontopic.html; Backport 1.1
components.html#subscription-topics-in-r4.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from fhir_profiles import loader, systems
from server import fhirpath
from server.search import request as search_request
from server.search.conditions import Reader, SearchRequest
from server.search.match import Values, meets
from server.search.parameters import Parameters

FOLDER = "subscription_topics"
PASSES = "test-passes"
_DEFINITIONS = "http://hl7.org/fhir/StructureDefinition/"


class NoTerminology:
    """Criteria are matched without reading anything: value sets are not known there."""

    def members(self, _value_set: str) -> None:
        """Know no value set."""

    def relatives(self, _system: str, _code: str, *, above: bool) -> None:
        """Know no code system."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """When a topic fires: on these interactions of `type`, where both criteria are met.

    `before` and `after` are searches that the versions before and after must meet, None for any;
    `on_create` and `on_delete` stand for the one that is not there. With `both` unset one of the
    two is enough. `path` is FHIRPath over both, "" for none.
    """

    type: str
    interactions: frozenset[str]
    before: SearchRequest | None
    after: SearchRequest | None
    on_create: bool
    on_delete: bool
    both: bool
    path: str


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: its canonical URL, its triggers, and the search parameters to filter by."""

    url: str
    triggers: tuple[Trigger, ...]
    filters: frozenset[tuple[str, str]]  # resource type, search parameter

    @property
    def types(self) -> tuple[str, ...]:
        """The resource types it is about."""
        return tuple(dict.fromkeys(trigger.type for trigger in self.triggers))


@dataclass(frozen=True, slots=True)
class Change:
    """A version and the one before it: their search values and resources, None where not there."""

    type: str
    interaction: str
    before: Values | None
    after: Values | None
    previous: dict[str, Any] | None
    current: dict[str, Any] | None


@cache
def all_topics() -> dict[str, Topic]:
    """Return every topic by its canonical URL."""
    return {topic.url: topic for topic in map(_topic, resources())}


def resources() -> tuple[dict[str, Any], ...]:
    """Return the Basic resources that define the topics."""
    found: tuple[dict[str, Any], ...] = loader.artefacts(FOLDER)
    return found


def find(criteria: str) -> Topic | None:
    """Return the topic that a canonical URL names, with or without a version."""
    return all_topics().get(criteria.partition("|")[0])


def fires(topic: Topic, change: Change) -> bool:
    """Tell whether a change is an event of the topic."""
    return any(_fires(trigger, change) for trigger in topic.triggers)


def _fires(trigger: Trigger, change: Change) -> bool:
    if trigger.type != change.type or change.interaction not in trigger.interactions:
        return False
    before = _meets(trigger.before, change.before, otherwise=trigger.on_create)
    after = _meets(trigger.after, change.after, otherwise=trigger.on_delete)
    met = (before and after) if trigger.both else (before or after)
    if not met:
        return False
    return not trigger.path or fhirpath.criterion(trigger.path)(change.previous, change.current)


def _meets(wanted: SearchRequest | None, there: Values | None, *, otherwise: bool) -> bool:
    if wanted is None:
        return True
    return meets(wanted, there) if there is not None else otherwise


def _topic(resource: dict[str, Any]) -> Topic:
    url, triggers, filters = "", [], set()
    for extension in resource["extension"]:
        name = extension["url"].removeprefix(f"{systems.EXT_TOPIC}.")
        if name == "url":
            url = extension["valueUri"]
        elif name == "resourceTrigger":
            triggers.append(_trigger(_Parts(extension["extension"])))
        elif name == "canFilterBy":
            parts = _Parts(extension["extension"])
            filters.add((parts.type, parts.text("filterParameter")))
    return Topic(url, tuple(triggers), frozenset(filters))


class _Parts:
    """The parts of a complex extension, by name."""

    def __init__(self, extensions: Iterable[dict[str, Any]]) -> None:
        self._found: dict[str, list[Any]] = {}
        for extension in extensions:
            value = next((v for k, v in extension.items() if k.startswith("value")), None)
            given = extension.get("extension") if value is None else value
            self._found.setdefault(extension["url"], []).append(given)

    def all(self, name: str) -> list[Any]:
        return self._found.get(name, [])

    def text(self, name: str) -> str:
        return str(next(iter(self.all(name)), ""))

    @property
    def type(self) -> str:
        return self.text("resource").removeprefix(_DEFINITIONS)


def _trigger(parts: _Parts) -> Trigger:
    query = _Parts(next(iter(parts.all("queryCriteria")), []))
    before, after = (_search(parts.type, query.text(name)) for name in ("previous", "current"))
    # Without a search for one of them, the other alone decides.
    both = before is None or after is None or query.text("requireBoth") == "True"
    return Trigger(
        type=parts.type,
        interactions=frozenset(map(str, parts.all("supportedInteraction"))),
        before=before,
        after=after,
        on_create=query.text("resultForCreate") == PASSES,
        on_delete=query.text("resultForDelete") == PASSES,
        both=both,
        path=parts.text("fhirPathCriteria"),
    )


def _search(type_name: str, query: str) -> SearchRequest | None:
    if not query:
        return None
    reader = Reader(Parameters(), "", 0, NoTerminology())
    return search_request.parse(reader, [type_name], parse_qsl(query, keep_blank_values=True))
