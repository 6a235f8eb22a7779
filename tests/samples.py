"""Synthetic resources that tests start from; every call gives a fresh copy."""

from typing import Any

from fhir_profiles import systems

Resource = dict[str, Any]
NPI = "1999999984"


def patient(fhir_id: str = "pat", /, **more: Any) -> Resource:
    """Return a patient of the clinic."""
    return {
        "resourceType": "Patient",
        "id": fhir_id,
        "name": [{"use": "official", "family": "Rivera", "given": ["Ana", "Q"]}],
        "birthDate": "1985-02-14",
        "gender": "female",
        "managingOrganization": {"reference": "Organization/clinic"},
        **more,
    }


def clinic() -> Resource:
    """Return the organization that asks."""
    return {
        "resourceType": "Organization",
        "id": "clinic",
        "name": "Riverside Clinic",
        "identifier": [{"system": systems.NPI, "value": NPI}],
    }


def payer(fhir_id: str = "payer", /, **more: Any) -> Resource:
    """Return the organization that is asked."""
    return {
        "resourceType": "Organization",
        "id": fhir_id,
        "name": "Example Health",
        "identifier": [{"system": systems.PAYER_ID, "value": "00099"}],
        **more,
    }


def coverage(fhir_id: str = "cov", /, **more: Any) -> Resource:
    """Return an active coverage of the patient by the payer."""
    return {
        "resourceType": "Coverage",
        "id": fhir_id,
        "status": "active",
        "subscriberId": "INF100001",
        "beneficiary": {"reference": "Patient/pat"},
        "relationship": relationship("self"),
        "payor": [{"reference": "Organization/payer", "display": "Example Health"}],
        **more,
    }


def relationship(code: str) -> Resource:
    """Return a relationship to the subscriber."""
    return {"coding": [{"system": systems.RELATIONSHIP, "code": code}]}


def request(fhir_id: str = "req", /, **more: Any) -> Resource:
    """Return the question about the coverage."""
    return {
        "resourceType": "CoverageEligibilityRequest",
        "id": fhir_id,
        "identifier": [{"system": systems.TRACE, "value": "TRACE1"}],
        "status": "active",
        "purpose": ["benefits"],
        "patient": {"reference": "Patient/pat"},
        "provider": {"reference": "Organization/clinic"},
        "servicedDate": "2026-11-24",
        "created": "2026-11-24T15:00:00Z",
        "insurer": {"reference": "Organization/payer", "display": "Example Health"},
        "insurance": [{"focal": True, "coverage": {"reference": "Coverage/cov"}}],
        **more,
    }


def subscription(endpoint: str, criteria: str = "Coverage?status=active", **more: Any) -> Resource:
    """Return a rest-hook Subscription."""
    return {
        "resourceType": "Subscription",
        "id": "sub",
        "status": "requested",
        "reason": "test",
        "criteria": criteria,
        "channel": {
            "type": "rest-hook",
            "endpoint": endpoint,
            "payload": "application/fhir+json",
        },
        **more,
    }


def topic(name: str, **more: Any) -> Resource:
    """Return what a Subscription has instead of criteria: a topic of ours, by ids only."""
    payload = {"extension": [{"url": systems.EXT_CONTENT, "valueCode": "id-only"}]}
    channel = {"type": "rest-hook", "endpoint": "http://127.0.0.1:9/t",
               "payload": "application/fhir+json", "_payload": payload, **more}  # fmt: skip
    return {"criteria": f"{systems.BASE}/SubscriptionTopic/{name}", "channel": channel}
