"""A study on labelled clips: the same network fine-tuned with FocusMAE's masking, with random, and with none.

Folds keep groups (patients) together; every clip is tested once per seed, by the network of the fold that never saw its
group, on several windows and crops. Everything that was made stays in the folder: views with their scores, weights, and
answers clip by clip; a run that was killed goes on, and loses less than a minute.
Alone, or under ``accelerate launch`` on several devices that share the folder: they make the views and test together,
and train each run together.
"""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors import safe_open

from focusmae import device
from focusmae.errors import SettingsError
from focusmae.evaluation.contenders import Reader, fingerprint
from focusmae.evaluation.folds import Clip, make_folds, read_clips
from focusmae.evaluation.study_report import NOTE, make_report, to_markdown
from focusmae.evaluation.study_views import Views
from focusmae.media import LIMITS
from focusmae.models.checkpoints import load_model, save_model
from focusmae.models.load import load_scorer
from focusmae.segments.base import SEGMENTERS
from focusmae.training.clips import ARMS, EqualShares, Task, Windows, begin, tokens, warmup
from focusmae.training.data import read_ahead, step_generator
from focusmae.training.loop import Schedule, fit, make_accelerator

RATE, HEAD = 3e-4, 3.0  # the head is new, and learns faster


@dataclass(frozen=True)
class StudyPlan:
    """The settings of a study.

    steps, batch, rate: of each run. keep: share of visible tokens in the arms that mask. folds; seeds: runs per fold
    and arm. clips, crops: windows and squares of the test. start: whose encoder all arms begin from. merge: pairs of
    labels, the first counted as the second.
    """

    arms: tuple[str, ...] = tuple(ARMS)
    steps: int = 300
    batch: int = 8
    rate: float = RATE
    keep: float = 0.1
    folds: int = 5
    seeds: int = 1
    clips: int = 5
    crops: int = 3
    start: str = "embedded-clip"
    scorer: str = "embedded"
    segmenter: str = "superpixels"
    merge: tuple[tuple[str, str], ...] = (("viral", "pneumonia"),)

    def check(self) -> None:
        """Raises SettingsError, in one sentence, for the first setting that cannot be used."""
        if not self.arms or len(set(self.arms)) != len(self.arms) or not set(self.arms) <= set(ARMS):
            raise SettingsError(f"Name at least one arm, and each only once: {', '.join(ARMS)}.")
        if min(self.steps, self.batch, self.seeds) < 1:
            raise SettingsError("Steps, batch and seeds are whole numbers, at least 1.")
        if not 0 < self.keep <= 1 or not self.rate > 0:
            raise SettingsError("The keep ratio lies above 0 and at most at 1, and the rate above 0.")
        if not 1 <= self.clips <= LIMITS.most_clips or self.crops not in LIMITS.crops:
            raise SettingsError(f"The test takes 1 to {LIMITS.most_clips} clips and 1 or 3 crops.")
        if self.segmenter not in SEGMENTERS:
            raise SettingsError(f"There is no segmenter {self.segmenter!r}; choose from {', '.join(SEGMENTERS)}.")


def read_merge(text: str) -> tuple[tuple[str, str], ...]:
    """Pairs of labels from "viral:pneumonia,..."; none from "-" or "". Raises SettingsError."""
    pairs = [tuple(part.strip().split(":")) for part in text.split(",") if part.strip() not in ("", "-")]
    if not all(len(pair) == 2 and all(pair) for pair in pairs):
        raise SettingsError(f"{text!r} merges no labels: write label:label, as in viral:pneumonia.")
    return tuple(pairs)


def study(data: Path, out: Path, plan: StudyPlan, report: Callable[[str], None] = print) -> dict:
    """Run what is missing of the study in ``out``, write report.json and report.md there, and return the report.

    Raises SettingsError for a setting out of range, data that cannot serve, or a folder that holds another study.
    """
    plan.check()
    device.setup()
    accelerator = make_accelerator()
    say = report if accelerator.is_main_process else lambda _: None
    clips, broken = read_clips(data, dict(plan.merge), say)
    scorer = load_scorer(plan.scorer)
    views = Views(out, plan.clips, plan.crops, scorer, plan.segmenter)

    def made() -> Study:
        readable, damaged = views.readable(clips)
        return Study(readable, [*broken, *damaged], out, plan, views, accelerator, say)

    this = made()
    if not this.finished():
        views.make(this.clips, accelerator, say)
        this = made()  # without the clips that turned out to be damaged
    found = this.run()
    views.remove()
    return found


