"""Reading and writing single resources (CRUD, CON, PAT, HIS)."""

import base64
import itertools
import json
import threading
from typing import Any
from urllib.parse import quote

import pytest

from tests import samples
from tests.conformance.conftest import Api, codes

_names = itertools.count()
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"crud-{next(_names)}"


def tagged(name: str, **more: Any) -> dict[str, Any]:
    """A patient that can be found by an identifier of this name."""
    return samples.patient(name, identifier=[{"system": "urn:x:crud", "value": name}], **more)


def criteria(name: str) -> str:
    return f"identifier=urn:x:crud|{name}"


@pytest.mark.req("CRUD-01")
def test_create(api: Api) -> None:
    """201 with its address and version; the client's id is not taken."""
    answer = api.post("Patient", samples.patient("mine"))
    fhir_id = answer.get_json()["id"]

    assert (201, 'W/"1"') == (answer.status_code, answer.headers["ETag"])
    assert answer.headers["Location"].endswith(f"/fhir/Patient/{fhir_id}/_history/1")
    assert answer.headers["Last-Modified"].endswith("GMT")
    assert "mine" != fhir_id


@pytest.mark.req("CRUD-02")
def test_another_type(api: Api) -> None:
    """A Coverage is no Patient."""
    assert 400 == api.post("Patient", samples.coverage()).status_code
    assert 400 == api.call("PUT", "Patient/x", samples.coverage("x")).status_code


@pytest.mark.req("CRUD-03")
def test_read(api: Api, name: str) -> None:
    """200 with the ETag; 404 for what never was."""
    api.put(samples.patient(name))

    assert 'W/"1"' == api.get(f"Patient/{name}").headers["ETag"]
    assert (404, ["not-found"]) == (
        api.get("Patient/never").status_code, codes(api.get("Patient/never")),
    )  # fmt: skip
    assert 404 == api.get("Foo/1").status_code


@pytest.mark.req("CRUD-04")
@pytest.mark.parametrize("fhir_id", ["a_b!", "a" * 65, "%00", "%C3%A4", ".." * 40, "a%20b"])
def test_ids_of_wrong_syntax(api: Api, fhir_id: str) -> None:
    """4xx, whatever the method."""
    for method, body in (("GET", None), ("DELETE", None), ("PUT", samples.patient("x"))):
        answer = api.call(method, f"Patient/{fhir_id}", body)
        assert 200 <= answer.status_code < 500
        assert method != "PUT" or answer.status_code in (400, 404)


@pytest.mark.req("CRUD-05")
def test_update(api: Api, name: str) -> None:
    """The next version, later than the one before."""
    first = api.put(samples.patient(name)).get_json()["meta"]
    second = api.put(samples.patient(name, gender="male")).get_json()["meta"]

    assert ("1", "2") == (first["versionId"], second["versionId"])
    assert first["lastUpdated"] < second["lastUpdated"]
    assert 400 == api.call("PUT", f"Patient/{name}", samples.patient("other")).status_code
    without = {k: v for k, v in samples.patient(name).items() if k != "id"}
    assert 400 == api.call("PUT", f"Patient/{name}", without).status_code


@pytest.mark.req("CRUD-06")
def test_update_as_create(api: Api, name: str) -> None:
    """201 under the client's id."""
    assert 201 == api.call("PUT", f"Patient/{name}", samples.patient(name)).status_code


@pytest.mark.req("CRUD-07")
@pytest.mark.req("CRUD-08")
def test_delete_and_revive(api: Api, name: str) -> None:
    """Gone, not found, gone again, and back as version 3."""
    api.put(tagged(name))
    deleted = api.call("DELETE", f"Patient/{name}")

    assert (204, 'W/"2"') == (deleted.status_code, deleted.headers["ETag"])
    assert (410, ["deleted"]) == (
        api.get(f"Patient/{name}").status_code, codes(api.get(f"Patient/{name}")),
    )  # fmt: skip
    assert [] == api.ids(f"Patient?{criteria(name)}")
    assert 204 == api.call("DELETE", f"Patient/{name}").status_code
    revived = api.call("PUT", f"Patient/{name}", tagged(name))
    assert (201, 'W/"3"') == (revived.status_code, revived.headers["ETag"])
    assert [name] == api.ids(f"Patient?{criteria(name)}")


