"""NormAdapt: the normalisation layers alone adapt, their statistics and their scale and shift.

Wang, Shelhamer, Liu, Olshausen, Darrell, "Tent: Fully Test-Time Adaptation by Entropy Minimization", ICLR 2021. The
statistics are mixed with those of training as in Schneider et al., "Improving robustness against common corruptions by
covariate shift adaptation", NeurIPS 2020, Section 3.

Departures. **The objective is another one.** Tent minimises the entropy of class probabilities; a regression has none.
Here the objective is the 2D error of given keypoints, with a prior of the shape: the loss of ``KeypointFit``. Of Tent
remains what adapts and when: batch by batch, online. The statistics are measured once per batch, before its steps, and
are constants of the gradient; Tent measures them in every pass and differentiates through them. They are mixed with the
training's by ``source_share``; Tent takes the batch's alone (``source_share=0``). A batch is predicted by a pass after
its steps; Tent takes the output of the pass that gave the gradient.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Optional

import torch
from torch import Tensor, nn

from hrtk.adapters.base import Adapter, Reset, predict
from hrtk.adapters.parts.gradients import Weights
from hrtk.adapters.parts.learner_session import LearnerSession
from hrtk.adapters.parts.loss_weights import WeightedLosses
from hrtk.adapters.parts.posed import CropKeypoints, PosedPrediction
from hrtk.adapters.rivals.objective import LossWeights, keypoint_objective
from hrtk.errors import OptionError
from hrtk.models.estimators import Estimator
from hrtk.registry import ADAPTERS
from hrtk.structures import Prediction, Sequence

BatchNorm = nn.modules.batchnorm._BatchNorm


@ADAPTERS.register_module()
@dataclasses.dataclass(frozen=True, kw_only=True)
class NormAdapt(WeightedLosses[LossWeights], Adapter):
    """Adapts the normalisation layers to consecutive batches of frames.

    Frames without a visible keypoint count in the statistics and in no loss. Networks without BatchNorm (GroupNorm,
    LayerNorm) have no statistics; of them scale and shift adapt.

    Args:
        lr: rate of Adam.
        adam_betas: decay rates of Adam's moments.
        batch: consecutive frames that give the statistics, take the steps, and are then predicted.
        steps: steps per batch; 0 adapts the statistics alone.
        source_share: weight of the training's statistics in the mixture with the batch's, in [0, 1]; 1 keeps them.
        weights: overrides of the loss weights, see :class:`~hrtk.adapters.rivals.objective.LossWeights`.
        normalise: of :func:`~hrtk.losses.keypoint2d_loss`, ``'all'`` or ``'visible'``.
        reset: of :class:`~hrtk.adapters.Adapter`.

    Raises:
        InputError: an option has a value that is not allowed.
    """

    lr: float = 1e-3
    adam_betas: tuple[float, float] = (0.9, 0.999)
    batch: int = 8
    steps: int = 5
    source_share: float = 0.9
    weights: Optional[Mapping[str, float]] = None
    normalise: Literal['all', 'visible'] = 'visible'
    reset: Reset = 'sequence'

    DEFAULT_LOSS_WEIGHTS: ClassVar[LossWeights] = LossWeights()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.source_share <= 1:
            raise OptionError(f'NormAdapt: source_share is in [0, 1], not {self.source_share}')

    def start(self, estimator: Estimator) -> NormAdaptSession:
        """Starts a session with the estimator's present weights and statistics."""
        return NormAdaptSession(self, estimator)


