"""The strategies by name: what each keeps visible, in words, and what it needs. How they draw stands in masking.py.

Kept apart from the drawing, which needs torch, so that a page can list them before torch is loaded.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Strategy:
    """One way to choose the visible tokens.

    Attributes:
        title: its name on the page.
        summary: one sentence on what it does.
        needs: what the caller hands over as scores: "nothing" (they are ignored), "scores" of this input,
            "shuffled" (scores made from another input's segments) or "prior" (2 x coverage, no network).
    """

    title: str
    summary: str
    needs: str


STRATEGIES: dict[str, Strategy] = {
    "random": Strategy("Random", "Tokens drawn uniformly.", "nothing"),
    "blue-noise": Strategy(
        "Blue noise", "Tokens drawn at random that keep their distance from each other.", "nothing"
    ),
    "lattice": Strategy("Lattice", "The same evenly spaced tokens around the centre, always.", "nothing"),
    "tube": Strategy("Tube", "Random places, each seen at every time (VideoMAE).", "nothing"),
    "centre": Strategy("Centre", "Tokens drawn, the likelier the nearer the centre.", "nothing"),
    "select": Strategy("FocusMAE", "Tokens drawn from softmax(scores) without replacement are visible.", "scores"),
    "spread": Strategy("Spread", "As FocusMAE, but each drawn token makes its neighbours less likely.", "scores"),
    "hide": Strategy("Hide", "Tokens drawn from softmax(scores) are the hidden ones.", "scores"),
    "top-k": Strategy("Top-K", "The tokens of highest score, without a draw.", "scores"),
    "shuffled": Strategy("Shuffled segments", "As FocusMAE, but with the segments of another input.", "shuffled"),
    "prior": Strategy("Segment prior", "As FocusMAE, scored by segment coverage without a network.", "prior"),
}