@pytest.mark.req("CRUD-09")
def test_digits_stay(api: Api, name: str) -> None:
    """Decimals, instants, order and extensions of primitives come back as they were sent.

    Of an exponent the digits stay, not its spelling: 1e2 comes back as 1E+2.
    """
    text = (
        f'{{"resourceType":"Observation","id":"{name}",'
        '"status":"final","code":{"text":"x"},'
        '"issued":"2026-11-24T10:00:00.1234567+00:00","valueQuantity":{"value":25.00},'
        '"component":[{"code":{"text":"b"},"valueQuantity":{"value":1E+2}},'
        '{"code":{"text":"a"},"valueQuantity":{"value":0.10000000000000000001}}],'
        '"_status":{"extension":[{"url":"http://x.example","valueDecimal":3.140}]}}'
    )
    api.call("PUT", f"Observation/{name}", text)
    back = api.get(f"Observation/{name}").get_data(as_text=True)

    for part in text.split(",")[2:]:
        assert part.rstrip("}") in back, part
    assert back.index('"b"') < back.index('"a"')


@pytest.mark.req("CRUD-10")
def test_meta(api: Api, name: str) -> None:
    """Ours are set; the client's labels stay, and come back in an update that repeats them."""
    meta = {"versionId": "77", "lastUpdated": "2020-01-01T00:00:00Z", "profile": ["http://x"],
            "tag": [{"system": "http://t", "code": "t"}],
            "security": [{"system": "http://s", "code": "s"}]}  # fmt: skip
    found = api.put(samples.patient(name, meta=meta)).get_json()["meta"]

    assert "1" == found["versionId"]
    assert found["lastUpdated"] > "2026"
    assert all(meta[key] == found[key] for key in ("profile", "tag", "security"))


@pytest.mark.req("CRUD-11")
def test_prefer(api: Api, name: str) -> None:
    """minimal, representation, OperationOutcome; told in Preference-Applied."""
    body = samples.patient(name)
    minimal = api.put(body, Prefer="return=minimal")
    whole = api.put({**body, "gender": "male"}, Prefer="return=representation")
    outcome = api.put({**body, "gender": "other"}, Prefer='return="OperationOutcome"')

    assert (b"", "return=minimal") == (minimal.data, minimal.headers["Preference-Applied"])
    assert "Patient" == whole.get_json()["resourceType"]
    assert ["informational"] == codes(outcome)


@pytest.mark.req("CRUD-12")
def test_the_same_again(api: Api, name: str) -> None:
    """No new version, whatever the order of its members."""
    body = tagged(name)
    api.put(body)
    again = api.put(dict(reversed(body.items())))

    assert (200, 'W/"1"') == (again.status_code, again.headers["ETag"])


@pytest.mark.req("CRUD-13")
def test_vread(api: Api, name: str) -> None:
    """Each version as it was; the deletion is gone; others never were."""
    api.put(samples.patient(name, gender="male"))
    api.put(samples.patient(name, gender="female"))
    api.call("DELETE", f"Patient/{name}")
    versions = [api.get(f"Patient/{name}/_history/{n}").status_code for n in (1, 2, 3, 4, "x")]

    assert [200, 200, 410, 404, 404] == versions
    assert "male" == api.get(f"Patient/{name}/_history/1").get_json()["gender"]


@pytest.mark.req("CRUD-14")
def test_references_are_not_enforced(api: Api, name: str) -> None:
    """Advertised as literal and logical without enforcement."""
    api.put(samples.patient(name))
    dangling = samples.coverage(name, beneficiary={"reference": f"Patient/{name}"},
                                payor=[{"reference": "Organization/nowhere"}])  # fmt: skip

    assert 201 == api.call("PUT", f"Coverage/{name}", dangling).status_code
    assert 204 == api.call("DELETE", f"Patient/{name}").status_code


