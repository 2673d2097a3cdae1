"""What a study found: shares with Wilson's intervals, means over labels and differences with those of the bootstrap.

The bootstrap draws groups (patients) whole, the same for all arms, so differences between arms are paired. Wilson's
intervals take clips for independent, which those of one patient are not: they are a little too narrow.
"""

import numpy as np

from focusmae.evaluation.folds import Clip
from focusmae.evaluation.statistics import Interval, group_intervals, wilson
from focusmae.evaluation.tables import number, span, table
from focusmae.training.clips import ARMS

NOTE = "Research data, not for diagnosis."
TOKENS = {"own": "tokens chosen as in training", "all": "all tokens"}
COMBINE = {"mean": "mean over the views", "any": "highest in any view"}
METRICS = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro-F1"}
PRIMARY = ("own", "mean", "balanced_accuracy")  # written down before any run


def make_report(
    clips: list[Clip], fold_of: list[int], labels: list[str], answers: dict, settings: dict, weights: dict,
    seconds: dict[str, list[float]], skipped: list[dict],
) -> dict:  # fmt: skip
    """The report as a JSON-able dict; ``answers``: (seed, fold, arm) -> rows of ``study.answer``.

    {note, settings, weights, labels, inputs, folds, primary, results: [{arm, tokens, combine, metric, mean, low, high,
    n, interval}], paired: [{arm, against, tokens, combine, metric, mean_difference, low, high, n}], confusion: [{arm,
    tokens, combine, rows}], seconds_per_step: {arm}}. n counts clips under "wilson", groups under "bootstrap".
    """
    done = {fold for _, fold, _ in answers}
    tested = [n for n, fold in enumerate(fold_of) if fold in done]
    arms = [arm for arm in ARMS if any(run[2] == arm for run in answers)]
    counts = _Counts([clips[n] for n in tested], labels, answers, arms)
    results, confusion = [], []
    for arm, tokens, combine in counts.ways:
        way = {"arm": arm, "tokens": tokens, "combine": combine}
        found = counts.total(arm, tokens, combine)
        confusion.append({**way, "rows": found.tolist()})
        results += [{**way, **row} for row in _shares(found, labels)]
    results += counts.bootstrapped()
    commonest = max(sum(clips[n].label == label for n in tested) for label in labels)
    return {
        "note": NOTE,
        "settings": settings,
        "weights": weights,
        "labels": labels,
        "inputs": {
            "clips": len(clips),
            "groups": len({clip.group for clip in clips}),
            "labels": {label: sum(clip.label == label for clip in clips) for label in labels},
            "tested": len(tested),
            "always_the_commonest_label": commonest / len(tested),
            "skipped": skipped,
        },
        "folds": [_fold(clips, fold_of, labels, fold) for fold in range(settings["folds"])],
        "primary": dict(zip(("tokens", "combine", "metric"), PRIMARY, strict=True)),
        "results": results,
        "paired": counts.paired(),
        "confusion": confusion,
        "seconds_per_step": {arm: float(np.median(found)) if found else None for arm, found in seconds.items()},
    }


def to_markdown(report: dict) -> str:
    """The report as text: a table for each kind of tokens and each way to combine the views, then the differences."""
    inputs, settings, arms = report["inputs"], report["settings"], {row["arm"] for row in report["results"]}
    named = ", ".join(f"{label} {count}" for label, count in inputs["labels"].items())
    first = report["primary"]
    parts = [
        "# Labelled clips: does focused masking help fine-tuning?",
        f"**{report['note']}**",
        f"{inputs['tested']} of {inputs['clips']} clips tested ({named}) of {inputs['groups']} patients or sources, "
        f"each once per seed ({settings['seeds']}) by a network that never saw its group: {settings['folds']} folds, "
        f"{settings['clips']} clips x {settings['crops']} crops. All arms share start, clips, cuts, order, and "
        f"{settings['steps']} steps of {settings['batch']} clips; {settings['keep']:.0%} of the tokens are visible "
        "where an arm masks. Always saying the commonest label is right in "
        f"{inputs['always_the_commonest_label']:.1%}. Percent; brackets are 95 % intervals: Wilson's over clips for "
        "accuracy and recalls, a bootstrap over patients for the others and for differences. Primary: "
        f"{METRICS[first['metric']]}, {TOKENS[first['tokens']]}, "
        f"{COMBINE[first['combine']]}.",
    ]
    for tokens in TOKENS:
        for combine in COMBINE:
            heading = f"## {TOKENS[tokens].capitalize()}, {COMBINE[combine]}"
            parts += [heading, _arms(report, tokens, combine), _differences(report, tokens, combine)]
    steps = [[ARMS[arm], f"{report['seconds_per_step'][arm]:.2f}"] for arm in ARMS if arm in arms]
    parts += ["## Cost", table(["arm", "seconds per training step"], steps)]
    if inputs["skipped"]:
        parts.append("Skipped: " + "; ".join(f"{row['name']} ({row['why']})" for row in inputs["skipped"]))
    return "\n\n".join(part for part in parts if part) + "\n"


