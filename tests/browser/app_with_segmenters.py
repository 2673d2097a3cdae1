"""The page where SAM and GroupViT are at hand: one takes plain colours for things, the other is small and random.

``python -m tests.browser.app_with_segmenters FOLDER``; GroupViT is written into the folder.
"""

import sys
from pathlib import Path

from focusmae import hub
from focusmae.segments import base
from focusmae.segments.groupvit_load import load_groupvit
from focusmae.segments.sam import SamSegmenter
from tests.segments.groupvit_tiny import write_checkpoint
from tests.segments.sam_peers import ColourSam

AT_HAND = ("sam-vit-base", "groupvit")


def main(folder: Path) -> None:
    write_checkpoint(folder)
    weights = {"role": "segmenter", "name": "sam-vit-base", "revision": "test", "sha256": "", "licence": "Apache-2.0"}
    sam = SamSegmenter(ColourSam(), "sam-vit-base", weights, points_per_side=8)
    base.SEGMENTERS["sam-vit-base"] = lambda checkpoint, progress=None: sam
    base.SEGMENTERS["groupvit"] = lambda checkpoint, progress=None: load_groupvit(folder)
    before = hub.here
    hub.here = lambda entry: getattr(entry, "name", "") in AT_HAND or before(entry)
    from app import demo, launch_options

    demo.launch(**launch_options())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
