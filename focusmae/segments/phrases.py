"""What the visitor wrote, as the few short phrases that a text encoder can look for."""

import re
from typing import NamedTuple

MOST_PHRASES = 8
MOST_WORDS = 12
MOST_LETTERS = 100  # of one phrase: a single endless word is cut as well
TEMPLATE = "a photo of a {}."  # the prompt of GroupViT's own zero-shot evaluation (Xu et al., CVPR 2022)

_SEPARATORS = re.compile(r"[;,\n\r；，、]")
_ARTICLE = re.compile(r"^(?:an?|the)\s+", re.IGNORECASE)


class Phrases(NamedTuple):
    """phrases: as they were written, without repetitions.  notes: one sentence for each thing that was left out."""

    phrases: tuple[str, ...]
    notes: tuple[str, ...]


def read_phrases(text: str | None) -> Phrases:
    """The phrases of a text: "a dog; grass" -> ("a dog", "grass").

    Semicolons, commas and line ends separate, in their Chinese forms too. Of each phrase the first 12 words (100
    letters) count, of all phrases the first 8; ``notes`` says so where it happens. A text of blanks and marks has
    no phrases.
    """
    found: dict[str, str] = {}
    cut = False
    for part in _SEPARATORS.split(text or ""):
        words = "".join(c if c.isprintable() else " " for c in part).strip(" .!?:。！？：").split()
        phrase = " ".join(words[:MOST_WORDS])[:MOST_LETTERS].strip()
        if not any(c.isalnum() for c in phrase):
            continue
        cut = cut or phrase != " ".join(words)
        found.setdefault(core(phrase), phrase)
    notes = []
    if cut:
        notes.append(
            f"Of a phrase the first {MOST_WORDS} words are looked for; put semicolons between several things."
        )
    if len(found) > MOST_PHRASES:
        notes.append(f"Of {len(found)} phrases the first {MOST_PHRASES} are looked for.")
    return Phrases(tuple(found.values())[:MOST_PHRASES], tuple(notes))


def core(phrase: str) -> str:
    """A phrase without its article and in small letters: what makes two phrases the same."""
    return _ARTICLE.sub("", phrase).lower()


def prompt(phrase: str) -> str:
    """What the text encoder is given for a phrase."""
    return TEMPLATE.format(core(phrase))
