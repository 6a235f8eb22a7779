"""Which Subscriptions a write concerns: matched inside its transaction, against compiled hooks."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fhir_profiles import codec
from server import fhirpath
from server.access import scopes
from server.registry import Registry
from server.search.conditions import SearchRequest
from server.search.index import Row
from server.search.match import Values, keys_in, keys_of, meets, values_of
from server.search.parameters import Parameters
from server.search.values import micros
from server.store import deliveries, resources
from server.store.connection import Connection
from server.subscriptions import topics
from server.subscriptions.hook import COUNTING, Hook, hook
from server.subscriptions.topics import Change, Topic

EVENTS = 0  # the guard of numbering; those of resource types have their numbers, from 1


@dataclass(frozen=True, slots=True)
class Event:
    """One new version of a resource.

    `before` and `after` are the index rows of the version before and of this one, None where there
    is none; `previous` is the resource before, `body` the JSON of this one.
    """

    type: str
    id: str
    interaction: str
    rid: int
    vrid: int
    moment: datetime
    before: frozenset[Row] | None
    after: frozenset[Row] | None
    previous: dict[str, Any] | None
    body: bytes | None

    def change(self, *, whole: bool) -> Change:
        """Return what matching looks at; this version itself only if `whole`."""
        moment = micros(self.moment)
        before, after = (
            None if rows is None else values_of(self.id, moment, rows)
            for rows in (self.before, self.after)
        )
        current = codec.decode(self.body) if whole and self.body is not None else None
        return Change(self.type, self.interaction, before, after, self.previous, current)


@dataclass(frozen=True, slots=True)
class _Group:
    """The hooks that look for the same: the search, and the topic if it is one's."""

    request: SearchRequest
    topic: Topic | None
    hooks: tuple[Hook, ...]


class Watched:
    """The Subscriptions of one resource type, found by a value that each of them asks for."""

    def __init__(self, asked: Iterable[tuple[SearchRequest, Hook]]) -> None:
        """Put together those that ask the same, and find a key for each."""
        same: dict[Any, list[tuple[SearchRequest, Hook]]] = {}
        for request, one in asked:
            key = request.branches[0][1], one.topic and one.topic.url
            same.setdefault(key, []).append((request, one))
        self._always: list[_Group] = []
        self._keyed: dict[tuple[str, str], list[_Group]] = {}
        for pairs in same.values():
            request, first = pairs[0]
            group = _Group(request, first.topic, tuple(one for _, one in pairs))
            keys = keys_of(request)
            if keys is None:
                self._always.append(group)
            for value in keys[1] if keys else ():
                self._keyed.setdefault((keys[0] if keys else "", value), []).append(group)
        self._codes = tuple(sorted({code for code, _ in self._keyed}))
        self._looks_inside = any(_looks_inside(one) for pairs in same.values() for _, one in pairs)

    def concerned(self, event: Event) -> list[Hook]:
        """Return the hooks that an event concerns, in the order of their rows."""
        change = event.change(whole=self._looks_inside)
        values = change.after if change.after is not None else change.before
        if values is None:
            return []
        fired: dict[str, bool] = {}
        found = []
        for group in self._candidates(values):
            if meets(group.request, values) and _fires(group.topic, change, fired):
                found += [one for one in group.hooks if _wants(one, change, event.moment)]
        return sorted(found, key=lambda one: one.rid)

    def _candidates(self, values: Values) -> list[_Group]:
        found = {id(group): group for group in self._always}
        for code in self._codes:
            for value in keys_in(code, values):
                for group in self._keyed.get((code, value), ()):
                    found[id(group)] = group
        return list(found.values())


def _looks_inside(one: Hook) -> bool:
    """Tell whether FHIRPath over the resource decides."""
    triggers = one.topic.triggers if one.topic is not None else ()
    return bool(one.path) or any(trigger.path for trigger in triggers)