@pytest.mark.req("CRUD-15")
def test_provenance(api: Api, name: str) -> None:
    """Stored with the write, about the very version; a wrong one stores nothing."""
    provenance = {"resourceType": "Provenance", "recorded": "2026-11-24T10:00:00Z",
                  "agent": [{"who": {"display": "EHR"}}]}  # fmt: skip
    api.put(samples.patient(name), X_Provenance=json.dumps(provenance))
    wrong = json.dumps({**provenance, "recorded": "yesterday"})
    refused = api.call("PUT", f"Patient/{name}", samples.patient(name, gender="male"),
                       X_Provenance=wrong)  # fmt: skip

    (entry,) = api.entries(f"Provenance?target=Patient/{name}")
    assert f"Patient/{name}/_history/1" == entry["resource"]["target"][0]["reference"]
    assert 422 == refused.status_code
    assert "1" == api.get(f"Patient/{name}").get_json()["meta"]["versionId"]
    assert 400 == api.post("Patient", samples.patient(), X_Provenance="{").status_code


@pytest.mark.req("CON-01")
def test_if_match(api: Api, name: str) -> None:
    """The version at hand, a stale one, no version; on delete and patch too."""
    api.put(samples.patient(name))
    male, other = samples.patient(name, gender="male"), samples.patient(name, gender="other")

    assert 200 == api.call("PUT", f"Patient/{name}", male, If_Match='W/"1"').status_code
    stale = api.call("PUT", f"Patient/{name}", other, If_Match='W/"1"')
    assert (412, ["conflict"]) == (stale.status_code, codes(stale))
    assert 400 == api.call("PUT", f"Patient/{name}", other, If_Match="1").status_code
    assert 412 == api.call("DELETE", f"Patient/{name}", If_Match='W/"1"').status_code
    assert 412 == api.call("PUT", "Patient/nobody", samples.patient("nobody"),
                           If_Match='W/"1"').status_code  # fmt: skip


def at_once(count: int, work: Any) -> list[int]:
    """Run `work(number)` that often at once; return the sorted statuses."""
    statuses: list[int] = []
    barrier = threading.Barrier(count)

    def run(number: int) -> None:
        barrier.wait()
        statuses.append(work(number))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(statuses)


@pytest.mark.req("CON-02")
def test_one_of_twenty_wins(api: Api, name: str) -> None:
    """The others are told that they are late."""
    api.put(samples.patient(name))

    def update(number: int) -> int:
        body = samples.patient(name, name=[{"family": f"F{number}"}])
        return api.call("PUT", f"Patient/{name}", body, If_Match='W/"1"').status_code

    assert [200, *[412] * 19] == at_once(20, update)
    assert "2" == api.get(f"Patient/{name}").get_json()["meta"]["versionId"]


@pytest.mark.req("CON-02")
def test_twenty_updates_are_twenty_versions(api: Api, name: str) -> None:
    """Without If-Match none is lost."""
    api.put(samples.patient(name))
    at_once(20, lambda number: api.put(
        samples.patient(name, name=[{"family": f"F{number}"}])).status_code)  # fmt: skip

    assert "21" == api.get(f"Patient/{name}").get_json()["meta"]["versionId"]
    assert 21 == api.get(f"Patient/{name}/_history").get_json()["total"]


@pytest.mark.req("CON-03")
def test_conditional_read(api: Api, name: str) -> None:
    """304 where the client has it already."""
    stored = api.put(samples.patient(name))
    path = f"Patient/{name}"

    assert (304, b"") == (
        api.get(path, If_None_Match='W/"1"').status_code, api.get(path, If_None_Match='W/"1"').data,
    )  # fmt: skip
    assert 200 == api.get(path, If_None_Match='W/"2"').status_code
    assert 304 == api.get(path, If_Modified_Since=stored.headers["Last-Modified"]).status_code
    old = "Mon, 01 Jan 2024 00:00:00 GMT"
    assert 200 == api.get(path, If_Modified_Since=old).status_code
    assert 200 == api.get(path, If_Modified_Since="never").status_code


