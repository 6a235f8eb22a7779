"""The payer directory as it is searched: payers by a name, an alias or an id, with the reason."""

from dataclasses import replace
from datetime import date
from typing import Any

from fhir_profiles import codec, elements, payers
from fhir_profiles.payers import Candidate, Grade
from server.interactions import search
from server.interactions.engine import Engine

Resource = dict[str, Any]
READ_LIMIT = 200  # payers that a search looks at
_TYPES = ("type", ",".join(payers.PAYER_TYPES))
WORDS = 5  # of a name that are looked for one by one


def find(engine: Engine, text: str, on: date) -> list[Candidate]:
    """Return the payers that `text` may mean, the surest first; ids count as they hold on a day."""
    words = [("name:contains", word) for word in payers.telling_words(text)]
    if not words:
        return []
    by_id = _read(engine, [("identifier", elements.escaped(text.strip()))])
    ranked = _ranked(text, [*by_id, *_read(engine, [_TYPES, *words])], on)
    if ranked or by_id:
        return ranked
    # A name with a sign inside, asked without it: any of its words may lead there.
    return _ranked(text, [one for w in words[:WORDS] for one in _read(engine, [_TYPES, w])], on)


def _ranked(text: str, found: list[Resource], on: date) -> list[Candidate]:
    """Return who is meant; where there are more than were read, nobody is certain."""
    ranked = payers.rank(text, {one["id"]: one for one in found}.values(), on)
    if len(found) < READ_LIMIT:
        return ranked
    return [
        replace(one, grade=Grade.PROBABLE) if one.grade is Grade.CERTAIN else one for one in ranked
    ]


def listed(engine: Engine) -> list[Resource]:
    """Return the first READ_LIMIT payers by their name."""
    return _read(engine, [_TYPES, ("_sort", "name")])


def _read(engine: Engine, pairs: list[tuple[str, str]]) -> list[Resource]:
    asked = [*pairs, ("_count", str(READ_LIMIT)), ("_total", "none")]
    return [codec.decode(body) for body in search.search(engine, "Organization", asked).bodies]