class NormAdaptSession(LearnerSession[NormAdapt]):
    """The normalisation layers under adaptation.

    Args:
        options: the adapter.
        estimator: network whose normalisation layers adapt.

    Raises:
        InputError: the network has no normalisation layer with weights.
    """

    def __init__(self, options: NormAdapt, estimator: Estimator) -> None:
        super().__init__(options, estimator, 'norm')
        self.statistics = Statistics(estimator, options.source_share)

    def run(self, sequence: Sequence) -> Iterator[Prediction]:
        """Yields the predictions of one batch after the other, after the steps on it."""
        self.learner.reset_counts()
        yield from self._run(sequence, 0)

    @property
    def state_bytes(self) -> int:
        """Bytes of scale and shift, of Adam's moments and of the present statistics."""
        return super().state_bytes + self.statistics.state_bytes

    def state_dict(self) -> dict[str, Any]:
        """Returns Adam's moments and the statistics of training; the present ones are the estimator's buffers."""
        return {'learner': self.learner.state_dict(), 'source': self.statistics.source}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes from a :meth:`state_dict`."""
        self.learner.load_state_dict(state['learner'])
        device = self.estimator.device
        self.statistics.source = {
            name: (mean.to(device), variance.to(device))
            for name, (mean, variance) in state['source'].items()
        }

    def midway_state(self, done: int) -> Optional[dict[str, Any]]:
        """Returns the session's state between two batches; None inside a batch."""
        if done % self.options.batch:
            return None
        return {'session': self.state_dict(), 'skipped': self.learner.skipped_by_name}

    def run_from(
        self, sequence: Sequence, done: int, state: dict[str, Any]
    ) -> Iterator[Prediction]:
        """Continues behind the first ``done`` frames."""
        self.load_state_dict(state['session'])
        self.learner.load_skipped(state['skipped'])
        yield from self._run(sequence, done)

    def _run(self, sequence: Sequence, first: int) -> Iterator[Prediction]:
        keypoints, seen = self.look_at(sequence)
        for start in range(first, len(sequence), self.options.batch):
            stop = min(start + self.options.batch, len(sequence))
            crops = self.estimator.crops(sequence, range(start, stop))
            self.statistics.measure(crops)
            if seen[start:stop].any():
                objective = functools.partial(self._objective, crops, keypoints[start:stop])
                for _ in range(self.options.steps):
                    self.learner.descend(objective)
            predictions = predict(self.estimator, crops)
            for i in range(len(predictions)):
                yield predictions[i : i + 1]

    def _objective(self, crops: Tensor, keypoints: CropKeypoints, _: Weights) -> Tensor:
        posed = PosedPrediction.of(self.estimator(crops), self.estimator.required_body)
        options = self.options
        return keypoint_objective(posed, keypoints, options.loss_weights, options.normalise)


class Statistics:
    """The means and variances of all BatchNorm layers of a network.

    Args:
        network: in evaluation mode; its present statistics are those of training.
        source_share: of :class:`NormAdapt`.

    Attributes:
        source: mean and variance of training by the name of the layer.
    """

    def __init__(self, network: nn.Module, source_share: float) -> None:
        self.network = network
        self.source_share = source_share
        self.source: dict[str, tuple[Tensor, Tensor]] = {}
        self._layers: dict[str, Any] = {}
        for name, module in network.named_modules():
            if not isinstance(module, BatchNorm):
                continue
            if module.running_mean is not None and module.running_var is not None:
                self._layers[name] = module
                self.source[name] = (module.running_mean.clone(), module.running_var.clone())

    @property
    def state_bytes(self) -> int:
        """Bytes of the present statistics; 0 where they stay those of training."""
        if self.source_share == 1:
            return 0
        tensors: list[Tensor] = []
        for layer in self._layers.values():
            tensors += [layer.running_mean, layer.running_var]
        return sum(tensor.nbytes for tensor in tensors)

    @torch.no_grad()
    def measure(self, crops: Tensor) -> None:
        """Sets the statistics to the mixture of the training's with those of a batch of crops.

        A layer is measured behind the layers before it, which have their new statistics already.
        """
        if self.source_share == 1 or not self._layers:
            return
        with contextlib.ExitStack() as hooks:
            for name, layer in self._layers.items():
                handle = layer.register_forward_pre_hook(functools.partial(self._mix, name))
                hooks.callback(handle.remove)
            self.network(crops)

    def _mix(self, name: str, layer: Any, inputs: tuple[Tensor, ...]) -> None:
        """Sets the statistics of one layer from its inputs (B, C, ...)."""
        values = inputs[0].transpose(0, 1).flatten(1).to(layer.running_mean.dtype)
        mean, variance = self.source[name]
        layer.running_mean.copy_(values.mean(1).lerp(mean, self.source_share))
        layer.running_var.copy_(values.var(1, unbiased=False).lerp(variance, self.source_share))
