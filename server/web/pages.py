"""The pages for people as one blueprint; here the day, benefits, payers and deliveries."""

from importlib import resources
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, render_template, request, url_for

from server.access.people import Right
from server.interactions.engine import Engine
from server.web import actions, authorization_pages, site
from server.web import deliveries as delivered
from server.web.actions import Call
from server.web.benefits import summary
from server.web.directory import directory
from server.web.site import Route, Who
from server.web.states import WORDS
from server.web.today import failed, today

_CALL = ("answer", "day", "agent", "reference", "note")
# What a form has done, said on the page that follows it.
_DONE = {
    "check": "The payer is asked again; load this page again for the answer.",
    "retry": "The payer is asked again about each of them; load this page again for the answers.",
    "call": "The call is recorded.",
    "report": "Reported: a task for support holds what the payer sent.",
}


def pages(
    engine: Engine, zone: ZoneInfo, who: Who, public_url: str, *, skip_review: bool = False
) -> Blueprint:
    """Return the pages as a blueprint; dates and times are shown in `zone`.

    `who` tells who looks, None where that is not known; `public_url` is where browsers find us.
    With `skip_review` a prior authorization that is filled in here is sent without another look.
    """
    made = Blueprint(
        "pages",
        __name__,
        root_path=str(resources.files("server").joinpath("web")),
        template_folder="templates",
        static_folder="static",
        static_url_path="/static",
    )
    more = authorization_pages.routes(engine, zone, skip_review=skip_review)
    site.add(made, engine, who, public_url, (*_routes(engine, zone), *more))
    return made


def _routes(engine: Engine, zone: ZoneInfo) -> tuple[Route, ...]:
    shown, benefits = _Pages(engine, zone), "/benefits/<coverage_id>"
    return (
        Route("/", shown.front_desk, Right.CHECKS, refreshes=True),
        Route("/retry", shown.retry, Right.CHECKS, "POST"),
        Route(benefits, shown.benefits, Right.CHECKS),
        Route(f"{benefits}/check", shown.check, Right.CHECKS, "POST"),
        Route(f"{benefits}/call", shown.call, Right.CHECKS, "POST"),
        Route(f"{benefits}/report/<int:place>", shown.report, Right.CHECKS, "POST"),
        Route("/payers", shown.payers, Right.PAYERS),
        Route("/deliveries", shown.deliveries, Right.DELIVERIES),
        Route("/deliveries/<uid>", shown.delivery, Right.DELIVERIES),
        Route("/deliveries/<uid>/redeliver", shown.redeliver, Right.DELIVERIES, "POST"),
    )


class _Pages:
    """Each page, and each form that a page has, as a method."""

    def __init__(self, engine: Engine, zone: ZoneInfo) -> None:
        self._engine = engine
        self._zone = zone

    def front_desk(self) -> str:
        page = today(self._engine, self._zone, request.args)
        done = site.told(_DONE)
        return render_template("today.html", page=page, words=WORDS, done=done)

    def retry(self) -> Response:
        payer, code = (request.form.get(name, "") for name in ("payer", "code"))
        for coverage_id in failed(self._engine, self._zone, payer, code):
            site.touch(f"Coverage/{coverage_id}")
            actions.ask_again(self._engine, coverage_id)
        return site.see(url_for("pages.front_desk", done="retry"))

    def benefits(self, coverage_id: str) -> str:
        asked = {"price": request.args.get("price", ""), "on": request.args.get("date", "")}
        page = summary(self._engine, coverage_id, self._zone, **asked)
        is_answered = request.args.get("since", page.last.id) != page.last.id
        done = "The payer has answered." if is_answered else site.told(_DONE)
        call = Call("", page.service_date, "", "")
        return render_template("benefits.html", page=page, done=done, call=call, wrong=[])

    def check(self, coverage_id: str) -> Response:
        before = actions.ask_again(self._engine, coverage_id)
        shown = url_for("pages.benefits", coverage_id=coverage_id, done="check", since=before)
        return site.see(shown)

    def call(self, coverage_id: str) -> Response:
        told = Call(**{name: request.form.get(name, "") for name in _CALL})
        wrong = told.lacks()
        if wrong:
            page = summary(self._engine, coverage_id, self._zone)
            text = render_template("benefits.html", page=page, done="", call=told, wrong=wrong)
            return Response(text, 422, content_type=site.HTML)
        actions.record_call(self._engine, coverage_id, told)
        return site.see(url_for("pages.benefits", coverage_id=coverage_id, done="call"))

    def report(self, coverage_id: str, place: int) -> Response:
        actions.report(self._engine, coverage_id, place)
        return site.see(url_for("pages.benefits", coverage_id=coverage_id, done="report"))

    def payers(self) -> str:
        page = directory(self._engine, self._zone, request.args)
        return render_template("directory.html", page=page)

    def deliveries(self) -> str:
        page = delivered.listing(self._engine, request.args, self._zone)
        return render_template("deliveries.html", page=page, states=delivered.STATES)

    def delivery(self, uid: str) -> str:
        row, attempts = delivered.one(self._engine, uid, self._zone)
        return render_template("delivery.html", row=row, attempts=attempts)

    def redeliver(self, uid: str) -> Response:
        delivered.again(self._engine, uid)
        return site.see(url_for("pages.delivery", uid=uid))
