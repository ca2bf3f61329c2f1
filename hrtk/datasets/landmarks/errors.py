"""What BlazePose gets wrong: its errors in drawn videos, as windows that are added to other motion."""

from __future__ import annotations

import dataclasses

import torch
from torch import Generator, Tensor

from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import PARENTS24, SMPL24, flip_map, index_map, joint_names
from hrtk.datasets.landmarks.tracks import LandmarkTracks
from hrtk.datasets.open_stream.video import project_pinhole
from hrtk.geometry.boxes import boxes_from_keypoints, to_crop
from hrtk.geometry.camera import turn_root, viewing_rotation
from hrtk.models.landmarks import WINDOW, observe
from hrtk.structures import Landmarks

ON_BODY = 'blazepose33_body'
COCO = list(index_map('blazepose33', 'coco17'))
LIMBS = list(index_map('blazepose33', 'body12'))
HIPS = LIMBS[6:8]
# The joint whose rotation carries a landmark.
CARRIED_BY = {
    'nose': 'head',
    'eye': 'head',
    'ear': 'head',
    'shoulder': 'collar',
    'elbow': 'shoulder',
    'wrist': 'elbow',
    'hand': 'wrist',
    'hip_lsp': 'pelvis',
    'knee': 'hip',
    'ankle': 'knee',
    'heel': 'ankle',
    'big_toe': 'ankle',
}
# Mean 2D error of a window, box sides, beyond which another person or nothing was found.
LOST = 0.15
STRIDE = 2  # frames between the starts of windows
CANDIDATES = 2048  # windows among which similar ones are looked for
SIMILAR = 12  # of these, how many are eligible


@dataclasses.dataclass(frozen=True)
class ErrorWindows:
    """M windows of T frames.

    Attributes:
        pose: (M, 36) limb joints of the middle frame, metres about the hips, frame of the viewing ray.
        world: (M, T, 33, 3) errors of world landmarks, metres.
        xy: (M, T, 33, 2) errors of image landmarks, half box sides of the middle frame.
        visibility: (M, T, 33).
    """

    pose: Tensor
    world: Tensor
    xy: Tensor
    visibility: Tensor

    def similar(self, pose: Tensor, generator: Generator) -> Tensor:
        """(B,) indices of windows whose pose is similar to the poses (B, 36)."""
        count = min(CANDIDATES, len(self.pose))
        candidates = torch.randperm(len(self.pose), generator=generator)[:count]
        nearest = torch.cdist(pose, self.pose[candidates]).topk(
            min(SIMILAR, count), dim=1, largest=False
        )
        choice = torch.randint(nearest.indices.shape[1], (len(pose), 1), generator=generator)
        return candidates[nearest.indices.gather(1, choice)[:, 0]]


@dataclasses.dataclass(frozen=True)
class SeenBodies:
    """M windows as BlazePose saw them, with their labels.

    Attributes:
        observations: (M, 9, 33, 6).
        rotmat: (M, 24, 3, 3) of the middle frame, root in the frame of the viewing ray.
        betas: (M, 10).
        keypoints2d: (M, 24, 2) ``spin24`` in the crop.
    """

    observations: Tensor
    rotmat: Tensor
    betas: Tensor
    keypoints2d: Tensor


class LandmarkErrors:
    """The errors of BlazePose in drawn videos.

    A landmark differs from the point of the body by a constant in the frame of its bone, the definition of the
    landmark, and by an error. Both are measured here.

    Args:
        tracks: the videos.
        body: of the videos.

    Attributes:
        definition: (33, 3) metres, the constant in the frame of the bone.
        windows: the errors.
        seen: the same windows without any change.
    """

    @torch.no_grad()
    def __init__(self, tracks: LandmarkTracks, body: BodyModel) -> None:
        self.body = body
        items = [tracks[index] for index in range(len(tracks))]
        looks = [_Look(item, body, tracks.fps) for item in items]
        differences = torch.cat([look.world - look.points for look in looks])
        bones = torch.cat([look.bones for look in looks])
        local = (bones.mT @ differences[..., None])[..., 0]
        self.definition = local.median(0).values
        windows = [look.windows(self.definition) for look in looks]
        self.windows = ErrorWindows(*_joined([errors for errors, _ in windows]))
        self.seen = SeenBodies(*_joined([seen for _, seen in windows]))


