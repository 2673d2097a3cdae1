"""The report as Markdown: the claims first, then every arm, losses as readily as wins."""

from focusmae.evaluation.report import ALL

KINDS = {"image": "Photos", "clip": "Clips"}
NAMES = {
    "top1": "top-1", "p_true": "p(true)", "judge_top1": "judge: top-1", "judge_p_true": "judge: p(true)",
    "agreement": "agrees with the full view", "judge_agreement": "judge agrees with its own", "kl": "KL, nats",
    "p_class": "p(class of the full view)", "foreground_share": "visible on the object",
    "regions_seen": "regions seen", "heldout_mse": "held-out error", "picture_mse": "picture error",
    "foreground_mse": "foreground error", "background_mse": "background error",
    "masked_mse_ratio": "hidden error ÷ linear", "steered": "says the wrong class",
    "judge_steered": "judge says the wrong class", "insertion": "insertion", "deletion": "deletion",
    "pointing": "pointing game", "auprc": "precision-recall area",
}  # fmt: skip
PERCENT = {
    "top1", "judge_top1", "agreement", "judge_agreement", "foreground_share", "regions_seen", "steered",
    "judge_steered", "pointing",
}  # fmt: skip
_ERRORS = {"heldout_mse", "picture_mse", "foreground_mse", "background_mse"}
PREDICTION = ("top1", "p_true", "judge_top1", "judge_p_true", "agreement", "judge_agreement", "kl")
PICTURE = ("heldout_mse", "picture_mse", "foreground_mse", "background_mse", "masked_mse_ratio")
LOOKED = ("foreground_share", "regions_seen")


def to_markdown(report: dict) -> str:
    """The whole report as text."""
    parts = ["# Does it help?", _about(report)]
    for kind, title in KINDS.items():
        if report["inputs"][kind]:
            parts += _kind(report, kind, title)
    parts.append(_weights(report))
    return "\n\n".join(part for part in parts if part) + "\n"


def number(value: float | None, metric: str, signed: bool = False) -> str:
    """A figure as people read it: shares in percent, squared errors in thousandths."""
    if value is None:
        return "–"
    scale, digits = (100, 1) if metric in PERCENT else (1000, 3) if metric in _ERRORS else (1, 3)
    text = f"{round(scale * value, digits) + 0.0:{'+' if signed else ''}.{digits}f}"  # and never a minus zero
    return text.replace("-", "−")


