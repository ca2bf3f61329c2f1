"""2D keypoints by BlazePose, whose weights come with hrtk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from hrtk.body_models.skeletons import joint_names
from hrtk.detectors.base import Detector
from hrtk.errors import InputError, suggestion
from hrtk.models import blazepose
from hrtk.models.estimators.base import hash_tensors
from hrtk.registry import DETECTORS

SKELETONS = ('coco17', 'blazepose33')


@DETECTORS.register_module()
class BlazePose(Detector):
    """Keypoints by :class:`hrtk.models.blazepose.BlazePose`, image by image.

    The confidence of a point is its visibility.

    Args:
        skeleton: ``'coco17'``, or ``'blazepose33'`` for all landmarks.
        tiles: of :class:`hrtk.models.blazepose.BlazePose`; 2 or 3 finds smaller people.
        passes, min_score, min_flag, weights: likewise.
        device: ``'cpu'``, ``'cuda'`` or ``'mps'``.

    Raises:
        InputError: there is no such skeleton, an option is out of its range, or the weights cannot be used.
    """

    option = 'skeleton'

    def __init__(
        self,
        skeleton: str = 'coco17',
        tiles: int = 1,
        passes: int = 2,
        min_score: float = 0.5,
        min_flag: float = 0.5,
        weights: str = 'open:blazepose',
        device: str = 'cpu',
    ) -> None:
        if skeleton not in SKELETONS:
            raise InputError(
                f'BlazePose: there is no skeleton {skeleton!r}. {suggestion(skeleton, SKELETONS)}'
            )
        self.skeleton = skeleton
        self.source = 'blazepose'
        self._options: dict[str, Any] = dict(
            tiles=tiles, passes=passes, min_score=min_score, min_flag=min_flag
        )
        self.network = blazepose.BlazePose(weights, **self._options).to(device)

    def __call__(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [self._detect(image) for image in images]

    def fingerprint(self) -> dict[str, str]:
        """A hash of the weights, and the options on which the keypoints depend."""
        return {
            'weights': hash_tensors(self.network.state_dict()),
            'options': json.dumps(self._options),
        }

    def _detect(self, image: np.ndarray) -> np.ndarray:
        people = [person.keypoints(self.skeleton) for person in self.network(image)]
        if not people:
            return np.empty((0, len(joint_names(self.skeleton)), 3), np.float32)
        return torch.stack(people).numpy().astype(np.float32)
