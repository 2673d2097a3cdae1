"""From rows to the report: tidy tables of means, paired differences, and everything that qualifies them."""

from collections.abc import Iterator

import numpy as np

from focusmae.evaluation.protocol import AGAINST, LOWER_IS_BETTER, PRIMARY, Arm
from focusmae.evaluation.statistics import Interval, holm, intervals, ratio_intervals, wilcoxon
from focusmae.segments.descriptors import EXPERTS

ALL = "all"  # the name under which the prediction from all tokens stands, at keep 1
RATIO = ("masked_mse", "linear_mse", "masked_mse_ratio")
GAP_METRICS = ("top1", "p_true", "judge_top1", "judge_p_true")
SPLIT_METRICS = ("top1", "p_true", "judge_top1", "judge_p_true")
DEAD = 0.01  # of the tokens, and of the gates' weight: an expert with less takes no part


def make_report(
    rows: list[dict], arms: dict[str, Arm], settings: dict, weights: dict, skipped: list[dict], repeated: list[str]
) -> dict:
    """The report as a JSON-able dict; see the README for its fields. ``rows`` are those of ``measure``."""
    tables = [_Table([row for row in rows if row["kind"] == kind], kind) for kind in sorted({r["kind"] for r in rows})]

    def joined(make) -> list[dict]:
        return [line for table in tables for line in make(table)]

    return {
        "settings": settings,
        "weights": weights,
        "arms": {name: {"title": arm.title, "summary": arm.summary} for name, arm in arms.items()},
        "inputs": {
            "count": len(rows),
            "image": sum(row["kind"] == "image" for row in rows),
            "clip": sum(row["kind"] == "clip" for row in rows),
            "labelled": sum(row["label"] is not None for row in rows),
            "skipped": skipped,
            "repeated": repeated,
        },
        "primary": joined(_primary),
        "results": joined(_results),
        "paired": joined(_paired),
        "gap_closed": joined(_gap_closed),
        "split": joined(_split),
        "ranks": joined(_ranks),
        "experts": joined(_experts),
        "milliseconds": joined(_milliseconds),
    }


class _Table:
    """All values of one kind of input as columns over its inputs, NaN where an input has none."""

    def __init__(self, rows: list[dict], kind: str):
        self.rows, self.kind = rows, kind
        self.columns: dict[tuple[float, str, str], np.ndarray] = {}
        for number, row in enumerate(rows):
            for keep, arms in (*row["draws"].items(), ("1", {ALL: row["full"]})):
                for arm, metrics in arms.items():
                    for metric, value in metrics.items():
                        if arm != ALL or metric in GAP_METRICS:
                            key = (float(keep), arm, metric)
                            self.columns.setdefault(key, np.full(len(rows), np.nan))[number] = value
        self.keeps = sorted({keep for keep, arm, _ in self.columns if arm != ALL})
        self.arms = list(dict.fromkeys(arm for _, arm, _ in self.columns if arm != ALL))
        self.metrics = list(dict.fromkeys(metric for _, arm, metric in self.columns if arm != ALL))

    def get(self, keep: float, arm: str, metric: str) -> np.ndarray | None:
        return self.columns.get((keep, arm, metric))

    def pairs(self) -> Iterator[tuple[float, str, str, str]]:
        """(keep, arm, other, metric) of all comparisons: every arm with the controls, FocusMAE with every arm."""
        for keep, arm, metric in self.columns:
            if arm == ALL or metric in RATIO:
                continue
            others = AGAINST if arm != "select" else tuple(dict.fromkeys((*AGAINST, *self.arms)))
            for other in others:
                if other != arm and self.get(keep, other, metric) is not None:
                    yield keep, arm, other, metric


def _results(table: _Table) -> list[dict]:
    keys = [key for key in table.columns if key[2] not in RATIO]
    found = intervals(np.stack([table.columns[key] for key in keys], 1))
    lines = [_line(table, keep, arm, metric, i) for (keep, arm, metric), i in zip(keys, found, strict=True)]
    ratios = [key for key in table.columns if key[2] == "masked_mse"]
    if ratios:
        above = np.stack([table.columns[key] for key in ratios], 1)
        below = np.stack([table.columns[key[0], key[1], "linear_mse"] for key in ratios], 1)
        for (keep, arm, _), i in zip(ratios, ratio_intervals(above, below), strict=True):
            lines.append(_line(table, keep, arm, "masked_mse_ratio", i))
    return [line for line in lines if line["n"]]


def _line(table: _Table, keep: float, arm: str, metric: str, i: Interval | None) -> dict:
    return {"kind": table.kind, "keep": keep, "strategy": arm, "metric": metric, **_fields(i, "mean")}


def _fields(interval: Interval | None, name: str) -> dict:
    mean, low, high, n = interval or Interval(float("nan"), None, None, 0)
    return {name: mean, "low": low, "high": high, "n": n}


def _paired(table: _Table) -> list[dict]:
    return _compared(table, list(table.pairs()), np.ones(len(table.rows), bool))