@pytest.mark.req("CON-04")
def test_conditional_create(api: Api, name: str) -> None:
    """None, one, several."""
    body = tagged(name)
    del body["id"]
    answers = [api.post("Patient", body, If_None_Exist=criteria(name)) for _ in range(2)]
    api.post("Patient", body)
    several = api.post("Patient", body, If_None_Exist=criteria(name))

    assert [201, 200] == [a.status_code for a in answers]
    assert answers[0].headers["Location"] == answers[1].headers["Location"]
    assert (412, ["multiple-matches"]) == (several.status_code, codes(several))


@pytest.mark.req("CON-05")
def test_twenty_conditional_creates(api: Api, name: str) -> None:
    """One resource."""
    body = tagged(name)

    def create(_number: int) -> int:
        return api.post("Patient", body, If_None_Exist=criteria(name)).status_code

    assert [*[200] * 19, 201] == at_once(20, create)
    assert 1 == len(api.ids(f"Patient?{criteria(name)}"))


@pytest.mark.req("CON-06")
def test_conditional_update(api: Api, name: str) -> None:
    """None creates, one updates, several and another id are refused."""
    body = tagged(name)
    del body["id"]
    path = f"Patient?{criteria(name)}"
    created = api.call("PUT", path, body)
    updated = api.call("PUT", path, {**body, "gender": "male"})

    assert (201, 200) == (created.status_code, updated.status_code)
    assert created.get_json()["id"] == updated.get_json()["id"]
    assert 400 == api.call("PUT", path, {**body, "id": "other"}).status_code
    api.post("Patient", body)
    assert 412 == api.call("PUT", path, body).status_code
    with_id = api.call("PUT", f"Patient?{criteria(name + 'x')}", tagged(f"{name}x"))
    assert (201, f"{name}x") == (with_id.status_code, with_id.get_json()["id"])


@pytest.mark.req("CON-07")
def test_conditional_delete(api: Api, name: str) -> None:
    """One goes; of several none does; none is no error."""
    path = f"Patient?{criteria(name)}"
    api.put(tagged(name))
    assert 204 == api.call("DELETE", path).status_code
    assert 410 == api.get(f"Patient/{name}").status_code
    assert 204 == api.call("DELETE", path).status_code
    api.put(tagged(name))
    api.post("Patient", tagged(name))
    assert 412 == api.call("DELETE", path).status_code
    assert 2 == len(api.ids(path))


@pytest.mark.req("CON-08")
@pytest.mark.parametrize("query", ["", "?foo=1", "?_count=1", "?_format=json", "?identifier="])
def test_criteria_that_say_nothing(api: Api, query: str) -> None:
    """They never mean everything."""
    before = api.get("Patient/_history?_count=0").get_json()["total"]
    for method in ("PUT", "DELETE", "PATCH"):
        body = None if method == "DELETE" else samples.patient()
        kind = {"Content_Type": MERGE_PATCH} if method == "PATCH" else {}
        assert 400 == api.call(method, f"Patient{query}", body, **kind).status_code
    refused = api.post("Patient", samples.patient(), If_None_Exist=query.lstrip("?") or "?")
    assert 400 == refused.status_code
    assert before == api.get("Patient/_history?_count=0").get_json()["total"]


@pytest.mark.req("CON-09")
def test_create_by_query(api: Api, name: str) -> None:
    """What fhirpy sends."""
    path = f"Patient?{criteria(name)}"
    answers = [api.post(path, tagged(name)).status_code for _ in range(2)]
    api.post("Patient", tagged(name))

    assert [201, 200, 412] == [*answers, api.post(path, tagged(name)).status_code]