def _fires(topic: Topic | None, change: Change, known: dict[str, bool]) -> bool:
    if topic is None:
        return True
    if topic.url not in known:
        known[topic.url] = topics.fires(topic, change)
    return known[topic.url]


def _wants(one: Hook, change: Change, moment: datetime) -> bool:
    if one.topic is None and change.interaction not in one.interactions:
        return False
    if one.status not in COUNTING or one.is_over(moment):
        return False
    return not one.path or fhirpath.criterion(one.path)(change.previous, change.current)


@dataclass(frozen=True, slots=True)
class _Compiled:
    """All hooks as they were at an epoch, by row and by the resource types they are about.

    `watched` is put together for a type when the first of its events asks: not for every one of
    many Subscriptions that are stored together.
    """

    epochs: tuple[int, int]
    parameters: Parameters | None
    by_row: dict[int, Hook]
    by_type: dict[str, list[tuple[SearchRequest, Hook]]]
    watched: dict[str, Watched]

    def of(self, type_name: str) -> Watched | None:
        """Return what is watched of a type, None where nothing is."""
        found = self.watched.get(type_name)
        if found is None and type_name in self.by_type:
            found = self.watched[type_name] = Watched(self.by_type[type_name])
        return found


class Hooks:
    """The compiled Subscriptions, read anew when any of them changes, in whichever process."""

    def __init__(self, base: str, registry: Registry) -> None:
        """Know none yet; `base` is our FHIR base URL."""
        self._base = base
        self._registry = registry
        # All in one, so that threads need no lock: who waits for the database may hold none.
        self._kept = _Compiled((-1, -1), None, {}, {}, {})

    def by_row(self, connection: Connection) -> dict[int, Hook]:
        """Return every Subscription that is not deleted, by its resource row."""
        return self._at(connection, deliveries.epochs(connection)).by_row

    def named(self, connection: Connection, fhir_id: str) -> Hook | None:
        """Return the Subscription with this id, None where there is none."""
        return next((one for one in self.by_row(connection).values() if one.id == fhir_id), None)

    def concerned(
        self, connection: Connection, epochs: tuple[int, int], event: Event
    ) -> list[Hook]:
        """Return the Subscriptions that an event concerns, at epochs that were read already."""
        watched = self._at(connection, epochs).of(event.type)
        return watched.concerned(event) if watched is not None else []

    def is_watched(self, connection: Connection, epochs: tuple[int, int], kind: str) -> bool:
        """Tell whether any Subscription looks at resources of a type at all."""
        return kind in self._at(connection, epochs).by_type

    def _at(self, connection: Connection, epochs: tuple[int, int]) -> _Compiled:
        kept = self._kept
        if epochs == kept.epochs:
            return kept
        parameters = self._registry.at(connection, epochs[1])
        standing = deliveries.subscriptions(connection)
        same = {
            one.rid: known
            for one in standing
            if (known := kept.by_row.get(one.rid)) is not None
            and (known.vrid, known.secret) == (one.vrid, one.secret)
            and known.scopes == scopes.kept(one.scopes)
            and parameters is kept.parameters
        }
        others = [one for one in standing if one.rid not in same]
        bodies = resources.bodies(connection, [one.vrid for one in others])
        read = {
            one.rid: hook(one, body, self._base, parameters)
            for one, body in zip(others, bodies, strict=True)
        }
        by_row = {one.rid: same.get(one.rid) or read[one.rid] for one in standing}
        self._kept = _Compiled(epochs, parameters, by_row, _by_type(by_row.values()), {})
        return self._kept


def _by_type(hooks: Iterable[Hook]) -> dict[str, list[tuple[SearchRequest, Hook]]]:
    asked: dict[str, list[tuple[SearchRequest, Hook]]] = {}
    for one in hooks:
        if one.status in COUNTING:
            for type_name, request in one.searches:
                asked.setdefault(type_name, []).append((request, one))
    return asked
