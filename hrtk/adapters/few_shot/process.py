"""The steps of few-shot adaptation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Optional
from typing import Sequence as SequenceOf

import torch
from torch import Tensor

from hrtk.adapters.few_shot.labels import Labels
from hrtk.adapters.parts.gradients import Weights
from hrtk.adapters.parts.learner import Learner
from hrtk.adapters.parts.posed import SKELETON, PosedPrediction
from hrtk.adapters.parts.preparing import LearningProcess
from hrtk.adapters.parts.source_bank import SourceSampler
from hrtk.adapters.parts.trunk import Trunk, TrunkCache
from hrtk.errors import InputError
from hrtk.losses import hips
from hrtk.models.augmentation import distort, mirror_images, random_half
from hrtk.structures import Prediction

if TYPE_CHECKING:
    from hrtk.adapters.few_shot.metric import FewShotMetric

COMMON14 = slice(14)  # the joints of spin24 by which poses are compared


class FewShotProcess(LearningProcess):
    """The steps of few-shot adaptation.

    Args:
        options: the adapter.
        learner: the adapting weights, with their optimiser.
        crops: (N, 3, R, R) crops of the shots, or (N, T, 3, R, R) clips.
        labels: labels of each shot.
        seed: seed of batch sampling.
        total_steps: number of steps; None is the adapter's.
    """

    def __init__(
        self,
        options: FewShotMetric,
        learner: Learner,
        crops: Tensor,
        labels: SequenceOf[Labels],
        seed: int,
        total_steps: Optional[int] = None,
    ) -> None:
        super().__init__(learner, total_steps)
        self.options = options
        self.estimator = learner.estimator
        self.trunk = Trunk(self.estimator, learner.weights)
        self.crops = crops
        self.labels = labels
        self.seed = seed
        self.source = SourceSampler(options.source_bank)
        self._shots_cache = TrunkCache()

    def run(self, steps: range) -> Iterator[dict[str, Tensor]]:
        """Runs the steps numbered ``steps``; yields the values that :meth:`_terms` returns."""
        for step in steps:
            torch.manual_seed(self.seed + step)
            if self.options.schedule == 'linear':
                self.learner.set_lr(self.options.lr * (1 - step / self.options.steps))
            yield self._descend()

    def _descend(self) -> dict[str, Tensor]:
        shots, shot_labels, source, source_labels = self._batches()
        terms: dict[str, Tensor] = {}

        # The estimator's own tensors adapt, so the objective does not use its argument.
        def objective(_: Weights) -> Tensor:
            target_pair = (self._predict(shots), shot_labels)
            source_pair = (self._predict(source), source_labels)
            terms.update(self._terms(target_pair, source_pair))
            loss_weights = self.options.loss_weights
            weighted = [loss_weights.get(name, 1.0) * term for name, term in terms.items()]
            return _total(weighted)

        self.learner.descend(objective)
        return {name: term.detach() for name, term in terms.items()}

    def _batches(self) -> tuple[Tensor, Labels, Tensor, Labels]:
        """Draws the shots and the source crops of a step: inputs of the adapting part, and labels, of either."""
        chosen = torch.randperm(len(self.crops))[: self.options.batch]
        index = chosen.to(self.crops.device)
        labels = Labels.cat([self.labels[i] for i in chosen.tolist()])
        body = self.estimator.required_body
        if self.options.augment is None:
            source = self.source.draw(self.trunk)
            shots = self._shots_cache.get(self.trunk, index, self.crops.__getitem__)
            return shots, labels, source.images, Labels.of_source(source, body)
        # Changed crops differ in every step: the trunk runs for each of them, and nothing is cached.
        source = self.source.draw()
        shots, labels = self._augmented(self.crops[index], labels)
        images, source_labels = self._augmented(source.images, Labels.of_source(source, body))
        return self.trunk(shots), labels, self.trunk(images), source_labels

    def _augmented(self, crops: Tensor, labels: Labels) -> tuple[Tensor, Labels]:
        """Mirrors a random half of normalised crops or clips, and distorts all of them."""
        strength = self.options.augment
        assert strength is not None
        chosen = random_half(len(crops), crops.device)
        images = self.estimator.denormalise(mirror_images(chosen, crops))
        images = self.estimator.normalise(distort(images, strength))
        frames = len(labels.betas) // len(crops)
        return images, labels.mirrored(chosen.repeat_interleave(frames))

    def _predict(self, inputs: Tensor) -> PosedPrediction:
        prediction: Prediction
        if self.trunk.shared:
            prediction = self.estimator.from_trunk(inputs)
        else:
            prediction = self.estimator(inputs)
        return PosedPrediction.of(prediction, self.estimator.required_body)

    def _terms(
        self,
        target: tuple[PosedPrediction, Labels],
        source: tuple[PosedPrediction, Labels],
    ) -> dict[str, Tensor]:
        """Returns ``loss``, the weighted supervised loss, and the unweighted metric losses whose weight is not 0."""
        loss_weights = self.options.loss_weights
        supervised = []
        for posed, labels in (target, source):
            for name, value in labels.losses(posed).items():
                supervised.append(loss_weights[name] * value / 2)
        terms = dict(loss=_total(supervised))
        for name, embed in (('metric', features_of), ('metric_joints', centred_joints)):
            if loss_weights[name]:
                terms[name] = self.options.metric_loss.between(
                    embed(target[0]),
                    target[1].joints3d[:, COMMON14],
                    embed(source[0]),
                    source[1].joints3d[:, COMMON14],
                )
        return terms


def _total(terms: SequenceOf[Tensor]) -> Tensor:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def features_of(posed: PosedPrediction) -> Tensor:
    """Returns the (N, F) features of predictions.

    Raises:
        InputError: the estimator has none.
    """
    features = posed.prediction.features
    if features is None:
        raise InputError(
            'FewShotMetric: this estimator has no features to compare; compare predicted joints, with '
            "weights=dict(metric=0, metric_joints=...) and space='poses'"
        )
    return features


def centred_joints(posed: PosedPrediction) -> Tensor:
    """Returns (N, 42) predicted coordinates of the common joints relative to the hips."""
    return centred(posed.spin24_joints3d)


def centred(joints3d: Tensor) -> Tensor:
    """Returns (N, 42) coordinates of the common joints of (N, 24, 3) ``spin24`` joints relative to the hips."""
    common = joints3d[:, COMMON14]
    root = common[:, hips(SKELETON)].mean(1, keepdim=True)
    return (common - root).flatten(1)
