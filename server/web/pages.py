"""Routes of the pages for people, with the security headers that all of them carry."""

from importlib import resources
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, render_template, request, url_for

from server.interactions.engine import Engine
from server.web import deliveries as delivered
from server.web.benefits import summary
from server.web.today import today

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


def pages(engine: Engine, zone: ZoneInfo) -> Blueprint:
    """Return the pages as a blueprint; dates and times are shown in `zone`."""
    here = str(resources.files("server").joinpath("web"))
    site = Blueprint(
        "pages",
        __name__,
        root_path=here,
        template_folder="templates",
        static_folder="static",
        static_url_path="/static",
    )

    @site.get("/")
    def front_desk() -> str:
        return render_template("today.html", page=today(engine, zone))

    @site.get("/benefits/<coverage_id>")
    def benefits(coverage_id: str) -> str:
        return render_template("benefits.html", page=summary(engine, coverage_id, zone))

    @site.get("/deliveries")
    def deliveries() -> str:
        page = delivered.listing(engine, request.args, zone)
        return render_template("deliveries.html", page=page, states=delivered.STATES)

    @site.get("/deliveries/<uid>")
    def delivery(uid: str) -> str:
        row, attempts = delivered.one(engine, uid, zone)
        return render_template("delivery.html", row=row, attempts=attempts)

    @site.post("/deliveries/<uid>/redeliver")
    def redeliver(uid: str) -> Response:
        if not _is_ours():
            return refuse(403)
        delivered.again(engine, uid)
        answer = Response(status=303)
        answer.headers["Location"] = url_for("pages.delivery", uid=uid)
        return answer

    site.after_request(secure)
    return site


def _is_ours() -> bool:
    """Tell whether a form was sent from one of our own pages: no other site may act for a person.

    Browsers say where a request comes from; who says nothing is no browser. Our own forms have no
    Origin to tell, as our pages give no referrer.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    return request.headers.get("Origin", "") in ("", request.host_url.rstrip("/"))


def secure(answer: Response) -> Response:
    """Add the security headers; only the style sheet may be kept by a browser."""
    answer.headers["Content-Security-Policy"] = POLICY
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    if answer.mimetype == "text/html":
        answer.headers["Cache-Control"] = "no-store"
    return answer


def refuse(status: int) -> Response:
    """Answer a page that cannot be shown, with the next step."""
    texts = {
        403: "This can only be done from our own pages.",
        404: "There is no such page.",
        410: "This coverage was deleted.",
    }
    body = render_template("error.html", text=texts.get(status, "This page cannot be shown."))
    return secure(Response(body, status, content_type="text/html; charset=utf-8"))
