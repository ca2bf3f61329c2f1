"""A 2D detector by heatmaps, after Xiao et al., "Simple Baselines for Human Pose Estimation", ECCV 2018."""

from typing import Optional, Sequence

import numpy as np
import torch
from torch import nn

from hrtk.detectors import Detector
from hrtk.errors import OptionError
from hrtk.geometry.boxes import crop_image, normalise, to_image
from hrtk.models.checkpoints import load_weights
from hrtk.models.estimators.base import hash_tensors
from hrtk.registry import DETECTORS

JOINTS = 17
STRIDE = 4  # px of the input from one place of a heatmap to the next


@DETECTORS.register_module()
class HeatmapDetector(Detector):
    """Finds one person: the most probable place of every joint in the whole image.

    Args:
        weights: a checkpoint of the network; None for random weights, whose keypoints mean nothing.
        resolution: side to which an image is reduced, px, a multiple of 4.
        width: channels of the network.
        min_confidence: mean over the joints; below it there is nobody.
        device: ``'cpu'``, ``'cuda'`` or ``'mps'``.

    Raises:
        InputError: the resolution is no multiple, or the weights are missing, damaged or those of another network.
    """

    skeleton = 'coco17'
    source = 'heatmaps'
    batch_size = 8
    option = 'weights'

    def __init__(
        self,
        weights: Optional[str] = None,
        resolution: int = 256,
        width: int = 64,
        min_confidence: float = 0.3,
        device: str = 'cpu',
    ) -> None:
        if resolution % STRIDE:
            raise OptionError(f'HeatmapDetector: {resolution} px are no multiple of {STRIDE}')
        self.resolution = resolution
        self.min_confidence = min_confidence
        self.device = device
        layers = [nn.Conv2d(3, width, STRIDE, STRIDE), nn.ReLU(), nn.Conv2d(width, JOINTS, 1)]
        self.network = nn.Sequential(*layers)
        if weights is not None:
            load_weights(self.network, weights)  # every key and every shape must match
        self.network.eval().to(device)

    @torch.no_grad()
    def __call__(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        boxes = torch.tensor([_whole(image) for image in images])
        inputs = [crop_image(*pair, self.resolution) for pair in zip(images, boxes)]
        logits = self.network(normalise(torch.stack(inputs).to(self.device))).cpu()
        confidence, place = logits.flatten(2).sigmoid().max(-1)
        size = logits.shape[-1]
        centres = torch.stack([place % size, place // size], dim=-1) + 0.5
        points = torch.cat([to_image(2 * centres / size - 1, boxes), confidence[..., None]], dim=-1)
        found = confidence.mean(1) >= self.min_confidence
        return [row[None][: int(seen)].numpy() for row, seen in zip(points, found)]

    def fingerprint(self) -> dict[str, str]:
        """A hash of the weights, and the options that change the keypoints."""
        options = f'{self.resolution} {self.min_confidence}'
        return {'weights': hash_tensors(self.network.state_dict()), 'options': options}


def _whole(image: np.ndarray) -> list[float]:
    """The square ``[cx, cy, side]`` around an image (H, W, 3), px; pixel centres are at integers."""
    height, width = image.shape[:2]
    return [(width - 1) / 2, (height - 1) / 2, float(max(height, width))]
