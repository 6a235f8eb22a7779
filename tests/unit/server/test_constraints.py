"""R4's invariants by FHIRPath in $validate: each example breaks one, its sound twin none."""

import copy
from typing import Any

import pytest

from server import definitions
from server.validation import constraints, structure

TEXT = {"text": "x"}
CODED = {"coding": [{"system": "urn:s", "code": "c"}]}
PATIENT = {"reference": "Patient/p"}
URL = "http://example.org/x"


def of(resource_type: str, /, **members: Any) -> dict[str, Any]:
    return {"resourceType": resource_type, **members}


def condition(**members: Any) -> dict[str, Any]:
    return of("Condition", subject=PATIENT, **members)


def verification(code: str) -> dict[str, Any]:
    system = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
    return {"coding": [{"system": system, "code": code}]}


def clinical(code: str) -> dict[str, Any]:
    system = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    return {"coding": [{"system": system, "code": code}]}


def appointment(**members: Any) -> dict[str, Any]:
    base = of(
        "Appointment", status="booked", participant=[{"actor": PATIENT, "status": "accepted"}]
    )
    return {**base, "start": "2026-12-01T15:00:00Z", "end": "2026-12-01T15:30:00Z", **members}


def observation(**members: Any) -> dict[str, Any]:
    return of("Observation", status="final", code=CODED, **members)


def questionnaire(*items: dict[str, Any]) -> dict[str, Any]:
    return of("Questionnaire", status="active", item=list(items))


def question(link: str = "a", kind: str = "string", **members: Any) -> dict[str, Any]:
    return {"linkId": link, "type": kind, **members}


def value_set(**members: Any) -> dict[str, Any]:
    return of("ValueSet", status="active", **members)


def composed(**include: Any) -> dict[str, Any]:
    return value_set(compose={"include": [include]})


def capability(**members: Any) -> dict[str, Any]:
    base = {"status": "active", "date": "2026-01-01", "fhirVersion": "4.0.1", "format": ["json"]}
    rest = [{"mode": "server"}]
    return of("CapabilityStatement", **{**base, "kind": "requirements", "description": "x",
                                        "rest": rest, **members})  # fmt: skip


def element(**members: Any) -> dict[str, Any]:
    root = {"id": "Patient", "path": "Patient", "min": 0, "max": "*", "definition": "x",
            "base": {"path": "Patient", "min": 0, "max": "*"}}  # fmt: skip
    inner = {**root, "id": "Patient.x", "path": "Patient.x", **members}
    return of("StructureDefinition", url=URL, name="X", status="draft", kind="resource",
              abstract=False, type="Patient", baseDefinition=URL,
              snapshot={"element": [root, inner]},
              differential={"element": [{"id": "Patient", "path": "Patient"}]})  # fmt: skip


def plan(**action: Any) -> dict[str, Any]:
    return of("RequestGroup", status="active", intent="plan", action=[action])


def trigger(**members: Any) -> dict[str, Any]:
    return of("EventDefinition", status="active", trigger=[members])


