"""The payer directory as it is searched: payers by a name, an alias or an id, with the reason."""

import re
from datetime import date
from typing import Any

from fhir_profiles import codec, payers
from fhir_profiles.payers import Candidate
from server.interactions import search
from server.interactions.engine import Engine

Resource = dict[str, Any]
READ_LIMIT = 200  # payers that a search looks at
_TYPES = ("type", ",".join(payers.PAYER_TYPES))
_WORD = re.compile(r"\w+")


def find(engine: Engine, text: str, on: date) -> list[Candidate]:
    """Return the payers that `text` may mean, the surest first; ids count as they hold on a day."""
    words = [("name:contains", word) for word in _WORD.findall(text)]
    if not words:
        return []
    found = {one["id"]: one for one in _read(engine, [_TYPES, *words])}
    escaped = re.sub(r"([\\,|$])", r"\\\1", text.strip())
    found |= {one["id"]: one for one in _read(engine, [("identifier", escaped)])}
    return payers.rank(text, found.values(), on)


def listed(engine: Engine) -> list[Resource]:
    """Return the first READ_LIMIT payers by their name."""
    return _read(engine, [_TYPES, ("_sort", "name")])


def _read(engine: Engine, pairs: list[tuple[str, str]]) -> list[Resource]:
    asked = [*pairs, ("_count", str(READ_LIMIT)), ("_total", "none")]
    return [codec.decode(body) for body in search.search(engine, "Organization", asked).bodies]
