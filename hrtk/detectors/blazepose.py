"""2D keypoints by BlazePose, whose weights come with hrtk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
import torch

from hrtk.body_models.skeletons import joint_names
from hrtk.detectors.base import Detector
from hrtk.detectors.findings import MIRRORED, SHAPES, Findings, FoundLandmarks
from hrtk.errors import OptionError, suggestion
from hrtk.geometry.uploads import check_device
from hrtk.models import blazepose
from hrtk.models.estimators.base import hash_tensors
from hrtk.registry import DETECTORS

FORMAT = 2  # of what is stored and of how people are followed; a change makes stored files obsolete
SKELETONS = ('coco17', 'blazepose33')


@DETECTORS.register_module()
class BlazePose(Detector):
    """Keypoints and landmarks by :class:`hrtk.models.blazepose.BlazePose`.

    The confidence of a point is its visibility. In a clip people are followed by
    :class:`~hrtk.models.blazepose.PeopleTracker`. In photographs the detector looks at the whole image and at tiles.

    Args:
        skeleton: ``'coco17'``, or ``'blazepose33'`` for all landmarks.
        tiles: of :class:`hrtk.models.blazepose.BlazePose`; 2 or 3 finds smaller people. In photographs at least 2.
        passes, min_score, min_flag, weights: likewise.
        detect_every, mirror_every, tiles_every: of the tracker.
        device: ``'cpu'``, ``'cuda'`` or ``'mps'``.

    Raises:
        InputError: there is no such skeleton, an option is out of its range, or device or weights cannot be used.
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
        detect_every: int = blazepose.DETECT_EVERY,
        mirror_every: Optional[int] = None,
        tiles_every: Optional[int] = None,
    ) -> None:
        if skeleton not in SKELETONS:
            raise OptionError(
                f'BlazePose: there is no skeleton {skeleton!r}. {suggestion(skeleton, SKELETONS)}'
            )
        check_device(device)
        self.skeleton = skeleton
        self.source = 'blazepose'
        self._options: dict[str, Any] = dict(
            tiles=tiles, passes=passes, min_score=min_score, min_flag=min_flag
        )
        self.network = blazepose.BlazePose(weights, **self._options).to(device)
        self._tracking: dict[str, Any] = dict(
            detect_every=detect_every, mirror_every=mirror_every, tiles_every=tiles_every
        )
        self._options.update(self._tracking, format=FORMAT)

    def __call__(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [self.keypoints(self.photographed(image)) for image in images]

    def session(
        self, fps: Optional[float], state: Optional[dict[str, Any]] = None
    ) -> BlazePoseSession:
        """Begins or continues a clip; see :meth:`hrtk.detectors.Detector.session`."""
        tracker = None
        if fps is not None:
            tracker = blazepose.PeopleTracker(self.network, fps, **self._tracking)
            if state is not None:
                tracker.restore(state)
        return BlazePoseSession(self, tracker)

    def fingerprint(self) -> dict[str, str]:
        """A hash of the weights, and the options on which the keypoints depend."""
        return {
            'weights': hash_tensors(self.network.state_dict()),
            'options': json.dumps(self._options),
        }

    def photographed(self, image: np.ndarray) -> list[blazepose.Person]:
        """The people of a photograph (H, W, 3) uint8 RGB."""
        return self.network(image, tiles=max(self.network.tiles, blazepose.SMALL_TILES))

    def keypoints(self, people: Sequence[blazepose.Person]) -> np.ndarray:
        """Returns (P, K, 3) float32 of the detector's joint list."""
        points = [person.keypoints(self.skeleton) for person in people]
        if not points:
            return np.empty((0, len(joint_names(self.skeleton)), 3), np.float32)
        return torch.stack(points).numpy().astype(np.float32)


class BlazePoseSession:
    """The people of one clip, or of photographs.

    Args:
        detector: the detector.
        tracker: of the clip; None for photographs.
    """

    def __init__(self, detector: BlazePose, tracker: Optional[blazepose.PeopleTracker]) -> None:
        self._detector = detector
        self._tracker = tracker

    def __call__(self, image: np.ndarray) -> Findings:
        """Finds the people of the next frame (H, W, 3) uint8 RGB."""
        if self._tracker is None:
            people = self._detector.photographed(image)
            keypoints = self._detector.keypoints(people)
            return Findings(keypoints, None, _landmarks(people, [None] * len(people)))
        tracked = self._tracker(image)
        people = [one.person for one in tracked]
        landmarks = _landmarks(people, [one.mirrored for one in tracked])
        persons = tuple(one.track for one in tracked)
        return Findings(self._detector.keypoints(people), persons, landmarks)

    def state(self) -> dict[str, Any]:
        """What is remembered; nothing about photographs."""
        if self._tracker is None:
            return {}
        return self._tracker.state()


def _landmarks(
    people: Sequence[blazepose.Person], mirrored: Sequence[Optional[torch.Tensor]]
) -> FoundLandmarks:
    rows: list[Optional[FoundLandmarks]] = []
    for person, other in zip(people, mirrored):
        points = np.full(SHAPES['mirrored'], np.nan, np.float32)
        if other is not None:
            points = other[list(MIRRORED)].numpy()
        fields = dict(
            xyz=person.landmarks,
            world=person.world,
            visibility=person.visibility,
            flag=person.flag,
            region=person.region,
        )
        arrays = {name: value.numpy()[None] for name, value in fields.items()}
        rows.append(FoundLandmarks(**arrays, mirrored=points[None]))
    return FoundLandmarks.join(rows)