@pytest.mark.req("CON-10")
def test_conditional_patch(api: Api, name: str) -> None:
    """One is patched, none is 404, several 412."""
    path, change = f"Patient?{criteria(name)}", {"gender": "other"}
    assert 404 == api.call("PATCH", path, change, Content_Type=MERGE_PATCH).status_code
    api.put(tagged(name))
    patched = api.call("PATCH", path, change, Content_Type=MERGE_PATCH)
    assert (200, "other") == (patched.status_code, patched.get_json()["gender"])
    api.post("Patient", tagged(name))
    assert 412 == api.call("PATCH", path, change, Content_Type=MERGE_PATCH).status_code


def patched(api: Api, name: str, *operations: dict[str, Any]) -> Any:
    answer = api.call("PATCH", f"Patient/{name}", json.dumps(operations), Content_Type=JSON_PATCH)
    assert 200 == answer.status_code, answer.get_data(as_text=True)
    return answer.get_json()


@pytest.mark.req("PAT-01")
def test_json_patch(api: Api, name: str) -> None:
    """Each operation of RFC 6902."""
    api.put(samples.patient(name, name=[{"family": "A", "given": ["X", "Y"]}]))
    added = patched(api, name, {"op": "add", "path": "/name/0/given/1", "value": "M"})
    assert ["X", "M", "Y"] == added["name"][0]["given"]
    moved = patched(api, name, {"op": "move", "from": "/name/0/given/2", "path": "/name/0/given/0"})
    assert ["Y", "X", "M"] == moved["name"][0]["given"]
    copied = patched(api, name, {"op": "copy", "from": "/name/0", "path": "/name/-"})
    assert copied["name"][0] == copied["name"][1]
    done = patched(
        api, name, {"op": "test", "path": "/gender", "value": "female"},
        {"op": "replace", "path": "/gender", "value": "male"}, {"op": "remove", "path": "/name/1"},
    )  # fmt: skip
    assert ("male", 1) == (done["gender"], len(done["name"]))


@pytest.mark.req("PAT-01")
@pytest.mark.parametrize(
    ("operations", "status"),
    [
        ([{"op": "test", "path": "/gender", "value": "unknown"}], 422),
        ([{"op": "remove", "path": "/nothing"}], 422),
        ([{"op": "replace", "path": "/gender", "value": "x"}], 422),
        ([{"op": "add", "path": "/nickname", "value": "x"}], 422),
        ([{"op": "fly", "path": "/gender"}], 400),
        ([{"op": "add", "path": "gender", "value": "x"}], 400),
        ([{"op": "add", "path": "/gender"}], 400),
        ([{"op": "move", "path": "/gender"}], 400),
        ({"op": "add"}, 400),
        (["x"], 400),
        ([{"op": "add", "path": 7, "value": 1}], 400),
        ([{"op": "remove", "path": ""}], 422),
        ([{"op": "add", "path": "", "value": 7}], 422),
    ],
)
def test_json_patches_that_do_not_fit(api: Api, name: str, operations: Any, status: int) -> None:
    """Refused, and nothing is changed."""
    api.put(samples.patient(name))
    answer = api.call("PATCH", f"Patient/{name}", json.dumps(operations), Content_Type=JSON_PATCH)

    assert status == answer.status_code, answer.get_data(as_text=True)
    assert "1" == api.get(f"Patient/{name}").get_json()["meta"]["versionId"]


@pytest.mark.req("PAT-02")
def test_what_a_patch_cannot_do(api: Api, name: str) -> None:
    """Identity stays; If-Match holds; a new version is made."""
    api.put(samples.patient(name))
    for path, value in (("/id", "other"), ("/resourceType", "Practitioner")):
        operations = json.dumps([{"op": "replace", "path": path, "value": value}])
        answer = api.call("PATCH", f"Patient/{name}", operations, Content_Type=JSON_PATCH)
        assert 422 == answer.status_code
    operations = json.dumps([{"op": "replace", "path": "/gender", "value": "male"}])
    stale = api.call("PATCH", f"Patient/{name}", operations, Content_Type=JSON_PATCH,
                     If_Match='W/"9"')  # fmt: skip
    assert 412 == stale.status_code
    assert "2" == patched(api, name, *json.loads(operations))["meta"]["versionId"]
    assert 404 == api.call("PATCH", "Patient/never", operations,
                           Content_Type=JSON_PATCH).status_code  # fmt: skip


