"""Where a payer takes prior authorizations: by what its member's Coverage says, or our directory.

A payer may say in its 271 where it publishes its addresses (Da Vinci HRex 1.2.0, endpoint
discovery); only hosts that the settings name are believed, as what is sent there is health data.
"""

import logging

from bots import directory
from bots.directory import Ambiguous
from bots.mapping.request import trace_of
from bots.ports import Resource, Tools
from fhir_profiles import elements, pas, prior_auth, prior_auth_route, systems

TIMEOUT_S = 5.0
_CONNECTION = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"
_log = logging.getLogger(__name__)


def payer_of(claim: Resource, tools: Tools) -> Resource:
    """Return the payer of a Claim as the directory has it; nothing where it is not known."""
    insurer = claim.get("insurer", {})
    (payer,) = tools.fhir.read_all([elements.reference(insurer)])
    if payer is not None and payer.get("endpoint"):
        return payer
    try:
        return directory.find(insurer, payer, tools.now().date(), tools.fhir) or payer or {}
    except Ambiguous:
        return payer or {}


def endpoint_of(task: Resource, payer: Resource, tools: Tools) -> Resource | None:
    """Return the Endpoint of a prior authorization, None where there is none that is active.

    It is the one that was discovered for it, else the payer's own: of PAS before the others.
    """
    (found,) = tools.fhir.read_all([prior_auth.part(task, prior_auth.ENDPOINT)])
    if found is not None and prior_auth_route.is_usable(found):
        return found
    addresses = [elements.reference(one) for one in payer.get("endpoint", [])]
    return prior_auth_route.best(tools.fhir.read_all(addresses))


def endpoint_for(payload: str, payer: Resource, tools: Tools) -> Resource | None:
    """Return the payer's active Endpoint of a payload type, whatever its edition; None for none."""
    addresses = [elements.reference(one) for one in payer.get("endpoint", [])]
    listed = [one for one in tools.fhir.read_all(addresses) if one is not None]
    return next(
        (one for one in listed if one.get("status") == "active"
         and any(code.startswith(payload) for code in prior_auth_route.codes(one))),
        None,
    )  # fmt: skip


def discovered(task: Resource, claim: Resource, sent: Resource, tools: Tools) -> Resource:
    """Return the Task with the Endpoint that its Coverage leads to, if it leads to one.

    `claim` is the stored one, `sent` the Bundle as it goes out.
    """
    if prior_auth.part(task, prior_auth.ENDPOINT):
        return task
    coverage = _coverage(claim, sent, tools)
    location = str(elements.extension_value(coverage, pas.EXT_WELL_KNOWN) or "")
    if not location:
        return task
    addresses = tools.prior_auth.discover(location, timeout_s=TIMEOUT_S)
    codes = (f"{prior_auth_route.PAS}#{edition}" for edition in prior_auth_route.EDITIONS)
    code = next((one for one in codes if one in addresses), "")
    if not code:
        _log.warning("no PAS address was discovered for prior authorization %s", task["id"])
        return task
    made = _endpoint(code, addresses[code], claim.get("insurer", {}))
    cause = elements.identifier(made, systems.CAUSE)
    there = tools.fhir.create_once(made, f"identifier={systems.CAUSE}|{cause}")
    return prior_auth.with_part(task, "input", prior_auth.ENDPOINT, f"Endpoint/{there['id']}")


def _coverage(claim: Resource, sent: Resource, tools: Tools) -> Resource:
    """Return the focal Coverage: ours, or the one in the Bundle of an EHR."""
    for one, entries in ((claim, ()), (sent["entry"][0]["resource"], sent["entry"])):
        focal: Resource = next((i for i in one.get("insurance", []) if i.get("focal")), {})
        address = elements.reference(focal.get("coverage"))
        held = next((e["resource"] for e in entries if e["fullUrl"] == address), None)
        (stored,) = tools.fhir.read_all([address]) if held is None else (held,)
        if stored is not None:
            return stored
    return {}


def _endpoint(code: str, address: str, insurer: Resource) -> Resource:
    """Return the Endpoint of an address that a payer published; one address makes one."""
    mark = trace_of(f"{elements.reference(insurer)}|{code}|{address}")
    return {
        "resourceType": "Endpoint",
        "identifier": [{"system": systems.CAUSE, "value": f"discovered-{mark}"}],
        "status": "active",
        "connectionType": {"system": _CONNECTION, "code": "hl7-fhir-rest"},
        "managingOrganization": insurer,
        "payloadType": [{"coding": [{"system": pas.ENDPOINT_CODES, "code": code}]}],
        "address": address,
    }
