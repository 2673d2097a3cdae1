"""How quick the large models are: beside transformers' own on the same weights, and beside reading their file.

Weights are random but of the true size, so nothing need be fetched. Both masks of a comparison go through as one
batch here and as two calls there.
"""

import copy
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file

from focusmae.models.autoencoder import AutoencoderConfig, MaskedAutoencoder
from focusmae.models.classifier import TokenClassifier
from focusmae.models.encoder import EncoderConfig
from focusmae.models.load import load_autoencoder
from focusmae.models.peer import masks
from focusmae.models.positions import GIVEN
from focusmae.precision import lighten, quickest
from focusmae.timing import Row, median

MISSING = "transformers is not installed, so nothing is measured beside it; `pip install transformers` and run again."
PEERS = {"mae-base": "ViTMAEForPreTraining, two calls", "videomae-base": "VideoMAEForPreTraining, two calls"}
CLIP_CLASSIFIER = EncoderConfig(768, 12, 12, positions="videomae", final_norm=False)
HUGE = AutoencoderConfig(
    EncoderConfig(1280, 32, 16, patch=14, tubelet=1, positions=GIVEN, class_token=True, frames=1, side=224,
                  position_prefix=1),
    decoder_width=512, decoder_depth=8, decoder_heads=16,
)  # fmt: skip
HUGE_BYTES = 2_630_000_000


def model_rows(repeats: int, large_file: bool = True) -> Iterator[Row]:
    """One row after the other; ``large_file`` writes 2.6 GB into the temporary folder for a while."""
    if importlib.util.find_spec("transformers"):
        for name, peer in PEERS.items():
            yield from _reconstruction(name, peer, repeats)
    else:
        print(MISSING, flush=True)
    yield _few_tokens(repeats)
    if large_file:
        yield from _loading()


@torch.inference_mode()
def _reconstruction(name: str, peer: str, repeats: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "focusmae.models.peer", name, folder, str(repeats)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        theirs = json.loads(answer.splitlines()[-1])["seconds"]
        model = load_autoencoder(folder, "cpu")
        pixels = torch.rand(1, 3, 1 if name == "mae-base" else 16, 224, 224).expand(2, -1, -1, -1, -1)
        visible = [mask.nonzero()[:, 1].view(2, -1) for mask in map(lambda n: masks(name, n), range(repeats + 1))]

        def ours(number: int) -> torch.Tensor:
            return model.reconstruct(pixels, visible[number])

        exact = ours(0)
        yield Row(f"{name}: random + select", median(ours, repeats), peer, theirs)
        if (precision := quickest(torch.device("cpu"))) != "float32":
            model = lighten(copy.deepcopy(model), precision)  # a copy: the cache keeps the model as it was loaded
            psnr = -10 * torch.log10((ours(0) - exact).square().mean()).item()
            yield Row(f"{name}: the same in {precision}", median(ours, repeats), peer, theirs, psnr)


@torch.inference_mode()
def _few_tokens(repeats: int) -> Row:
    model = TokenClassifier(CLIP_CLASSIFIER, [str(n) for n in range(400)]).eval()
    pixels = torch.rand(1, 3, 16, 224, 224)
    few = masks("videomae-base")[:1].nonzero()[:, 1][None]
    tenth = median(lambda n: model.logits(pixels, few), repeats)
    everything = median(lambda n: model.logits(pixels), max(2, repeats // 2))
    return Row("ViT-B: clip's class from 10 % of its tokens", tenth, "from all of them", everything)


def _loading() -> Iterator[Row]:
    """A file as large as mae-huge's, beside reading it once; both from memory, where the file has just been written."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mae_visualize_vit_huge.safetensors"
        if shutil.disk_usage(folder).free < 2 * HUGE_BYTES:
            print("There is no room for a file as large as mae-huge's, so loading it is not measured.", flush=True)
            return
        _write_huge(path)
        buffer, began = bytearray(1 << 22), time.perf_counter()
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
        reading, began = time.perf_counter() - began, time.perf_counter()
        load_autoencoder(path, "cpu")
        yield Row("a file as mae-huge's: loaded", time.perf_counter() - began, "read once", reading)


def _write_huge(path: Path) -> None:
    """Zeros, by the names of facebookresearch/mae: what the weights are makes no difference to reading them."""
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in MaskedAutoencoder(HUGE).state_dict().items()}
    theirs = {
        "encoder.positions.table": "pos_embed", "decoder_positions.table": "decoder_pos_embed",
        "encoder_to_decoder.": "decoder_embed.", "decoder_head.": "decoder_pred.", "encoder.": "",
    }  # fmt: skip
    tensors = {}
    for key, shape in shapes.items():
        ours = next((prefix for prefix in theirs if key.startswith(prefix)), "")
        shape = (shape[0], *shape[1:2], *shape[3:]) if len(shape) == 5 else shape
        tensors[theirs.get(ours, "") + key.removeprefix(ours)] = torch.zeros(shape)
    save_file(tensors, path)
