"""SMART scopes: which of create, read, update, delete and search somebody may do on which types.

Source: SMART App Launch 2.2, scopes-and-launch-context.html, "Scopes for requesting FHIR
Resources": `system/Type.cruds`, and the words of version 1, read, write and *. A single permission
is written Type.letters here, such as `Coverage.rs`, with `*` for every type.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from server import definitions

_SCOPE = re.compile(r"system/(\*|[A-Z][A-Za-z]+)\.(read|write|\*|(?=.)c?r?u?d?s?)")
_VERSION_1 = {"read": "rs", "write": "cud", "*": "cruds"}
_EVERY, _LETTERS = "*", "cruds"


class ScopeRefused(ValueError):
    """A text that is no scope a client of ours can have; the message tells which."""


@dataclass(frozen=True, slots=True)
class Scopes:
    """The letters that are allowed by resource type, under "*" those of every type."""

    letters: Mapping[str, frozenset[str]]

    def allow(self, permission: str) -> bool:
        """Tell whether all letters of a permission such as Coverage.rs are allowed."""
        kind, _, wanted = permission.partition(".")
        return self.of(kind) >= set(wanted)

    def of(self, kind: str) -> frozenset[str]:
        """Return the letters that are allowed on a type; on every one, for "*"."""
        every = self.letters.get(_EVERY, frozenset())
        return every | self.letters.get(kind, frozenset())

    def lacking(self, permissions: Iterable[str]) -> list[str]:
        """Return which of the permissions are not allowed, in the order of their names."""
        return sorted(one for one in permissions if not self.allow(one))

    def granted(self, asked: str) -> "Scopes":
        """Return what of the scopes in a text is allowed here; what is no scope of ours is not."""
        return Scopes(_joined(self._shared(asked)))

    def _shared(self, asked: str) -> Iterator[tuple[str, frozenset[str]]]:
        for kind, wanted in _read(asked):
            yield kind, self.of(kind) & wanted
            if kind == _EVERY:
                yield from ((one, letters & wanted) for one, letters in self.letters.items())

    def __str__(self) -> str:
        """Return the scopes as a client reads them, in version 2's way, in order."""
        return " ".join(
            f"system/{kind}.{''.join(letter for letter in _LETTERS if letter in letters)}"
            for kind, letters in sorted(self.letters.items())
        )


def checked(text: str) -> Scopes:
    """Return the scopes of a text, with blanks between them.

    Raises ScopeRefused where one is none of ours, or of no R4 resource type.
    """
    parts = text.split()
    for part in parts:
        if len(list(_read(part))) != 1:
            raise ScopeRefused(f"{part!r} is no scope such as system/Coverage.rs or system/*.read")
    if not parts:
        raise ScopeRefused("at least one scope is needed, such as system/Coverage.rs")
    return kept(text)


@lru_cache(maxsize=256)
def kept(text: str) -> Scopes:
    """Return the scopes of a text that was checked once; none of "" or of what is none now."""
    return Scopes(_joined(_read(text)))


def _read(text: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield type and letters of each part that is a scope of ours."""
    known = definitions.type_numbers()
    for part in text.split():
        found = _SCOPE.fullmatch(part)
        if found is not None and (found[1] == _EVERY or found[1] in known):
            yield found[1], frozenset(_VERSION_1.get(found[2], found[2]))


def _joined(pairs: Iterable[tuple[str, frozenset[str]]]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for kind, letters in pairs:
        if letters:
            found[kind] = found.get(kind, frozenset()) | letters
    return found


ALL = Scopes({_EVERY: frozenset(_LETTERS)})
