"""What all pages share: who may have them, their security headers, and how they refuse."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

from flask import Blueprint, Response, render_template, request

from server.access.people import EVERYBODY, Person, Right
from server.interactions.engine import Engine
from server.web import audit

View = Callable[..., Any]
Who = Callable[[], Person | None]
HTML = "text/html; charset=utf-8"
POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class Route:
    """A page, or by POST a form that a page has, and the right that it needs."""

    path: str
    view: View
    right: Right
    method: str = "GET"


def add(site: Blueprint, engine: Engine, who: Who, routes: tuple[Route, ...]) -> None:
    """Put routes on the site, each for those who may have it."""
    for route in routes:
        view = _for(engine, who, route)
        site.add_url_rule(route.path, view_func=view, methods=[route.method])
    site.app_context_processor(lambda: _shown(who()))
    site.after_request(secure)


def _shown(person: Person | None) -> dict[str, Any]:
    """Return what every template may ask: who looks, and what they may."""
    return {
        "person": person,
        "may": lambda right: person is not None and person.may(Right(right)),
    }


def _for(engine: Engine, who: Who, route: Route) -> View:
    @wraps(route.view)
    def guarded(**place: str | int) -> Any:
        if route.method == "POST" and not is_ours():
            return refuse(403)
        person = who()
        if person is None:
            return refuse(401)
        is_let = person.may(route.right)
        if person is not EVERYBODY and not (is_let and is_refresh()):
            outcome = audit.GOOD if is_let else audit.REFUSED
            asked = f"{request.method} {request.full_path.removesuffix('?')}"
            audit.looked(engine, person, place, asked, outcome)
        return route.view(**place) if is_let else refuse(403, NOT_FOR_YOU)

    return guarded


def is_refresh() -> bool:
    """Tell whether a page that is open brings itself up to date: nobody does anything."""
    return request.method == "GET" and request.headers.get("Sec-Fetch-Dest") == "empty"


def told(texts: Mapping[str, str]) -> str:
    """Return what the form before this page has done, by its name in the address."""
    return texts.get(request.args.get("done", ""), "")


def see(address: str) -> Response:
    """Answer a form with the page to look at: a reload does not send it again."""
    answer = Response(status=303)
    answer.headers["Location"] = address
    return answer


def is_ours() -> bool:
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


NOT_FOR_YOU = "Your role does not include this page."
_TEXTS = {
    401: "Sign in to see this page.",
    403: "This can only be done from our own pages.",
    404: "There is no such page.",
    410: "This coverage was deleted.",
}


def refuse(status: int, text: str = "") -> Response:
    """Answer a page that cannot be shown, with the next step."""
    text = text or _TEXTS.get(status, "This page cannot be shown.")
    body = render_template("error.html", text=text, status=status)
    return secure(Response(body, status, content_type=HTML))
