"""Training of networks that predict every frame of a video, with an adversarial prior of motion and a metric loss."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Optional

import torch
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn

from hrtk.datasets.lifting import BodyPoseWindows
from hrtk.errors import OptionError
from hrtk.evaluation import accel_error, mpjpe
from hrtk.geometry.rotation import rotmat_to_axis_angle
from hrtk.models.augmentation import mirror_features
from hrtk.registry import DATASETS, LOSSES, MODELS
from hrtk.structures import Prediction
from hrtk.training.stepping import SteppingModel
from hrtk.training.supervision import Supervision, supervise, weighted
from hrtk.training.temporal import build_from_start

# configs/config.yaml of the released code; the defaults of its classes are 60, 30, 1, 0.001 and 1. Those of the metric
# loss are the smallest of its thesis, and none.
LOSS_WEIGHTS = dict(
    keypoints2d=300.0,
    joints3d=300.0,
    rotmat=60.0,
    betas=0.06,
    motion=0.5,
    metric=0.1,
    metric_joints=0.0,
)
COMMON14 = slice(14)  # the joints of spin24 that the metric loss compares poses over


@MODELS.register_module()
class VideoTraining(SteppingModel):
    """A temporal network under full supervision of all frames, and a critic that learns what motion looks like.

    Kocabas et al., VIBE, 2020, section 3: squared errors of joints in the crop and in space, of rotation matrices
    and betas, and least squares between the network and a motion critic. The network learns to make the critic say
    1; the critic learns 1 for captured motion and 0 for predicted motion, by an optimizer of its own, in the same step
    and from the same predictions. Both take body poses without global orientation. One process trains.

    A metric loss between the clips of a batch may be added ("Few-shot Domain Adaptation for 3D Human Pose and Shape
    Estimation", UNIST, 2021, section 3.3), on the features that the regressor takes and on predicted joints.

    Args:
        network: config of a temporal network that predicts every frame, e.g. :class:`~hrtk.models.temporal.VIBE`.
        start: config of the image network that computed the features, with weights, see
            :class:`~hrtk.training.temporal.TemporalTraining`.
        critic: config of the :class:`~hrtk.models.priors.MotionDiscriminator`; None trains without a prior.
        motion: config of the captured motion, e.g. :class:`~hrtk.datasets.lifting.motion_windows.MotionWindows` or
            :class:`~hrtk.datasets.official.amass.AMASSMotion`.
        metric: config of the :class:`~hrtk.losses.LogRatioLoss`; None trains without it.
        weights: replacements of the losses' weights, by default those of VIBE: ``keypoints2d`` 300, ``joints3d`` 300,
            ``rotmat`` 60, ``betas`` 0.06, and ``motion`` 0.5, which weights the losses of the critic too; and
            ``metric`` 0.1, of the metric loss on features, and ``metric_joints`` 0, of that on predicted joints
            relative to the hips.
        seed: of mirroring, dropout, anchors and the choice of captured motion; these are the same in a resumed run.

    Raises:
        InputError: a part cannot be built, the regressors of both networks differ, a weight is unknown, or there is a
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
        weights = weights or {}
        self.network, self.body = build_from_start(network, start)
        if critic is not None and motion is None:
            raise OptionError(
                'VideoTraining: a critic needs captured motion to learn from; give it '
                "motion=dict(type='MotionWindows'), or leave the critic out"
            )
        self.critic: Optional[nn.Module] = None
        self.motion: Optional[BodyPoseWindows] = None
        self.metric: Optional[nn.Module] = None
        if critic is not None:
            self.critic = MODELS.build(critic)
            self.motion = DATASETS.build(motion)
        if metric is not None:
            self.metric = LOSSES.build(metric)
        self.loss_weights = {**LOSS_WEIGHTS, **weights}
        if set(self.loss_weights) != set(LOSS_WEIGHTS):
            raise OptionError(
                f'VideoTraining: weights are of {", ".join(LOSS_WEIGHTS)}, not {", ".join(weights)}'
            )

    def train_step(
        self, data: dict[str, Tensor], optim_wrapper: OptimWrapperDict
    ) -> dict[str, Tensor]:
        """One step of the network, then one of the critic; optimizers are those of ``network`` and ``critic``."""
        data = self.data_preprocessor(data, True)
        generator = self.next_generator()
        # Mirroring, dropout and anchors draw from the global generators.
        torch.manual_seed(generator.initial_seed())
        with optim_wrapper['network'].optim_context(self):
            losses, predicted_motion = self.losses_of(data)
        total, logged = self.parse_losses(losses)
        optim_wrapper['network'].update_params(total)
        if self.critic is not None:
            captured_motion = self._captured_motion(len(predicted_motion), generator)
            with optim_wrapper['critic'].optim_context(self):
                losses = self.critic_losses(
                    captured_motion.to(predicted_motion.device), predicted_motion.detach()
                )
            total, critic_logged = self.parse_losses(losses)
            optim_wrapper['critic'].update_params(total)
            critic_logged.pop('loss')
            logged.update(critic_logged)
        return logged

    def losses_of(self, data: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """The losses of the network for one batch, see :meth:`network_losses`."""
        return self.network_losses(**data)

    def network_losses(
        self, features: Tensor, rotmat: Tensor, betas: Tensor, keypoints2d: Tensor, camera: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        """The losses of the network.

        Returns:
            The weighted losses, and the predicted body poses (B, T, 69) with their graph.
        """
        clips, rotmat, keypoints2d = mirror_features(features, rotmat, keypoints2d)
        predicted = self.network(clips)
        supervision = self._supervise(predicted, rotmat, betas, keypoints2d)
        losses = supervision.losses
        losses.update(self._metric_losses(predicted.features, supervision))
        return self._with_prior(losses, predicted)

    def critic_losses(self, captured: Tensor, predicted: Tensor) -> dict[str, Tensor]:
        """The weighted losses of the critic on (B, T, 69) captured and predicted body poses.

        Raises:
            ValueError: the training has no critic.
        """
        if self.critic is None:
            raise ValueError('VideoTraining without a critic has no losses of the critic')
        scores = self.critic(torch.cat([captured, predicted]))
        captured_scores = scores[: len(captured)]
        predicted_scores = scores[len(captured) :]
        weight = self.loss_weights['motion']
        return dict(
            loss_critic_real=weight * (captured_scores - 1).square().mean(),
            loss_critic_made_up=weight * predicted_scores.square().mean(),
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
        """One batch of clips, see :class:`~hrtk.datasets.feature_windows.FeatureClips`.

        Returns:
            For mmengine's mode ``'loss'`` the weighted losses of the network, else the mean errors over the frames of
            each clip.
        """
        if mode == 'loss':
            return self.network_losses(features, rotmat, betas, keypoints2d, camera)[0]
        predicted = self.network(features[:, 0])
        supervision = self._supervise(predicted, rotmat, betas, keypoints2d)
        clips = betas.shape[:2]
        joints = supervision.joints.unflatten(0, clips)
        true_joints = supervision.true_joints.unflatten(0, clips)
        return [
            dict(mpjpe_mm=mpjpe(*clip).mean(), accel_mm=accel_error(*clip).mean())
            for clip in zip(joints, true_joints)
        ]

    def _with_prior(
        self, losses: dict[str, Tensor], predicted: Prediction
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Adds what the critic says of the motion; returns the weighted losses and the body poses (B, T, 69)."""
        predicted_motion = rotmat_to_axis_angle(predicted.rotmat[:, :, 1:]).flatten(2)
        if self.critic is not None:
            with _constant(self.critic):
                losses['motion'] = (self.critic(predicted_motion) - 1).square().mean()
        return weighted(losses, self.loss_weights), predicted_motion

    def _supervise(
        self, predicted: Prediction, rotmat: Tensor, betas: Tensor, keypoints2d: Tensor
    ) -> Supervision:
        """Compares the predictions (B, T, ...) of clips with their labels, as B * T frames."""
        frames = Prediction(
            predicted.rotmat.flatten(0, 1),
            predicted.betas.flatten(0, 1),
            predicted.camera.flatten(0, 1),
        )
        return supervise(
            self.body,
            frames,
            rotmat.flatten(0, 1),
            betas.flatten(0, 1),
            keypoints2d.flatten(0, 1),
            squared=True,
        )

    def _metric_losses(self, features: Tensor, supervision: Supervision) -> dict[str, Tensor]:
        """The metric losses that have a weight, of features (B, T, F) and of the joints of the same frames."""
        if self.metric is None:
            return {}
        clips = features.shape[:2]
        return self.metric_losses(
            features,
            supervision.joints[:, COMMON14].unflatten(0, clips),
            supervision.true_joints[:, COMMON14].unflatten(0, clips),
        )

    def metric_losses(
        self, features: Tensor, joints: Tensor, true_joints: Tensor
    ) -> dict[str, Tensor]:
        """The metric losses that have a weight; features (B, T, F), joints and true joints (B, T, J, 3)."""
        losses: dict[str, Tensor] = {}
        if self.metric is None:
            return losses
        if self.loss_weights['metric']:
            losses['metric'] = self.metric(features, true_joints)
        if self.loss_weights['metric_joints']:
            losses['metric_joints'] = self.metric(joints.flatten(2), true_joints)
        return losses

    def _captured_motion(self, count: int, generator: torch.Generator) -> Tensor:
        """Random windows of captured motion (B, T, 69)."""
        if self.motion is None:
            raise ValueError('VideoTraining without a critic has no captured motion')
        return self.motion.batch(torch.randint(len(self.motion), (count,), generator=generator))


@contextmanager
def _constant(module: nn.Module) -> Iterator[None]:
    """Within it, gradients flow through a module to its input but not to its weights."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)
