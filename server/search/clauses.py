"""One `key=value` of a query as a condition: parameters, modifiers, chains and _has.

Source: FHIR R4 search.html#modifiers, #chaining, #has.
"""

from server import definitions
from server.errors import BadRequest, Issue
from server.search import operands
from server.search.conditions import Chain, Clause, Compartment, Condition, Has, Reader
from server.search.parameters import NATIVE, Parameter

VALUES_LIMIT, DEPTH_LIMIT, CONDITIONS_LIMIT = 500, 8, 200
ID = Parameter("_id", "token", "http://hl7.org/fhir/SearchParameter/Resource-id", (), ())


def in_compartment(reader: Reader, compartment: Compartment) -> tuple[tuple[str, str], ...]:
    """Return the (type, reference parameter) pairs that put a resource into a compartment."""
    found = []
    for resource_type, codes in definitions.compartments()[compartment.name].items():
        known = reader.parameters.of_type(resource_type)
        found += [(resource_type, code) for code in codes if code in known]
    return tuple(found)


def condition(
    reader: Reader, resource_type: str, key: str, value: str, depth: int
) -> Condition | None:
    """Return the condition of `key=value`, None if the type has no such parameter."""
    if depth:
        reader.asked.append(None)
    if depth > DEPTH_LIMIT or len(reader.asked) > CONDITIONS_LIMIT:
        text = "The query asks for too much: name types in its chains, or use fewer parameters."
        raise BadRequest(issues=[Issue("too-costly", text, key[:40])])
    if key.startswith("_has:"):
        return _has(reader, key, value, depth)
    if key == "_list":
        return Has("List", "item", _clause(reader, ID, "", value))
    head, dot, rest = key.partition(".")
    code, _, modifier = head.partition(":")
    parameter = ID if code == "_id" else reader.parameters.of_type(resource_type).get(code)
    if parameter is None:
        return None
    if dot:
        return _chain(reader, parameter, modifier, (rest, value), depth)
    return _clause(reader, indexed(parameter), modifier, value)


def indexed(parameter: Parameter) -> Parameter:
    """Return the parameter. Raises BadRequest while not every resource is indexed for it."""
    if not parameter.ready:
        raise BadRequest(
            issues=[
                Issue(
                    "not-supported",
                    "Not every resource is indexed for this parameter yet: call $reindex.",
                    parameter.code,
                )
            ]
        )
    return parameter


def _chain(
    reader: Reader, parameter: Parameter, modifier: str, link: tuple[str, str], depth: int
) -> Condition | None:
    if parameter.type != "reference":
        raise BadRequest("Only a reference can be chained.", expression=parameter.code)
    if modifier and modifier not in definitions.type_numbers():
        raise BadRequest("A chain takes a resource type after ':'.", expression=parameter.code)
    types = (modifier,) if modifier else parameter.targets or definitions.resource_types()
    found = []
    for one in types:
        inner = condition(reader, one, *link, depth + 1)
        if inner is not None:
            found.append((one, inner))
    return Chain(indexed(parameter).code, tuple(found)) if found else None


def _has(reader: Reader, key: str, value: str, depth: int) -> Condition:
    parts = key.split(":", 3)
    if len(parts) != 4 or parts[1] not in definitions.type_numbers():  # noqa: PLR2004 _has:T:p:rest
        raise BadRequest("_has takes :Type:parameter:rest.", expression="_has")
    _, kind, code, rest = parts
    parameter = reader.parameters.of_type(kind).get(code)
    if parameter is None or parameter.type != "reference":
        raise BadRequest(f"_has names no reference parameter of {kind}.", expression="_has")
    inner = condition(reader, kind, rest, value, depth + 1)
    if inner is None:
        raise BadRequest(f"_has names no search parameter of {kind}.", expression="_has")
    return Has(kind, indexed(parameter).code, inner)


def _values(code: str, value: str) -> list[str]:
    """Return the alternatives of a value; an empty one between commas says nothing."""
    found = [one for one in operands.cut(value, ",") if one]
    if not found:
        raise BadRequest("Expected a value.", expression=code)
    if len(found) > VALUES_LIMIT:
        raise BadRequest(f"At most {VALUES_LIMIT} values in one parameter.", expression=code)
    return found


def _clause(reader: Reader, parameter: Parameter, modifier: str, value: str) -> Clause:
    code = parameter.code
    values = _values(code, value)
    if modifier == "missing" and code not in NATIVE:
        if value not in ("true", "false"):
            raise BadRequest(":missing takes true or false.", expression=code)
        return Clause(parameter.kind, code, modifier, ((value == "true",),))
    if parameter.type == "token" and modifier in ("in", "not-in", "above", "below"):
        return _by_terminology(reader, code, modifier, values)
    shape = _SHAPES.get((parameter.type, modifier))
    if parameter.type == "reference" and modifier in definitions.type_numbers():
        values = [one if "/" in one else f"{modifier}/{one}" for one in values]
        shape = ("reference", "", "")
    if shape is None or (modifier and code in NATIVE):
        raise BadRequest(
            issues=[
                Issue(
                    "not-supported", f"The modifier :{modifier[:20]} is not supported here.", code
                )
            ]
        )
    kind, suffix, kept = shape
    read = operands.READERS[kind]
    parts = tuple(part.kind for part in parameter.parts)
    scope = operands.Scope(reader.base, reader.now, parts, kept)
    try:
        found = tuple(read(one, scope) for one in values)
    except (ValueError, ArithmeticError) as error:
        raise BadRequest(f"The value is no {parameter.type}.", expression=code) from error
    stored = {"number": "quantity", "of-type": "token"}.get(kind, kind)
    return Clause(stored, f"{code}{suffix}", kept, found, parts)


# (search type, modifier) -> how to read the value, the suffix of the index parameter, and the
# modifier that is left for the comparison.
_SHAPES: dict[tuple[str, str], tuple[str, str, str]] = {
    ("token", ""): ("token", "", ""),
    ("token", "not"): ("token", "", "not"),
    ("token", "text"): ("string", ":text", "contains"),
    ("token", "of-type"): ("of-type", ":of-type", ""),
    ("reference", ""): ("reference", "", ""),
    ("reference", "identifier"): ("token", ":identifier", ""),
    ("string", ""): ("string", "", ""),
    ("string", "exact"): ("string", "", "exact"),
    ("string", "contains"): ("string", "", "contains"),
    ("date", ""): ("date", "", ""),
    ("number", ""): ("number", "", ""),
    ("quantity", ""): ("quantity", "", ""),
    ("uri", ""): ("uri", "", ""),
    ("uri", "above"): ("uri", "", "above"),
    ("uri", "below"): ("uri", "", "below"),
    ("composite", ""): ("composite", "", ""),
    ("special", ""): ("near", "", ""),
}


def _by_terminology(reader: Reader, code: str, modifier: str, values: list[str]) -> Clause:
    found: list[tuple[str, str]] = []
    for value in values:
        if modifier in ("in", "not-in"):
            members = reader.terminology.members(value)
        else:
            system, _, one = operands.plain(value).rpartition("|")
            members = reader.terminology.relatives(system, one, above=modifier == "above")
        if members is None:
            raise BadRequest(
                issues=[Issue("not-found", f":{modifier} names nothing that is stored here.", code)]
            )
        found += members
    kept = "not" if modifier == "not-in" else ""
    return Clause("token", code, kept, tuple(dict.fromkeys(found)))
