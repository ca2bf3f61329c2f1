"""What the tests of FewShotMetric share: labelled data, and Algorithm 1 read as a loop over triplets in float64."""

import dataclasses

import torch
from scipy.spatial.transform import Rotation
from tiny_parts import (
    SIZE,
    VIEWS,
    Tiny,
    tiny_sequence,
)

from hrtk.adapters import FewShotMetric, Preparation
from hrtk.body_models.skeletons import joint_names
from hrtk.geometry.camera import project
from hrtk.models.estimators import VideoHMR
from hrtk.models.temporal import VIBE
from hrtk.registry import DATASETS
from hrtk.structures import GroundTruth

RATE = 1e-3
SOURCE = dict(dataset=dict(VIEWS, length=7), batch=7)
OPTIONS = dict(
    source=SOURCE,
    shots=6,
    labelled=dict(type='Labelled'),
    steps=5,
    batch=4,
    lr=RATE,
    save_every=2,
    weights=dict(metric=0.5),
)


def with_truth(sequence, seed=0, **options):
    """The same sequence with random bodies as its truth."""
    random = torch.Generator().manual_seed(seed)
    turns = 0.4 * torch.randn(24 * len(sequence), 3, generator=random)
    rotmat = torch.tensor(Rotation.from_rotvec(turns.numpy()).as_matrix()).view(-1, 24, 3, 3)
    betas = torch.randn(len(sequence), 10, generator=random, dtype=torch.float64)
    return dataclasses.replace(sequence, truth=GroundTruth(rotmat, betas, **options))


@DATASETS.register_module(force=True)
class Labelled(list):
    """Sequences of 5, 9, 12 and 3 frames with truth."""

    def __init__(self, prefix='labelled'):
        super().__init__(
            with_truth(tiny_sequence(f'{prefix}{i}', frames, seed=i), i)
            for i, frames in enumerate((5, 9, 12, 3))
        )

    def fingerprint(self):
        return {'kind': 'random'}


@DATASETS.register_module(force=True)
class RandomClips:
    """Source clips of 4 frames, made of the views."""

    def __init__(self, length=5):
        self.views, self.length = DATASETS.build(dict(VIEWS, length=4 * length)), length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        items = [self.views[4 * index + t] for t in range(4)]
        return {name: torch.stack([item[name] for item in items]) for name in items[0]}


def adapter(**options):
    return FewShotMetric(**{**OPTIONS, **options})


def prepared(model, seed=7, diary=None, target=(), **options):
    torch.manual_seed(seed)
    return adapter(**options).prepare(model, list(target), diary or Preparation())


def poses(joints):
    """The joints of LSP relative to the middle of its hips."""
    names = joint_names('spin24')
    hips = (joints[names.index('right_hip_lsp')] + joints[names.index('left_hip_lsp')]) / 2
    return joints - hips


def metric(anchors, anchor_poses, others, other_poses, variant, reduction):
    """Algorithm 1 triplet by triplet; square roots have the offset that keeps them from zero."""

    def apart(a, b):
        return ((a - b).square().sum() + 1e-8).sqrt()

    total = 0
    for f, y in zip(anchors, anchor_poses):
        gaps = [sum((p - q).norm() for p, q in zip(y, z)) / 14 for z in other_poses]
        order = sorted(range(len(gaps)), key=lambda k: gaps[k])
        count = int(0.3 * len(gaps))
        terms = []
        for i in order[:count]:
            for j in order[-count:]:
                wanted = ((gaps[i] ** 2 + 1e-8) / (gaps[j] ** 2 + 1e-8)) ** 0.5
                ratio = apart(f, others[i]) / apart(f, others[j]) / wanted
                terms.append(
                    dict(thesis=(1 + ratio).log(), kim=ratio.log() ** 2, abs=ratio.log().abs())[
                        variant
                    ]
                )
        total = total + sum(terms) / len(terms)
    return total if reduction == 'sum' else total / len(anchors)


