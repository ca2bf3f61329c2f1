"""Masks of masked pose modelling: exact numbers, fair draws, and the same ones again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mpm_golden import GOLDEN, SIZES, golden_input

from hrtk.errors import InputError
from hrtk.models.lifting import PARTS_2D, PARTS_3D, Masks, MaskSampler, PartSampler, step_generator


def random_masks(sampler, batch=6, frames=243, joints=17, seed=0):
    return sampler(batch, frames, joints, torch.Generator().manual_seed(seed))


def test_exact_ratios():
    masks = random_masks(MaskSampler())
    assert masks.joints.shape == (1, 243, 17) and (masks.joints.sum(-1) == 5).all()
    assert masks.frames.sum() == 145 and torch.equal(
        masks.frames.logical_not().nonzero()[:, 1], masks.visible[0]
    )
    assert masks.hidden.float().mean().item() == pytest.approx((145 + 98 * 5 / 17) / 243)
    assert len(masks.joints[0].unique(dim=0)) > 200
    tube = random_masks(MaskSampler('tube'))
    assert (
        (tube.joints.sum(-1) == 12).all()
        and len(tube.joints[0].unique(dim=0)) == 1
        and not tube.frames.any()
    )
    temporal = random_masks(MaskSampler('temporal'))
    assert not temporal.joints.any() and temporal.frames.sum() == int(243 * 0.718)
    for sampler in (MaskSampler('tube'), MaskSampler('temporal')):
        assert random_masks(sampler).hidden.float().mean().item() == pytest.approx(0.718, abs=0.013)
    for frames, joints, ratio in ((27, 2, 0.4), (81, 9, 0.8), (1, 0, 0.9)):
        masks = random_masks(
            MaskSampler(joints=joints, ratio=ratio, per_sample=True), frames=frames
        )
        assert (masks.joints.sum(-1) == joints).all() and (
            masks.frames.sum(1) == int(frames * ratio)
        ).all()


def test_released_masks_hide_as_much_as_ours():
    for size in SIZES:
        _, _, masks2, masks3, _ = golden_input(size)
        ours = random_masks(
            MaskSampler(), frames=SIZES[size]['frames'], joints=SIZES[size]['joints']
        )
        for released in (masks2, masks3):
            assert torch.equal(released.joints.sum(-1), ours.joints.sum(-1))
            assert released.visible.shape == ours.visible.shape
            np.testing.assert_array_equal(
                released.frames[0], GOLDEN[f'in/{size}/tmask{2 + (released is masks3)}']
            )


def test_all_joints_and_frames_are_hidden_equally_often():
    sampler, generator = MaskSampler(per_sample=True), torch.Generator().manual_seed(0)
    masks = sampler(2000, 27, 17, generator)
    joints, frames = masks.joints.float().mean((0, 1)), masks.frames.float().mean(0)
    assert (joints - 5 / 17).abs().max() < 5 * np.sqrt(5 / 17 * 12 / 17 / 54000)
    assert (frames - 16 / 27).abs().max() < 5 * np.sqrt(16 / 27 * 11 / 27 / 2000)


def test_steps_are_reproducible():
    sampler = MaskSampler(per_sample=True)
    first, again, later, other = (
        sampler(4, 27, 17, step_generator(*pair)) for pair in ((0, 7), (0, 7), (0, 8), (1, 7))
    )
    assert torch.equal(first.joints, again.joints) and torch.equal(first.visible, again.visible)
    for different in (later, other):
        assert not torch.equal(first.joints, different.joints)
        assert not torch.equal(first.visible, different.visible)
    assert len({row.sum().item() for row in first.visible}) > 1
    torch.manual_seed(0)
    state = torch.get_rng_state()
    sampler(4, 27, 17, step_generator(0, 7))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize('joints', [17, 16])
def test_parts(joints):
    for parts, counts in ((PARTS_3D, {3}), (PARTS_2D, {6})):
        masks = random_masks(
            PartSampler(parts, f'h36m{joints}'), batch=400, frames=5, joints=joints
        )
        assert masks.joints.shape == (400, 5, joints) and not masks.frames.any()
        assert {*masks.joints.sum(-1).flatten().tolist()} == counts
        assert torch.equal(masks.joints, masks.joints[:, :1].expand(400, 5, joints))
        hidden = [tuple(row.nonzero().flatten().tolist()) for row in masks.joints[:, 0]]
        arm = (1, 2, 3) if parts is PARTS_3D else (1, 2, 3, 4, 5, 6)
        assert 50 < hidden.count(arm) < 120 and len(set(hidden)) > 30
    left = random_masks(
        PartSampler(['left_leg+left_arm'], f'h36m{joints}'), batch=1, frames=1, joints=joints
    ).joints[0, 0]
    # The joints that VideoPose3D swaps when it mirrors a pose.
    assert (
        left.nonzero().flatten().tolist()
        == {17: [4, 5, 6, 11, 12, 13], 16: [4, 5, 6, 10, 11, 12]}[joints]
    )
    alone = random_masks(PartSampler([17]), joints=17).joints
    assert alone.all()


def test_wrong_masks():
    with pytest.raises(InputError, match="'spatio_temporal', 'tube', 'temporal', not 'random'"):
        MaskSampler('random')
    with pytest.raises(InputError, match=r'ratio=1.*\[0, 1\)'):
        MaskSampler(ratio=1)
    with pytest.raises(InputError, match='joints=5 of 4'):
        MaskSampler()(1, 9, 4)
    with pytest.raises(InputError, match='tail'):
        PartSampler(['tail'])
    with pytest.raises(InputError, match='17 joints, not 15'):
        PartSampler(['left_leg'])(1, 9, 15)
    with pytest.raises(InputError, match='joints is one of'):
        PartSampler(['left_leg'], 'coco17')
    with pytest.raises(InputError, match='equally many'):
        Masks.of(torch.zeros(2, 3, 4), torch.tensor([[1, 0, 0], [1, 1, 0]]))