def operation(kind: str, path: str, **parts: Any) -> dict[str, Any]:
    """One operation of a FHIRPath Patch; parts are name -> (value[x], value)."""
    listed = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    for part, (key, value) in parts.items():
        listed.append({"name": part, key: value})
    return {"name": "operation", "part": listed}


def fhir_patch(api: Api, name: str, *operations: dict[str, Any]) -> Any:
    body = {"resourceType": "Parameters", "parameter": list(operations)}
    return api.call("PATCH", f"Patient/{name}", body)


@pytest.mark.req("PAT-03")
def test_fhirpath_patch(api: Api, name: str) -> None:
    """add, insert, replace, move, delete; a choice by its name; where() and an index."""
    api.put(samples.patient(name, name=[{"use": "official", "family": "A", "given": ["X", "Y"]}],
                            deceasedBoolean=False))  # fmt: skip
    answer = fhir_patch(
        api, name,
        operation("add", "Patient", name=("valueString", "active"), value=("valueBoolean", True)),
        operation("add", "Patient", name=("valueString", "contact"),
                  value=("valueHumanName", {"text": "x"})),
        operation("insert", "Patient.name[0].given", index=("valueInteger", 1),
                  value=("valueString", "M")),
        operation("replace", "Patient.name.where(use='official').family",
                  value=("valueString", "B")),
        operation("move", "Patient.name[0].given", source=("valueInteger", 2),
                  destination=("valueInteger", 0)),
        operation("replace", "Patient.deceased", value=("valueBoolean", True)),
        operation("delete", "Patient.contact"),
        operation("delete", "Patient.birthDate"),
        operation("delete", "Patient.photo"),
    )  # fmt: skip

    body = answer.get_json()
    assert 200 == answer.status_code, body
    assert (True, "B", ["Y", "X", "M"]) == (
        body["active"], body["name"][0]["family"], body["name"][0]["given"],
    )  # fmt: skip
    assert body["deceasedBoolean"] is True
    assert "contact" not in body
    assert "birthDate" not in body


@pytest.mark.req("PAT-03")
@pytest.mark.parametrize(
    ("change", "status"),
    [
        (operation("fly", "Patient.gender"), 400),
        (operation("replace", "Patient.name[", value=("valueString", "x")), 400),
        (operation("replace", "Patient.name.exists()", value=("valueString", "x")), 400),
        (operation("replace", "Patient.gender"), 400),
        (operation("replace", "Patient.gender", value=("valueCode", "x")), 422),
        (operation("replace", "Patient.photo", value=("valueString", "x")), 422),
        (operation("insert", "Patient.name", index=("valueInteger", 9),
                   value=("valueHumanName", {"text": "x"})), 422),
        (operation("move", "Patient.name", source=("valueInteger", 0),
                   destination=("valueInteger", 5)), 422),
        (operation("add", "Patient", name=("valueString", "gender"),
                   value=("valueCode", "male")), 422),
        (operation("delete", "Patient"), 422),
        ({"name": "operation"}, 400),
        ({"name": "x", "part": []}, 400),
        ({"name": "operation", "part": ["x"]}, 400),
    ],
)  # fmt: skip
def test_fhirpath_patches_that_do_not_fit(api: Api, name: str, change: Any, status: int) -> None:
    """Refused, and nothing is changed."""
    api.put(samples.patient(name))

    answer = fhir_patch(api, name, change)
    assert status == answer.status_code, answer.get_data(as_text=True)
    assert "1" == api.get(f"Patient/{name}").get_json()["meta"]["versionId"]


