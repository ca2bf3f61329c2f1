"""SMPLify: the parameters of the body are optimised on 2D keypoints, the network only begins.

Bogo et al., "Keep it SMPL: Automatic Estimation of 3D Human Pose and Shape from a Single Image", ECCV 2016, in the form
of the released code of SPIN (Kolotouros et al., ICCV 2019): two stages of Adam with its loss weights. Over a track, as
in Arnab, Doersch, Zisserman, "Exploiting temporal context for 3D human pose estimation in the wild", CVPR 2019, one
shape and all poses are optimised together, with the smoothness of VIBE's released code: the L1 norm of the steps of the
3D joints.

Departures from the paper and from SPIN. The start is the network's prediction, as in SPIN, not a mean pose. No term for
interpenetration. The pose prior is the mixture fitted to the free motion, unless a file is given. Keypoints are those
of ``spin24``, not OpenPose's 25 beside them; the hips take no part in the second stage, as in SPIN, and its neck does.
The fit is not compared with an earlier one. Departures from the two temporal forms: no 2D smoothness, no consistency
with bundle-adjusted cameras, and the weight of the smoothness is chosen for its unit here. ``camera='image'`` is hrtk's
own.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal, Optional

import torch
from torch import Tensor, nn

from hrtk.adapters.base import Adapter, Preparation, Reset
from hrtk.adapters.parts.fitted_camera import fitted_camera
from hrtk.adapters.parts.guarded_adam import GuardedAdam
from hrtk.adapters.parts.image_camera import ImageCamera
from hrtk.adapters.parts.loss_weights import overridden
from hrtk.adapters.parts.posed import SKELETON, CropKeypoints
from hrtk.adapters.parts.wrapping import take_reset, wrapped_fingerprint
from hrtk.adapters.rivals.refinement import RefinementSession
from hrtk.body_models.skeletons import joint_names
from hrtk.errors import OptionError
from hrtk.geometry.camera import CROP, FOCAL, crop_translation, project_translated
from hrtk.geometry.constants import constant, indices
from hrtk.geometry.rotation import axis_angle_to_rotmat, rotmat_to_axis_angle
from hrtk.losses import hips
from hrtk.models.estimators import Estimator, hash_tensors
from hrtk.registry import ADAPTERS, LOSSES
from hrtk.structures import Prediction, Sequence

HIPS = hips(SKELETON)
SHOULDERS = tuple(joint_names(SKELETON).index(f'{side}_shoulder') for side in ('right', 'left'))
TORSO = HIPS + SHOULDERS
# Axis-angle values of the body pose that bend elbows and knees, left and right, and the sign of an unnatural bend.
HINGES = (52, 55, 9, 12)
UNNATURAL = (1.0, -1.0, -1.0, -1.0)


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Loss weights; the defaults are the squares of SPIN's, whose 2D unit is a pixel of a crop of 224 px.

    Attributes:
        keypoints2d: of the robust 2D error, px^2.
        pose_prior: of the energy of the body pose under a mixture of Gaussians.
        angle_prior: of the unnatural bend of elbows and knees.
        shape_prior: of the squared norm of the betas.
        depth: of the squared change of the camera's depth in the first stage, m^2; ``camera='crop'`` alone has it.
        smooth: of the L1 norm of the joints' steps from frame to frame, metres; ``scope='track'`` alone has it.
    """

    keypoints2d: float = 1.0
    pose_prior: float = 4.78**2
    angle_prior: float = 15.2**2
    shape_prior: float = 5.0**2
    depth: float = 100.0**2
    smooth: float = 100.0