def _compared(table: _Table, pairs: list[tuple], rows: np.ndarray) -> list[dict]:
    """Differences of arms over some of the inputs; d_z is the mean over the deviation of the differences."""
    if not pairs or not rows.any():
        return []
    ours = np.stack([table.get(keep, arm, metric)[rows] for keep, arm, _, metric in pairs], 1)
    theirs = np.stack([table.get(keep, other, metric)[rows] for keep, _, other, metric in pairs], 1)
    differences = ours - theirs
    lines = []
    for (keep, arm, other, metric), interval, column in zip(pairs, intervals(differences), differences.T, strict=True):
        if interval is None:
            continue
        column = column[~np.isnan(column)]
        spread = float(column.std(ddof=1)) if len(column) > 1 else 0.0
        sign = -1 if metric in LOWER_IS_BETTER else 1
        lines.append(
            {
                "kind": table.kind,
                "keep": keep,
                "strategy": arm,
                "against": other,
                "metric": metric,
                **_fields(interval, "mean_difference"),
                "p": wilcoxon(column),
                "d_z": interval.mean / spread if spread > 0 else None,
                "better": float((sign * column > 0).mean()),
                "worse": float((sign * column < 0).mean()),
            }
        )
    return lines


def _primary(table: _Table) -> list[dict]:
    """The claims of the protocol with their p values corrected as one family, and in a word what came out."""
    pairs = [(claim.keep, claim.strategy, claim.against, claim.metric) for claim in PRIMARY]
    there = [pair for pair in pairs if all((pair[0], arm, pair[3]) in table.columns for arm in pair[1:3])]
    lines = _compared(table, there, np.ones(len(table.rows), bool))
    for line, p in zip(lines, holm([line["p"] for line in lines]), strict=True):
        line["p_holm"] = p
        line["outcome"] = "no difference shown"
        if p < 0.05 and line["low"] is not None and line["low"] * line["high"] > 0:
            better = (line["mean_difference"] < 0) == (line["metric"] in LOWER_IS_BETTER)
            line["outcome"] = "better" if better else "worse"
    return lines


def _gap_closed(table: _Table) -> list[dict]:
    """(arm - random) / (all tokens - random): how much of what random loses an arm keeps."""
    keys, above, below = [], [], []
    for keep, arm, metric in table.columns:
        chance, full = table.get(keep, "random", metric), table.get(1.0, ALL, metric)
        if metric in GAP_METRICS and arm not in (ALL, "random") and keep < 1 and chance is not None:
            keys.append((keep, arm, metric))
            above.append(table.get(keep, arm, metric) - chance)
            below.append(full - chance)
    if not keys:
        return []
    found = ratio_intervals(np.stack(above, 1), np.stack(below, 1))
    lines = [
        {"kind": table.kind, "keep": keep, "strategy": arm, "metric": metric, **_fields(i, "gap_closed")}
        for (keep, arm, metric), i, gap in zip(keys, found, below, strict=True)
        if i is not None and np.nanmean(gap) > 0
    ]
    return lines


def _split(table: _Table) -> list[dict]:
    """The gains over random apart for inputs whose full view was right, and for those where it was wrong."""
    full = table.get(1.0, ALL, "top1")
    if full is None:
        return []
    lines = []
    pairs = [pair for pair in table.pairs() if pair[2] == "random" and pair[3] in SPLIT_METRICS]
    for name, rows in (("right", full == 1), ("wrong", full == 0)):
        lines += [{"full_view": name, **line} for line in _compared(table, pairs, rows)]
    return lines


def _ranks(table: _Table) -> list[dict]:
    """Insertion, deletion, pointing game and precision-recall of what the arms rank by."""
    columns: dict[tuple[str, str], np.ndarray] = {}
    for number, row in enumerate(table.rows):
        for arm, metrics in row["ranks"].items():
            for metric, value in metrics.items():
                columns.setdefault((arm, metric), np.full(len(table.rows), np.nan))[number] = value
    found = intervals(np.stack(list(columns.values()), 1))
    return [
        {"kind": table.kind, "strategy": arm, "metric": metric, **_fields(i, "mean")}
        for (arm, metric), i in zip(columns, found, strict=True)
    ]


def _experts(table: _Table) -> list[dict]:
    lines = []
    for scorer in table.rows[0]["experts"]:
        share, chosen, entropy = (
            np.mean([row["experts"][scorer][name] for row in table.rows], axis=0)
            for name in ("share", "chosen", "entropy")
        )
        used = dict(zip(EXPERTS, share.tolist(), strict=True))
        idle = {"motion"} if table.kind == "image" else set()  # silent where nothing moves
        dead = [n for n, s, c in zip(EXPERTS, share, chosen, strict=True) if max(s, c) < DEAD and n not in idle]
        lines.append(
            {
                "kind": table.kind,
                "scorer": scorer,
                "share": used,
                "chosen": dict(zip(EXPERTS, chosen.tolist(), strict=True)),
                "entropy": float(entropy),
                "dead": dead,
            }
        )
    return lines


def _milliseconds(table: _Table) -> list[dict]:
    """Median time of every step, on the machines that measured the rows."""
    steps = dict.fromkeys(step for row in table.rows for step in row["milliseconds"])
    return [
        {
            "kind": table.kind,
            "step": step,
            "median": float(np.median([r["milliseconds"][step] for r in table.rows if step in r["milliseconds"]])),
        }
        for step in steps
    ]