@pytest.mark.req("PAT-04")
def test_merge_patch(api: Api, name: str) -> None:
    """An object merges, null removes, in both media types; a list is no merge patch."""
    api.put(samples.patient(name))
    one = api.call("PATCH", f"Patient/{name}", {"gender": "male"}, Content_Type="application/json")
    two = api.call("PATCH", f"Patient/{name}", {"birthDate": None}, Content_Type=MERGE_PATCH)
    listed = api.call("PATCH", f"Patient/{name}", "[]", Content_Type="application/json")

    assert "male" == one.get_json()["gender"]
    assert "birthDate" not in two.get_json()
    assert 400 == listed.status_code
    assert 415 == api.call("PATCH", f"Patient/{name}", "x", Content_Type="text/plain").status_code


@pytest.mark.req("PAT-04")
def test_a_patch_in_a_bundle(api: Api, name: str) -> None:
    """As a Binary that holds a JSON Patch."""
    api.put(samples.patient(name))
    change = json.dumps([{"op": "replace", "path": "/gender", "value": "male"}]).encode()
    binary = {"resourceType": "Binary", "contentType": JSON_PATCH,
              "data": base64.b64encode(change).decode()}  # fmt: skip
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"request": {"method": "PATCH", "url": f"Patient/{name}"}, "resource": binary},
    ]}  # fmt: skip

    assert 200 == api.post("", bundle).status_code
    assert "male" == api.get(f"Patient/{name}").get_json()["gender"]


@pytest.mark.req("HIS-01")
@pytest.mark.req("HIS-03")
def test_history(api: Api, name: str) -> None:
    """Of the instance, the type and the system: newest first."""
    api.put(samples.patient(name))
    api.put(samples.patient(name, gender="male"))
    api.call("DELETE", f"Patient/{name}")
    for path in (f"Patient/{name}/_history", "Patient/_history", "_history"):
        bundle = api.get(path).get_json()
        entries = bundle["entry"]
        assert "history" == bundle["type"]
        assert bundle["total"] >= 3
        assert ["DELETE", "PUT", "PUT"] == [e["request"]["method"] for e in entries[:3]]
        assert ["204", "200", "201"] == [e["response"]["status"] for e in entries[:3]]
        assert ['W/"3"', 'W/"2"', 'W/"1"'] == [e["response"]["etag"] for e in entries[:3]]
        assert all(e["fullUrl"].endswith(f"/fhir/Patient/{name}") for e in entries[:3])
        assert all(e["response"]["lastModified"] for e in entries)
        assert ["resource" in e for e in entries[:3]] == [False, True, True]
    assert 404 == api.get("Patient/never/_history").status_code
    ours = api.get("_history?_count=3").get_json()  # others' entries may be too large to validate
    assert ["informational"] == codes(api.post("Bundle/$validate", ours))


@pytest.mark.req("HIS-02")
def test_history_by_time_and_pages(api: Api, name: str) -> None:
    """_since, _at, and pages that give every version once."""
    for number in range(7):
        api.put(samples.patient(name, name=[{"family": f"F{number}"}]))
    path = f"Patient/{name}/_history"
    moments = [e["response"]["lastModified"] for e in api.get(path).get_json()["entry"]]
    since = api.get(f"{path}?_since={quote(moments[2])}").get_json()
    at = api.get(f"{path}?_at={quote(moments[4])}").get_json()

    assert (3, 3) == (since["total"], len(since["entry"]))
    assert ['W/"3"'] == [e["response"]["etag"] for e in at["entry"]]
    assert (7, None) == tuple(api.get(f"{path}?_count=0").get_json().get(k)
                              for k in ("total", "entry"))  # fmt: skip
    seen: list[str] = []
    address = f"{path}?_count=3"
    while address:
        page = api.get(address).get_json()
        seen += [e["response"]["etag"] for e in page["entry"]]
        links = {link["relation"]: link["url"] for link in page["link"]}
        address = links.get("next", "").partition("/fhir/")[2]
    assert [f'W/"{n}"' for n in range(7, 0, -1)] == seen
    for bad in ("_since=x", "_at=x", "_count=x", "_count=-1", "_cursor=x"):
        assert 400 == api.get(f"{path}?{bad}").status_code, bad
