"""BlazePose: the people of an image by a detector and a landmark network, without tracking."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Optional

import numpy as np
import torch
from torch import Tensor, nn

from hrtk.errors import OptionError
from hrtk.geometry.regions import crop_regions, from_regions
from hrtk.models.blazepose import landmark_network, pose_detector
from hrtk.models.blazepose.detections import Detections, box_overlap, decode, suppress
from hrtk.models.blazepose.landmark_network import LandmarkNetwork
from hrtk.models.blazepose.people import People, Person, to_mirrored_people, to_people
from hrtk.models.blazepose.pose_detector import PoseDetector
from hrtk.models.blazepose.regions import distinct, next_regions, plausible, regions_of_axes
from hrtk.models.checkpoints import load_weights


class BlazePose(nn.Module):
    """The people of an image with 33 landmarks in 2D and 3D each (Bazarevsky et al., "BlazePose", 2020).

    The detector looks at the whole image, letterboxed to 224 px, and at tiles of it if asked to. The landmark network
    then looks at a turned square around every person, and again at the square that its own landmarks define. Nothing is
    remembered: :meth:`follow` looks for the people of the last frame without the detector.

    Args:
        weights: ``'open:blazepose'``, a path to a checkpoint, or None for random ones.
        passes: how often the landmark network looks at a person.
        tiles: T: the detector also looks at squares of ``1 / T`` of the image's longer side, which overlap by half,
            and finds smaller people there; 1 for none. T = 2 costs up to nine more runs of the detector.
        min_score: people of a lower detection score are not looked at.
        min_flag: people for whom the landmark network gives a lower probability are left out.

    Raises:
        InputError: an option is out of its range, or the weights cannot be used.
    """

    def __init__(
        self,
        weights: Optional[str] = 'open:blazepose',
        passes: int = 2,
        tiles: int = 1,
        min_score: float = 0.5,
        min_flag: float = 0.5,
    ) -> None:
        super().__init__()
        if min(passes, tiles) < 1:
            raise OptionError(f'BlazePose: passes and tiles are positive, not {passes} and {tiles}')
        if not (0 <= min_score <= 1 and 0 <= min_flag <= 1):
            raise OptionError(
                f'BlazePose: min_score and min_flag are in [0, 1], not {min_score} and {min_flag}'
            )
        self.passes = passes
        self.tiles = tiles
        self.min_score = min_score
        self.min_flag = min_flag
        self.detector = PoseDetector()
        self.landmark_network = LandmarkNetwork()
        if weights is not None:
            load_weights(self, weights)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        self.eval()

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    @torch.inference_mode()
    def forward(
        self, image: np.ndarray, masks: bool = False, tiles: Optional[int] = None
    ) -> list[Person]:
        """Finds everybody in an image (H, W, 3) uint8 RGB.

        Args:
            image: the image.
            masks: whether people have masks.
            tiles: replaces those of the class.

        Returns:
            People whose flag is at least ``min_flag``, each once, the highest detection score first.
        """
        regions, _ = self.detect(image, tiles)
        if len(regions) == 0:
            return []
        people = self.look(image, regions, masks)
        people = people.pick(people.flag >= self.min_flag)
        return people.pick(distinct(people)).split()

    @torch.inference_mode()
    def follow(
        self, image: np.ndarray, people: Sequence[Person], masks: bool = False
    ) -> list[Optional[Person]]:
        """Looks for people of the last frame in the next one, once each and without the detector.

        Args:
            image: (H, W, 3) uint8 RGB.
            people: P people of the last frame.
            masks: whether people have masks.

        Returns:
            P people; None where the flag is below ``min_flag``, or where the next region would jump.
        """
        if not people:
            return []
        before = next_regions(_stack(people))
        found = self.look_once(image, before, masks)
        kept = (found.flag >= self.min_flag) & plausible(before, next_regions(found))
        pairs = zip(found.split(), kept.tolist())
        return [person if known else None for person, known in pairs]

    @torch.inference_mode()
    def detect(self, image: np.ndarray, tiles: Optional[int] = None) -> tuple[Tensor, Tensor]:
        """Runs the detector on an image (H, W, 3) uint8 RGB.

        Args:
            image: the image.
            tiles: replaces those of the class.

        Returns:
            Regions (P, 4) of people and their scores (P,), the highest score first.
        """
        height, width = image.shape[:2]
        whole = torch.tensor([[(width - 1) / 2, (height - 1) / 2, max(height, width), 0.0]])
        squares = torch.cat([whole, tile_squares(height, width, tiles or self.tiles)])
        found = self.candidates(image, squares)
        people = suppress(_row(found, 0).pick(found.scores[0] >= self.min_score))
        small = [_inside(_row(found, row), squares[row]) for row in range(1, len(squares))]
        for detections in small:
            detections = suppress(detections.pick(detections.scores >= self.min_score))
            people = _with_new(people, detections)
        order = people.scores.argsort(descending=True)
        people = people.pick(order)
        return regions_of_axes(people.keypoints[:, :2]), people.scores

    def candidates(self, image: np.ndarray, squares: Tensor) -> Detections:
        """All candidates of the detector in S squares (S, 4) of an image: (S, 2254, ...), in px of the image."""
        crops = crop_regions(image, squares, pose_detector.SIDE).to(self.device)
        found = decode(self.detector(crops))
        half = pose_detector.SIDE / 2
        boxes = found.boxes.cpu()
        scale = squares[:, None, 2:3] / pose_detector.SIDE
        centres = from_regions(boxes[..., :2] / half - 1, squares)
        keypoints = from_regions(found.keypoints.cpu().flatten(1, 2) / half - 1, squares)
        return Detections(
            torch.cat([centres, boxes[..., 2:] * scale], dim=-1),
            keypoints.unflatten(1, (-1, 4)),
            found.scores.cpu(),
        )

    @torch.inference_mode()
    def look(self, image: np.ndarray, regions: Tensor, masks: bool = False) -> People:
        """Runs the landmark network on regions (P, 4) of an image, P > 0, ``passes`` times.

        A pass whose flag is below ``min_flag``, or which would look somewhere else entirely, is undone: the person is
        that of the pass before.
        """
        people = self.look_once(image, regions, masks)
        for _ in range(self.passes - 1):
            better = next_regions(people)
            tried = plausible(people.region, better)
            if not bool(tried.any()):
                break
            found = self.look_once(image, better[tried], masks)
            kept = (found.flag >= self.min_flag) | (found.flag >= people.flag[tried])
            chosen = torch.zeros_like(tried)
            chosen[tried] = kept
            people = people.replace(chosen, found.pick(kept))
        return people

    @torch.inference_mode()
    def look_once(self, image: np.ndarray, regions: Tensor, masks: bool = False) -> People:
        """Runs the landmark network once on regions (P, 4) of an image, P > 0."""
        crops = crop_regions(image, regions, landmark_network.SIDE).to(self.device)
        output = self.landmark_network(crops, heatmap=True, mask=masks)
        return to_people(output.cpu(), regions)

    @torch.inference_mode()
    def look_mirrored(self, image: np.ndarray, regions: Tensor) -> People:
        """Runs the landmark network on the mirrored crops of regions (P, 4) of an image, P > 0.

        Where its sides differ from those of the crop itself, one of both is wrong; see
        :class:`hrtk.datasets.own.sides.SideRepair`.

        Returns:
            P people, mirrored back.
        """
        crops = crop_regions(image, regions, landmark_network.SIDE).to(self.device)
        crops = crops.flip(3).contiguous(memory_format=torch.channels_last)
        return to_mirrored_people(self.landmark_network(crops, heatmap=True).cpu(), regions)


def tile_squares(height: int, width: int, tiles: int) -> Tensor:
    """Regions (N, 4) of ``1 / tiles`` of an image's longer side that cover it and overlap by at least half."""
    if tiles == 1:
        return torch.zeros(0, 4)
    side = max(height, width) / tiles
    squares = []
    for y in _centres(height, side):
        for x in _centres(width, side):
            squares.append([x, y, side, 0.0])
    return torch.tensor(squares)


