"""One input, all arms: what is drawn, what is said and painted from it, and how good that is.

Everything that does not depend on the draw is done once: segments, scores, the embedding of all tokens. The draws of an
arm differ by noise alone, every arm has the same noise, and the draws of all arms go through a network together.
"""

import hashlib
import time
from collections.abc import Iterator

import numpy as np
import torch

from focusmae.arms import held_out
from focusmae.errors import SettingsError
from focusmae.evaluation.contenders import Networks, Reader
from focusmae.evaluation.inputs import match
from focusmae.evaluation.masks import ON_OBJECT, regions_seen
from focusmae.evaluation.plan import Plan
from focusmae.evaluation.protocol import RANK_KEEPS, RANKED, RATIO_ARMS, Arm
from focusmae.evaluation.sources import Case, Sources
from focusmae.masking import Grid, generator, gumbel_noise, sample_visible
from focusmae.metrics import agreement, coverage, kl, linear_fill, mean_at, paste, token_mse
from focusmae.segments.descriptors import EXPERTS

PICTURE_TOKENS_AT_ONCE, PICTURE_TOKENS_AT_ONCE_GPU = 4 * 1568, 64 * 1568
FIXED = ("lattice", "top-k")  # without held-out tokens these draw the same every time
ORDERS = {"centre": "centre", "select": "scores", "oracle": "truth"}  # the sources of RANKED, where the name differs

Figures = dict[str, torch.Tensor]  # one value per draw


@torch.no_grad()
def measure(case: Case, networks: Networks, plan: Plan) -> dict:
    """The row of one input, JSON-able: every measure of every arm and keep ratio, averaged over the draws.

    {full: {metric}, draws: {keep: {arm: {metric}}}, ranks: {arm: {metric}}, experts: {scorer: {...}}, milliseconds}.
    """
    return _Measurement(case, networks, plan).row()