def span(low: float | None, high: float | None, metric: str, signed: bool = False) -> str:
    """The interval in brackets; nothing where there is none."""
    return "" if low is None else f" [{number(low, metric, signed)}, {number(high, metric, signed)}]"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; "" without rows."""
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _kind(report: dict, kind: str, title: str) -> list[str]:
    def of(name: str) -> list[dict]:
        return [line for line in report[name] if line["kind"] == kind]

    keeps = sorted({line["keep"] for line in of("results") if line["strategy"] != ALL})
    parts = [f"## {title}", _primary(of("primary")), _earned(of("paired"))]
    for keep in keeps:
        results = [line for line in of("results") if line["keep"] in (keep, 1.0) or line["strategy"] == ALL]
        results = [line for line in results if line["keep"] == keep or line["strategy"] == ALL]
        paired = [line for line in of("paired") if line["keep"] == keep and line["against"] == "random"]
        gaps = [line for line in of("gap_closed") if line["keep"] == keep and line["metric"] == "top1"]
        for heading, metrics in (("prediction", PREDICTION), ("reconstruction", PICTURE), ("where it looked", LOOKED)):
            text = _arms(report, results, paired, gaps if heading == "prediction" else [], metrics)
            if text:
                parts += [f"### {keep:.0%} kept: {heading}", text]
    parts += _section("FocusMAE against the other controls", _controls(report, of("paired")))
    parts += _section("Right or wrong from all tokens", _split(report, of("split")))
    parts += _section("Steering to a wrong class", _steered(report, of("results")))
    parts += _section("What the arms rank by", _ranks(report, of("ranks")))
    parts += _section("The experts", _experts(of("experts")))
    steps = [[line["step"], f"{line['median']:.2f}"] for line in of("milliseconds")]
    parts += _section("Milliseconds", table(["step (a single draw where it has a keep ratio)", "median"], steps))
    return parts


def _section(heading: str, text: str) -> list[str]:
    return [f"### {heading}", text] if text else []


def _about(report: dict) -> str:
    inputs, settings = report["inputs"], report["settings"]
    lines = [
        f"{inputs['count']} inputs ({inputs['image']} photos, {inputs['clip']} clips, {inputs['labelled']} of them "
        f"labelled), {settings['seeds']} draws each for predictions, {settings['picture_seeds']} for reconstructions. "
        "Inputs are the unit; brackets are 95 % BCa bootstrap intervals; differences are paired, with common random "
        "numbers. Shares in percent, squared errors in thousandths of the squared range. Primary metrics were written "
        "down beforehand (focusmae/evaluation/protocol.py)."
    ]
    if settings["shuffle_labels"]:
        lines.append("**A control: labels were shuffled among the inputs, so nothing here says how good anything is.**")
    if inputs["repeated"]:
        lines.append(f"Left out, since another file has the same content: {len(inputs['repeated'])}.")
    if inputs["skipped"]:
        named = "; ".join(f"{line['name']} ({line['why']})" for line in inputs["skipped"][:20])
        lines.append(f"Skipped {len(inputs['skipped'])}: {named}")
    return "\n\n".join(lines)


def _primary(lines: list[dict]) -> str:
    rows = [
        [
            f"{NAMES[line['metric']]}, {line['keep']:.0%} kept",
            _change(line),
            _p(line["p"]), _p(line["p_holm"]), f"{line['better']:.0%} / {line['worse']:.0%}", str(line["n"]),
            f"**{line['outcome']}**",
        ]
        for line in lines
    ]  # fmt: skip
    head = ["primary: FocusMAE − random", "difference", "p", "p (Holm)", "inputs better / worse", "n", "outcome"]
    return table(head, rows)


def _earned(paired: list[dict]) -> str:
    """Whether the mixture beats the prior that needs no network, and itself with another input's segments."""
    sentences = []
    for other, words in (("prior", "the segment prior"), ("shuffled", "itself with another input's segments")):
        for metric in ("top1", "heldout_mse"):
            lines = [p for p in paired if (p["strategy"], p["against"], p["metric"]) == ("select", other, metric)]
            if lines:
                line = min(lines, key=lambda each: abs(each["keep"] - 0.1))
                difference = number(line["mean_difference"], metric, True)
                sentences.append(
                    f"- FocusMAE − {words}, {NAMES[metric]} at {line['keep']:.0%}: {difference}"
                    + span(line["low"], line["high"], metric, True)
                )
    return "\n".join(sentences)


def _arms(report: dict, results: list[dict], paired: list[dict], gaps: list[dict], metrics: tuple) -> str:
    """One row per arm: each metric's mean, and its difference from random with the interval."""
    values = {(line["strategy"], line["metric"]): line for line in results}
    differences = {(line["strategy"], line["metric"]): line for line in paired}
    closed = {line["strategy"]: line for line in gaps}
    there = [metric for metric in metrics if any(key[1] == metric and key[0] != ALL for key in values)]
    if not there:
        return ""
    rows = []
    for arm in (ALL, *report["arms"]):
        cells = []
        for metric in there:
            line, change = values.get((arm, metric)), differences.get((arm, metric))
            cell = number(line["mean"], metric) if line else "–"
            if line and (change is None):
                cell += span(line["low"], line["high"], metric)
            if change:
                cell += f" ({number(change['mean_difference'], metric, True)}"
                cell += f"{span(change['low'], change['high'], metric, True)})"
            cells.append(cell)
        if any(cell != "–" for cell in cells):
            gap = closed.get(arm)
            ends = "–" if gap is None else f"{gap['gap_closed']:.2f}" + span(gap["low"], gap["high"], "ratio")
            title = "All tokens" if arm == ALL else report["arms"][arm]["title"]
            rows.append([title, *cells, *([ends] if closed else [])])
    head = ["arm (difference from random)", *(NAMES[metric] for metric in there), *(["gap closed"] if closed else [])]
    return table(head, rows)


