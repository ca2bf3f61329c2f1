"""VideoHMR: an image network and a network over time behind it, as one estimator."""

from __future__ import annotations

from itertools import pairwise
from typing import Iterable, Optional

import torch
from torch import Tensor

from hrtk.errors import InputError, OptionError
from hrtk.models.estimators.base import ClipEstimator, Estimator
from hrtk.registry import ESTIMATORS, TEMPORAL
from hrtk.structures import Prediction, Sequence


@ESTIMATORS.register_module()
class VideoHMR(ClipEstimator):
    """Clips of crops to the bodies of all their frames (Kocabas et al., VIBE, 2020).

    :meth:`crops` reads consecutive frames as one clip; a clip is cut into windows that do not overlap, from its first
    frame on. With the batches of 32 frames of :func:`~hrtk.models.estimators.predict_frames` these are the windows of
    VIBE's evaluation, except that the last one of a sequence may be short, where VIBE leaves the frames out. Frames in
    any other order and single images instead of clips are refused. An adapter that reads one frame at a time gets
    clips of one frame, in which the network has no past.

    Args:
        image: config of the estimator that computes the image features, with weights. Its crops are used; its own
            predictions and its body are not.
        network: config of a network that predicts every frame of a clip, with weights; default :class:`VIBE
            <hrtk.models.temporal.VIBE>`.
        window: frames per pass of the network, 16 in VIBE's evaluation.
        body: config of the body model, default the bundled free body; None for parameters only.

    Raises:
        InputError: a network cannot be built, or the window has no frames.
    """

    def __init__(
        self,
        image: dict,
        network: Optional[dict] = None,
        window: int = 16,
        body: Optional[dict] = dict(type='BodyModel'),
    ) -> None:
        if window < 1:
            raise OptionError(f'VideoHMR: window is a number of frames from 1 on, not {window}')
        image_network: Estimator = ESTIMATORS.build(dict(image, body=None))
        super().__init__(image_network.resolution, body)
        self.image = image_network
        self.precision = image_network.precision
        self.network = TEMPORAL.build(network or dict(type='VIBE'))
        self.window = window

    def forward(self, images: Tensor) -> Prediction:
        """Predicts all frames of clips.

        Args:
            images: (V, T, 3, R, R) normalised crops of V clips.

        Returns:
            V * T predictions, clip after clip, with the features that the network's regressor received.

        Raises:
            InputError: single images, an image network without features, or a network that predicts only one frame of
                a window.
        """
        return self.from_trunk(self.trunk(images))

    def trunk(self, images: Tensor) -> Tensor:
        """Runs the image network: (V, T, 3, R, R) clips -> (V, T, F) features."""
        if images.ndim != 5:
            raise InputError(
                f'VideoHMR takes clips (V, T, 3, R, R) of consecutive frames, not {tuple(images.shape)}; '
                f'a method that mixes single images needs an image estimator'
            )
        features = self.image(images.flatten(0, 1)).features
        if features is None:
            raise InputError(
                f'{type(self.image).__name__} predicts no features, which VideoHMR needs; name another '
                f'`image` network'
            )
        return features.unflatten(0, images.shape[:2])

    def from_trunk(self, maps: Tensor) -> Prediction:
        """Runs the network over time: (V, T, F) features -> V * T predictions."""
        windows = [self.network(window) for window in maps.split(self.window, 1)]
        if windows[0].rotmat.ndim != 5:
            raise InputError(
                f'{type(self.network).__name__} predicts one frame of a window; the `network` of VideoHMR '
                f'predicts every frame, as VIBE does'
            )
        return Prediction(
            rotmat=_join([window.rotmat for window in windows]),
            betas=_join([window.betas for window in windows]),
            camera=_join([window.camera for window in windows]),
            features=_join([window.features for window in windows]),
        )

    def behind_trunk(self, name: str) -> bool:
        """Returns whether a parameter belongs to the network over time."""
        return name.startswith('network.')

    def crops(self, sequence: Sequence, indices: Iterable[int]) -> Tensor:
        """Reads, crops and normalises consecutive frames of a sequence as one clip: (1, T, 3, R, R).

        Raises:
            InputError: the frames are not consecutive.
        """
        frames = list(indices)
        if any(after != before + 1 for before, after in pairwise(frames)):
            raise InputError(
                f'VideoHMR takes the frames of a video in their order, not {frames[:5]} ...; a method that '
                f'selects frames needs an image estimator'
            )
        return self.image.crops(sequence, frames)[None]


def _join(windows: list[Tensor]) -> Tensor:
    """Windows (V, T', ...) of the same V clips -> (V * T, ...)."""
    return torch.cat(windows, 1).flatten(0, 1)
