"""National Provider Identifiers."""

import re

_NPI = re.compile(r"[12]\d{9}", re.ASCII)


def is_npi(text: str) -> bool:
    """Tell whether a text is an NPI: ten digits, the first 1 or 2, with its check digit.

    Source: 45 CFR 162.406; the check digit is ISO/IEC 7812 (Luhn) over 80840 and the number.
    """
    if not _NPI.fullmatch(text):
        return False
    total = 0
    for place, digit in enumerate(reversed("80840" + text)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value  # noqa: PLR2004 Luhn: digits of the product
    return total % 10 == 0
