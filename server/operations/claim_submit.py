"""Claim/$submit: a prior authorization request goes to its payer, and the answer comes back.

Source: Da Vinci PAS 2.2.1, OperationDefinition Claim-submit; FHIR R4 claim-operation-submit.html.
"""

from typing import Any

from fhir_profiles import pas
from server.interactions import answers, prior_auth, prior_auth_answer
from server.operations.operation import INSTANCE, TYPE, Answer, Call, Operation


def submit(call: Call) -> dict[str, Any] | Answer:
    """Return the payer's response Bundle as it came; after 13 s one that says "pended".

    The body is a PAS request Bundle, or a Claim of use preauthorization, or a Parameters with
    either as `resource`; on Claim/[id] the Claim that is stored. The same request again has the
    same answer. `Prefer: wait=S` shortens the wait. Raises Unprocessable naming each element that
    is missing before anything is sent, and where the payer refuses.
    """
    body: Any = call.body
    if isinstance(body, dict) and body.get("resourceType") == "Parameters":
        body = next(iter(call.parts("resource")), None)
    if call.id and body is None:
        task = prior_auth.of_claim(call.engine, call.id, call.origin)
    else:
        task = prior_auth.accept(call.engine, body, call.origin)
    wait_s = min(answers.wait_s(call.preferences), prior_auth.WAIT_S)
    found = answers.awaited(lambda: prior_auth.answer(call.engine, task), wait_s)
    return Answer(found) if found is not None else prior_auth_answer.pended(call.engine, task)


OPERATION = Operation(
    "submit",
    f"{pas.GUIDE}/OperationDefinition/Claim-submit",
    (TYPE, INSTANCE),
    submit,
    types=("Claim",),
    needs=("*.crus",),
)