class Study:
    """Clips, folds, and where their views, runs and answers stand."""

    def __init__(
        self, clips: list[Clip], broken: list[dict], out: Path, plan: StudyPlan, views: Views,
        accelerator: Accelerator, say: Callable[[str], None],
    ):  # fmt: skip
        self.clips, self.broken, self.out, self.plan = clips, broken, out, plan
        self.views, self.accelerator, self.say = views, accelerator, say
        self.labels = sorted({clip.label for clip in clips})
        self.fold_of = make_folds(clips, plan.folds)
        self.weights = {
            "start": fingerprint(begin(plan.start, self.labels, 0).encoder),
            "scorer": fingerprint(views.scorer),
        }
        self._check()

    def run(self) -> dict:
        """Everything that is missing; the report is written anew whenever all arms of a fold are done."""
        if self.accelerator.is_main_process:
            _write(self.out / "study.json", json.dumps(self._identity()) + "\n")
        found: dict = {}
        for seed in range(self.plan.seeds):
            for fold in range(self.plan.folds):
                for arm in self.plan.arms:
                    self.one(seed, fold, arm)
                if self.accelerator.is_main_process:
                    found = self.finish(seed, fold)
        if self.accelerator.is_main_process:
            self.say(to_markdown(found))
        self.accelerator.wait_for_everyone()
        return found

    def finished(self) -> bool:
        """Whether every clip was tested by every run."""
        return all(self._tested(*run) for run in self._runs())

    def one(self, seed: int, fold: int, arm: str) -> None:
        """Train one network and test it on its fold, as far as that is missing."""
        if self._tested(seed, fold, arm):
            return
        folder = self.folder(seed, fold, arm)
        weights = folder / "classifier.safetensors"
        if not weights.exists():
            self.say(f"seed {seed}, fold {fold + 1} of {self.plan.folds}: {ARMS[arm]}")
            self._train(seed, fold, arm, folder)
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            (folder / "state.pt").unlink(missing_ok=True)
        self._test(seed, fold, arm, load_model(weights, "classifier").to(device.setup()))
        self.accelerator.wait_for_everyone()

    def finish(self, seed: int, fold: int) -> dict:
        """Write and return the report on all that is tested so far."""
        done = [run for run in self._runs() if run[:2] <= (seed, fold)]
        answers = {run: self._answers(*run) for run in done}
        seconds: dict[str, list[float]] = {arm: [] for arm in self.plan.arms}
        for run in done:
            seconds[run[2]] += _seconds(self.folder(*run))
        settings = dataclasses.asdict(self.plan)
        found = make_report(
            self.clips, self.fold_of, self.labels, answers, settings, self.weights, seconds, self.broken
        )
        text = json.dumps(found, indent=1, allow_nan=False) + "\n"
        found = json.loads(text)  # as whoever reads the file has it
        _write(self.out / "report.json", text)
        _write(self.out / "report.md", to_markdown(found))
        self.say(f"folds tested: {fold + 1} of {self.plan.folds}, seeds: {seed + 1} of {self.plan.seeds}")
        return found

    def folder(self, seed: int, fold: int, arm: str) -> Path:
        """Where a run's weights, log and answers stand."""
        return self.out / "runs" / f"seed{seed}-fold{fold}-{arm}"

    def _train(self, seed: int, fold: int, arm: str, folder: Path) -> None:
        plan, mine = self.plan, [n for n, other in enumerate(self.fold_of) if other != fold]
        labels = [self.labels.index(self.clips[n].label) for n in mine]
        windows = Windows([self.views.path(self.clips[n]) for n in mine], labels, seed)
        model = begin(plan.start, self.labels, seed)
        task = Task(model, arm, plan.keep, seed).to(device.setup())
        shape = {"rank": self.accelerator.process_index, "world": self.accelerator.num_processes}
        schedule = Schedule(plan.steps, plan.rate, warmup(plan.steps), betas=(0.9, 0.98), evaluate_every=plan.steps)
        fit(
            task, schedule, folder,
            lambda first: read_ahead(windows, EqualShares(labels, plan.batch, first, plan.steps, seed, **shape)),
            dict, {"model.head": HEAD}, self.accelerator, {"seed": seed, "fold": fold, "arm": arm},
        )  # fmt: skip
        if self.accelerator.is_main_process:
            save_model(model, folder / "classifier.safetensors", note=NOTE, arm=arm, fold=str(fold))

    def _test(self, seed: int, fold: int, arm: str, model: torch.nn.Module) -> None:
        there = {row["name"] for row in self._answers(seed, fold, arm)}
        mine = [c for c, other in zip(self.clips, self.fold_of, strict=True) if other == fold and c.name not in there]
        path = self.folder(seed, fold, arm) / f"answers-{self.accelerator.process_index}.jsonl"
        whole = path.read_text().endswith("\n") if path.exists() else True
        with path.open("a") as file:
            file.write("" if whole else "\n")  # a line that was cut off stays alone
            for clip in self._share(mine):
                row = answer(self.views.path(clip), clip, arm, self.plan.keep, seed, model)
                file.write(json.dumps(row) + "\n")
                file.flush()

    def _answers(self, seed: int, fold: int, arm: str) -> list[dict]:
        rows: dict[str, dict] = {}
        for path in sorted(self.folder(seed, fold, arm).glob("answers-*.jsonl")):
            for line in path.read_text().splitlines():
                try:
                    row = json.loads(line)
                except ValueError:
                    continue
                rows[row["name"]] = row
        return list(rows.values())

    def _tested(self, seed: int, fold: int, arm: str) -> bool:
        return len(self._answers(seed, fold, arm)) == self.fold_of.count(fold)

    def _runs(self) -> list[tuple[int, int, str]]:
        return [(s, f, arm) for s in range(self.plan.seeds) for f in range(self.plan.folds) for arm in self.plan.arms]

    def _share(self, clips: list[Clip]) -> list[Clip]:
        return clips[self.accelerator.process_index :: self.accelerator.num_processes]

    def _identity(self) -> dict:
        """What the runs depend on. Start and scorer count by their weights, and clips by their content."""
        about = dataclasses.asdict(self.plan)
        for name in ("start", "scorer", "merge"):
            about.pop(name)
        data = [[clip.sha256, clip.label, fold] for clip, fold in zip(self.clips, self.fold_of, strict=True)]
        return json.loads(json.dumps({**about, "weights": self.weights, "data": data}))

    def _check(self) -> None:
        """Raises SettingsError if the folder holds another study; more seeds or other arms only add runs."""
        about, path = self._identity(), self.out / "study.json"
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"The folder {self.out.name} cannot be written; choose another one.") from error
        before = json.loads(path.read_text()) if path.exists() else about
        different = sorted(key for key in about if before.get(key) != about[key] and key not in ("seeds", "arms"))
        if different:
            raise SettingsError(
                f"{self.out.name} holds a study with other {different[0]}; choose another --out, or repeat it."
            )


