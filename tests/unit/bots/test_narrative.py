"""What a viewer that knows nothing but FHIR shows of an answer."""

import re
from typing import Any

from fhir_profiles import codec
from server.validation import structure
from tests.unit.bots.test_mapping import answered
from tests.x12_texts import answer_271, file_271


def lines(response: dict[str, Any]) -> list[str]:
    """Return the text of each paragraph and list entry."""
    return re.findall(r"<(?:p|li)>(.*?)</(?:p|li)>", response["text"]["div"])


def test_the_narrative_alone_tells_the_amounts() -> None:
    """State, day, payer, trace; each amount with its unit, and which of them we calculated."""
    told = lines(answered(file_271("family-plan")))

    assert told[0].startswith("active-review on 2026-11-24: The plan is active on 2026-11-24.")
    assert told[1:3] == ["Payer: Example Health", "Trace TRACE1"]
    assert (
        "Health Benefit Plan Coverage, Family, In network, Calendar Year: "
        "Out of Pocket (Stop Loss) 6000.00 USD, 1249.50 USD used (calculated), 4750.50 USD left"
        in told
    )
    assert "MRI/CAT Scan, Individual, In network, Visit: Co-Insurance 12.5%" in told
    assert (
        "Chiropractic, Individual, In network, Calendar Year: Limitations 20 visits, "
        "6 visits used (calculated), 14 visits left" in told
    )
    assert "Dental Care: not covered" in told


def test_what_was_not_stated_is_not_a_zero() -> None:
    """A copay without an amount; and 0 where the payer said 0."""
    told = lines(answered(answer_271("EB*1**30", "EB*B*IND*98", "EB*B*IND*UC****0")))

    assert (
        "Professional (Physician) Visit - Office, Individual: Co-Payment amount not stated" in told
    )
    assert "Urgent Care, Individual: Co-Payment 0.00 USD" in told


def test_a_payers_text_is_text() -> None:
    """Markup in a name or a message is shown, never run; very many lines are counted."""
    rows = [f"EB*B*IND*98****{n}" for n in range(1, 60)]
    made = answered(answer_271("EB*1**30**<script>x</script>", "EB*B*IND*<b>****5", *rows))

    assert [] == structure.check(codec.decode(codec.encode(made)))
    assert "<script>" not in made["text"]["div"]
    assert "and 20 more" == lines(made)[-1]
