"""The readers of keypoint files of other programs, in one table: :data:`READERS`.

A reader is a module with a :class:`~hrtk.datasets.own.keypoint_readers.base.Reader`. To add one, write such a module,
add it to the table, a row to docs/en/keypoint_files.md and a sample to the tests.
"""

from __future__ import annotations

from hrtk.datasets.own.keypoint_readers import (
    coco,
    deeplabcut,
    mediapipe,
    mmpose,
    npz,
    openpose,
    results,
    rtmlib,
    sleap,
    trc,
    ultralytics,
    vitpose,
)
from hrtk.datasets.own.keypoint_readers.base import Reader, Source, open_source

# The first one that recognises a file reads it.
READERS: tuple[Reader, ...] = (
    coco.READER,
    openpose.READER,
    mmpose.READER,
    ultralytics.JSON_READER,
    ultralytics.TEXT_READER,
    vitpose.EASY_READER,
    vitpose.TRANSFORMERS_READER,
    mediapipe.READER,
    rtmlib.READER,
    results.ALPHAPOSE_READER,
    results.COCO_READER,
    trc.READER,
    deeplabcut.READER,
    sleap.READER,
    npz.READER,
)

__all__ = ['READERS', 'Reader', 'Source', 'open_source']
