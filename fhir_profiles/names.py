"""Names as X12 carries them: capitals of the basic set, without accents."""

import re
import unicodedata

# Letters that Unicode does not take apart into a base letter and an accent.
_LETTERS = str.maketrans(
    {"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th"}
    | {"Þ": "TH", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ß": "ss"}
)


_DELETED, _OTHER = re.compile(r"['\u2019`.]"), re.compile(r"[^A-Z0-9]+")


def words(text: str) -> list[str]:
    """Return the words of a name in plain capitals, without what stands inside and between them."""
    return _OTHER.sub(" ", _DELETED.sub("", plain(text))).split()


def plain(text: str) -> str:
    """Return `text` in capitals, each letter with an accent as the letter alone."""
    taken_apart = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    return "".join(c for c in taken_apart if not unicodedata.combining(c)).upper()
