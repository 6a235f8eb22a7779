"""Patient/[id]/$everything: all that is stored about a patient, and whom it refers to.

Source: FHIR R4 patient-operation-everything.html.
"""

from server import definitions
from server.interactions import read, search
from server.interactions.search import Page, Scope
from server.operations.operation import INSTANCE, Call, Operation
from server.search.conditions import Compartment

# What a patient's records refer to and is in no compartment.
_REFERRED = (
    "Device",
    "Location",
    "Medication",
    "Organization",
    "Practitioner",
    "PractitionerRole",
    "Substance",
)
_PASSED = ("_count", "_type", "_cursor", "_elements", "_summary")


def everything(call: Call) -> Page:
    """Return a page of the patient's compartment, the patient itself, and what they refer to.

    Takes _since, _type, _count, and the cursor of a further page. Raises NotFound or Gone where
    the patient is not there.
    """
    read.read(call.engine, call.type, call.id)
    pairs = [(name, call.first(name)) for name in _PASSED if call.first(name)]
    since = call.first("_since")
    if since:
        pairs.append(("_lastUpdated", f"ge{since}"))
    pairs += [("_include", f"*:*:{name}") for name in _REFERRED]
    types = sorted({*definitions.compartments()["Patient"], "Patient"})
    compartment = Compartment("Patient", one=call.id, itself=True)
    scope = Scope(tuple(types), compartment, f"Patient/{call.id}/$everything")
    return search.of(call.engine, scope, pairs, strict=False)


OPERATION = Operation(
    "everything",
    "http://hl7.org/fhir/OperationDefinition/Patient-everything",
    (INSTANCE,),
    everything,
    types=("Patient",),
    methods=("GET", "POST"),
    needs=("*.rs",),
)
