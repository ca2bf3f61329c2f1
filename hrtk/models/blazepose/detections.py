"""From the detector's candidates to people: anchors, decoding, and weighted non-maximum suppression."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hrtk.models.blazepose.pose_detector import GRIDS, SIDE, Candidates

LARGEST_LOGIT = 100.0  # MediaPipe's score_clipping_thresh


class Detections(NamedTuple):
    """N people, or candidates for people, in px of one image or of one input of the detector.

    Attributes:
        boxes: (..., N, 4) ``[cx, cy, width, height]`` of the face.
        keypoints: (..., N, 4, 2): the middle of the hips, a point above it on a circle around the whole body, the
            middle of the shoulders, a point above it on a circle around the upper body.
        scores: (..., N) in [0, 1].
    """

    boxes: Tensor
    keypoints: Tensor
    scores: Tensor

    def pick(self, index: Tensor) -> Detections:
        """Returns the people of an index or mask (N,)."""
        return Detections(self.boxes[index], self.keypoints[index], self.scores[index])


def anchors() -> Tensor:
    """Returns (2254, 2) centres of the candidates' cells, px of the detector's input, in the order of its output."""
    centres = []
    for stride, count in GRIDS:
        steps = (torch.arange(SIDE // stride) + 0.5) * stride
        cells = torch.stack(torch.meshgrid(steps, steps, indexing='xy'), dim=-1)
        centres.append(cells.view(-1, 2).repeat_interleave(count, dim=0))
    return torch.cat(centres)


def decode(candidates: Candidates) -> Detections:
    """Adds the anchors: candidates of B inputs -> (B, 2254, ...) in px of the input (pixel i covers [i, i + 1])."""
    centres = anchors().to(candidates.values)
    centre, size, keypoints = candidates.values.split((2, 2, 8), dim=-1)
    boxes = torch.cat([centre + centres, size], dim=-1)
    points = keypoints.unflatten(-1, (4, 2)) + centres[:, None]
    scores = candidates.logits.clamp(-LARGEST_LOGIT, LARGEST_LOGIT).sigmoid()
    return Detections(boxes, points, scores)


def suppress(detections: Detections, overlap: float = 0.3) -> Detections:
    """Merges boxes of the same person into their mean, weighted by score (MediaPipe's ``WEIGHTED`` suppression).

    Args:
        detections: of one image, N.
        overlap: boxes whose intersection over union with the best one exceeds it are merged with it.

    Returns:
        The people, the highest score first; each has the highest score of its boxes.
    """
    values = torch.cat([detections.boxes, detections.keypoints.flatten(1)], dim=1)
    left = detections.scores.argsort(descending=True)
    merged = []
    scores = []
    while len(left) > 0:
        best = left[0]
        same = box_overlap(detections.boxes[best], detections.boxes[left]) > overlap
        same[0] = True
        weights = detections.scores[left[same]]
        mean = (values[left[same]] * weights[:, None]).sum(0) / weights.sum()
        merged.append(mean)
        scores.append(detections.scores[best])
        left = left[~same]
    if not merged:
        return detections
    boxes, keypoints = torch.stack(merged).split((4, 8), dim=1)
    return Detections(boxes, keypoints.unflatten(1, (4, 2)), torch.stack(scores))


def box_overlap(box: Tensor, boxes: Tensor) -> Tensor:
    """Intersection over union of a box (4,) ``[cx, cy, width, height]`` with N boxes (N, 4)."""
    low = torch.maximum(box[:2] - box[2:] / 2, boxes[:, :2] - boxes[:, 2:] / 2)
    high = torch.minimum(box[:2] + box[2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2)
    common = (high - low).clamp_min(0).prod(-1)
    return common / (box[2:].prod() + boxes[:, 2:].prod(-1) - common)
