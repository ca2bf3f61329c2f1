"""Random data: noise images with keypoints, labelled source crops, a network in float64."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from hrtk.geometry.boxes import crop_image
from hrtk.models.estimators import HMR
from hrtk.registry import DATASETS
from hrtk.structures import Sequence
from hrtk.testing.random_sequences import random_sequence  # noqa: F401  # part of the scene


@DATASETS.register_module()
class RandomViews:
    """Labelled crops of noise, in the form of :class:`hrtk.datasets.open_stream.OpenViews`.

    Args:
        resolution: side of the crops, px.
        length: number of crops.
        double: float64 labels.
        measured: with joints of motion capture, ``S`` and ``part``, of which some are not visible.
    """

    def __init__(
        self, resolution: int, length: int = 8, double: bool = False, measured: bool = False
    ) -> None:
        self.resolution = resolution
        self.length = length
        self.double = double
        self.measured = measured

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([7, index])
        image = rng.integers(0, 256, (3, self.resolution, self.resolution), dtype=np.uint8)
        labels = dict(
            rotmat=Rotation.from_rotvec(0.4 * rng.normal(size=(24, 3))).as_matrix(),
            betas=rng.normal(size=10),
            keypoints2d=rng.uniform(-0.8, 0.8, (24, 2)),
        )
        if self.measured:
            sure = (rng.random((2, 24, 1)) < 0.7) * rng.uniform(0.3, 1, (2, 24, 1))
            labels['S'] = np.concatenate([0.5 * rng.normal(size=(24, 3)), sure[0]], 1)
            labels['part'] = np.concatenate([rng.uniform(-1, 1, (24, 2)), sure[1]], 1)
        dtype = torch.float64 if self.double else torch.float32
        item = {name: torch.tensor(label, dtype=dtype) for name, label in labels.items()}
        item['image'] = torch.from_numpy(image)
        return item


@DATASETS.register_module()
class RandomPhotos(RandomViews):
    """The same labels with compressed images of 1000 x 1000 px, which are decoded and cropped for every item."""

    def __init__(self, resolution: int, length: int = 8, double: bool = False) -> None:
        super().__init__(resolution, length, double)
        self.files = []
        for index in range(length):
            coarse = np.random.default_rng([8, index]).integers(0, 256, (12, 12, 3), dtype=np.uint8)
            image = cv2.resize(coarse, (1000, 1000), interpolation=cv2.INTER_CUBIC)
            self.files.append(cv2.imencode('.jpg', image)[1])

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        decoded = cv2.imdecode(self.files[index], cv2.IMREAD_COLOR)
        image = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
        box = torch.tensor([500.0, 500.0, 700.0])
        return {**super().__getitem__(index), 'image': crop_image(image, box, self.resolution)}


class DoubleHMR(HMR):
    """HMR in float64, where two correct programs agree to many digits even after steps of Adam."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.double()
        # A body stores its rest joints in float32; these are computed from its files in float64.
        data = self.body.data
        regressor = torch.from_numpy(data.J_regressor).double()
        template = torch.from_numpy(data.v_template).double()
        shapes = torch.from_numpy(data.shapedirs).double()
        self.body.joint_template.copy_(regressor @ template)
        self.body.joint_basis.copy_(torch.einsum('jv,vcs->sjc', regressor, shapes).flatten(1))

    def crops(self, sequence: Sequence, indices) -> torch.Tensor:
        """The crops of float32 networks, in float64."""
        return super().crops(sequence, indices).double()