DATA = [{"type": "Patient"}]
SCRIPT = {"url": URL, "name": "X", "status": "active"}
OPERATION = {"encodeRequestUrl": True, "url": URL}
PAIRS = [
    (
        "app-1",
        appointment(),
        appointment(participant=[{"status": "accepted"}]),
    ),
    ("app-2", appointment(), appointment(status="proposed", end=None)),
    ("app-3", appointment(), appointment(start=None, end=None)),
    (
        "app-4",
        appointment(status="cancelled", cancelationReason=TEXT),
        appointment(cancelationReason=TEXT),
    ),
    ("con-1", condition(stage=[{"summary": TEXT}]), condition(stage=[{"type": TEXT}])),
    (
        "con-4",
        condition(clinicalStatus=clinical("resolved"), abatementString="2025"),
        condition(clinicalStatus=clinical("active"), abatementString="2025"),
    ),
    (
        "con-5",
        condition(verificationStatus=verification("entered-in-error")),
        condition(
            verificationStatus=verification("entered-in-error"), clinicalStatus=clinical("active")
        ),
    ),
    (
        "ipn-1",
        of("InsurancePlan", name="Gold"),
        of("InsurancePlan", status="active"),
    ),
    ("lnk-1", of("Linkage", item=[{"type": "source", "resource": PATIENT}] * 2),
     of("Linkage", item=[{"type": "source", "resource": PATIENT}])),
    ("obs-3", observation(referenceRange=[{"text": "x"}]),
     observation(referenceRange=[{"type": TEXT}])),
    ("obs-6", observation(valueString="x"), observation(valueString="x", dataAbsentReason=TEXT)),
    (
        "obs-7",
        observation(valueString="x", component=[{"code": TEXT}]),
        observation(valueString="x", component=[{"code": CODED}]),
    ),
    ("que-1", questionnaire(question(kind="group", item=[question("b")])),
     questionnaire(question(kind="group"))),
    ("que-2", questionnaire(question("a"), question("b")),
     questionnaire(question("a"), question("a"))),
    ("que-3", questionnaire(question(code=[{"code": "c"}])),
     questionnaire(question(kind="display", code=[{"code": "c"}]))),
    (
        "que-7",
        questionnaire(
            question(enableWhen=[{"question": "b", "operator": "exists", "answerBoolean": True}])
        ),
        questionnaire(
            question(enableWhen=[{"question": "b", "operator": "exists", "answerString": "x"}])
        ),
    ),
    ("que-10", questionnaire(question(maxLength=3)),
     questionnaire(question(kind="date", maxLength=3))),
    (
        "que-13",
        questionnaire(question(repeats=True, initial=[{"valueString": "x"}, {"valueString": "y"}])),
        questionnaire(question(initial=[{"valueString": "x"}, {"valueString": "y"}])),
    ),
    ("vsd-1", composed(system=URL), composed(version="1")),
    ("vsd-2", composed(system=URL, concept=[{"code": "c"}]),
     composed(valueSet=[URL], concept=[{"code": "c"}])),
    (
        "vsd-10",
        value_set(expansion={"timestamp": "2026", "contains": [{"system": URL, "code": "c"}]}),
        value_set(expansion={"timestamp": "2026", "contains": [{"code": "c"}]}),
    ),
    ("csd-1", of("CodeSystem", status="active", content="complete",
                 concept=[{"code": "a", "concept": [{"code": "b"}]}]),
     of("CodeSystem", status="active", content="complete",
        concept=[{"code": "a", "concept": [{"code": "a"}]}])),
    ("cpb-1", capability(), capability(rest=None)),
    ("cpb-2", capability(), capability(description=None)),
    (
        "cpb-9",
        capability(rest=[{"mode": "server", "resource": [{"type": "Patient"}]}]),
        capability(rest=[{"mode": "server", "resource": [{"type": "Patient"}] * 2}]),
    ),
    ("cpb-14", capability(kind="instance", implementation={"description": "x"}),
     capability(kind="instance")),
    ("eld-2", element(min=1, max="2"), element(min=3, max="2")),
    ("eld-3", element(max="*"), element(max="some")),
    ("eld-12", element(binding={"strength": "example", "valueSet": URL}),
     element(binding={"strength": "example", "valueSet": "ValueSet/x"})),
    ("eld-13", element(type=[{"code": "string"}, {"code": "code"}]),
     element(type=[{"code": "string"}, {"code": "string"}])),
    ("eld-18", element(isModifier=True, isModifierReason="x"), element(isModifier=True)),
    ("eld-19", element(), element(path="Patient.x y")),
    ("sdf-1", element(), element(path="Patient")),
    ("sdf-8", element(), element(path="Group.x")),
    ("sdf-3", element(), element(definition=None)),
    ("sdf-8b", element(), element(base=None)),
    ("rqg-1", plan(action=[{"resource": PATIENT}]), plan(title="x")),
    (
        "ras-1",
        of("RiskAssessment", status="final", subject=PATIENT, prediction=[{"probabilityRange": {
            "low": {"value": 1, "code": "%", "system": "http://unitsofmeasure.org"}}}]),
        of("RiskAssessment", status="final", subject=PATIENT, prediction=[{"probabilityRange": {
            "low": {"value": 1, "code": "1", "system": "http://unitsofmeasure.org"}}}]),
    ),
    (
        "ras-2",
        of("RiskAssessment", status="final", subject=PATIENT,
           prediction=[{"probabilityDecimal": 100}]),
        of("RiskAssessment", status="final", subject=PATIENT,
           prediction=[{"probabilityDecimal": 101}]),
    ),
    (
        "rat-1",
        observation(valueRatio={"numerator": {"value": 1}, "denominator": {"value": 2}}),
        observation(valueRatio={"numerator": {"value": 1}}),
    ),
    ("inv-1", of("Parameters", parameter=[{"name": "a", "valueString": "x"}]),
     of("Parameters", parameter=[{"name": "a", "part": [{"name": "b"}]}])),
    ("grp-1", of("Group", type="person", actual=True, member=[{"entity": PATIENT}]),
     of("Group", type="person", actual=False, member=[{"entity": PATIENT}])),
    ("lst-2", of("List", status="current", mode="changes",
                 entry=[{"deleted": True, "item": PATIENT}]),
     of("List", status="current", mode="working", entry=[{"deleted": True, "item": PATIENT}])),
    ("fhs-2", of("FamilyMemberHistory", status="completed", patient=PATIENT, relationship=TEXT,
                 ageString="50", estimatedAge=True),
     of("FamilyMemberHistory", status="completed", patient=PATIENT, relationship=TEXT,
        estimatedAge=True)),
    ("ppc-1", of("Consent", status="active", scope=TEXT, category=[TEXT], policyRule=TEXT),
     of("Consent", status="active", scope=TEXT, category=[TEXT])),
    ("sev-1", of("AuditEvent", type={"code": "x"}, recorded="2026-01-01T00:00:00Z",
                 agent=[{"requestor": True}], source={"observer": PATIENT},
                 entity=[{"name": "x"}]),
     of("AuditEvent", type={"code": "x"}, recorded="2026-01-01T00:00:00Z",
        agent=[{"requestor": True}], source={"observer": PATIENT},
        entity=[{"name": "x", "query": "eA=="}])),
    ("spd-1", of("SearchParameter", url=URL, name="X", status="draft", description="x", code="x",
                 base=["Patient"], type="token", xpath="x", xpathUsage="normal"),
     of("SearchParameter", url=URL, name="X", status="draft", description="x", code="x",
        base=["Patient"], type="token", xpath="x")),
    ("trd-1", trigger(type="data-added", data=DATA),
     trigger(type="data-added", data=DATA, timingDate="2026-01-01")),
    ("trd-3", trigger(type="named-event", name="x"), trigger(type="named-event")),
    ("tst-1", of("TestScript", **SCRIPT, setup={"action": [{"operation": OPERATION}]}),
     of("TestScript", **SCRIPT, setup={"action": [{"operation": OPERATION, "assert": {
         "warningOnly": True}}]})),
    ("tst-7", of("TestScript", **SCRIPT, setup={"action": [{"operation": OPERATION}]}),
     of("TestScript", **SCRIPT, setup={"action": [{"operation": {
         **OPERATION, "targetId": "x"}}]})),
    ("nsd-2", of("NamingSystem", name="X", status="active", kind="identifier", date="2026",
                 uniqueId=[{"type": "uri", "value": "a", "preferred": True},
                           {"type": "oid", "value": "b", "preferred": True}]),
     of("NamingSystem", name="X", status="active", kind="identifier", date="2026",
        uniqueId=[{"type": "uri", "value": "a", "preferred": True},
                  {"type": "uri", "value": "b", "preferred": True}])),
    ("cmd-1", of("ConceptMap", status="active", group=[{"element": [{"target": [
        {"equivalence": "narrower", "comment": "x"}]}]}]),
     of("ConceptMap", status="active", group=[{"element": [{"target": [
         {"equivalence": "narrower"}]}]}])),
    ("exp-1", of("PlanDefinition", status="active", action=[{"condition": [
        {"kind": "start", "expression": {"language": "text/cql", "expression": "x"}}]}]),
     of("PlanDefinition", status="active", action=[{"condition": [
         {"kind": "start", "expression": {"language": "text/cql"}}]}])),
    ("ig-1", of("ImplementationGuide", url=URL, name="X", status="active", packageId="x",
                fhirVersion=["4.0.1"], definition={"grouping": [{"id": "g", "name": "x"}],
                "resource": [{"reference": PATIENT, "groupingId": "g"}]}),
     of("ImplementationGuide", url=URL, name="X", status="active", packageId="x",
        fhirVersion=["4.0.1"], definition={"grouping": [{"id": "g", "name": "x"}],
        "resource": [{"reference": PATIENT, "groupingId": "h"}]})),
]  # fmt: skip


