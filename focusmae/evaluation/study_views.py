"""The views of a study: every clip is cut once, scored once by the frozen scorer, and read many times."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import save_file

from focusmae import device
from focusmae.errors import MediaError
from focusmae.evaluation.contenders import fingerprint
from focusmae.evaluation.folds import Clip
from focusmae.media import open_media
from focusmae.models.load import Scorer
from focusmae.segments.base import load_segmenter

SAID_EVERY = 10  # clips


class Views:
    """Files of views uint8 (V, 16, 3, 224, 224), their scores (V, 1568), and ``places`` (clips * crops,).

    Only distinct cuts are stored: the three crops of a square clip are one. places: which of them each view is, crops
    running fastest.
    """

    def __init__(self, out: Path, clips: int, crops: int, scorer: Scorer, segmenter: str):
        self.clips, self.crops, self.scorer, self.segmenter = clips, crops, scorer, segmenter
        about = hashlib.sha256(repr((clips, crops, fingerprint(scorer), segmenter)).encode()).hexdigest()[:8]
        self.folder, self._damaged = out / f"views-{about}", out / "unreadable.json"

    def path(self, clip: Clip) -> Path:
        """The file of a clip's views."""
        return self.folder / f"{clip.sha256[:24]}.safetensors"

    def readable(self, clips: list[Clip]) -> tuple[list[Clip], list[dict]]:
        """(clips that are not known to be damaged, [{name, why}] of the others)."""
        damaged = json.loads(self._damaged.read_text()) if self._damaged.exists() else {}
        return (
            [clip for clip in clips if clip.sha256 not in damaged],
            [{"name": clip.name, "why": damaged[clip.sha256]} for clip in clips if clip.sha256 in damaged],
        )

    def make(self, clips: list[Clip], accelerator: Accelerator, say: Callable[[str], None]) -> None:
        """Cut and score what is missing, dealt out over the processes; the main one then does what others left."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make(clips[accelerator.process_index :: accelerator.num_processes], say)
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            damaged = self._make(clips, say)
            if damaged:
                before = json.loads(self._damaged.read_text()) if self._damaged.exists() else {}
                self._damaged.write_text(json.dumps(before | damaged))
        accelerator.wait_for_everyone()

    def remove(self) -> None:
        """Free the disk."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make(self, clips: list[Clip], say: Callable[[str], None]) -> dict[str, str]:
        segmenter, damaged = load_segmenter(self.segmenter), {}
        missing = [clip for clip in clips if not self.path(clip).exists()]
        for done, clip in enumerate(missing, start=1):
            try:
                self._write(clip, segmenter)
            except MediaError as error:
                damaged[clip.sha256] = str(error)
                say(f"skipped {clip.name}: {error}")
            if done % SAID_EVERY == 0 or done == len(missing):
                say(f"  views of {done} of {len(missing)} clips are cut and scored")
        return damaged

    def _write(self, clip: Clip, segmenter) -> None:
        views = open_media(clip.path, clip.name).views(self.clips, self.crops, size=224)
        keys = [(view.box, view.times) for view in views]
        distinct = list(dict.fromkeys(keys))
        frames, scores = [], []
        for view in (views[keys.index(key)] for key in distinct):
            pixels = view.pixels(224)
            frames.append((pixels[0].transpose(0, 1) * 255).round().byte())
            scores.append(self.scorer(pixels.to(device.setup()), segmenter(view)).scores[0].float().cpu())
        places = torch.tensor([distinct.index(key) for key in keys])
        path = self.path(clip)
        temporary = path.with_suffix(f".{os.getpid()}.part")
        save_file({"views": torch.stack(frames), "scores": torch.stack(scores), "places": places}, temporary)
        temporary.replace(path)