@torch.inference_mode()
def answer(store: Path, clip: Clip, arm: str, keep: float, seed: int, model: torch.nn.Module) -> dict:
    """What the network says of one clip, view by view: {name, own, all}, each (views, labels) probabilities.

    own: from tokens chosen as in the arm's training, in every view anew; all: from all tokens. Views that are the same
    cut, as the three crops of a square clip, are read once and have one draw each.
    """
    own, whole = {}, {}
    with safe_open(store, "pt") as file:
        places = file.get_tensor("places").tolist()
        for view in sorted(set(places)):
            pixels = file.get_slice("views")[view].transpose(0, 1)[None].to(device.setup()).float() / 255
            reader = Reader(model, pixels)
            whole[view] = reader.full
            numbers = [n for n, place in enumerate(places) if place == view]
            scores = file.get_slice("scores")[view].float()[None]
            for number in numbers:
                draws = step_generator(seed, 17, number, clip.sha256)
                visible = tokens(arm, scores, keep, draws)
                own[number] = reader.full if visible is None else reader(visible)[0]
    def rounded(rows: list[torch.Tensor]) -> list[list[float]]:
        return [[round(p, 6) for p in row.tolist()] for row in rows]

    chosen, every = [own[number] for number in range(len(places))], [whole[place] for place in places]
    return {"name": clip.name, "own": rounded(chosen), "all": rounded(every)}


def _seconds(folder: Path) -> list[float]:
    """Seconds per training step, as the log of a run says."""
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [1 / row["steps_per_second"] for row in rows if "steps_per_second" in row]


def _write(path: Path, text: str) -> None:
    temporary = path.with_suffix(".part")
    temporary.write_text(text)
    temporary.replace(path)
