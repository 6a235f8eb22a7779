"""Resources that are records: stored once, never changed over the API."""

from tests.conformance.conftest import Api

JSON_PATCH = "application/json-patch+json"


def test_an_audit_event_is_stored_once(api: Api) -> None:
    """Whoever changes or deletes it, in whatever way, is refused; the same again is no change."""
    event = {"resourceType": "AuditEvent", "id": "once", "recorded": "2026-11-24T10:00:00Z",
             "type": {"code": "rest"}, "agent": [{"requestor": True}],
             "source": {"observer": {"display": "EHR"}}}  # fmt: skip
    api.put(event)
    address = "AuditEvent/once"
    entry = {"request": {"method": "DELETE", "url": address}}
    change = [{"op": "replace", "path": "/recorded", "value": "2026-11-25T10:00:00Z"}]
    meta = {"resourceType": "Parameters", "parameter": [
        {"name": "meta", "valueMeta": {"tag": [{"code": "seen"}]}}]}  # fmt: skip
    refused = [
        api.call("PUT", address, {**event, "action": "R"}),
        api.call("DELETE", address),
        api.call("DELETE", "AuditEvent?_id=once"),
        api.call("PATCH", address, change, content_type=JSON_PATCH),
        api.post(f"{address}/$meta-add", meta),
        api.post("", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}),
    ]

    assert [405] * 6 == [answer.status_code for answer in refused]
    assert 200 == api.call("PUT", address, event).status_code
    assert "1" == api.get(address).get_json()["meta"]["versionId"]
    (rest,) = api.get("metadata").get_json()["rest"]
    (listed,) = [r for r in rest["resource"] if r["type"] == "AuditEvent"]
    codes_listed = {interaction["code"] for interaction in listed["interaction"]}
    assert not {"update", "patch", "delete"} & codes_listed
    assert "create" in codes_listed
