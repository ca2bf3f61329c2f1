"""VideoHMR: an image network and a network over time behind it, as one estimator."""

from __future__ import annotations

from typing import Iterable, Optional

import torch
from torch import Tensor

from hrtk.errors import InputError
from hrtk.models.estimators.base import Estimator
from hrtk.registry import ESTIMATORS, TEMPORAL
from hrtk.structures import Prediction, Sequence


@ESTIMATORS.register_module()
class VideoHMR(Estimator):
    """Clips of crops to the bodies of all their frames (Kocabas et al., VIBE, 2020).

    Frames are read in their order: what :meth:`crops` gives is one clip, of as many frames as it was asked for, and a
    clip is cut into windows that do not overlap, from its beginning on. With the batches of 32 frames of the loop and
    of :class:`~hrtk.adapters.source.Source` these are the windows of VIBE's evaluation, except that the last one of a
    sequence may be short, where VIBE leaves the frames out. An adapter that asks for frames in any other order is
    refused, and so are single pictures in the place of clips; one that asks for a frame at a time gets clips of one
    frame, where the network has no past.

    Args:
        image: config of the estimator that gives the image features, with weights. Its crops are used; its own
            predictions and its body are not.
        network: config of a network that predicts every frame of a clip, with weights; default :class:`VIBE
            <hrtk.models.temporal.VIBE>`.
        window: frames that the network sees at once, 16 in VIBE's evaluation.
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
            raise InputError(f'VideoHMR: window is a number of frames from 1 on, not {window}')
        image_network = ESTIMATORS.build(dict(image, body=None))
        super().__init__(image_network.resolution, body)
        self.image: Estimator = image_network
        self.network = TEMPORAL.build(network or dict(type='VIBE'))
        self.window = window

    def forward(self, images: Tensor) -> Prediction:
        """Clips to predictions.

        Args:
            images: (V, T, 3, R, R) normalised crops of V clips.

        Returns:
            V * T predictions, clip after clip, with the features that the network's regressor saw.

        Raises:
            InputError: single pictures, an image network without features, or a network that predicts one frame of
                many.
        """
        return self.from_trunk(self.trunk(images))

    def trunk(self, images: Tensor) -> Tensor:
        """The image network: (V, T, 3, R, R) clips -> (V, T, F) features."""
        if images.ndim != 5:
            raise InputError(
                f'VideoHMR takes clips (V, T, 3, R, R) of consecutive frames, not {tuple(images.shape)}; '
                f'a method that mixes single pictures needs an estimator of pictures'
            )
        features = self.image(images.flatten(0, 1)).features
        if features is None:
            raise InputError(
                f'{type(self.image).__name__} gives no features, which VideoHMR needs; name another '
                f'`image` network'
            )
        return features.unflatten(0, images.shape[:2])

    def from_trunk(self, maps: Tensor) -> Prediction:
        """The network over time: (V, T, F) features -> V * T predictions."""
        parts = [self.network(part) for part in maps.split(self.window, 1)]
        if parts[0].rotmat.ndim != 5:
            raise InputError(
                f'{type(self.network).__name__} predicts one frame of a window; the `network` of VideoHMR '
                f'predicts every frame, as VIBE does'
            )
        return Prediction(
            *(
                torch.cat([getattr(part, name) for part in parts], 1).flatten(0, 1)
                for name in ('rotmat', 'betas', 'camera', 'features')
            )
        )

    def behind_trunk(self, name: str) -> bool:
        """The weights of the network over time."""
        return name.startswith('network.')

    def crops(self, sequence: Sequence, indices: Iterable[int]) -> Tensor:
        """Reads, crops and normalises consecutive frames of a sequence as one clip: (1, T, 3, R, R).

        Raises:
            InputError: the frames do not follow each other.
        """
        wanted = list(indices)
        if any(after - before != 1 for before, after in zip(wanted, wanted[1:])):
            raise InputError(
                f'VideoHMR sees the frames of a video in their order, not {wanted[:5]} ...; a method that '
                f'picks frames needs an estimator of pictures'
            )
        return self.image.crops(sequence, wanted)[None]
