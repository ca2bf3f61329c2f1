"""Draws docs/en/images/real.png from a finished ``make demo``: ``python docs/build_demo_picture.py``.

A picture of a real person must not be published here. So the frames are replaced by plain ones: shown are the keypoints
that hrtk found in the video, and the bodies, from the camera and from the side.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np

from hrtk.apis.look.stored import latest_folder, stored_body, stored_config, stored_pairs
from hrtk.engine.output_hook import Panels
from hrtk.registry import DATASETS
from hrtk.visualization.overlays import BACKGROUND, contact_sheet

RUN = Path('work_dirs/demo/adapted')
PICTURE = Path(__file__).parent / 'en/images/real.png'
FRAMES = (12, 48, 84)
WIDTH = 1200


def main() -> None:
    """Draws the picture."""
    folder = latest_folder(RUN)
    dataset = DATASETS.build(stored_config(folder / 'run.json').dataset)
    sequence, result = next(stored_pairs(folder, dataset))
    plain = np.full_like(sequence.frames[0], BACKGROUND)
    sequence = dataclasses.replace(sequence, frames=[plain] * len(sequence.boxes))
    panels = Panels(stored_body(folder), sequence, result)
    sheet = contact_sheet([panels.row(t) for t in FRAMES], width=WIDTH)
    cv2.imwrite(str(PICTURE), sheet[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
    print(f'{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB')


if __name__ == '__main__':
    main()