def without_none(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: without_none(value) for key, value in node.items() if value is not None}
    return [without_none(item) for item in node] if isinstance(node, list) else node


def keys_of(resource: dict[str, Any]) -> set[str]:
    assert structure.check(resource) == []
    return {issue.text.partition(":")[0] for issue in constraints.check(resource)}


@pytest.mark.parametrize(("key", "sound", "broken"), PAIRS, ids=[pair[0] for pair in PAIRS])
def test_a_broken_invariant_is_named(key: str, sound: Any, broken: Any) -> None:
    """VAL-03: the standard's own rules find the broken one and pass its sound twin."""
    assert keys_of(without_none(sound)) == set()
    assert key in keys_of(without_none(broken))


def test_every_invariant_is_known_to_one_side() -> None:
    """VAL-03: what the write path enforces is in R4, and all else compiles and runs."""
    types = [name for name in definitions.types() if definitions.constraints(name)]
    keys = {key for name in types for key, _, _ in definitions.constraints(name)}
    assert len(keys) > 200
    assert keys >= constraints.ENFORCED - {"dom-2", "dom-3", "dom-4", "dom-5", "Task.inv-1"}
    for name in types:
        for rule in constraints._rules(name):
            rule.holds({"id": "x"}, {"resource": {}, "rootResource": {}})