def _centres(length: int, side: float) -> list[float]:
    """Centres of squares along an axis, px; one in the middle if the axis is not longer than a square."""
    free = length - side
    if free <= 0:
        return [(length - 1) / 2]
    count = math.ceil(2 * free / side) + 1
    steps = np.linspace(0, free, count)
    return [float(step + side / 2 - 0.5) for step in steps]


def _row(detections: Detections, row: int) -> Detections:
    return Detections(detections.boxes[row], detections.keypoints[row], detections.scores[row])


def _inside(detections: Detections, square: Tensor) -> Detections:
    """Those whose circle around the body fits into a tile: of others a tile shows a part."""
    hips, reach = detections.keypoints[:, :2].unbind(1)
    radius = (reach - hips).norm(dim=1)
    outside = (hips - square[:2]).abs().amax(1) + radius > 0.55 * square[2]
    return detections.pick(~outside)


def _with_new(people: Detections, others: Detections, overlap: float = 0.3) -> Detections:
    """Adds those whose box overlaps with no box of the people who are there."""
    new = torch.ones(len(others.scores), dtype=torch.bool)
    for box in people.boxes:
        new &= box_overlap(box, others.boxes) <= overlap
    fresh = others.pick(new)
    return Detections(*(torch.cat(pair) for pair in zip(people, fresh)))


def _stack(people: Sequence[Person]) -> People:
    names = ('region', 'landmarks', 'visibility', 'presence', 'world', 'flag', 'axis')
    fields = {name: torch.stack([getattr(person, name) for person in people]) for name in names}
    return People(**fields)
