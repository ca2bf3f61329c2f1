"""Masks of masked pose modelling: hidden joints and hidden frames, drawn from a separate random generator."""

from __future__ import annotations

import dataclasses
import zlib
from typing import Optional, Sequence

import torch
from torch import Tensor

from hrtk.body_models.joint_orders import LIMBS, ORDERS, check_number, check_order, limb_joints
from hrtk.errors import InputError, OptionError
from hrtk.geometry.uploads import upload

# Joints per frame of 17 and share of frames. The first is the published setting; the other two hide as much in total,
# 71.8 %, up to the rounding to whole joints, and are compared with it in Table B.
STRATEGIES: dict[str, tuple[int, float]] = {
    'spatio_temporal': (5, 0.6),
    'tube': (12, 0.0),
    'temporal': (0, 0.718),
}
LIMB_PAIRS = (
    'right_leg+left_leg',
    'left_arm+right_arm',
    'left_leg+left_arm',
    'right_leg+right_arm',
)
# Hidden parts of the released completion's training: limbs and three random joints of 3D, pairs of limbs and six of 2D.
# The released code swaps the names of the sides.
PARTS_3D: tuple[str | int, ...] = ('right_leg', 'left_leg', 'left_arm', 'right_arm', 3)
PARTS_2D: tuple[str | int, ...] = (*LIMB_PAIRS, 6)


@dataclasses.dataclass(frozen=True)
class Masks:
    """The joints and frames that are hidden from a network.

    The first dimension is B, or 1 for masks that the whole batch shares. Visible frames are stored as indices, equally
    many in every sample, so that a network can drop the others without reading their number from the device.

    Attributes:
        joints: (B or 1, F, J) bool, True where a joint is replaced by a learnt token; in hidden frames too.
        visible: (B or 1, V) int64, ascending, the frames that are not hidden.
    """

    joints: Tensor
    visible: Tensor

    @classmethod
    def of(cls, joints: Tensor, frames: Optional[Tensor] = None) -> Masks:
        """Converts masks that are True where something is hidden, as released masks are stored.

        Args:
            joints: (F, J) or (B, F, J) of bool or 0 and 1. (B, J) needs a dimension for the frames: ``[:, None]``.
            frames: (F,) or (B, F), equally many hidden in every sample; None if none is hidden.

        Raises:
            InputError: the shapes do not fit each other, or samples hide different numbers of frames.
        """
        joints = _batched(joints, 3)
        if frames is None:
            frames = joints.new_zeros(joints.shape[:2])
        frames = _batched(frames, 2)
        counts = frames.sum(1)
        if joints.ndim != 3 or joints.shape[1] != frames.shape[1] or (counts != counts[0]).any():
            raise InputError(
                f'masks of joints {tuple(joints.shape)} and frames {tuple(frames.shape)}: expected '
                f'(B or 1, F, J) and (B or 1, F) with equally many hidden frames in every sample'
            )
        order = frames.long().argsort(dim=1, stable=True)
        visible = order[:, : frames.shape[1] - int(counts[0])]
        return cls(joints, visible)

    @property
    def frames(self) -> Tensor:
        """(B or 1, F) bool, True for hidden frames."""
        hidden = self.visible.new_ones((len(self.visible), self.joints.shape[1]), dtype=torch.bool)
        return hidden.scatter(1, self.visible, False)

    @property
    def hidden(self) -> Tensor:
        """(B or 1, F, J) bool, True for joints that are hidden by themselves or with their frame."""
        return self.joints | self.frames[..., None]

    def to(self, device: torch.device | str) -> Masks:
        """Returns the masks on another device."""
        joints = upload(self.joints, device)
        visible = upload(self.visible, device)
        return Masks(joints, visible)


def step_generator(seed: int, step: int) -> torch.Generator:
    """Returns the random generator of one training step, which does not depend on interruptions of the run."""
    return torch.Generator().manual_seed(zlib.crc32(f'{seed}:{step}'.encode()))


def choose(shape: Sequence[int], count: int, generator: Optional[torch.Generator] = None) -> Tensor:
    """Draws exactly ``count`` of the last dimension, without replacement: bool of that shape."""
    order = torch.rand(tuple(shape), generator=generator).argsort(-1)
    return torch.zeros(tuple(shape), dtype=torch.bool).scatter(-1, order[..., :count], True)


def draw_visible_frames(
    samples: int, frames: int, hidden: int, generator: Optional[torch.Generator] = None
) -> Tensor:
    """Hides ``hidden`` random frames of every sample: (samples, V) indices of the others, ascending."""
    order = torch.rand((samples, frames), generator=generator).argsort(1)
    return order[:, hidden:].sort(1).values