class _Measurement:
    def __init__(self, case: Case, networks: Networks, plan: Plan):
        self.case, self.networks, self.plan = case, networks, plan
        self.milliseconds: dict[str, float] = {}
        self._began = time.perf_counter()
        self.reader = Reader(networks.classifier, case.pixels)
        self.grid, self.canvas = self.reader.grid, networks.autoencoder.encoder.grid(case.pixels)
        self._lap("prediction from all tokens")
        self.judge = Reader(networks.judge, case.pixels) if networks.judge else None
        if self.judge and self.judge.grid != self.grid:
            raise SettingsError("The judge cuts pictures into other tokens than the classifier; give another one.")
        self.truth = match(case.labels, networks.classifier.labels)
        self.sources = Sources(case, networks, self.reader, self.truth)
        self.sources.scores("scores", self.grid)
        self._lap("scores")
        arms = plan.arms(tuple(networks.scorers))
        still = case.kind == "image"  # on which tubes are single tokens, so that this arm is the random one again
        self.arms = {
            name: arm
            for name, arm in arms.items()
            if not (still and name == "tube") and self.sources.scores(arm.source, self.grid) is not None
        }
        self.noise = noise_seed(case.sha256, plan.seed)
        self.shares = case.masks.shares(self.grid) if case.masks and case.masks.foreground is not None else None

    def row(self) -> dict:
        draws = {f"{keep:g}": self._at(keep, *how) for keep, how in self.plan.draws().items()}
        labels = self.networks.classifier.labels
        return {
            "name": self.case.name,
            "kind": self.case.kind,
            "sha256": self.case.sha256,
            "label": None if self.truth is None else labels[self.truth],
            "said": labels[self.sources.predicted],
            "full": _means(self._said(self.reader.full[None], self.judge.full[None] if self.judge else None)),
            "draws": draws,
            "ranks": self._ranks(),
            "experts": {name: self._experts(name) for name in self.networks.scorers},
            "milliseconds": self.milliseconds,
        }

    def _at(self, keep: float, seeds: int, everyone: bool) -> dict[str, dict[str, float]]:
        """All measures of all arms at one keep ratio."""
        arms = {name: arm for name, arm in self.arms.items() if everyone or self.plan.takes_part(name, keep)}
        self._lap("")
        drawn = {name: self._draw(arm, keep, seeds, self.grid) for name, arm in arms.items()}
        visible = torch.cat(list(drawn.values()))
        self._lap(f"drawing {keep:g}", len(visible))
        said = self.reader(visible)
        self._lap(f"prediction {keep:g}", len(visible))
        judged = self.judge(visible) if self.judge else None
        figures = _split(self._said(said, judged) | self._seen(visible), {n: len(rows) for n, rows in drawn.items()})
        result = {name: _means(values) for name, values in figures.items()}
        if self.plan.picture_seeds:
            for name, values in self._pictures(arms, keep, self.plan.picture_seeds if everyone else 1):
                result[name] |= _means(values)
            if everyone:
                for name in RATIO_ARMS:
                    if name in arms:
                        result[name] |= self._against_interpolation(self._draw(arms[name], keep, 1, self.canvas))
        return result

    def _draw(
        self, arm: Arm, keep: float, seeds: int, grid: Grid, unseen: torch.Tensor | None = None
    ) -> torch.Tensor:
        """visible (seeds, K) of a grid, a single row for an arm that always draws the same."""
        count = 1 if unseen is None and arm.strategy in FIXED else seeds
        scores = self.sources.scores(arm.source, grid).expand(count, -1)
        return sample_visible(scores, keep, generator(self.noise), arm.strategy, grid, unseen)

    def _said(self, said: torch.Tensor, judged: torch.Tensor | None) -> Figures:
        """Measures of class probabilities (M, C), and of the judge's (M, its classes)."""
        full, wrong = self.reader.full.expand_as(said), self.sources.wrong
        figures = {
            "agreement": agreement(full, said),
            "kl": kl(full, said),
            "p_class": said[:, self.sources.predicted],
        }
        for prefix, probabilities, network in (
            ("", said, self.networks.classifier), ("judge_", judged, self.networks.judge)
        ):  # fmt: skip
            if probabilities is None:
                continue
            if prefix:
                figures["judge_agreement"] = agreement(self.judge.full.expand_as(probabilities), probabilities)
            for number, name in ((self.truth, "top1"), (wrong, "steered")):
                place = None if number is None else match((self.networks.classifier.labels[number],), network.labels)
                if place is not None:
                    figures[prefix + name] = (probabilities.argmax(-1) == place).float()
                    if name == "top1":
                        figures[prefix + "p_true"] = probabilities[:, place]
        return figures

    def _seen(self, visible: torch.Tensor) -> Figures:
        """What of the object, or of the regions that people drew, is visible (M, K)."""
        if self.shares is not None:
            return {"foreground_share": coverage(self.shares.expand(len(visible), -1), visible)}
        if self.case.masks is not None:
            return {"regions_seen": regions_seen(self.case.masks.regions, visible)}
        return {}

    def _pictures(self, arms: dict[str, Arm], keep: float, seeds: int) -> Iterator[tuple[str, Figures]]:
        """Reconstruction errors of every arm, from draws that leave out the tokens on which all are judged."""
        unseen = torch.stack([held_out(self.canvas, keep, self.noise + number) for number in range(seeds)])
        hide = unseen if unseen.shape[1] else None
        visible = torch.cat([self._draw(arm, keep, seeds, self.canvas, hide) for arm in arms.values()])
        # Equal draws are reconstructed once: in different places of a batch convolutions may differ in the last bit.
        draws = torch.cat([visible, unseen.repeat(len(arms), 1)], 1)
        draws, place = torch.unique(draws, dim=0, return_inverse=True)
        visible, unseen = draws.split([visible.shape[1], unseen.shape[1]], 1)
        self._lap("")
        parts = []
        most = PICTURE_TOKENS_AT_ONCE_GPU if self.case.pixels.is_cuda else PICTURE_TOKENS_AT_ONCE
        size = max(1, most // self.canvas.tokens)
        for some, judged in zip(visible.split(size), unseen.split(size), strict=True):
            parts.append(self._painted(some, judged))
        self._lap(f"reconstruction {keep:g}", len(visible))
        figures = {name: torch.cat([part[name] for part in parts])[place] for name in parts[0]}
        yield from _split(figures, dict.fromkeys(arms, seeds)).items()

    def _painted(self, visible: torch.Tensor, unseen: torch.Tensor) -> Figures:
        device = self.case.pixels.device
        visible, pixels = visible.to(device), self.case.pixels.expand(len(visible), -1, -1, -1, -1)
        picture = self.networks.autoencoder.reconstruct(pixels, visible).float()
        errors = token_mse(pixels, picture, self.canvas)
        # Tokens are equal in size, so the error of the pasted picture is that of its hidden tokens over all tokens.
        figures = {"picture_mse": errors.scatter(1, visible, 0.0).mean(1)}
        if unseen.shape[1]:
            figures["heldout_mse"] = mean_at(errors, unseen)
        if self.shares is not None:
            squared = (paste(pixels, picture, visible, self.canvas) - pixels).square().mean(1)
            front = self.case.masks.foreground.to(device)
            for name, where in (("foreground_mse", front), ("background_mse", ~front)):
                if where.any():
                    figures[name] = squared[:, where].mean(1)
        return {name: values.cpu() for name, values in figures.items()}

    def _against_interpolation(self, visible: torch.Tensor) -> dict[str, float]:
        """Error over the hidden tokens of one draw, the network's and that of linear interpolation."""
        pixels, hidden = self.case.pixels, torch.ones(1, self.canvas.tokens, dtype=torch.bool)
        hidden.scatter_(1, visible, False)
        if not hidden.any():
            return {}
        picture = self.networks.autoencoder.reconstruct(pixels, visible.to(pixels.device)).float()
        filled = linear_fill(pixels, visible, self.canvas)
        errors = {"masked_mse": picture, "linear_mse": filled}
        return {name: token_mse(pixels, p, self.canvas).cpu()[hidden].mean().item() for name, p in errors.items()}

    def _ranks(self) -> dict[str, dict[str, float]]:
        """Insertion and deletion by dropping tokens, and where the scores lie: for what the arms rank by."""
        orders = {"random": gumbel_noise(1, self.grid.tokens, generator(self.noise))}
        for name in RANKED[1:]:
            if name in self.arms:
                orders[name] = self.sources.scores(ORDERS.get(name, name), self.grid)
        self._lap("")
        stacked = torch.cat([*orders.values(), *(-scores for scores in orders.values())])
        values = [self.reader.full[self.sources.predicted].expand(len(stacked))]
        for keep in reversed(RANK_KEEPS):
            visible = sample_visible(stacked, keep, generator(0), "top-k", self.grid)
            values.insert(0, self.reader(visible)[:, self.sources.predicted])
        area = torch.trapezoid(torch.stack(values, 1), torch.tensor([*RANK_KEEPS, 1.0]), dim=1) / (1 - RANK_KEEPS[0])
        self._lap("insertion and deletion")
        ranks = {}
        for number, (name, scores) in enumerate(orders.items()):
            ranks[name] = {"insertion": area[number].item(), "deletion": area[number + len(orders)].item()}
            if self.shares is not None and (self.shares >= ON_OBJECT).any():
                ranks[name]["pointing"] = float(self.shares[scores[0].argmax()] >= ON_OBJECT)
                ranks[name]["auprc"] = average_precision(scores[0].numpy(), (self.shares >= ON_OBJECT).numpy())
        return ranks

    def _experts(self, scorer: str) -> dict:
        """Mean share of every expert, how often it has the largest, and the gates' entropy as a share of log E."""
        gates = self.sources.gates(scorer)[0]
        entropy = -(gates * gates.clamp_min(1e-9).log()).sum(-1).mean() / np.log(len(EXPERTS))
        chosen = torch.nn.functional.one_hot(gates.argmax(-1), len(EXPERTS)).float().mean(0)
        return {"share": gates.mean(0).tolist(), "chosen": chosen.tolist(), "entropy": entropy.item()}

    def _lap(self, step: str, times: int = 1) -> None:
        """Charge what passed since the last lap to ``step``, which was done ``times`` times; to nothing for ""."""
        now = time.perf_counter()
        if step:
            self.milliseconds[step] = round(1000 * (now - self._began) / times, 3)
        self._began = now


def noise_seed(sha256: str, seed: int) -> int:
    """Where the noise of an input begins: its own, so that the luck of one input says nothing of another's."""
    return int(hashlib.sha256(f"{seed} {sha256}".encode()).hexdigest()[:15], 16)


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the precision-recall steps of scores (N,) for positive bool (N,), at least one; ties share a step."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    found = np.cumsum(positive[order])[ends]
    return float((np.diff(found, prepend=0) * found / (ends + 1)).sum() / positive.sum())


def _split(figures: Figures, counts: dict[str, int]) -> dict[str, Figures]:
    """Figures over the draws of all arms, by arm."""
    parts = {name: values.split(list(counts.values())) for name, values in figures.items()}
    return {arm: {name: part[place] for name, part in parts.items()} for place, arm in enumerate(counts)}


def _means(figures: Figures) -> dict[str, float]:
    return {name: values.double().mean().item() for name, values in figures.items()}
