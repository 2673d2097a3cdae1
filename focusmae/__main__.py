"""Command line: ``python -m focusmae compare | train | evaluate | study | segments | benchmark | download | publish``.

Bad input gives one line on stderr and status 2.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from focusmae.errors import FocusMAEError

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, no_args_is_help=True, help=__doc__
)
train_app = typer.Typer(rich_markup_mode=None, help="Train the embedded models.")
app.add_typer(train_app, name="train")

# typer brings click within itself, and neither exports the base class of usage errors.
_UsageError = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

Data = Annotated[list[Path], typer.Option("--data", help="folder of pictures and clips; may be given several times")]
Count = Annotated[int, typer.Option(min=1)]
Out = Annotated[Path, typer.Option("--out", help="folder for weights, log and the state to resume from")]


@app.command()
def compare(
    path: Annotated[Path, typer.Argument(help="photo or clip", readable=False)],
    keep: Annotated[float, typer.Option(help="share of tokens that stay visible")] = 0.25,
    seed: Annotated[int, typer.Option(help="noise, shared by all strategies")] = 0,
    seeds: Annotated[int, typer.Option(help="more than 1 adds paired evidence over that many draws")] = 1,
    strategies: Annotated[str, typer.Option(help="names, separated by commas")] = "random,select",
    models: Annotated[str, typer.Option(help="auto, embedded or official")] = "auto",
    autoencoder: Annotated[str, typer.Option(help="name or file of the reconstruction model")] = "",
    classifier: Annotated[str, typer.Option(help="name or file of the classifier")] = "",
    segmenter: Annotated[str, typer.Option(help="auto, superpixels, sam-vit-base, groupvit ...")] = "auto",
    checkpoint: Annotated[str | None, typer.Option(help="file or folder of the segmenter's weights")] = None,
    text: Annotated[str | None, typer.Option(help="what to focus on, as in: a dog; grass (GroupViT reads it)")] = None,
    clips: Annotated[int, typer.Option(help="windows of 16 frames, 1 to 10")] = 1,
    crops: Annotated[int, typer.Option(help="squares along the long side, 1 or 3")] = 1,
    start: Annotated[float | None, typer.Option(help="second at which the window of a clip begins")] = None,
    seconds: Annotated[float | None, typer.Option(help="length of a window of a clip")] = None,
    focus: Annotated[str, typer.Option(help="your own weights of segments, as 3:+4,7:-2 (in logits)")] = "",
    out: Annotated[Path | None, typer.Option(help="folder for result.json and the pictures")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print result.json and nothing else")] = False,
) -> None:
    """Compare strategies on one photo or clip: mask, reconstruction, error, prediction."""
    from focusmae.comparison import compare as run
    from focusmae.settings import read_focus

    names = tuple(name.strip() for name in strategies.split(",") if name.strip())
    note = None if as_json or not sys.stderr.isatty() else lambda step, _: print(f"{step} ...", file=sys.stderr)
    result = run(
        path, progress=note, keep=keep, seed=seed, seeds=seeds, strategies=names, models=models,
        autoencoder=autoencoder, classifier=classifier, segmenter=segmenter, checkpoint=checkpoint, text=text,
        clips=clips, crops=crops,
        start=start, seconds=seconds, focus=read_focus(focus),
    )  # fmt: skip
    written = result.save(out) if out else []
    if as_json:
        print(json.dumps(result.summary()))
        return
    print(_table(result))
    if written:
        print(f"{len(written)} files in {out}")


def _table(result) -> str:
    """What came out, as lines of text."""
    arms, metrics = result.arms, ("heldout_mse", "picture_mse", "psnr", "ssim", "p_class", "kl")
    lines = [f"{result.input['kind']}: {result.segments.count} segments, {result.grid.tokens} tokens"]
    lines.append(f"all tokens: {_said(result.full)}")
    for name, arm in arms.items():
        figures = ", ".join(f"{key} {arm.metrics[key]:.4f}" for key in metrics if key in arm.metrics)
        lines.append(f"{name}: {len(arm.visible)} visible; {_said(arm.prediction)}; {figures}")
    for metric, row in result.paired.items():
        lines.append(
            f"paired {metric}: {row['mean_difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}] over "
            f"{row['seeds']} seeds ({list(arms)[1]} minus {list(arms)[0]})"
        )
    return "\n".join(lines + [f"note: {text}" for text in result.warnings])


def _said(prediction: list[dict]) -> str:
    return ", ".join(f"{row['label']} {row['probability']:.2f}" for row in prediction[:3])


@train_app.command("autoencoder")
def train_autoencoder(
    data: Data,
    out: Out,
    start: Annotated[Path | None, typer.Option(help="autoencoder weights to begin from")] = None,
    steps: Count = 4000,
    batch: Count = 32,
    rate: float = 1e-3,
    seed: int = 0,
    only_retouch: Annotated[bool, typer.Option("--only-retouch", help="leave the transformer as it is")] = False,
) -> None:
    """Masked autoencoding of photos (25 % visible) and clips (10 %)."""
    from focusmae.training.autoencoder import train

    _setup()
    train(data, out, steps=steps, batch=batch, rate=rate, seed=seed, start=start, only_retouch=only_retouch)


@train_app.command("classifier")
def train_classifier(
    data: Data,
    out: Out,
    kind: Annotated[str, typer.Option(help="image, or clip: pan and zoom over the photos")] = "image",
    start: Annotated[Path | None, typer.Option(help="autoencoder or classifier weights to begin from")] = None,
    steps: Count = 3000,
    batch: Count = 96,
    rate: float = 8e-4,
    seed: int = 0,
    focus: Annotated[str, typer.Option(help="none: uniform draws; select, gate (trains the scorer), prompt")] = "none",
    scorer: Annotated[str, typer.Option(help="name or file of the scorer that a focus begins from")] = "embedded",
    teacher: Annotated[Path | None, typer.Option(help="weights of `train teacher` to learn from as well")] = None,
) -> None:
    """Classes from any subset of tokens; labels are the names in the lists or of the folders."""
    from focusmae.training.classifier import train

    _setup()
    train(
        data, out, kind=kind, start=start, steps=steps, batch=batch, rate=rate, seed=seed, focus=focus, scorer=scorer,
        teacher=teacher,
    )  # fmt: skip


@train_app.command("teacher")
def train_teacher(
    data: Data, out: Out, steps: Count = 2000, batch: Count = 64, rate: float = 3e-3, seed: int = 0
) -> None:
    """A small convolutional network for `train classifier --teacher`; the project ships none."""
    from focusmae.training.teacher import train

    _setup()
    train(data, out, steps=steps, batch=batch, rate=rate, seed=seed)


@train_app.command("scorer")
def train_scorer(
    data: Data,
    out: Out,
    photo_classifier: Annotated[str, typer.Option(help="name or file")] = "embedded-image",
    clip_classifier: Annotated[str, typer.Option(help="name or file")] = "embedded-clip",
    reads: Annotated[str, typer.Option(help="features, or embeddings for the shallow variant")] = "features",
    by: Annotated[str, typer.Option(help="attribution, activation; by its own draws: policy, adamae")] = "attribution",
    start: Annotated[Path | None, typer.Option(help="scorer weights to begin from")] = None,
    photos: Annotated[int, typer.Option(help="how many photos to attribute")] = 2400,
    clip_every: Annotated[int, typer.Option(help="one photo in so many also becomes a clip, 0 for none")] = 10,
    steps: Count = 800,
    batch: Count = 32,
    rate: float = 1e-3,
    seed: int = 0,
    maps: Annotated[
        list[Path] | None, typer.Option("--maps", help="folder of photos with label maps that people drew, also used")
    ] = None,
) -> None:
    """The mixture of experts, from Monte-Carlo attributions of the frozen classifiers or from its own draws."""
    from focusmae.training.scorer import train

    _setup()
    train(
        data, out, photo_classifier, clip_classifier, reads=reads, by=by, start=start, photos=photos,
        clip_every=clip_every, steps=steps, batch=batch, rate=rate, seed=seed, maps=tuple(maps or ()),
    )  # fmt: skip


@app.command()
def evaluate(
    data: Annotated[list[Path], typer.Argument(help="folders by class or with lists, pictures, clips", readable=False)],
    out: Annotated[Path, typer.Option(help="folder for the report; a run that was killed goes on there")],
    strategies: Annotated[str, typer.Option(help="names, separated by commas; all arms without")] = "",
    keep: Annotated[str, typer.Option(help="shares of visible tokens, for all arms")] = "0.1,0.25",
    curve: Annotated[str, typer.Option(help="further shares, for the curves of a few arms; none: -")] = "0.05,0.5",
    seeds: Annotated[int, typer.Option(help="draws per input for predictions")] = 32,
    picture_seeds: Annotated[int, typer.Option(help="draws per input for reconstructions, 0 for none")] = 2,
    limit: Annotated[int | None, typer.Option(help="so many inputs at most, a fair sample")] = None,
    part: Annotated[str, typer.Option(help="test, val or train, where a folder has lists")] = "test",
    models: Annotated[str, typer.Option(help="auto, embedded or official")] = "embedded",
    autoencoder: Annotated[str, typer.Option(help="name or file of the reconstruction model")] = "",
    classifier: Annotated[str, typer.Option(help="name or file of the classifier")] = "",
    judge: Annotated[str, typer.Option(help="name or file of a classifier never used for a score")] = "",
    scorers: Annotated[str, typer.Option(help="names or files, FocusMAE's first")] = "embedded,shallow",
    segmenter: Annotated[str, typer.Option(help="auto, superpixels or a name of `download --list`")] = "superpixels",
    seed: Annotated[int, typer.Option(help="what the noise begins from")] = 0,
    shuffle_labels: Annotated[bool, typer.Option(help="a control: every input gets another's label")] = False,
) -> None:
    """Compare strategies over many inputs, paired and with intervals: report.json, tables, plots, panels."""
    from focusmae.evaluation.plan import Plan, read_shares
    from focusmae.evaluation.run import evaluate as run

    def named(text: str) -> tuple[str, ...]:
        return tuple(name.strip() for name in text.split(",") if name.strip())

    chosen = {"strategies": named(strategies)} if strategies else {}
    plan = Plan(
        **chosen, keeps=read_shares(keep), curve=read_shares("" if curve == "-" else curve), seeds=seeds,
        picture_seeds=picture_seeds, limit=limit, part=part, models=models, autoencoder=autoencoder,
        classifier=classifier, judge=judge, scorers=named(scorers), segmenter=segmenter, seed=seed,
        shuffle_labels=shuffle_labels,
    )  # fmt: skip
    run(data, out, plan)


@app.command()
def study(
    data: Annotated[Path, typer.Argument(help="folder of clips: a table (path, label, group) or a folder per label")],
    out: Annotated[Path, typer.Option(help="folder for the report; a study that was killed goes on there")],
    steps: Annotated[int, typer.Option(help="training steps of each run")] = 300,
    batch: Annotated[int, typer.Option(help="clips per step")] = 8,
    rate: float = 3e-4,
    keep: Annotated[float, typer.Option(help="share of visible tokens in the arms that mask")] = 0.1,
    folds: int = 5,
    seeds: Annotated[int, typer.Option(help="runs per fold and arm")] = 1,
    arms: Annotated[str, typer.Option(help="names, separated by commas")] = "focus,random,all",
    clips: Annotated[int, typer.Option(help="windows of the test")] = 5,
    crops: Annotated[int, typer.Option(help="squares of the test, 1 or 3")] = 3,
    start: Annotated[str, typer.Option(help="whose encoder to begin from, name or file")] = "embedded-clip",
    scorer: Annotated[str, typer.Option(help="name or file")] = "embedded",
    segmenter: Annotated[str, typer.Option(help="superpixels or a name of `download --list`")] = "superpixels",
    merge: Annotated[str, typer.Option(help="labels counted as others, as label:label; none: -")] = "viral:pneumonia",
) -> None:
    """Fine-tune on labelled clips with focused, random and no masking, over patient-wise folds. Not for diagnosis."""
    from focusmae.evaluation.study import StudyPlan, read_merge
    from focusmae.evaluation.study import study as run

    plan = StudyPlan(
        arms=tuple(name.strip() for name in arms.split(",") if name.strip()), steps=steps, batch=batch, rate=rate,
        keep=keep, folds=folds, seeds=seeds, clips=clips, crops=crops, start=start, scorer=scorer,
        segmenter=segmenter, merge=read_merge(merge),
    )  # fmt: skip
    run(data, out, plan)


@app.command()
def publish(
    repo: Annotated[str, typer.Option(help="name or owner/name on the Hub")],
    token: Annotated[str | None, typer.Option(help="one that may write; else HF_TOKEN or the stored one")] = None,
    private: Annotated[bool, typer.Option(help="for you alone, where the repository is new")] = False,
) -> None:
    """Upload the embedded weights and their model card to the Hub."""
    from focusmae.publish import publish as upload

    print(upload(repo, token, private=private))


@app.command()
def benchmark(
    json_path: Annotated[Path | None, typer.Option("--json", help="also write the table as JSON")] = None,
    quick: Annotated[bool, typer.Option(help="fewer repetitions")] = False,
) -> None:
    """Time every step on this machine, beside named peers in the same run."""
    from focusmae.benchmark import run

    run(json_path, quick=quick)


@app.command()
def segments(
    data: Annotated[Path, typer.Argument(help="folder of pictures or clips with label maps")],
    segmenter: Annotated[list[str] | None, typer.Option(help="source; may be given several times")] = None,
    checkpoint: Annotated[str | None, typer.Option(help="file or folder of its weights")] = None,
    part: Annotated[str | None, typer.Option(help="one of the folder's lists, such as val")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="so many pictures, evenly spread")] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="also write the table as JSON")] = None,
) -> None:
    """How well segments follow what people drew, beside plain SLIC and Felzenszwalb."""
    from focusmae.segments_report import run

    note = (lambda name: print(name, file=sys.stderr)) if sys.stderr.isatty() else None
    run(data, segmenter or ("superpixels",), checkpoint, part=part, limit=limit, json_path=json_path, note=note)


@app.command()
def download(
    names: Annotated[list[str] | None, typer.Argument(help="names of weights, or timm:NAME")] = None,
    everything: Annotated[bool, typer.Option("--all", help="all that are on the Hub")] = False,
    listing: Annotated[bool, typer.Option("--list", help="show names, sizes, licences, and what is here")] = False,
) -> None:
    """Fetch published weights from the Hub; a download that was broken off goes on where it ended."""
    from focusmae import download

    if listing:
        print(download.listing())
    else:
        raise typer.Exit(download.run(names or (), everything))


def _setup() -> None:
    from focusmae import device

    device.setup()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    try:
        return app(args=arguments, standalone_mode=False) or 0
    except typer.Exit as error:
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        print("stopped", file=sys.stderr)
        return 130
    except _UsageError as error:
        print(error.format_message().replace("\n", " "), file=sys.stderr)
        return 2
    except FocusMAEError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
