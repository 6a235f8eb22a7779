"""Routes of the pages for people, with the security headers that all of them carry."""

from importlib import resources
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, render_template

from server.interactions.engine import Engine
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

    site.after_request(secure)
    return site


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
    texts = {404: "There is no such page.", 410: "This coverage was deleted."}
    body = render_template("error.html", text=texts.get(status, "This page cannot be shown."))
    return secure(Response(body, status, content_type="text/html; charset=utf-8"))
