"""Training of masked pose modelling through mmengine's runner: pre-training, lifting, completion."""

from __future__ import annotations

from typing import Any, Optional

from mmengine.model import BaseModel
from torch import Tensor

from hrtk.datasets.lifting.joints import mirror_order
from hrtk.errors import InputError
from hrtk.evaluation.lifting import average_with_mirror
from hrtk.losses import joint_distance, lifting_losses
from hrtk.models.lifting import HoleSampler, Masks, MaskSampler, PartSampler, step_generator
from hrtk.registry import LIFTERS, MODELS
from hrtk.training.stepping import SteppingModel

COUNTED = ('all', 'hidden')
TASKS = ('complete2d', 'complete3d')
SAMPLERS = {'MaskSampler': MaskSampler, 'HoleSampler': HoleSampler}


@MODELS.register_module()
class MaskedPoseTraining(SteppingModel):
    """Stage I of MPM: hides joints and frames of 2D and of 3D poses and learns to fill both in.

    Every step takes both pretext tasks, on the 2D and the 3D poses of the batch with a mask each: the "same frequency"
    of the paper without the released lottery over which poses of a batch are 2D.

    Args:
        network: config of :class:`~hrtk.models.lifting.MPMStage1`.
        masks: ``dict(type=..., ...)`` with the arguments of :class:`~hrtk.models.lifting.MaskSampler` (the default) or,
            for weights that shall complete keypoints, of :class:`~hrtk.models.lifting.HoleSampler`.
        weights: of ``pose2d`` and ``pose3d``; 5 and 2 as released, 2 and 3 in the paper. The shared layers' batch norms
            remember the mean of both kinds, which is neither's: a network that is to fill in 2D poses by itself, not
            to go on to stage II, should end with ``pose3d=0``, which leaves 3D poses out.
        counted: ``'all'`` joints, as released, or the ``'hidden'`` ones only.
        seed: of the masks.

    Raises:
        InputError: an option has another value.
    """

    def __init__(
        self,
        network: dict,
        masks: Optional[dict] = None,
        weights: Optional[dict[str, float]] = None,
        counted: str = 'all',
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        if counted not in COUNTED:
            raise InputError(f'MaskedPoseTraining: counted is one of {COUNTED}, not {counted!r}')
        options = dict(masks or {})
        kind = options.pop('type', 'MaskSampler')
        if kind not in SAMPLERS:
            raise InputError(
                f'MaskedPoseTraining: masks.type is one of {sorted(SAMPLERS)}, not {kind!r}'
            )
        self.network, self.masks = LIFTERS.build(network), SAMPLERS[kind](**options)
        self.weights, self.counted = {'pose2d': 5.0, 'pose3d': 2.0, **(weights or {})}, counted

    def forward(
        self, keypoints2d: Tensor, joints3d: Tensor, mode: str = 'tensor', **labels: Any
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """One batch of windows; mmengine's modes. Predictions are hidden 3D poses filled in, with ``masked``."""
        size = (len(keypoints2d), *keypoints2d.shape[1:3])
        if mode != 'loss':
            masks = self.masks(*size, step_generator(self.seed, -1)).to(joints3d.device)
            masked = masks.hidden.expand(size)
            return _samples(self.network(joints3d, '3d', masks), masked)
        generator, losses = self.next_generator(), {}
        for name, poses, kind in (('pose2d', keypoints2d, '2d'), ('pose3d', joints3d, '3d')):
            masks = self.masks(*size, generator).to(poses.device)
            if self.weights[name]:
                counted = masks.hidden if self.counted == 'hidden' else None
                found = joint_distance(self.network(poses, kind, masks), poses, counted)
                losses[f'loss_{name}'] = self.weights[name] * found
        return losses


@MODELS.register_module()
class LiftingTraining(BaseModel):
    """Stage II of MPM: 2D to 3D, all frames of a window and its middle frame.

    Args:
        network: config of :class:`~hrtk.models.lifting.MPMStage2`; its ``pretrained`` names stage I.
        joints: order of the joints, for the flip.
        flip_test: predictions are means over a window and its mirror image.
        weights: of ``sequence`` and ``centre``, 1 and 1.
    """

    def __init__(
        self,
        network: dict,
        joints: str = 'h36m17',
        flip_test: bool = True,
        weights: Optional[dict[str, float]] = None,
    ) -> None:
        super().__init__()
        self.network, self.mirror = LIFTERS.build(network), mirror_order(joints)
        self.flip_test, self.weights = (
            flip_test,
            {'sequence': 1.0, 'centre': 1.0, **(weights or {})},
        )

    def forward(
        self, keypoints2d: Tensor, joints3d: Tensor, mode: str = 'tensor', **labels: Any
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """One batch of windows; mmengine's modes. Predictions are of the middle frame."""
        if mode == 'loss':
            terms = lifting_losses(**self.network(keypoints2d), target=joints3d)
            return {f'loss_{name}': self.weights[name] * value for name, value in terms.items()}
        predict = lambda poses, masked: self.network(poses)['joints3d']  # noqa: E731
        found = (
            average_with_mirror(predict, keypoints2d, self.mirror)
            if self.flip_test
            else predict(keypoints2d, None)
        )
        return _samples(found)


@MODELS.register_module()
class CompletionTraining(SteppingModel):
    """Completion by MPM: parts of the body are hidden in all frames of a window, and the whole 3D pose is asked for.

    Args:
        network: config of :class:`~hrtk.models.lifting.MPMStage1`, as released with ``decoder_layers=2``.
        task: ``'complete2d'``, from partial 2D poses, or ``'complete3d'``, from partial 3D poses.
        parts: of :class:`~hrtk.models.lifting.PartSampler`.
        test: the part that predictions hide, e.g. ``'left_leg+right_leg'``, or a number of joints.
        joints: order of the joints, for the flip.
        flip_test: predictions are means over a window and its mirror image, whose mask is mirrored too.
        weights: of ``lift`` and ``pose2d`` of the task ``'complete2d'``; 2 and 1 as released.
        seed: of the masks.

    Raises:
        InputError: there is no such task or part.
    """

    def __init__(
        self,
        network: dict,
        task: str = 'complete2d',
        parts: Optional[list] = None,
        test: str | int = 3,
        joints: str = 'h36m17',
        flip_test: bool = True,
        weights: Optional[dict[str, float]] = None,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        if task not in TASKS:
            raise InputError(f'CompletionTraining: task is one of {TASKS}, not {task!r}')
        self.network, self.task, self.kind = LIFTERS.build(network), task, task[-2:]
        self.parts, self.test = PartSampler(*([parts] if parts else [])), PartSampler([test])
        self.mirror, self.flip_test = mirror_order(joints), flip_test
        self.weights = {'lift': 2.0, 'pose2d': 1.0, **(weights or {})}

    def forward(
        self, keypoints2d: Tensor, joints3d: Tensor, mode: str = 'tensor', **labels: Any
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """One batch of windows; mmengine's modes. Predictions are 3D poses of all frames, with ``masked``."""
        poses = keypoints2d if self.kind == '2d' else joints3d
        size = (len(poses), *poses.shape[1:3])
        if mode == 'loss':
            masks = self.parts(*size, self.next_generator()).to(poses.device)
            tokens = self.network.encode(poses, self.kind, masks)
            lift = joint_distance(self.network.decode(tokens, '3d', masks), joints3d)
            if self.kind == '3d':
                return dict(loss_lift=lift)
            again = joint_distance(self.network.decode(tokens, '2d', masks), keypoints2d)
            return dict(
                loss_lift=self.weights['lift'] * lift, loss_pose2d=self.weights['pose2d'] * again
            )
        masked = self.test(*size, step_generator(self.seed, -1)).joints.to(poses.device)

        def predict(batch: Tensor, hidden: Tensor) -> Tensor:
            return self.network(batch, self.kind, Masks.of(hidden), target='3d')

        found = (
            average_with_mirror(predict, poses, self.mirror, masked)
            if self.flip_test
            else predict(poses, masked)
        )
        return _samples(found, masked)


def _samples(joints3d: Tensor, masked: Optional[Tensor] = None) -> list[dict[str, Tensor]]:
    if masked is None:
        return [dict(joints3d=joints) for joints in joints3d]
    return [dict(joints3d=joints, masked=hidden) for joints, hidden in zip(joints3d, masked)]
