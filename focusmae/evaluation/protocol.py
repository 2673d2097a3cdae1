"""What will be claimed, written down before any network is measured: primary metrics, keep ratios, arms, statistics.

Primary, for photos and clips each, FocusMAE ("select") against "random", in one family corrected by Holm:

* top-1 from the visible tokens alone, 10 % of them kept: higher is better;
* the probability of the true class, at the same 10 %: higher is better;
* the error on held-out tokens, which no arm may see, 25 % kept: lower is better. Expected to be lost: the decoder was
  trained on even masks, and focusing leaves the rest of the picture far from any visible token.

Everything else is secondary: shown with its interval, never corrected, never promoted to a claim afterwards.

Inputs are the unit: the draws of one input are averaged first. All arms of an input share its noise; two inputs share
none. Predictions are made from draws over all tokens; reconstructions from draws that leave a tenth of the tokens out,
on which they are judged. Differences are paired, with BCa bootstrap intervals (95 %, 10,000 resamples of the inputs)
and Wilcoxon's signed-rank test. Also expected beforehand: the oracle, which knows the label, wins; and whatever wins in
prediction is believed only as far as the independent judge confirms it.
"""

from dataclasses import dataclass

from focusmae.strategies import STRATEGIES


@dataclass(frozen=True)
class Claim:
    """One primary comparison: ``metric`` of select against random with the share ``keep`` of the tokens visible."""

    metric: str
    keep: float
    strategy: str = "select"
    against: str = "random"


PRIMARY = (Claim("top1", 0.1), Claim("p_true", 0.1), Claim("heldout_mse", 0.25))
KEEPS = (0.1, 0.25)
SEEDS, PICTURE_SEEDS = 32, 2
CONFIDENCE = 0.95

AGAINST = ("random", "lattice", "centre")  # what every arm is compared with; "select" is compared with all arms

CURVE_KEEPS = (0.05, 0.5)  # beside the main ones, for a few arms with few seeds
CURVE_ARMS = ("random", "lattice", "centre", "select")
CURVE_SEEDS = 4

RANK_KEEPS = (0.05, 0.1, 0.25, 0.5)  # insertion: so much of the top visible; deletion: so much of the bottom left
RANKED = ("random", "centre", "prior", "shallow", "select", "activation", "oracle")

RATIO_ARMS = ("random", "tube", "select")  # error against linear interpolation, which is slow: one draw, these arms

# Standard deviation of class activations as logits: of 1/2, 1, 2, 4 and 8 the one with the highest p(true) at 10 % kept
# on 100 photographs of the validation part, which is how the scorers' temperature is chosen too.
ACTIVATION_SPREAD = 2.0
LOWER_IS_BETTER = {
    "kl", "heldout_mse", "picture_mse", "foreground_mse", "background_mse", "masked_mse_ratio", "deletion", "steered",
    "judge_steered",
}  # fmt: skip


@dataclass(frozen=True)
class Arm:
    """One way to choose: a source of scores, and the strategy of masking.py that draws with them.

    source: "nothing"; "scores" (the first scorer); "inverse" (those, negated); "shuffled" (those, with the segments of
    another input); "prior"; "activation" of the class that the full view names, "truth" of the true class, "wrong" of a
    random other one; or the name of a further scorer.
    """

    title: str
    summary: str
    source: str
    strategy: str = "select"
    knows_label: bool = False


def _like(name: str, source: str) -> Arm:
    strategy = STRATEGIES[name]
    return Arm(strategy.title, strategy.summary, source, name)


ARMS: dict[str, Arm] = {
    "random": _like("random", "nothing"),
    "tube": _like("tube", "nothing"),
    "blue-noise": _like("blue-noise", "nothing"),
    "lattice": _like("lattice", "nothing"),
    "centre": _like("centre", "nothing"),
    "prior": Arm("Segment prior", STRATEGIES["prior"].summary, "prior"),
    "shallow": Arm("Shallow mixture", "As FocusMAE, scored from patch embeddings and segments.", "shallow"),
    "shuffled": Arm("Shuffled segments", STRATEGIES["shuffled"].summary, "shuffled"),
    "select": _like("select", "scores"),
    "spread": _like("spread", "scores"),
    "top-k": _like("top-k", "scores"),
    "inverse": Arm("Inverse", "As FocusMAE, but the scores are negated.", "inverse"),
    "hide": _like("hide", "scores"),
    "activation": Arm(
        "Predicted-class activation", "Drawn by what each token adds to the class that the full view names.",
        "activation",
    ),
    "oracle": Arm(
        "Oracle (knows the label)", "Drawn by what each token adds to the true class.", "truth", knows_label=True
    ),
    "wrong": Arm(
        "Steered to a wrong class", "Drawn by what each token adds to a class that is neither true nor predicted.",
        "wrong", knows_label=True,
    ),
}  # fmt: skip
DEFAULT_ARMS = tuple(name for name in ARMS if name != "hide")