class _Look:
    """One track: true points of the body and what BlazePose found, left and right put right."""

    def __init__(self, item: dict[str, Tensor], body: BodyModel, fps: float) -> None:
        self.fps = fps
        self.item = item
        self.body = body
        joints = body.joints(item['rotmat'], item['betas'], ON_BODY)
        self.placed = joints + item['translation'][:, None]
        self.pixels = project_pinhole(self.placed, item['intrinsics'])
        self.points = joints - joints[:, HIPS].mean(1, keepdim=True)
        self.bones = bone_rotations(item['rotmat'])
        order = _unexchanged(item['xyz'][..., :2], self.pixels)
        self.xyz = _reordered(item['xyz'], order)
        world = _reordered(item['world'], order)
        self.world = world - world[:, HIPS].mean(1, keepdim=True)
        self.visibility = _reordered(item['visibility'][..., None], order)[..., 0]
        found = torch.ones(self.pixels.shape[0], len(COCO))
        self.boxes = boxes_from_keypoints(self.pixels[:, COCO], found)

    def windows(self, definition: Tensor) -> tuple[ErrorWindows, SeenBodies]:
        """All windows in which the person was not lost."""
        item = self.item
        moved = self.placed + (self.bones @ definition[..., None])[..., 0]
        pixels = project_pinhole(moved, item['intrinsics'])
        error = self.xyz[..., :2] - pixels
        world_error = self.world - (moved - moved[:, HIPS].mean(1, keepdim=True))
        half = WINDOW // 2
        middles = torch.arange(half, len(error) - half, STRIDE)
        frames = middles[:, None] + torch.arange(-half, half + 1)
        side = self.boxes[middles, 2][:, None, None, None]
        found = error[frames].norm(dim=-1).mean((1, 2)) < LOST * side[:, 0, 0, 0]
        rotation = viewing_rotation(
            self.boxes[middles], item['intrinsics'][middles, :1], item['intrinsics'][middles, 1:]
        )
        pose = self.points[middles][:, LIMBS] @ rotation
        errors = ErrorWindows(
            pose.flatten(1)[found],
            (world_error[frames] @ rotation[:, None])[found],
            (error[frames] / (side / 2))[found],
            self.visibility[frames][found],
        )
        return errors, self._seen(middles[found], rotation[found])

    def _seen(self, middles: Tensor, rotation: Tensor) -> SeenBodies:
        item = self.item
        landmarks = Landmarks(
            self.xyz, self.world, self.visibility, torch.ones(len(self.xyz), dtype=torch.bool)
        )
        joints = self.body.joints(item['rotmat'][middles], item['betas'][middles], 'spin24')
        pixels = project_pinhole(
            joints + item['translation'][middles, None], item['intrinsics'][middles]
        )
        return SeenBodies(
            observe(landmarks, self.boxes, middles.tolist(), self.fps),
            turn_root(item['rotmat'][middles], rotation.mT),
            item['betas'][middles],
            to_crop(pixels, self.boxes[middles]),
        )


def bone_rotations(rotmat: Tensor) -> Tensor:
    """(N, 24, 3, 3) rotations relative to parents -> (N, 33, 3, 3), of the bones that carry the landmarks."""
    chain = [rotmat[:, 0]]
    for joint in range(1, 24):
        chain.append(chain[PARENTS24[joint]] @ rotmat[:, joint])
    carriers = [_carrier(name) for name in joint_names(ON_BODY)]
    return torch.stack([chain[joint] for joint in carriers], dim=1)


def _carrier(landmark: str) -> int:
    if landmark.startswith(('left_', 'right_')):
        side, _, part = landmark.partition('_')
        joint = CARRIED_BY[part]
        if joint not in ('head', 'pelvis'):
            joint = f'{side}_{joint}'
        return SMPL24.index(joint)
    return SMPL24.index(CARRIED_BY[landmark])


def _unexchanged(found: Tensor, true: Tensor) -> Tensor:
    """(F, 33) order that puts left and right right, where BlazePose exchanged them."""
    flip = torch.tensor(flip_map('blazepose33'))
    same = torch.arange(len(flip))
    direct = (found - true)[:, LIMBS].norm(dim=-1).mean(1)
    crossed = (found[:, flip] - true)[:, LIMBS].norm(dim=-1).mean(1)
    return torch.where((crossed < direct)[:, None], flip, same)


def _reordered(values: Tensor, order: Tensor) -> Tensor:
    return values.gather(1, order[..., None].expand(-1, -1, values.shape[-1]))


def _joined(parts: list) -> list[Tensor]:
    """Every field of dataclasses of tensors, concatenated."""
    names = [field.name for field in dataclasses.fields(parts[0])]
    return [torch.cat([getattr(part, name) for part in parts]) for name in names]
