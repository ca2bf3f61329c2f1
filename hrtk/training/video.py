"""Training of networks that predict every frame of a video, with an adversarial prior of motion and a metric loss."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator, Optional

import torch
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn

from hrtk.errors import InputError
from hrtk.evaluation import accel_error, mpjpe
from hrtk.geometry.rotation import rotmat_to_axis_angle
from hrtk.registry import DATASETS, LOSSES, METRICS, MODELS
from hrtk.structures import Prediction
from hrtk.training.stepping import SteppingModel
from hrtk.training.supervised import ViewError, supervise
from hrtk.training.temporal import build_from_start, mirror_some

# configs/config.yaml of the released code; the defaults of its classes are 60, 30, 1, 0.001 and 1. Those of the metric
# loss are its thesis' smallest, and none.
WEIGHTS = dict(
    keypoints2d=300.0,
    joints3d=300.0,
    rotmat=60.0,
    betas=0.06,
    motion=0.5,
    metric=0.1,
    metric_joints=0.0,
)
COMMON = slice(14)  # of spin24, its common14: the joints that poses are compared over


@MODELS.register_module()
class VideoTraining(SteppingModel):
    """A network over time under full supervision of all frames, and a critic that learns what motion looks like.

    Kocabas et al., VIBE, 2020, section 3: squared errors of joints in the picture and in space, of rotation matrices
    and betas, and least squares between the network and a motion critic. The network is asked to make the critic say
    1; the critic learns 1 for captured motion and 0 for predicted motion, by an optimiser of its own, in the same step
    and from the same predictions. Both see body poses without global orientation. One process trains.

    A metric loss between the clips of a batch may be added ("Few-shot Domain Adaptation for 3D Human Pose and Shape
    Estimation", UNIST, 2021, section 3.3), on the features that the regressor sees and on predicted joints.

    Args:
        network: config of a temporal network that predicts every frame, e.g. :class:`~hrtk.models.temporal.VIBE`.
        start: config of the image network that made the features, with weights, see
            :class:`~hrtk.training.temporal.TemporalTraining`.
        critic: config of the :class:`~hrtk.models.priors.MotionDiscriminator`; None trains without a prior.
        motion: config of the :class:`~hrtk.datasets.lifting.motion_windows.MotionWindows` that the critic calls real.
        metric: config of the :class:`~hrtk.losses.LogRatioLoss`; None trains without it.
        weights: replacements of the losses' factors, by default those of VIBE: ``keypoints2d`` 300, ``joints3d`` 300,
            ``rotmat`` 60, ``betas`` 0.06, and ``motion`` 0.5, which is the critic's own too; and ``metric`` 0.1, of
            the metric loss on features, and ``metric_joints`` 0, of that on predicted joints relative to the hips.
        seed: of mirroring, dropout, anchors and the choice of captured motion; these are the same in a resumed run.

    Raises:
        InputError: a part cannot be built, the regressors of both networks differ, a factor is unknown, or there is a
            critic and no motion.
    """

    def __init__(
        self,
        network: dict,
        start: dict,
        critic: Optional[dict] = None,
        motion: Optional[dict] = None,
        metric: Optional[dict] = None,
        weights: Optional[dict[str, float]] = None,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        self.network, self.body = build_from_start(network, start)
        if critic is not None and motion is None:
            raise InputError(
                'VideoTraining: a critic needs captured motion to learn from; give it '
                "motion=dict(type='MotionWindows'), or leave the critic out"
            )
        self.critic: Optional[nn.Module] = None if critic is None else MODELS.build(critic)
        self.motion = None if critic is None else DATASETS.build(motion)
        self.metric: Optional[nn.Module] = None if metric is None else LOSSES.build(metric)
        self.weights = {**WEIGHTS, **(weights or {})}
        if set(self.weights) != set(WEIGHTS):
            raise InputError(
                f'VideoTraining: weights are of {", ".join(WEIGHTS)}, not {", ".join(weights)}'
            )

    def train_step(
        self, data: dict[str, Tensor], optim_wrapper: OptimWrapperDict
    ) -> dict[str, Tensor]:
        """One step of the network, then one of the critic; optimisers are those of ``network`` and ``critic``."""
        data = self.data_preprocessor(data, True)
        generator = self.next_generator()
        torch.manual_seed(
            generator.initial_seed()
        )  # mirroring, dropout and anchors draw from the global generators
        with optim_wrapper['network'].optim_context(self):
            losses, made_up = self.network_losses(**data)
        total, logged = self.parse_losses(losses)
        optim_wrapper['network'].update_params(total)
        if self.critic is not None:
            real = self.motion.batch(
                torch.randint(len(self.motion), (len(made_up),), generator=generator)
            )
            with optim_wrapper['critic'].optim_context(self):
                losses = self.critic_losses(real.to(made_up.device), made_up.detach())
            total, of_critic = self.parse_losses(losses)
            optim_wrapper['critic'].update_params(total)
            logged.update({name: value for name, value in of_critic.items() if name != 'loss'})
        return logged

    def network_losses(
        self, features: Tensor, rotmat: Tensor, betas: Tensor, keypoints2d: Tensor, camera: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        """What the network learns from, weighted, and the body poses (B, T, 69) that it made up, with their graph."""
        clips, rotmat, keypoints2d = mirror_some(features, rotmat, keypoints2d)
        predicted = self.network(clips)
        labels = (label.flatten(0, 1) for label in (rotmat, betas, keypoints2d))
        terms, joints = supervise(self.body, _frames(predicted), *labels, squared=True)
        terms.update(self._metric_terms(predicted.features, *joints))
        made_up = rotmat_to_axis_angle(predicted.rotmat[:, :, 1:]).flatten(2)
        if self.critic is not None:
            with _constant(self.critic):
                terms['motion'] = (self.critic(made_up) - 1).square().mean()
        return {
            f'loss_{name}': self.weights[name] * value for name, value in terms.items()
        }, made_up

    def critic_losses(self, real: Tensor, made_up: Tensor) -> dict[str, Tensor]:
        """What the critic learns from, weighted: (B, T, 69) captured and predicted body poses."""
        opinions = self.critic(torch.cat([real, made_up]))
        captured, predicted = opinions[: len(real)], opinions[len(real) :]
        return dict(
            loss_critic_real=self.weights['motion'] * (captured - 1).square().mean(),
            loss_critic_made_up=self.weights['motion'] * predicted.square().mean(),
        )

    def forward(
        self,
        features: Tensor,
        rotmat: Tensor,
        betas: Tensor,
        keypoints2d: Tensor,
        camera: Tensor,
        mode: str = 'tensor',
    ) -> dict[str, Tensor] | list[dict[str, float]]:
        """One batch of clips, see :class:`~hrtk.datasets.feature_windows.FeatureClips`; mmengine's modes.

        Losses are the network's; errors are means over the frames of each clip.
        """
        if mode == 'loss':
            return self.network_losses(features, rotmat, betas, keypoints2d, camera)[0]
        predicted = _frames(self.network(features[:, 0]))
        found, true = (
            self._joints(*body).unflatten(0, betas.shape[:2])
            for body in (
                (predicted.rotmat, predicted.betas),
                (rotmat.flatten(0, 1), betas.flatten(0, 1)),
            )
        )
        return [
            dict(mpjpe_mm=mpjpe(*clip).mean(), accel_mm=accel_error(*clip).mean())
            for clip in zip(found, true)
        ]

    def _metric_terms(self, features: Tensor, joints: Tensor, true: Tensor) -> dict[str, Tensor]:
        """The metric losses that have a factor, without it: features (B, T, F), joints (B * T, 24, 3)."""
        if self.metric is None:
            return {}
        joints, true = (part[:, COMMON].unflatten(0, features.shape[:2]) for part in (joints, true))
        return {
            name: self.metric(part, true)
            for name, part in (('metric', features), ('metric_joints', joints.flatten(2)))
            if self.weights[name]
        }

    def _joints(self, rotmat: Tensor, betas: Tensor) -> Tensor:
        joints = self.body.joints(rotmat, betas, 'spin24')
        return joints - joints[:, 2:4].mean(1, keepdim=True)


@METRICS.register_module()
class ClipError(ViewError):
    """Mean joint error in mm and mean error of acceleration in mm/frame^2 over held-out clips of equal length."""

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Collects two numbers per clip."""
        self.results.extend(
            (float(sample['mpjpe_mm']), float(sample['accel_mm'])) for sample in data_samples
        )

    def compute_metrics(self, results: list[tuple[float, float]]) -> dict[str, float]:
        """The means."""
        columns = zip(*results)
        return {
            name: sum(column) / len(column)
            for name, column in zip(('mpjpe_mm', 'accel_mm'), columns)
        }


@contextmanager
def _constant(module: nn.Module) -> Iterator[None]:
    """Within it, nobody learns through the weights of a module, only through what it is given."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)


def _frames(predicted: Prediction) -> Prediction:
    """Predictions (B, T, ...) of clips as those of B * T frames."""
    return Prediction(
        *(
            getattr(predicted, name).flatten(0, 1)
            for name in ('rotmat', 'betas', 'camera', 'features')
        )
    )
