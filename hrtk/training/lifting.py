"""Training of masked pose modelling (MPM): pre-training, lifting, completion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

import torch
from mmengine.model import BaseModel
from torch import Tensor

from hrtk.body_models.joint_orders import check_number, mirror_order, root_of
from hrtk.errors import InputError, OptionError
from hrtk.evaluation.lifting import average_with_mirror
from hrtk.losses import joint_distance, lifting_losses
from hrtk.models.lifting import (
    PARTS_3D,
    HoleSampler,
    Masks,
    MaskSampler,
    PartSampler,
    step_generator,
)
from hrtk.registry import LIFTERS, MODELS
from hrtk.training.stepping import SteppingModel
from hrtk.training.supervision import weighted

COUNTED = ('all', 'hidden')
TASKS = ('complete2d', 'complete3d')
FLIPS = (True, False, 'released')
SAMPLERS = {'MaskSampler': MaskSampler, 'HoleSampler': HoleSampler}
TEST_STEP = -1  # of the random numbers of a validation, which is no step of the training

PRETRAINING_LOSS_WEIGHTS = dict(pose2d=5.0, pose3d=2.0)
LIFTING_LOSS_WEIGHTS = dict(sequence=1.0, centre=1.0)
COMPLETION_LOSS_WEIGHTS = dict(lift=2.0, pose2d=1.0)


@MODELS.register_module()
class MaskedPoseTraining(SteppingModel):
    """Stage I of MPM: hides joints and frames of 2D and of 3D poses and learns to fill both in.

    Every step takes both pretext tasks, on the 2D and the 3D poses of the batch with a mask each: the "same frequency"
    of the paper without the released lottery over which poses of a batch are 2D.

    Args:
        network: config of :class:`~hrtk.models.lifting.MPMStage1`.
        joints: order of the joints, see :mod:`hrtk.body_models.joint_orders`.
        masks: ``dict(type=..., ...)`` with the arguments of :class:`~hrtk.models.lifting.MaskSampler` (the default) or,
            for networks that will complete keypoints, of :class:`~hrtk.models.lifting.HoleSampler`.
        weights: of the losses ``pose2d`` and ``pose3d``; 5 and 2 as released, 2 and 3 in the paper. The batch norms of
            the shared layers hold the mean statistics of both kinds of poses, which fit neither: the training of a
            network that fills in 2D poses by itself, without stage II, should end with ``pose3d=0``, which leaves 3D
            poses out.
        counted: ``'all'`` joints, as released, or the ``'hidden'`` ones only.
        seed: of the masks.

    Raises:
        InputError: an option has another value.
    """

    def __init__(
        self,
        network: dict,
        joints: str = 'h36m17',
        masks: Optional[dict] = None,
        weights: Optional[dict[str, float]] = None,
        counted: str = 'all',
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        if counted not in COUNTED:
            raise OptionError(f'MaskedPoseTraining: counted is one of {COUNTED}, not {counted!r}')
        options = dict(masks or {})
        sampler = options.pop('type', 'MaskSampler')
        if sampler not in SAMPLERS:
            raise OptionError(
                f'MaskedPoseTraining: masks.type is one of {sorted(SAMPLERS)}, not {sampler!r}'
            )
        self.network = LIFTERS.build(network)
        self.joints = joints
        check_number(joints, self.network.joints, 'MaskedPoseTraining: network')
        if sampler == 'HoleSampler':
            options['order'] = joints
        self.masks = SAMPLERS[sampler](**options)
        self.loss_weights = {**PRETRAINING_LOSS_WEIGHTS, **(weights or {})}
        self.counted = counted

    def forward(
        self, keypoints2d: Tensor, joints3d: Tensor, mode: str = 'tensor', **labels: Any
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """One batch of windows.

        Args:
            keypoints2d: (B, F, J, 2).
            joints3d: (B, F, J, 3).
            mode: mmengine's.
            **labels: ``joint_order`` of the windows, if they have it; the others are not used.

        Returns:
            For the mode ``'loss'`` the weighted losses, else the 3D poses filled in and their ``masked`` joints.

        Raises:
            InputError: the windows have another joint order.
        """
        check_labels(self.joints, labels, 'MaskedPoseTraining')
        if mode != 'loss':
            masks = self._draw_masks(joints3d, step_generator(self.seed, TEST_STEP))
            masked = masks.hidden.expand(joints3d.shape[:3])
            return _samples(self.network(joints3d, '3d', masks), masked)
        generator = self.next_generator()
        # Both masks are always drawn: the random numbers of a step do not depend on the weights.
        masks2d = self._draw_masks(keypoints2d, generator)
        masks3d = self._draw_masks(joints3d, generator)
        losses = {}
        if self.loss_weights['pose2d']:
            losses['pose2d'] = self._pretext_loss(keypoints2d, '2d', masks2d)
        if self.loss_weights['pose3d']:
            losses['pose3d'] = self._pretext_loss(joints3d, '3d', masks3d)
        return weighted(losses, self.loss_weights)

    def _draw_masks(self, poses: Tensor, generator: torch.Generator) -> Masks:
        batch, frames, joints = poses.shape[:3]
        return self.masks(batch, frames, joints, generator).to(poses.device)

    def _pretext_loss(self, poses: Tensor, kind: str, masks: Masks) -> Tensor:
        counted = masks.hidden if self.counted == 'hidden' else None
        return joint_distance(self.network(poses, kind, masks), poses, counted)


@MODELS.register_module()
class LiftingTraining(BaseModel):
    """Stage II of MPM: 2D to 3D, all frames of a window and its middle frame.

    Args:
        network: config of :class:`~hrtk.models.lifting.MPMStage2`; its ``pretrained`` names stage I.
        joints: order of the joints, for the root and the flip.
        flip_test: predictions are means over a window and its mirror image.
        weights: of the losses ``sequence`` and ``centre``, 1 and 1.
    """

    test_options = ('flip_test',)  # no weight depends on them

    def __init__(
        self,
        network: dict,
        joints: str = 'h36m17',
        flip_test: bool = True,
        weights: Optional[dict[str, float]] = None,
    ) -> None:
        super().__init__()
        self.network = LIFTERS.build(network)
        self.joints = joints
        check_number(joints, self.network.joints, 'LiftingTraining: network')
        self.mirror = mirror_order(joints)
        self.root = root_of(joints)
        self.flip_test = flip_test
        self.loss_weights = {**LIFTING_LOSS_WEIGHTS, **(weights or {})}

    def forward(
        self, keypoints2d: Tensor, joints3d: Tensor, mode: str = 'tensor', **labels: Any
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """One batch of windows, see :class:`MaskedPoseTraining`.

        Returns:
            For mmengine's mode ``'loss'`` the weighted losses, else the 3D poses of the middle frames.
        """
        check_labels(self.joints, labels, 'LiftingTraining')
        if mode == 'loss':
            lifted = self.network(keypoints2d)
            losses = lifting_losses(**lifted, target=joints3d, root=self.root)
            return weighted(losses, self.loss_weights)
        if self.flip_test:
            return _samples(average_with_mirror(self._predict, keypoints2d, self.mirror))
        return _samples(self._predict(keypoints2d))

    def _predict(self, keypoints2d: Tensor, masked: Optional[Tensor] = None) -> Tensor:
        return self.network(keypoints2d)['joints3d']


@MODELS.register_module()
class RefineTraining(BaseModel):
    """Training of stage II of MPM with its refinement: the distance of the refined middle frame alone, as released.

    Lifter and refinement learn together. Both training and prediction take the depth of the root from the ground truth,
    and the camera; data sets without cameras (MPI-INF-3DHP, AMASS) cannot be used.

    Args:
        network: config of :class:`~hrtk.models.lifting.RefinedLifter`; its ``pretrained`` names stage II.
        joints: order of the joints, for the flip; the network has its own option.
        flip_test: the lifted poses are means over a window and its mirror image, before the refinement.
    """

    test_options = ('flip_test',)  # no weight depends on them

    def __init__(self, network: dict, joints: str = 'h36m17', flip_test: bool = True) -> None:
        super().__init__()
        self.network = LIFTERS.build({'joints': joints, **network})
        self.joints = joints
        self.mirror = mirror_order(joints)
        self.flip_test = flip_test

    def forward(
        self,
        keypoints2d: Tensor,
        joints3d: Tensor,
        root: Tensor,
        intrinsics: Optional[Tensor] = None,
        mode: str = 'tensor',
        **labels: Any,
    ) -> dict[str, Tensor] | list[dict[str, Any]]:
        """One batch of windows.

        Args:
            keypoints2d: (B, F, J, 2).
            joints3d: (B, F, J, 3).
            root: (B, F, 3) metres, camera frame.
            intrinsics: (B, 9).
            mode: mmengine's.
            **labels: see :class:`MaskedPoseTraining`.

        Returns:
            For mmengine's mode ``'loss'`` the loss, else the 3D poses of the middle frames, marked with
            ``true_root_depth``.

        Raises:
            InputError: the windows have another joint order, or no camera.
        """
        check_labels(self.joints, labels, 'RefineTraining')
        if intrinsics is None:
            raise InputError(
                'RefineTraining: the windows have no `intrinsics`; the refinement needs the camera, so train on '
                'H36MLifting or MocapLifting'
            )
        middle = joints3d.shape[1] // 2
        root_depth = root[:, middle, 2]
        if mode == 'loss':
            refined = self.network(keypoints2d, root_depth, intrinsics)
            target = joints3d[:, middle : middle + 1].clone()
            target[:, :, self.network.root] = 0
            return dict(loss_refined=joint_distance(refined, target))
        if self.flip_test:
            lifted = average_with_mirror(self._predict, keypoints2d, self.mirror)
        else:
            lifted = self._predict(keypoints2d)
        refined = self.network.refined(lifted, keypoints2d, root_depth, intrinsics)
        return [dict(joints3d=joints, true_root_depth=True) for joints in refined]

    def _predict(self, keypoints2d: Tensor, masked: Optional[Tensor] = None) -> Tensor:
        return self.network.lifter(keypoints2d)['joints3d']


@MODELS.register_module()
class CompletionTraining(SteppingModel):
    """Completion by MPM: hides parts of the body in all frames of a window and learns the complete 3D pose.

    Args:
        network: config of :class:`~hrtk.models.lifting.MPMStage1`, as released with ``decoder_layers=2``.
        task: ``'complete2d'``, from partial 2D poses, or ``'complete3d'``, from partial 3D poses.
        parts: of :class:`~hrtk.models.lifting.PartSampler`.
        test: the part that predictions hide, e.g. ``'left_leg+right_leg'``, or a number of joints.
        joints: order of the joints, for the parts and the flip.
        flip_test: predictions are means over a window and its mirror image, whose mask is mirrored too;
            ``'released'`` leaves the mask as it is, so that a joint hidden on one side is visible in the mirror image.
        weights: of the losses ``lift`` and ``pose2d`` of the task ``'complete2d'``; 2 and 1 as released.
        seed: of the masks.

    Raises:
        InputError: there is no such task or part.
    """

    test_options = ('test', 'flip_test')  # no weight depends on them

    def __init__(
        self,
        network: dict,
        task: str = 'complete2d',
        parts: Optional[list] = None,
        test: str | int = 3,
        joints: str = 'h36m17',
        flip_test: bool | str = True,
        weights: Optional[dict[str, float]] = None,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        if task not in TASKS:
            raise OptionError(f'CompletionTraining: task is one of {TASKS}, not {task!r}')
        if flip_test not in FLIPS:
            raise OptionError(f'CompletionTraining: flip_test is one of {FLIPS}, not {flip_test!r}')
        self.network = LIFTERS.build(network)
        self.joints = joints
        check_number(joints, self.network.joints, 'CompletionTraining: network')
        self.task = task
        self.kind = task[-2:]
        self.train_masks = PartSampler(parts or PARTS_3D, joints)
        self.test_masks = PartSampler([test], joints)
        self.mirror = mirror_order(joints)
        self.flip_test = flip_test
        self.loss_weights = {**COMPLETION_LOSS_WEIGHTS, **(weights or {})}

    def forward(
        self, keypoints2d: Tensor, joints3d: Tensor, mode: str = 'tensor', **labels: Any
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """One batch of windows, see :class:`MaskedPoseTraining`.

        Returns:
            For mmengine's mode ``'loss'`` the losses, else the 3D poses of all frames and their ``masked`` joints.
        """
        check_labels(self.joints, labels, 'CompletionTraining')
        poses = keypoints2d if self.kind == '2d' else joints3d
        batch, frames, joints = poses.shape[:3]
        if mode == 'loss':
            masks = self.train_masks(batch, frames, joints, self.next_generator())
            return self._losses(poses, masks.to(poses.device), joints3d)
        test_masks = self.test_masks(batch, frames, joints, step_generator(self.seed, TEST_STEP))
        masked = test_masks.joints.to(poses.device)
        if self.flip_test:
            metric = 'released' if self.flip_test == 'released' else 'correct'
            completed = average_with_mirror(self._predict, poses, self.mirror, masked, metric)
        else:
            completed = self._predict(poses, masked)
        return _samples(completed, masked)

    def _losses(self, poses: Tensor, masks: Masks, joints3d: Tensor) -> dict[str, Tensor]:
        tokens = self.network.encode(poses, self.kind, masks)
        lift = joint_distance(self.network.decode(tokens, '3d', masks), joints3d)
        if self.kind == '3d':
            return dict(loss_lift=lift)
        pose2d = joint_distance(self.network.decode(tokens, '2d', masks), poses)
        return weighted(dict(lift=lift, pose2d=pose2d), self.loss_weights)

    def _predict(self, poses: Tensor, masked: Optional[Tensor]) -> Tensor:
        if masked is None:
            raise ValueError('a completion needs the mask of the joints to complete')
        return self.network(poses, self.kind, Masks.of(masked), target='3d')


def check_labels(joints: str, labels: Mapping[str, Any], owner: str) -> None:
    """Checks that windows have the joint order of a model.

    Args:
        joints: name of the model's order.
        labels: of a batch.
        owner: the model, for the message.

    Raises:
        InputError: a window has another order.
    """
    for order in labels.get('joint_order', ()):
        if order != joints:
            raise InputError(
                f'{owner}: joints={joints!r}, but the windows have {order!r}; set `joints` of the model and of the '
                f'data set to the same order'
            )


def _samples(joints3d: Tensor, masked: Optional[Tensor] = None) -> list[dict[str, Tensor]]:
    """One dict per window."""
    samples = [dict(joints3d=joints) for joints in joints3d]
    if masked is not None:
        for sample, hidden in zip(samples, masked):
            sample['masked'] = hidden
    return samples