def _controls(report: dict, paired: list[dict]) -> str:
    keep = min((line["keep"] for line in paired), key=lambda each: abs(each - 0.1), default=None)
    metrics = ("top1", "p_true", "judge_top1", "heldout_mse")
    lines = [p for p in paired if p["strategy"] == "select" and p["keep"] == keep and p["metric"] in metrics]
    there = [metric for metric in metrics if any(line["metric"] == metric for line in lines)]
    rows = []
    for arm in report["arms"]:
        cells = {p["metric"]: p for p in lines if p["against"] == arm}
        if cells:
            rows.append([f"− {report['arms'][arm]['title']}", *(_change(cells.get(metric)) for metric in there)])
    return table([f"FocusMAE at {keep:.0%}" if keep else "", *(NAMES[metric] for metric in there)], rows)


def _split(report: dict, lines: list[dict]) -> str:
    keep = min((line["keep"] for line in lines), key=lambda each: abs(each - 0.1), default=None)
    metrics = ("top1", "p_true", "judge_top1")
    there = [metric for metric in metrics if any(line["metric"] == metric for line in lines)]
    rows = []
    for arm in report["arms"]:
        for view in ("right", "wrong"):
            cells = {
                line["metric"]: line
                for line in lines
                if (line["strategy"], line["full_view"], line["keep"]) == (arm, view, keep)
            }
            if cells:
                n = str(max(line["n"] for line in cells.values()))
                rows.append([report["arms"][arm]["title"], view, n, *(_change(cells.get(metric)) for metric in there)])
    head = [f"arm − random at {keep:.0%}" if keep else "", "full view", "n", *(NAMES[metric] for metric in there)]
    return table(head, rows)


def _steered(report: dict, results: list[dict]) -> str:
    """How often the classifier and the judge say a wrong class: by chance, and when the choice steers to it."""
    metrics = [m for m in ("steered", "judge_steered") if any(line["metric"] == m for line in results)]
    rows = []
    for keep in sorted({line["keep"] for line in results if line["strategy"] == "wrong"}):
        for arm in ("random", "select", "wrong"):
            cells = {
                line["metric"]: line for line in results if (line["keep"], line["strategy"]) == (keep, arm)
            }
            if arm in report["arms"] and any(metric in cells for metric in metrics):
                said = [
                    number(cells[m]["mean"], m) + span(cells[m]["low"], cells[m]["high"], m) if m in cells else "–"
                    for m in metrics
                ]
                rows.append([f"{keep:.0%}", report["arms"][arm]["title"], *said])
    return table(["kept", "arm", *(NAMES[metric] for metric in metrics)], rows)


def _ranks(report: dict, lines: list[dict]) -> str:
    metrics = ("insertion", "deletion", "pointing", "auprc")
    there = [metric for metric in metrics if any(line["metric"] == metric for line in lines)]
    rows = []
    for arm in report["arms"]:
        cells = {line["metric"]: line for line in lines if line["strategy"] == arm}
        if cells:
            figures = [
                number(cells[m]["mean"], m) + span(cells[m]["low"], cells[m]["high"], m) if m in cells else "–"
                for m in there
            ]
            rows.append([report["arms"][arm]["title"], *figures])
    return table(["scores of", *(NAMES[metric] for metric in there)], rows)


def _experts(lines: list[dict]) -> str:
    rows = []
    for line in lines:
        shares = [f"{share:.2f} / {line['chosen'][name]:.2f}" for name, share in line["share"].items()]
        rows.append([line["scorer"], *shares, f"{line['entropy']:.2f}", ", ".join(line["dead"]) or "none"])
    names = list(lines[0]["share"]) if lines else []
    text = table(["scorer: mean share / largest", *names, "entropy ÷ log 4", "dead"], rows)
    photos = rows and lines[0]["kind"] == "image"
    return text + "\n\nOn photos the motion expert is silent by design." if photos else text


def _weights(report: dict) -> str:
    rows = [
        [kind, line["role"], line["name"], f"`{line['fingerprint']}`"]
        for kind, lines in report["weights"].items()
        for line in lines
    ]
    return "## Weights\n\n" + table(["for", "role", "name", "hash of the weights"], rows)


def _change(line: dict | None) -> str:
    if line is None:
        return "–"
    metric = line["metric"]
    return number(line["mean_difference"], metric, True) + span(line["low"], line["high"], metric, True)


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"
