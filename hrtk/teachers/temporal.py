"""TemporalTeacher: a frozen video network that labels every frame from its neighbours in time."""

from __future__ import annotations

from typing import Optional

import torch

from hrtk.errors import OptionError
from hrtk.models.estimators import Estimator
from hrtk.models.temporal import TemporalNetwork
from hrtk.registry import ESTIMATORS, TEACHERS, TEMPORAL
from hrtk.structures import Prediction, Sequence
from hrtk.teachers.base import Teacher
from hrtk.teachers.features import FeatureCache
from hrtk.teachers.windows import window_indices

# Shared by all teachers of the process, since teachers of the same student use the same features.
FEATURE_CACHE = FeatureCache()


@TEACHERS.register_module()
class TemporalTeacher(Teacher):
    """TCMR or MPS-Net over sliding windows, as their released evaluation runs them.

    Teacher and student receive the same crops, so their cameras are comparable.

    Args:
        network: config of a temporal network, with weights.
        features: config of the estimator whose image features the network was trained on; None where that is the
            student's own start network.
        batch_size: windows per pass, in the order of the frames; 8 in the released code. The labels of an
            :class:`~hrtk.models.temporal.MPSNet` with ``map_pairing='released'`` depend on it.
        border: see :func:`~hrtk.teachers.windows.window_indices`. The default is that of the released code, with which
            the networks' published numbers, and most likely 3DHR-Co's labels, were computed.

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
        window_indices(1, border)  # checks the border
        self.network: TemporalNetwork = TEMPORAL.build(network).eval().requires_grad_(False)
        if not isinstance(self.network, TemporalNetwork):
            raise OptionError(
                f'TemporalTeacher: {type(self.network).__name__} does not label the middle frame of a '
                f'window; use MPSNet or TCMR'
            )
        self.features: Optional[Estimator] = None
        if features is not None:
            self.features = ESTIMATORS.build(dict(features)).eval().requires_grad_(False)
        self.batch_size = batch_size
        self.border = border

    @torch.no_grad()
    def label(self, sequence: Sequence, estimator: Estimator) -> Prediction:
        """Labels all frames of a sequence.

        Args:
            sequence: F frames.
            estimator: the student before it learns; its device is used, and its features unless the teacher has an
                estimator of its own.

        Returns:
            F predictions without features, on the student's device.

        Raises:
            InputError: a frame cannot be read, or the features have another size than the network's.
        """
        device = estimator.device
        self.network.to(device)
        extractor = estimator
        if self.features is not None:
            extractor = self.features.to(device)
        features = FEATURE_CACHE.get(sequence, extractor)
        windows = window_indices(len(sequence), self.border).to(device)
        batches = windows.split(self.batch_size)
        labels = Prediction.cat([self.network(features[batch]) for batch in batches])
        return Prediction(labels.rotmat, labels.betas, labels.camera)

    def fingerprint(self) -> dict[str, str]:
        """Returns hashes of the weights."""
        hashes = {'teacher': self.network.fingerprint()['weights']}
        if self.features is not None:
            hashes['teacher_features'] = self.features.fingerprint()['weights']
        return hashes
