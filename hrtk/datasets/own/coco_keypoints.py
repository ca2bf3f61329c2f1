"""The former data set of annotated images, now a preset of :class:`~hrtk.datasets.own.video.VideoDataset`."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from hrtk.datasets.own.video import VideoDataset
from hrtk.registry import DATASETS


@DATASETS.register_module()
class CocoKeypointsDataset(VideoDataset):
    """Annotated people in exactly the frames in which they were annotated; images of a folder are one clip.

    The name is deprecated and stays for one release. It is
    ``VideoDataset(images, keypoints, people='annotated', fill_gaps=False, smooth=False, image_sequence=True,
    min_confidence=0.0, min_length=1, name=<stem of the keypoint file>)``.

    Args:
        images: as of :class:`~hrtk.datasets.own.video.VideoDataset`.
        keypoints: as of :class:`~hrtk.datasets.own.video.VideoDataset`.
        source: origin of the keypoints, printed beside every result; None takes it from the file.
        min_confidence: points of lower confidence get confidence 0.
        box_scale: side of the crop box over the larger extent of the visible points, 1.2 in SPIN.
        name: the beginning of every sequence's name; default that of the keypoint file.
        skeleton: joint list of the points; None takes it from the file.
        masks: config of a mask source, see :mod:`hrtk.datasets.mask_sources`; None for no masks.

    Raises:
        InputError: as of :class:`~hrtk.datasets.own.video.VideoDataset`.
    """

    def __init__(
        self,
        images: str | Path,
        keypoints: str | Path,
        source: Optional[str] = None,
        min_confidence: float = 0.0,
        box_scale: float = 1.2,
        name: Optional[str] = None,
        skeleton: Optional[str] = None,
        masks: Optional[dict] = None,
    ) -> None:
        super().__init__(
            images,
            keypoints,
            name=name or Path(keypoints).stem,
            source=source,
            skeleton=skeleton,
            min_confidence=min_confidence,
            box_scale=box_scale,
            masks=masks,
            smooth=False,
            min_length=1,
            people='annotated',
            fill_gaps=False,
            image_sequence=True,
        )
