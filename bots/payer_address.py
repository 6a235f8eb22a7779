"""Where a payer takes prior authorizations: by what its member's Coverage says, or our directory.

A payer may say in its 271 where it publishes its addresses (Da Vinci HRex 1.2.0, endpoint
discovery); only hosts that the settings name are believed, as what is sent there is health data.
"""

import logging

from bots import directory
from bots.directory import Ambiguous
from bots.mapping.request import trace_of
from bots.ports import Resource, Tools
from fhir_profiles import elements, pas, prior_auth, systems

PAS_PAYLOAD = "davinci_pas_submission_endpoint"  # of Endpoint.payloadType, an edition behind it
EDITIONS = ("2.2", "2.1", "2.0")  # those that we speak, the one to prefer first
TIMEOUT_S = 5.0
_REVIEWS = (prior_auth.X12_278, prior_auth.SERVICE_REVIEWS)
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
    if found is not None and _is_usable(found):
        return found
    addresses = [elements.reference(one) for one in payer.get("endpoint", [])]
    listed = [one for one in tools.fhir.read_all(addresses) if one is not None]
    return max(filter(_is_usable, listed), key=_edition, default=None)


def endpoint_for(payload: str, payer: Resource, tools: Tools) -> Resource | None:
    """Return the payer's active Endpoint of a payload type, whatever its edition; None for none."""
    addresses = [elements.reference(one) for one in payer.get("endpoint", [])]
    listed = [one for one in tools.fhir.read_all(addresses) if one is not None]
    return next(
        (one for one in listed if one.get("status") == "active"
         and any(code.startswith(payload) for code in _codes(one))),
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
    codes = (f"{PAS_PAYLOAD}#{edition}" for edition in EDITIONS)
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


def review_of(endpoint: Resource) -> str:
    """Return how an Endpoint that takes no PAS takes reviews, as its code; "" where it does."""
    if _edition(endpoint):
        return ""
    return next((one for one in _codes(endpoint) if one in _REVIEWS), "")


def is_older(endpoint: Resource) -> bool:
    """Tell whether an Endpoint speaks PAS 2.0 and nothing newer."""
    return _edition(endpoint).startswith(f"{PAS_PAYLOAD}#2.0")


def _is_usable(endpoint: Resource) -> bool:
    is_known = _edition(endpoint) or review_of(endpoint)
    return endpoint.get("status") == "active" and bool(is_known)


def _edition(endpoint: Resource) -> str:
    """Return the newest PAS edition in the payload types, as the code; "" for another protocol."""
    return max((one for one in _codes(endpoint) if one.startswith(PAS_PAYLOAD)), default="")


def _codes(endpoint: Resource) -> list[str]:
    codings = [c for one in endpoint.get("payloadType", []) for c in one.get("coding", [])]
    return [str(c.get("code", "")) for c in codings]