def exchanged(names):
    """For every joint the index of its counterpart on the other side."""
    sides = {'left': 'right', 'right': 'left'}
    other = ['_'.join(sides.get(word, word) for word in name.split('_')) for name in names]
    return [names.index(name) for name in other]


def mirrored(crop, rotmat, betas, xy, sure):
    """The labels of the mirrored crop: left and right exchanged, x negated."""
    bones, joints = exchanged(joint_names('smpl24')), exchanged(joint_names('spin24'))
    flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=rotmat.dtype))
    turned = torch.stack([flip @ rotmat[j] @ flip for j in bones])
    flat = torch.stack([xy[j] * torch.tensor([-1.0, 1.0]) for j in joints])
    return crop.flip(-1), turned, betas, flat, torch.stack([sure[j] for j in joints])


def one_loss(model, draws, shots, sequences, variant, reduction, w, w_joints, flips=None):
    """The loss of one step, crop by crop: shots are (sequence, frame), source items are views, some mirrored."""
    parts, supervised = [], 0
    views = DATASETS.build(SOURCE['dataset'])
    items = [
        [
            (
                model.crops(sequences[s], [t]),
                sequences[s].truth.rotmat[t],
                sequences[s].truth.betas[t],
                *points_of(sequences[s], t),
            )
            for s, t in (shots[i] for i in draws[0])
        ],
        [
            (
                grey(view['image']),
                view['rotmat'],
                view['betas'],
                view['keypoints2d'],
                torch.ones(24, dtype=torch.float64),
            )
            for view in (views[i] for i in draws[1])
        ],
    ]
    for batch, flip in zip(items, flips or ([False] * 9, [False] * 9)):
        outs, seen, true = [], [], []
        for item, flipped in zip(batch, flip):
            goal = model.body.joints(item[1][None], item[2][None], 'spin24')[0]
            if flipped:
                item = mirrored(*item)
                goal = goal[exchanged(joint_names('spin24'))] * torch.tensor([-1.0, 1.0, 1.0])
            crop, rotmat, betas, xy, sure = item
            out = model(crop)
            joints = model.body.joints(out.rotmat, out.betas, 'spin24')
            flat = project(joints, out.camera)[0]
            loss = 300 * (sure[:, None] * (flat - xy) ** 2).mean()
            loss = loss + 300 * ((poses(joints[0]) - poses(goal)) ** 2).mean()
            loss = (
                loss
                + 60 * ((out.rotmat[0] - rotmat) ** 2).mean()
                + 0.06 * ((out.betas[0] - betas) ** 2).mean()
            )
            supervised = supervised + loss / len(batch) / 2
            outs.append(out.features[0])
            seen.append(poses(joints[0])[:14].flatten())
            true.append(poses(goal)[:14])
        parts.append((outs, seen, true))
    (a, b, y), (c, d, z) = parts
    return (
        supervised
        + w * metric(a, y, c, z, variant, reduction)
        + w_joints * metric(b, y, d, z, variant, reduction)
    )


def grey(image):
    mean, std = (
        torch.tensor(v, dtype=torch.float64).view(3, 1, 1)
        for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    return ((image.double() / 255 - mean) / std)[None]


def points_of(sequence, t):
    sure = sequence.keypoints2d.confidence[t]
    place = (sequence.keypoints2d.xy[t] - sequence.boxes[t, :2]) / (sequence.boxes[t, 2] / 2)
    return torch.nan_to_num(place), sure


class TinyVideo(VideoHMR):
    """VIBE behind the tiny network, in float64."""

    def __init__(self):
        torch.nn.Module.__init__(self)
        image = Tiny()
        self.image, self.body, self.resolution, self.window = image, image.body, SIZE, 4
        torch.manual_seed(1)
        self.network = VIBE(
            image.backbone.out_channels,
            8,
            1,
            regressor=dict(type='IterativeRegressor', hidden=16, activation='relu', dropout=0.0),
        ).double()
