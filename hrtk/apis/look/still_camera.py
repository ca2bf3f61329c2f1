"""Whether the cameras of a stored run of own footage stood still."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import numpy as np

from hrtk.apis.look.stored import stored_config
from hrtk.datasets import VideoDataset
from hrtk.datasets.own.background_motion import background_shift
from hrtk.errors import InputError
from hrtk.registry import DATASETS
from hrtk.visualization.export.ground import clip_of


def background_shifts(folder: Path) -> dict[str, float]:
    """How far the background of every clip shifts, as a share of the image's diagonal, by the name of the clip.

    Clips of other data sets, clips whose images are gone, and clips without visible background are left out.

    Args:
        folder: of results.
    """
    config = stored_config(folder / 'run.json').get('dataset') or {}
    kind = config.get('type')
    cls = DATASETS.get(kind) if isinstance(kind, str) else kind
    if not (isinstance(cls, type) and issubclass(cls, VideoDataset)):
        return {}
    try:
        dataset = DATASETS.build(config)
        return clip_shifts(dataset)
    except InputError:  # the images were moved, or keypoints changed
        return {}


def clip_shifts(dataset: VideoDataset, only: Optional[str] = None) -> dict[str, float]:
    """The same as :func:`background_shifts`, of a data set that is open.

    Args:
        dataset: of the clips.
        only: the name of the one clip that is examined; None for all.
    """
    boxes_by_clip: dict[str, dict[int, list[np.ndarray]]] = {}
    for track in dataset.tracks:
        clip = clip_of(track.name)
        if only not in (None, clip):
            continue
        boxes_of_frame = boxes_by_clip.setdefault(clip, {})
        for frame, box in zip(track.frames, track.boxes):
            boxes_of_frame.setdefault(frame, []).append(box)
    shifts = {}
    for clip, boxes_of_frame in boxes_by_clip.items():
        indices = sorted(boxes_of_frame)
        frames = dataset.footage.frames(indices)
        boxes = {place: np.stack(boxes_of_frame[index]) for place, index in enumerate(indices)}
        shift = background_shift(frames, boxes)
        if shift is not None:
            shifts[clip] = shift
    return shifts