@ADAPTERS.register_module()
@dataclasses.dataclass(frozen=True, kw_only=True)
class SMPLify(Adapter):
    """Optimises pose, shape and camera of every frame; the weights of the network stay as they are.

    A frame without a visible keypoint keeps the pose and camera of the start.

    Args:
        adapter: config of an adapter whose predictions are the start; None: the start is the network as it is. The
            optimisation reads ``segment`` of its predictions and then refines them.
        lr: rate of Adam.
        adam_betas: decay rates of Adam's moments.
        camera_steps: steps of the first stage, on global orientation and, of the crop, camera.
        steps: steps of the second stage, on pose, global orientation and shape.
        scope: ``'frame'``: every frame by itself; ``'track'``: one shape and the smoothness of the joints over a
            segment.
        segment: longest number of frames that are optimised together. With ``scope='frame'`` it changes no result but
            by rounding.
        camera: ``'crop'``: that of every crop, nearly parallel, which is optimised in the first stage. ``'image'``:
            the perspective camera of the whole image, in which every body stands where it fits its keypoints best, see
            :class:`~hrtk.adapters.parts.image_camera.ImageCamera`. A near body, whose feet are seen from above, is
            tilted by the camera of its crop.
        sigma: distance from a keypoint at which its loss has reached half of its limit (Geman and McClure), px.
        weights: overrides of the loss weights, see :class:`LossWeights`.
        pose_prior: config of the pose prior; default the mixture fitted to the free motion. SMPLify's own is
            ``dict(type='GMMPosePrior', file='gmm_08.pkl')``.
        reset: of :class:`~hrtk.adapters.Adapter`; with ``adapter`` that of the wrapped adapter, and an own value is
            refused. Nothing of the optimisation itself carries over.

    Raises:
        InputError: an option has a value that is not allowed.
    """

    adapter: Optional[Mapping[str, Any]] = None
    lr: float = 1e-2
    adam_betas: tuple[float, float] = (0.9, 0.999)
    camera_steps: int = 100
    steps: int = 100
    scope: Literal['frame', 'track'] = 'frame'
    segment: int = 256
    camera: Literal['crop', 'image'] = 'crop'
    sigma: float = 100.0
    weights: Optional[Mapping[str, float]] = None
    pose_prior: Optional[Mapping[str, Any]] = None
    reset: Reset = 'sequence'

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sigma > 0:
            raise OptionError(f'SMPLify: sigma is a distance in px above 0, not {self.sigma}')
        if self.camera_steps < 0:
            raise OptionError(f'SMPLify: camera_steps is at least 0, not {self.camera_steps}')
        # Build these now, so that bad options fail at construction.
        self.objectives
        uses_camera = self.camera == 'image'
        if self.wrapped is not None:
            take_reset(self, self.wrapped)
            uses_camera = uses_camera or self.wrapped.uses_camera
        object.__setattr__(self, 'uses_camera', uses_camera)

    @functools.cached_property
    def wrapped(self) -> Optional[Adapter]:
        """The adapter whose predictions are the start, or None."""
        if self.adapter is None:
            return None
        return ADAPTERS.build(dict(self.adapter))

    @functools.cached_property
    def objectives(self) -> Objectives:
        """The losses."""
        weights = overridden('SMPLify', LossWeights(), self.weights)
        prior = None
        if weights.pose_prior:
            prior = LOSSES.build(self.pose_prior or dict(type='GMMPosePrior'))
        return Objectives(weights, self.sigma, prior)

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states of the wrapped adapter."""
        if self.wrapped is None:
            return ()
        return self.wrapped.states

    def prepare(
        self, estimator: Estimator, dataset: Any, preparation: Preparation
    ) -> Optional[dict[str, Tensor]]:
        """Prepares the wrapped adapter."""
        if self.wrapped is None:
            return None
        return self.wrapped.prepare(estimator, dataset, preparation)

    def start(self, estimator: Estimator) -> SMPLifySession:
        """Starts a session, and one of the wrapped adapter; without it the weights stay unchanged."""
        return SMPLifySession(self, estimator)

    def fingerprint(self) -> dict[str, str]:
        """Returns a hash of the pose prior's file, and those of the wrapped adapter."""
        hashes = {}
        prior = self.objectives.pose_prior
        if prior is not None:
            hashes['pose_prior'] = hash_tensors(dict(prior.named_buffers()))
        if self.wrapped is not None:
            hashes.update(wrapped_fingerprint(self.wrapped))
        return hashes


