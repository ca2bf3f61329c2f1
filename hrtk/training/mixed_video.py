"""Training of VIBE on its own databases: clips with 2D labels beside clips with 3D labels and bodies."""

from __future__ import annotations

import torch
from torch import Tensor

from hrtk.geometry.camera import project
from hrtk.registry import MODELS
from hrtk.structures import Prediction
from hrtk.training.supervision import centred, mean_of_labelled
from hrtk.training.video import VideoTraining

COMMON14 = slice(25, 39)  # the rows of spin49 that are compared in 3D
MM_PER_METRE = 1000


@MODELS.register_module()
class MixedVideoTraining(VideoTraining):
    """:class:`VideoTraining` with weights of the labels of every frame, as the released VIBE is trained.

    Squared errors: of all 49 joints in the crop, by their confidences; of 14 joints in space, relative to the middle of
    the hips, over frames with 3D joints; of rotation matrices and betas over frames with SMPL's parameters. The critic
    judges all clips. The metric loss compares clips with 3D joints only, since the others have no pose to compare.

    Differences from the released code: an epoch begins with a new order of the clips, see
    :class:`~hrtk.training.mixed_batches.MixedBatches`.
    """

    def losses_of(self, data: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """The losses of the network for one batch of :class:`~hrtk.datasets.official.vibe_clips.VIBEClips`.

        Returns:
            The weighted losses, and the predicted body poses (B, T, 69) with their graph.
        """
        predicted = self.network(data['features'][:, 0])
        frames = _flat(predicted)
        joints49 = self.body.joints(frames.rotmat, frames.betas, 'spin49')
        keypoints2d = data['keypoints2d'].flatten(0, 1)
        distance2d = (project(joints49, frames.camera) - keypoints2d[..., :2]).square()
        joints = centred(joints49[:, COMMON14])
        true_joints = centred(data['joints3d'].flatten(0, 1))
        has_joints3d = data['has_joints3d'].flatten()
        has_body = data['has_body'].flatten()
        losses = dict(
            keypoints2d=(keypoints2d[..., 2:] * distance2d).mean(),
            joints3d=mean_of_labelled((joints - true_joints).square(), has_joints3d),
            rotmat=mean_of_labelled(
                (frames.rotmat - data['rotmat'].flatten(0, 1)).square(), has_body
            ),
            betas=mean_of_labelled((frames.betas - data['betas'].flatten(0, 1)).square(), has_body),
        )
        clips = predicted.rotmat.shape[:2]
        # Indices, because every mask as an index makes the program wait for the device.
        chosen = data['has_joints3d'].bool().all(1).nonzero().flatten()
        losses.update(
            self.metric_losses(
                predicted.features[chosen],
                joints.unflatten(0, clips)[chosen],
                true_joints.unflatten(0, clips)[chosen],
            )
        )
        return self._with_prior(losses, predicted)

    def forward(  # type: ignore[override]  # a batch has other labels than that of the base class
        self, mode: str = 'tensor', **data: Tensor
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """One batch of clips, see :class:`~hrtk.datasets.official.vibe_clips.VIBEClips`.

        Returns:
            For mmengine's mode ``'loss'`` the weighted losses of the network, else for every clip ``joints`` and
            ``true_joints`` (T, 14, 3), metres, and ``pve_mm`` (T,), NaN where there is no body, see
            :class:`~hrtk.training.metrics.VIBEErrors`.
        """
        if mode == 'loss':
            return self.losses_of(data)[0]
        predicted = self.network(data['features'][:, 0])
        clips = predicted.rotmat.shape[:2]
        frames = _flat(predicted)
        joints = self.body.joints(frames.rotmat, frames.betas, 'lsp14').unflatten(0, clips)
        errors = self._vertex_errors(frames, data).unflatten(0, clips)
        return [
            dict(joints=clip, true_joints=truth, pve_mm=error)
            for clip, truth, error in zip(joints, data['joints3d'], errors)
        ]

    def _vertex_errors(self, frames: Prediction, data: dict[str, Tensor]) -> Tensor:
        """Mean distances (B * T,) of vertices from those of the true bodies, mm, not aligned; NaN without a body."""
        chosen = data['has_body'].flatten().bool()
        errors = torch.full(chosen.shape, torch.nan, device=chosen.device)
        if chosen.any():
            truth = self.body(
                data['rotmat'].flatten(0, 1)[chosen], data['betas'].flatten(0, 1)[chosen]
            )
            mesh = self.body(frames.rotmat[chosen], frames.betas[chosen])
            distance = (mesh.vertices - truth.vertices).norm(dim=-1)
            errors[chosen] = MM_PER_METRE * distance.mean(1)
        return errors


def _flat(predicted: Prediction) -> Prediction:
    """The predictions (B, T, ...) of clips as B * T frames."""
    return Prediction(
        predicted.rotmat.flatten(0, 1),
        predicted.betas.flatten(0, 1),
        predicted.camera.flatten(0, 1),
    )