class MaskSampler:
    """Random masks of pre-training (section 3.2 and appendix B).

    As released, one mask serves a whole batch; the 2D and the 3D poses of a step get one each, in two calls.

    Args:
        strategy: ``'spatio_temporal'`` draws new joints for every frame, and hides frames; ``'tube'`` hides the same
            joints in all frames; ``'temporal'`` hides frames only.
        joints: number of hidden joints per frame; default 5, 12 (tube) or 0 (temporal).
        ratio: share of hidden frames, rounded down to whole ones; default 0.6, 0 (tube) or 0.718 (temporal).
        per_sample: draws a mask for every sample of a batch.

    Raises:
        InputError: an unknown strategy, or a number outside its range.
    """

    def __init__(
        self,
        strategy: str = 'spatio_temporal',
        joints: Optional[int] = None,
        ratio: Optional[float] = None,
        per_sample: bool = False,
    ) -> None:
        if strategy not in STRATEGIES:
            raise OptionError(
                f'MaskSampler: strategy is one of {", ".join(map(repr, STRATEGIES))}, not {strategy!r}'
            )
        default_joints, default_ratio = STRATEGIES[strategy]
        if joints is None:
            joints = default_joints
        if ratio is None:
            ratio = default_ratio
        if joints < 0 or not 0 <= ratio < 1:
            raise OptionError(
                f'MaskSampler: joints={joints}, ratio={ratio}: expected at least 0 joints and '
                f'a share of frames in [0, 1), since a network needs a visible frame'
            )
        self.joints = joints
        self.ratio = ratio
        self.tube = strategy == 'tube'
        self.per_sample = per_sample

    def __call__(
        self, batch: int, frames: int, joints: int, generator: Optional[torch.Generator] = None
    ) -> Masks:
        """Draws masks on the CPU.

        Args:
            batch: B.
            frames: F.
            joints: J.
            generator: of this step, see :func:`step_generator`; None for torch's global one.

        Raises:
            InputError: the skeleton has fewer joints than are to be hidden.
        """
        if self.joints > joints:
            raise InputError(f'MaskSampler: joints={self.joints} of {joints} cannot be hidden')
        samples = 1
        if self.per_sample:
            samples = batch
        drawn_frames = frames
        if self.tube:
            drawn_frames = 1
        hidden = choose((samples, drawn_frames, joints), self.joints, generator)
        visible = draw_visible_frames(samples, frames, int(frames * self.ratio), generator)
        return Masks(hidden.expand(samples, frames, joints), visible)


class PartSampler:
    """Random masks of completion: every sample hides one part of the body in all its frames.

    Args:
        parts: of which each sample draws one, with equal probability: a limb of :data:`LIMBS`, limbs joined by ``+``,
            or a number of joints that are drawn at random, the root among them as released.
        order: of the joints, see :mod:`hrtk.body_models.joint_orders`.

    Raises:
        InputError: an unknown limb or order.
    """

    def __init__(self, parts: Sequence[str | int] = PARTS_3D, order: str = 'h36m17') -> None:
        check_order(order, tuple(ORDERS), 'PartSampler')
        limbs: set[str] = set()
        for part in parts:
            if isinstance(part, str):
                limbs.update(part.split('+'))
        if not parts or not limbs <= set(LIMBS):
            raise OptionError(
                f'PartSampler: parts={list(parts)}: expected numbers of joints and names of '
                f'{", ".join(LIMBS)}, joined by +'
            )
        self.parts = tuple(parts)
        self.order = order

    def __call__(
        self, batch: int, frames: int, joints: int, generator: Optional[torch.Generator] = None
    ) -> Masks:
        """Draws masks on the CPU; arguments as of :class:`MaskSampler`.

        Raises:
            InputError: the order has another number of joints.
        """
        check_number(self.order, joints, 'PartSampler')
        options = []
        for part in self.parts:
            if isinstance(part, str):
                options.append(part_mask(part, self.order).expand(batch, joints))
            else:
                options.append(choose((batch, joints), part, generator))
        drawn = torch.randint(len(self.parts), (batch,), generator=generator)
        hidden = torch.stack(options, 1)[torch.arange(batch), drawn]
        return Masks(hidden[:, None].expand(batch, frames, joints), torch.arange(frames)[None])


def part_mask(part: str, order: str) -> Tensor:
    """Returns (J,) bool, True for the joints of limbs joined by ``+`` in a joint order."""
    mask = torch.zeros(len(ORDERS[order]), dtype=torch.bool)
    for limb in part.split('+'):
        mask[list(limb_joints(order, limb))] = True
    return mask


def _batched(mask: Tensor, dimensions: int) -> Tensor:
    """Converts a mask to bool and adds a batch dimension unless it has this number of dimensions."""
    mask = mask.bool()
    if mask.ndim == dimensions:
        return mask
    return mask[None]