class Objectives:
    """The losses of both stages; each is a sum over frames, so that frames do not depend on each other.

    Args:
        weights: the loss weights.
        sigma: of :class:`SMPLify`.
        pose_prior: maps (B, 69) axis-angle to (B,) energies; None if its weight is zero.
    """

    def __init__(self, weights: LossWeights, sigma: float, pose_prior: Optional[nn.Module]) -> None:
        self.weights = weights
        self.sigma = sigma
        self.pose_prior = pose_prior

    def torso(self, places: Tensor, keypoints: CropKeypoints) -> Tensor:
        """The squared 2D error of hips and shoulders.

        Args:
            places: (B, 24, 2) projected joints, crop coordinates.
            keypoints: of the same B crops.
        """
        torso = indices(TORSO, places)
        error = pixel_error(places, keypoints)[:, torso].square().sum(-1)
        visible = (keypoints.confidence[:, torso] > 0).to(error.dtype)
        return (visible * error).sum()

    def depth(self, translation: Tensor, first: Tensor) -> Tensor:
        """The change of depth of (B, 3) translations of bodies before their cameras, metres."""
        return self.weights.depth * (translation[:, 2] - first[:, 2]).square().sum()

    def body(self, places: Tensor, pose: Tensor, betas: Tensor, keypoints: CropKeypoints) -> Tensor:
        """The robust 2D error and the priors.

        Args:
            places: (B, 24, 2) projected joints, crop coordinates.
            pose: (B, 69) axis-angle of joints 1..23.
            betas: (B, 10).
            keypoints: of the same B crops.
        """
        squared = pixel_error(places, keypoints).square()
        limit = self.sigma**2
        robust = (limit * squared / (limit + squared)).sum(-1)
        confidence = keypoints.confidence.index_fill(1, indices(HIPS, places), 0)
        weights = self.weights
        loss = weights.keypoints2d * (confidence.square() * robust).sum()
        bend = pose[:, indices(HINGES, pose)] * constant(UNNATURAL, pose)
        loss = loss + weights.angle_prior * bend.exp().square().sum()
        loss = loss + weights.shape_prior * betas.square().sum()
        if self.pose_prior is not None:
            loss = loss + weights.pose_prior * self.pose_prior(pose).sum()
        return loss

    def smooth(self, joints: Tensor) -> Tensor:
        """The steps of (B, 24, 3) joints from frame to frame."""
        return self.weights.smooth * (joints[1:] - joints[:-1]).abs().sum()


def pixel_error(places: Tensor, keypoints: CropKeypoints) -> Tensor:
    """(B, 24, 2) distances of projected joints from visible keypoints, px of a crop of 224 px; 0 for others."""
    visible = (keypoints.confidence > 0)[..., None]
    return CROP / 2 * (places - keypoints.xy).where(visible, places.new_zeros(()))


class CropPlacement:
    """Bodies before the cameras of their crops.

    Args:
        camera: (B, 3) ``[s, tx, ty]`` at the start.

    Attributes:
        first: (B, 3) translations at the start, metres.
        translation: (B, 3) the present ones, which are optimised.
        leaves: what the first stage optimises besides the orientation.
    """

    def __init__(self, camera: Tensor) -> None:
        self.first = crop_translation(camera)
        self.translation = self.first.clone()
        self.leaves = [self.translation]

    def project(self, joints: Tensor) -> Tensor:
        """(B, 24, 3) metres -> (B, 24, 2) crop coordinates."""
        return project_translated(joints + self.translation[:, None])

    def cameras(self, joints: Tensor) -> Tensor:
        """(B, 3) the crop cameras of the present translations."""
        scale = 2 * FOCAL / (CROP * self.translation[:, 2:])
        return torch.cat([scale, self.translation[:, :2]], dim=1)

    def depth_loss(self, objectives: Objectives) -> Tensor:
        """The loss of the present depths."""
        return objectives.depth(self.translation, self.first)


class ImagePlacement:
    """Bodies before the camera of the whole image, each where it fits its keypoints best.

    Args:
        camera: of the B crops.
        keypoints: of the same crops.
        fallback: (B, 3) crop cameras of frames with too few keypoints.

    Attributes:
        leaves: nothing; the place follows from the joints and the keypoints.
    """

    def __init__(self, camera: ImageCamera, keypoints: CropKeypoints, fallback: Tensor) -> None:
        self.camera = camera
        self.keypoints = keypoints
        self.fallback = fallback
        self.leaves: list[Tensor] = []

    def project(self, joints: Tensor) -> Tensor:
        """(B, 24, 3) metres -> (B, 24, 2) crop coordinates."""
        return self.camera.project(joints, self.keypoints)

    def cameras(self, joints: Tensor) -> Tensor:
        """(B, 3) the crop cameras that fit the keypoints."""
        return fitted_camera(joints, self.keypoints, self.fallback)

    def depth_loss(self, objectives: Objectives) -> Tensor:
        """Zero: no depth is optimised."""
        return self.fallback.new_zeros(())


