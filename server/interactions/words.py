"""Full text: whether a stored body holds words (FHIR R4 search.html#text, #content)."""

import re
from collections.abc import Iterable, Iterator
from html import unescape
from typing import Any

from fhir_profiles import codec
from server.search.conditions import Words
from server.search.index import fold_all

_TAG = re.compile(r"<[^>]*>")


def holds(asked: Iterable[Words], body: bytes) -> bool:
    """Tell whether the resource meets every full-text condition; `body` is its exact JSON."""
    resource = codec.decode(body)
    for words in asked:
        texts = _narrative(resource) if words.where == "_text" else _all_texts(resource)
        text = fold_all(" ".join(texts))
        if not any(all(word in text for word in words_) for words_ in words.alternatives):
            return False
    return True


def _narrative(resource: dict[str, Any]) -> Iterator[str]:
    yield unescape(_TAG.sub(" ", resource.get("text", {}).get("div", "")))


def _all_texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "div" and isinstance(value, str):
                yield unescape(_TAG.sub(" ", value))
            else:
                yield from _all_texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _all_texts(value)
    elif isinstance(node, str):
        yield node
