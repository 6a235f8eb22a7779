"""The status of long work, and the files of a finished export.

Source: HL7 Bulk Data Access 2.0, status request; FHIR R4 async.html.
"""

from email.utils import format_datetime

from flask import Blueprint, Response, stream_with_context

from fhir_profiles import codec
from server.errors import Issue, NotFound, outcome
from server.interactions import answers, jobs, retention
from server.operations import export
from server.rest.exchange import caller, engine, json
from server.search import values
from server.store.jobs import Job

RETRY_AFTER_S = "1"
_PROGRESS_LIMIT = 99  # X-Progress is shorter than 100 characters


def add_routes(api: Blueprint) -> None:
    """Add the routes to the FHIR API."""
    api.add_url_rule("/$job/<uid>", "job", _status, methods=["GET"])
    api.add_url_rule("/$job/<uid>", "job-delete", _delete, methods=["DELETE"])
    api.add_url_rule("/$job/<uid>/<type_name>.ndjson", "job-file", _file, methods=["GET"])


def _status(uid: str) -> Response:
    job = _job(uid)
    if job.kind == answers.KIND:
        found = answers.find(engine(), codec.decode(job.wish))
        return json(found) if found else _waiting(job)
    if job.state == "accepted":
        return _waiting(job)
    if job.state == "failed":
        text = "The work failed; the reason is in the server's log. Ask for it again."
        return json(outcome([Issue("exception", text)]), 500)
    result = codec.decode(job.result or b"{}")
    if job.kind != export.KIND:
        return json(result)
    content = export.manifest(
        engine().base, uid, codec.decode(job.wish), result, needs_token=bool(caller().client)
    )
    answer = Response(codec.encode(content), content_type="application/json")
    expires = values.moment(job.started + retention.DAY_S * 1_000_000)
    answer.headers["Expires"] = format_datetime(expires, usegmt=True)
    return answer


def _waiting(job: Job) -> Response:
    answer = Response(status=202)
    answer.headers.pop("Content-Type")
    answer.headers["X-Progress"] = (job.progress or "waiting")[:_PROGRESS_LIMIT]
    answer.headers["Retry-After"] = RETRY_AFTER_S
    return answer


def _job(uid: str) -> Job:
    """Return the job. Raises Forbidden unless who asks may see what it is about."""
    job = jobs.find(engine(), uid)
    is_answer = job.kind == answers.KIND
    caller().demand(["CoverageEligibilityResponse.r" if is_answer else "*.rs"])
    return job


def _delete(uid: str) -> Response:
    _job(uid)
    jobs.remove(engine(), uid)
    return Response(status=202)


def _file(uid: str, type_name: str) -> Response:
    job = _job(uid)
    known = codec.decode(job.result or b"{}").get("types", [])
    if job.kind != export.KIND or job.state != "done" or type_name not in known:
        raise NotFound("No such file.")
    lines = export.lines(engine(), codec.decode(job.wish), type_name)
    return Response(stream_with_context(lines), content_type="application/fhir+ndjson")
