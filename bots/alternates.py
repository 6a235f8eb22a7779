"""Present but not found: a payer asked once more by another writing of the member id.

Payers deny people whom they have, over a leading zero, a prefix, a person code or a card of last
year. Tried are only writings that the payer's rules allow, at most TRIES of them, and only so many
a day that the payer does not throttle us. What is found that way tells which rule would have
prevented the denial.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bots.domain import person_match, verdict
from bots.domain.eligibility import Inquiry
from bots.mapping import inquiry
from bots.mapping.inquiry import Facts
from bots.ports import Exchange, Tools
from fhir_profiles import crosswalk, systems

TRIES, TIMEOUT_S = 2, 5.0
ALL_S = 25.0  # what both may take, by two routes each, with a reserve to store the answer
OLD_ID = "old-id"
_RESPONSE = "CoverageEligibilityResponse"


@dataclass(frozen=True, slots=True)
class Asked:
    """The question and exchange that count; `prevented_by` is the rule, "" where none was needed.

    `is_tried` tells that the payer was asked more than once.
    """

    question: Inquiry
    exchange: Exchange
    prevented_by: str = ""
    is_tried: bool = False


def check(question: Inquiry, facts: Facts, tools: Tools, *, timeout_s: float) -> Asked:
    """Ask the payer, and if it does not find the person, by other writings of the id."""
    began = tools.now()
    first = tools.clearinghouse.check(question, timeout_s=timeout_s)
    if first.answer is None or not verdict.is_not_found(first.answer):
        return Asked(question, first)
    writings = list(_writings(question, facts))[:TRIES]
    is_late = (tools.now() - began).total_seconds() + ALL_S > tools.timeout_s
    if is_late or not writings or not _may_ask(facts, tools):
        return Asked(question, first)
    asked = first
    for rule, member_id in writings:
        other = question.of_member(member_id)
        exchange = tools.clearinghouse.check(other, timeout_s=TIMEOUT_S)
        if _is_found(other, exchange):
            earlier = (*asked.earlier, replace(asked, earlier=()), *exchange.earlier)
            return Asked(other, replace(exchange, earlier=earlier), rule, is_tried=True)
        tried = (*asked.earlier, *exchange.earlier, replace(exchange, earlier=()))
        asked = replace(asked, earlier=tried)
    return Asked(question, asked, is_tried=True)


def _is_found(question: Inquiry, exchange: Exchange) -> bool:
    """Tell whether an answer has benefits of this very person."""
    answer = exchange.answer
    if answer is None or not answer.benefits:
        return False
    return person_match.compare(question, answer).is_same


def _writings(question: Inquiry, facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield (rule, member id) to try: ids that the coverage had before, then other policies."""
    rules = inquiry.rules(facts.payer)
    coverage = facts.coverage or {}
    seen = {question.subscriber.member_id}
    known = [
        (OLD_ID, str(crosswalk.member_key(one, rules))) for one in inquiry.member_ids(coverage)
    ]
    code = coverage.get("dependent", "")
    raw = inquiry.member_id(coverage, question.service_date)
    known += crosswalk.other_writings(raw, rules, code)
    for rule, member_id in known:
        if member_id not in seen:
            seen.add(member_id)
            yield rule, member_id


def _may_ask(facts: Facts, tools: Tools) -> bool:
    """Tell whether the payer's share of such questions for this day is not used up."""
    payer = facts.payer or {}
    if "id" not in payer:
        return False
    today = tools.now().date().isoformat()
    asked = f"_tag={systems.ALTERNATES}|{systems.TRIED}&insurer=Organization/{payer['id']}"
    (found,) = tools.fhir.read_all([f"{_RESPONSE}?{asked}&created=ge{today}&_summary=count"])
    used = int((found or {}).get("total", 0)) * TRIES
    return used + TRIES <= inquiry.rules(facts.payer).alternates
