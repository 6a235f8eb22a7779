"""Patient/[id]/$cob-order: which of a patient's coverages pays first, with reasons (R003-56).

Computed by the order-of-benefits rules, never stored by itself: who pays first is for a person, or
for the payers, to confirm.
"""

from collections.abc import Iterator
from typing import Any

from fhir_profiles import codec, systems
from server.interactions import benefit_order, read
from server.interactions.benefit_order import Ranked
from server.operations.operation import INSTANCE, Call, Operation


def order(call: Call) -> dict[str, Any]:
    """Return Parameters with a `plan` for each active coverage, in order, and each `finding`.

    `on` is the day of service, by default today in UTC; `accident` is true for a visit about an
    accident. A place of 0 is that of a plan which does not pay for the visit; findings are
    order-twice, order-missing and order-differs, of the orders on file.
    """
    patient = codec.decode(read.read(call.engine, "Patient", call.id).body)
    accident = call.first("accident").lower() == "true"
    ranked = benefit_order.of_patient(call.engine, patient, call.day("on"), accident=accident)
    listed = [{"name": "plan", "part": [*_parts(one)]} for one in ranked]
    listed += [{"name": "finding", "valueCode": one} for one in benefit_order.findings(ranked)]
    answer: dict[str, Any] = {"resourceType": "Parameters"}
    return {**answer, "parameter": listed} if listed else answer


def _parts(one: Ranked) -> Iterator[dict[str, Any]]:
    reference = {"reference": f"Coverage/{one.coverage['id']}"}
    yield {"name": "coverage", "valueReference": reference}
    yield {"name": "place", "valueInteger": one.placed.place}
    yield {"name": "reason", "valueString": one.placed.reason}
    yield {"name": "tie", "valueBoolean": one.placed.is_tie}
    if one.recorded is not None:
        yield {"name": "recorded", "valuePositiveInt": one.recorded}


OPERATION = Operation(
    "cob-order",
    f"{systems.BASE}/OperationDefinition/patient-cob-order",
    (INSTANCE,),
    order,
    types=("Patient",),
    methods=("GET", "POST"),
    parameters=("on", "accident"),
    needs=("Patient.r", "Coverage.rs"),
)
