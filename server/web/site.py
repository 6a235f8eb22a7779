"""What all pages share: who may have them, their security headers, and how they refuse."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, g, render_template, request, session, url_for

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
REFRESHES_COUNT_EVERY_S = 600
_PLACES = {"coverage_id": "Coverage", "task_id": "Task"}  # what a page's address names
_NOT_FOR_YOU = "Your role does not include this page."
_TEXTS = {
    401: "Sign in to see this page.",
    403: "This can only be done from our own pages.",
    404: "There is no such page.",
    410: "This coverage was deleted.",
}


@dataclass(frozen=True, slots=True)
class Route:
    """A page, or by POST a form that a page has, and the right that it needs.

    One that `refreshes` brings itself up to date while it is open.
    """

    path: str
    view: View
    right: Right
    method: str = "GET"
    refreshes: bool = False


def add(
    site: Blueprint, engine: Engine, who: Who, public_url: str, routes: Iterable[Route]
) -> None:
    """Put routes on the site, each for those who have its right, and written down."""
    known = {f"{site.name}.{route.view.__name__}": route for route in routes}
    for route in known.values():
        site.add_url_rule(
            route.path, view_func=route.view, methods=[route.method],
            provide_automatic_options=False,
        )  # fmt: skip
    gate = _Gate(engine, who, public_url, known)
    site.before_request(gate.let_in)
    site.after_request(secure)
    site.after_request(gate.write_down)
    site.app_context_processor(lambda: _shown(g.person if "person" in g else who()))


class _Gate:
    """In front of every page: who may have it, and behind it, what is written down."""

    def __init__(
        self, engine: Engine, who: Who, public_url: str, routes: Mapping[str, Route]
    ) -> None:
        self._engine, self._who, self._public_url, self._routes = engine, who, public_url, routes

    def let_in(self) -> Response | None:
        """Refuse whom we do not know, forms of other sites, and what a role does not have."""
        if request.endpoint == "pages.static":
            return None
        g.person = self._who()
        if g.person is None:
            return refuse(401)
        if request.method == "POST" and not is_ours(self._public_url):
            return refuse(403)
        route = self._routes.get(request.endpoint or "")
        is_let = route is not None and g.person.may(route.right)
        return None if is_let else refuse(403, _NOT_FOR_YOU)

    def write_down(self, answer: Response) -> Response:
        """Have it written down who asked for what, and how it ended."""
        person, route = g.get("person"), self._routes.get(request.endpoint or "")
        if person is None or person is EVERYBODY:
            return answer
        if not (route is not None and route.refreshes and _is_written(self._engine.now())):
            asked = f"{request.method} {request.full_path.removesuffix('?')}"
            audit.looked(self._engine, person, asked, _named(), answer.status_code)
        return answer


def _shown(person: Person | None) -> dict[str, Any]:
    """Return what every template may ask: who looks, what they may, and what is first for them."""
    return {
        "person": person,
        "may": lambda right: person is not None and person.may(Right(right)),
        "home": home(person) if person is not None else "/",
    }


def home(person: Person) -> str:
    """Return the first page of a person: every role has the day or the payers."""
    return url_for("pages.front_desk" if person.may(Right.CHECKS) else "pages.payers")


def is_refresh() -> bool:
    """Tell whether a script asks for a page, as one that is open does: nobody need be there."""
    return request.method == "GET" and request.headers.get("Sec-Fetch-Dest") == "empty"


def _is_written(now: datetime) -> bool:
    """Tell whether this is a refresh of a page that was written down a short while ago."""
    moment = int(now.timestamp())
    if is_refresh() and moment < session.get("written", 0) + REFRESHES_COUNT_EVERY_S:
        return True
    session["written"] = moment
    return False


def touch(address: str) -> None:
    """Have it written down that a form that acts on several acts on this one."""
    g.setdefault("touched", []).append(address)


def _named() -> list[str]:
    """Return what a request is about, as far as its address, its query or its form name it."""
    place = request.view_args or {}
    named = [f"{kind}/{place[key]}" for key, kind in _PLACES.items() if key in place]
    named += [f"Coverage/{one}" for one in request.args.getlist("coverage")]
    return list(dict.fromkeys([*named, *g.get("touched", [])]))


def told(texts: Mapping[str, str]) -> str:
    """Return what the form before this page has done, by its name in the address."""
    return texts.get(request.args.get("done", ""), "")


def see(address: str) -> Response:
    """Answer a form with the page to look at: a reload does not send it again."""
    answer = Response(status=303)
    answer.headers["Location"] = address
    return answer


def is_ours(public_url: str) -> bool:
    """Tell whether a form was sent from one of our own pages: no other site may act for a person.

    Browsers say where a request comes from, older ones by its Origin; who says nothing is none.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    ours = ("", public_url, request.host_url.rstrip("/"))
    return request.headers.get("Origin", "") in ours


def secure(answer: Response) -> Response:
    """Add the security headers; only what is the same for everybody may be kept by a browser."""
    answer.headers["Content-Security-Policy"] = POLICY
    answer.headers["Referrer-Policy"] = "same-origin"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    if request.endpoint is None or not request.endpoint.endswith(".static"):
        answer.headers["Cache-Control"] = "no-store"
    return answer


def refuse(status: int, text: str = "") -> Response:
    """Answer a page that cannot be shown, with the next step."""
    text = text or _TEXTS.get(status, "This page cannot be shown.")
    body = render_template("error.html", text=text, status=status)
    return secure(Response(body, status, content_type=HTML))