class _Counts:
    """Per group, how often each label was given for each true one: (groups, labels, labels), mean over the seeds."""

    def __init__(self, clips: list[Clip], labels: list[str], answers: dict, arms: list[str]):
        self.labels, self.arms = labels, arms
        self.groups = sorted({clip.group for clip in clips})
        self.ways = [(arm, tokens, combine) for arm in arms for tokens in TOKENS for combine in COMBINE]
        place = {clip.name: (self.groups.index(clip.group), labels.index(clip.label)) for clip in clips}
        self.of = {way: np.zeros((len(self.groups), len(labels), len(labels))) for way in self.ways}
        runs = {(arm, clip): 0 for arm in arms for clip in place}
        for (_, _, arm), rows in answers.items():
            for row in rows:
                runs[arm, row["name"]] += 1
        for (_, _, arm), rows in answers.items():
            for row in rows:
                group, true = place[row["name"]]
                for tokens in TOKENS:
                    views = np.array(row[tokens])
                    for combine, said in (("mean", views.mean(0)), ("any", views.max(0))):
                        self.of[arm, tokens, combine][group, true, said.argmax()] += 1 / runs[arm, row["name"]]

    def total(self, *way: str) -> np.ndarray:
        return self.of[way].sum(0)

    def bootstrapped(self) -> list[dict]:
        """Balanced accuracy and macro-F1 of every way."""
        lines = []
        for way in self.ways:
            found = group_intervals(lambda weights, way=way: self._figures(weights, way)[:, 1:], len(self.groups))
            for metric, interval in zip(list(METRICS)[1:], found, strict=True):
                row = dict(zip(("arm", "tokens", "combine"), way, strict=True))
                lines.append({**row, "metric": metric, **_fields(interval, "mean"), "interval": "bootstrap"})
        return lines

    def paired(self) -> list[dict]:
        """Differences of every two arms."""
        lines, pairs = [], [(a, b) for place, a in enumerate(self.arms) for b in self.arms[place + 1 :]]
        for tokens in TOKENS:
            for combine in COMBINE:
                for arm, other in pairs:
                    ways = (arm, tokens, combine), (other, tokens, combine)
                    found = group_intervals(
                        lambda weights, ways=ways: self._figures(weights, ways[0]) - self._figures(weights, ways[1]),
                        len(self.groups),
                    )
                    about = {"arm": arm, "against": other, "tokens": tokens, "combine": combine}
                    lines += [
                        {**about, "metric": metric, **_fields(interval, "mean_difference")}
                        for metric, interval in zip(METRICS, found, strict=True)
                    ]
        return lines

    def _figures(self, weights: np.ndarray, way: tuple) -> np.ndarray:
        """Accuracy, balanced accuracy, macro-F1 (R, 3) of weighted groups; labels that do not occur do not count."""
        counts = (weights @ self.of[way].reshape(len(self.groups), -1)).reshape(-1, *self.of[way].shape[1:])
        right, true, said = np.einsum("rtt->rt", counts), counts.sum(2), counts.sum(1)
        with np.errstate(all="ignore"):
            recall = np.where(true > 0, right / true, np.nan)
            f1 = np.where(true > 0, 2 * right / (true + said), np.nan)
            return np.stack([right.sum(1) / true.sum(1), np.nanmean(recall, 1), np.nanmean(f1, 1)], 1)


def _shares(counts: np.ndarray, labels: list[str]) -> list[dict]:
    """Accuracy and the recall of each label, with Wilson's intervals, from counts (true, said)."""
    shares = {"accuracy": (np.trace(counts), counts.sum())}
    shares |= {f"recall {label}": (counts[n, n], counts[n].sum()) for n, label in enumerate(labels)}
    return [
        {"metric": metric, **_fields(wilson(float(right), round(float(n))), "mean"), "interval": "wilson"}
        for metric, (right, n) in shares.items()
        if n
    ]


def _fields(interval: Interval, name: str) -> dict:
    mean, low, high, n = interval
    return {name: mean, "low": low, "high": high, "n": n}


def _fold(clips: list[Clip], fold_of: list[int], labels: list[str], fold: int) -> dict:
    mine = [clip for clip, other in zip(clips, fold_of, strict=True) if other == fold]
    counts = {label: sum(clip.label == label for clip in mine) for label in labels}
    return {"clips": len(mine), "groups": len({clip.group for clip in mine}), "labels": counts}


def _arms(report: dict, tokens: str, combine: str) -> str:
    there = [row for row in report["results"] if (row["tokens"], row["combine"]) == (tokens, combine)]
    metrics = [*METRICS, *(f"recall {label}" for label in report["labels"])]
    rows = []
    for arm in ARMS:
        cells = {row["metric"]: row for row in there if row["arm"] == arm}
        if cells:
            rows.append([ARMS[arm], *(_cell(cells.get(metric), "mean") for metric in metrics)])
    return table(["arm", *(METRICS.get(metric, metric) for metric in metrics)], rows)


def _differences(report: dict, tokens: str, combine: str) -> str:
    there = [row for row in report["paired"] if (row["tokens"], row["combine"]) == (tokens, combine)]
    rows = []
    for pair in dict.fromkeys((row["arm"], row["against"]) for row in there):
        cells = {row["metric"]: row for row in there if (row["arm"], row["against"]) == pair}
        rows.append([f"{pair[0]} − {pair[1]}", *(_cell(cells[metric], "mean_difference", True) for metric in METRICS)])
    return table(["difference", *METRICS.values()], rows)


def _cell(row: dict | None, name: str, signed: bool = False) -> str:
    if row is None:
        return "–"
    return number(row[name], "top1", signed) + span(row["low"], row["high"], "top1", signed)