def test_validating_leaves_the_resource_alone() -> None:
    """VAL-03: $validate of a stored resource changes nothing of it."""
    given = questionnaire(question("a"), question("a"))
    before = copy.deepcopy(given)
    assert keys_of(given) == {"que-2"}
    assert given == before


def test_contained_resources_are_checked_on_their_own() -> None:
    """VAL-03: `%resource` is the contained one, and the place names it."""
    inner = {**condition(stage=[{"type": TEXT}]), "id": "c"}
    outer = observation(contained=[inner], focus=[{"reference": "#c"}])
    (found,) = constraints.check(outer)
    assert (found.text[:5], found.expression) == ("con-1", "Observation.contained[0].stage[0]")


@pytest.mark.parametrize(
    "large",
    [
        questionnaire(*[question(f"q{n}") for n in range(constraints.LIST_LIMIT + 1)]),
        questionnaire(*[
            question(f"q{n}", "group", item=[question(f"q{n}-{m}") for m in range(9)])
            for n in range(constraints.SQUARE_LIMIT // 10 + 1)
        ]),
        questionnaire(*[
            question(f"q{n}", "group", item=[question(f"q{n}-{m}") for m in range(99)])
            for n in range(constraints.NODES_LIMIT // 100 + 1)
        ]),
    ],
)  # fmt: skip
def test_what_is_too_large_is_told_so(large: dict[str, Any]) -> None:
    """VAL-03: no answer passes for a full check that was none; it is a warning, no error."""
    (found,) = constraints.check(large)
    assert ("too-costly", "warning") == (found.code, found.severity)


@pytest.mark.parametrize(
    "valid",
    [
        of("RiskAssessment", status="final", subject=PATIENT,
           prediction=[{"qualitativeRisk": TEXT}]),
        of("Task", status="requested", intent="order", authoredOn="2026-01-01T00:00:05Z",
           lastModified="2026-01-01T00:00:05.5Z"),
        of("Task", status="requested", intent="order", authoredOn="2026-01-01"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_not_held_against_it(valid: dict[str, Any]) -> None:
    """VAL-03: a type is asked of what is there, and times only as precisely as they are."""
    assert set() == keys_of(valid)
