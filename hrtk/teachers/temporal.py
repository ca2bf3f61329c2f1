"""TemporalTeacher: a frozen video network that labels every frame from its neighbours in time."""

from __future__ import annotations

from typing import Optional

import torch

from hrtk.errors import InputError
from hrtk.models.estimators import Estimator
from hrtk.models.temporal import TemporalNetwork
from hrtk.registry import ESTIMATORS, TEACHERS, TEMPORAL
from hrtk.structures import Prediction, Sequence
from hrtk.teachers.features import FeatureMemory
from hrtk.teachers.windows import window_indices

MEMORY = (
    FeatureMemory()
)  # one for all teachers of the process: two of them look at the same features


@TEACHERS.register_module()
class TemporalTeacher:
    """TCMR or MPS-Net over sliding windows, as their released evaluation runs them.

    It sees the crops that the student sees, so that both speak of one camera.

    Args:
        network: config of a temporal network, with weights.
        features: config of the estimator whose image features the network was trained on; None where that is the
            student's own start network.
        batch_size: windows at once, in the order of the frames; 8 in the released code. It decides the labels of an
            :class:`~hrtk.models.temporal.MPSNet` with ``map_pairing='released'``.
        border: see :func:`~hrtk.teachers.windows.window_indices`. The default is that of the released code, by which
            the networks' published numbers, and most likely 3DHR-Co's labels, were made.

    Raises:
        InputError: a network cannot be built, or the border is unknown.
    """

    def __init__(
        self,
        network: dict,
        features: Optional[dict] = None,
        batch_size: int = 8,
        border: str = 'repeat',
    ) -> None:
        window_indices(1, border)
        self.network: TemporalNetwork = TEMPORAL.build(network).eval().requires_grad_(False)
        if not isinstance(self.network, TemporalNetwork):
            raise InputError(
                f'TemporalTeacher: {type(self.network).__name__} does not label the middle frame of a '
                f'window; use MPSNet or TCMR'
            )
        self.features: Optional[Estimator] = None
        if features is not None:
            self.features = ESTIMATORS.build(dict(features)).eval().requires_grad_(False)
        self.batch_size, self.border = batch_size, border

    @torch.no_grad()
    def label(self, sequence: Sequence, extractor: Estimator) -> Prediction:
        """Labels all frames of a sequence.

        Args:
            sequence: F frames.
            extractor: the student before it learns; its device is used, and its features unless the teacher has an
                estimator of its own.

        Returns:
            F predictions without features, on the extractor's device.

        Raises:
            InputError: a frame cannot be read, or the features have another size than the network's.
        """
        device = extractor.device
        self.network.to(device)
        features = MEMORY.get(
            sequence, extractor if self.features is None else self.features.to(device)
        )
        windows = window_indices(len(sequence), self.border).to(device)
        labels = Prediction.cat(
            [self.network(features[part]) for part in windows.split(self.batch_size)]
        )
        return Prediction(labels.rotmat, labels.betas, labels.camera)

    def fingerprint(self) -> dict[str, str]:
        """Hashes of the weights."""
        own = (
            {}
            if self.features is None
            else {'teacher_features': self.features.fingerprint()['weights']}
        )
        return {'teacher': self.network.fingerprint()['weights'], **own}
