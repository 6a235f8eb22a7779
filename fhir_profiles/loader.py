"""The FHIR artefacts of this package, parsed once: one JSON file each, by folder."""

from functools import cache
from importlib import resources
from typing import Any

from fhir_profiles import codec


@cache
def artefacts(folder: str) -> tuple[Any, ...]:
    """Return the JSON of each file in `folder`, such as `search_parameters`, by file name."""
    found = resources.files("fhir_profiles").joinpath(folder).iterdir()
    names = sorted(item.name for item in found if item.name.endswith(".json"))
    place = resources.files("fhir_profiles").joinpath(folder)
    return tuple(codec.decode(place.joinpath(name).read_bytes()) for name in names)