class SMPLifySession(RefinementSession):
    """Optimises the parameters of one segment after the other.

    Args:
        options: the adapter.
        estimator: network whose predictions, or those of the wrapped adapter, are the start.
    """

    def __init__(self, options: SMPLify, estimator: Estimator) -> None:
        wrapped = None
        if options.wrapped is not None:
            wrapped = options.wrapped.start(estimator)
        super().__init__(estimator, options.segment, wrapped)
        self.options = options
        self._camera: Optional[ImageCamera] = None  # of the sequence
        if options.objectives.pose_prior is not None:
            options.objectives.pose_prior.to(estimator.device)

    def begin(self, sequence: Sequence) -> None:
        """Reads the camera of a sequence."""
        if self.options.camera == 'image':
            self._camera = ImageCamera.of(sequence, self.estimator.device)

    def refine(self, prediction: Prediction, keypoints: CropKeypoints, frames: slice) -> Prediction:
        """Runs both stages on the frames of a segment."""
        vectors = rotmat_to_axis_angle(prediction.rotmat)
        orient = vectors[:, :1].clone()
        pose = vectors[:, 1:].flatten(1).clone()
        betas = prediction.betas.clone()
        if self.options.scope == 'track':
            betas = _mean_of_seen(betas, keypoints.seen)
        objectives = self.options.objectives
        placement: CropPlacement | ImagePlacement
        if self._camera is None:
            placement = CropPlacement(prediction.camera)
        else:
            placement = ImagePlacement(self._camera[frames], keypoints, prediction.camera)

        def torso_loss() -> Tensor:
            joints = self._joints(orient, pose, betas)
            loss = objectives.torso(placement.project(joints), keypoints)
            return loss + placement.depth_loss(objectives)

        def body_loss() -> Tensor:
            joints = self._joints(orient, pose, betas)
            loss = objectives.body(
                placement.project(joints), pose, betas.expand(len(pose), -1), keypoints
            )
            if self.options.scope == 'track':
                loss = loss + objectives.smooth(joints)
            return loss

        moving = [orient, *placement.leaves]
        self._descend(torso_loss, moving, self.options.camera_steps)
        self._descend(body_loss, [pose, betas, orient], self.options.steps)
        with torch.no_grad():
            camera = placement.cameras(self._joints(orient, pose, betas))
        return self._assembled(prediction, keypoints, orient, pose, betas, camera)

    def _descend(self, loss: Callable[[], Tensor], leaves: list[Tensor], steps: int) -> None:
        """Takes steps of a new Adam down a loss of leaves, which change in place."""
        adam = GuardedAdam(leaves, self.options.lr, self.options.adam_betas)
        for leaf in leaves:
            leaf.requires_grad_()
        with torch.enable_grad():
            for _ in range(steps):
                value = loss()
                gradients = torch.autograd.grad(value, leaves)
                adam.step(gradients, [value.detach()])
        for leaf in leaves:
            leaf.requires_grad_(False)

    def _joints(self, orient: Tensor, pose: Tensor, betas: Tensor) -> Tensor:
        vectors = torch.cat([orient, pose.unflatten(1, (-1, 3))], dim=1)
        rotmat = axis_angle_to_rotmat(vectors)
        return self.body.joints(rotmat, betas.expand(len(rotmat), -1), SKELETON)

    def _assembled(
        self,
        prediction: Prediction,
        keypoints: CropKeypoints,
        orient: Tensor,
        pose: Tensor,
        betas: Tensor,
        camera: Tensor,
    ) -> Prediction:
        """The result in the form of a prediction; frames without evidence, and failed ones, keep the start."""
        vectors = torch.cat([orient, pose.unflatten(1, (-1, 3))], dim=1)
        rotmat = axis_angle_to_rotmat(vectors)
        good = keypoints.seen & camera.isfinite().all(1) & (camera[:, 0] > 0)
        good = good & rotmat.isfinite().flatten(1).all(1)
        shape = betas.expand(len(rotmat), -1)
        if self.options.scope == 'frame':
            shape = torch.where(good[:, None], shape, prediction.betas)
        return Prediction(
            torch.where(good[:, None, None, None], rotmat, prediction.rotmat),
            shape,
            torch.where(good[:, None], camera, prediction.camera),
        )


def _mean_of_seen(betas: Tensor, seen: Tensor) -> Tensor:
    """(1, 10) mean of the betas (B, 10) of frames with evidence, of all frames if none has any."""
    weight = seen.to(betas.dtype)
    weight = weight + (~seen.any()).to(betas.dtype)
    return (weight[:, None] * betas).sum(0, keepdim=True) / weight.sum()
