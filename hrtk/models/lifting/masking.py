"""What masked pose modelling hides: joints of frames and whole frames, drawn from a generator of its own."""

from __future__ import annotations

import dataclasses
import zlib
from typing import Optional, Sequence

import torch
from torch import Tensor

from hrtk.errors import InputError

# Joints per frame of 17 and share of frames. The first is the published setting; the other two hide as much in all,
# 71.8 % as near as whole joints allow, and are compared with it in Table B.
STRATEGIES: dict[str, tuple[int, float]] = {
    'spatio_temporal': (5, 0.6),
    'tube': (12, 0.0),
    'temporal': (0, 0.718),
}
# Limbs by the number of joints. Human3.6M counts the right leg first; the released code calls these by the other side.
LIMBS: dict[int, dict[str, tuple[int, ...]]] = {
    17: dict(
        right_leg=(1, 2, 3), left_leg=(4, 5, 6), left_arm=(11, 12, 13), right_arm=(14, 15, 16)
    ),
    16: dict(
        right_leg=(1, 2, 3), left_leg=(4, 5, 6), left_arm=(10, 11, 12), right_arm=(13, 14, 15)
    ),
}
# What the released completion hides in training: limbs and three random joints of 3D, pairs of limbs and six of 2D.
PARTS_3D: tuple[str | int, ...] = ('right_leg', 'left_leg', 'left_arm', 'right_arm', 3)
PARTS_2D: tuple[str | int, ...] = (
    'right_leg+left_leg',
    'left_arm+right_arm',
    'left_leg+left_arm',
    'right_leg+right_arm',
    6,
)


@dataclasses.dataclass(frozen=True)
class Masks:
    """What is hidden from a network.

    The first dimension is B, or 1 for masks that the whole batch shares. That frames are kept as indices, equally many
    in every sample, lets a network drop the others without asking the device how many there are.

    Attributes:
        joints: (B or 1, F, J) bool, True where a joint is replaced by a learnt token; in hidden frames too.
        visible: (B or 1, V) int64, ascending, the frames that are not hidden.
    """

    joints: Tensor
    visible: Tensor

    @classmethod
    def of(cls, joints: Tensor, frames: Optional[Tensor] = None) -> Masks:
        """From True where something is hidden, the way released masks are stored.

        Args:
            joints: (F, J) or (B, F, J) of bool or 0 and 1. (B, J) needs a dimension for the frames: ``[:, None]``.
            frames: (F,) or (B, F), equally many hidden in every sample; None if none is.

        Raises:
            InputError: the shapes do not fit each other, or samples hide different numbers of frames.
        """
        joints = joints.bool() if joints.ndim == 3 else joints.bool()[None]
        if frames is None:
            frames = joints.new_zeros(joints.shape[:2])
        frames = frames.bool() if frames.ndim == 2 else frames.bool()[None]
        counts = frames.sum(1)
        if joints.ndim != 3 or joints.shape[1] != frames.shape[1] or (counts != counts[0]).any():
            raise InputError(
                f'masks of joints {tuple(joints.shape)} and frames {tuple(frames.shape)}: expected '
                f'(B or 1, F, J) and (B or 1, F) with equally many hidden frames in every sample'
            )
        visible = frames.long().argsort(dim=1, stable=True)[:, : frames.shape[1] - int(counts[0])]
        return cls(joints, visible)

    @property
    def frames(self) -> Tensor:
        """(B or 1, F) bool, True for hidden frames."""
        hidden = self.visible.new_ones((len(self.visible), self.joints.shape[1]), dtype=torch.bool)
        return hidden.scatter(1, self.visible, False)

    @property
    def hidden(self) -> Tensor:
        """(B or 1, F, J) bool, True for joints that the network cannot see for either reason."""
        return self.joints | self.frames[..., None]

    def to(self, device: torch.device | str) -> Masks:
        """The same on another device."""
        return Masks(
            self.joints.to(device, non_blocking=True), self.visible.to(device, non_blocking=True)
        )


def step_generator(seed: int, step: int) -> torch.Generator:
    """Random numbers of one training step, the same whether or not the run was interrupted before it."""
    return torch.Generator().manual_seed(zlib.crc32(f'{seed}:{step}'.encode()))


def choose(shape: Sequence[int], count: int, generator: Optional[torch.Generator] = None) -> Tensor:
    """Exactly ``count`` of the last dimension, without replacement: bool of that shape."""
    order = torch.rand(tuple(shape), generator=generator).argsort(-1)
    return torch.zeros(tuple(shape), dtype=torch.bool).scatter(-1, order[..., :count], True)


class MaskSampler:
    """Random masks of pre-training (section 3.2 and appendix B).

    As released, one mask serves a whole batch; the 2D and the 3D poses of a step get one each, by two calls.

    Args:
        strategy: ``'spatio_temporal'`` draws the joints of every frame anew, and hides frames; ``'tube'`` hides the
            same joints in all frames; ``'temporal'`` hides frames only.
        joints: number of hidden joints per frame; default 5, 12 (tube) or 0 (temporal).
        ratio: share of hidden frames, rounded down to whole ones; default 0.6, 0 (tube) or 0.718 (temporal).
        per_sample: draws for every sample of a batch by itself.

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
            raise InputError(
                f'MaskSampler: strategy is one of {", ".join(map(repr, STRATEGIES))}, not {strategy!r}'
            )
        default_joints, default_ratio = STRATEGIES[strategy]
        self.joints = default_joints if joints is None else joints
        self.ratio = default_ratio if ratio is None else ratio
        if self.joints < 0 or not 0 <= self.ratio < 1:
            raise InputError(
                f'MaskSampler: joints={self.joints}, ratio={self.ratio}: expected at least 0 joints and '
                f'a share of frames in [0, 1), since a network must see some frame'
            )
        self.tube, self.per_sample = strategy == 'tube', per_sample

    def __call__(
        self, batch: int, frames: int, joints: int, generator: Optional[torch.Generator] = None
    ) -> Masks:
        """Draws masks on the CPU.

        Args:
            batch: B.
            frames: F.
            joints: J.
            generator: of this step, see :func:`step_generator`; None takes torch's global one.

        Raises:
            InputError: more joints are to be hidden than there are.
        """
        if self.joints > joints:
            raise InputError(f'MaskSampler: joints={self.joints} of {joints} cannot be hidden')
        samples = batch if self.per_sample else 1
        hidden = choose((samples, 1 if self.tube else frames, joints), self.joints, generator)
        order = torch.rand((samples, frames), generator=generator).argsort(1)
        visible = order[:, int(frames * self.ratio) :].sort(1).values
        return Masks(hidden.expand(samples, frames, joints), visible)


class PartSampler:
    """Random masks of completion: every sample hides one part of the body in all its frames.

    Args:
        parts: of which each sample draws one, equally often: a limb of :data:`LIMBS`, limbs joined by ``+``, or a
            number of joints that are drawn at random, the root among them as released.

    Raises:
        InputError: there is no such limb.
    """

    def __init__(self, parts: Sequence[str | int] = PARTS_3D) -> None:
        unknown = {limb for part in parts if isinstance(part, str) for limb in part.split('+')} - {
            *LIMBS[17]
        }
        if unknown or not parts:
            raise InputError(
                f'PartSampler: parts={list(parts)}: expected numbers of joints and names out of '
                f'{", ".join(LIMBS[17])}, joined by +'
            )
        self.parts = tuple(parts)

    def __call__(
        self, batch: int, frames: int, joints: int, generator: Optional[torch.Generator] = None
    ) -> Masks:
        """Draws masks on the CPU; arguments as of :class:`MaskSampler`."""
        options = torch.stack(
            [
                part_mask(part, joints).expand(batch, joints)
                if isinstance(part, str)
                else choose((batch, joints), part, generator)
                for part in self.parts
            ],
            1,
        )
        drawn = torch.randint(len(self.parts), (batch,), generator=generator)
        hidden = options[torch.arange(batch), drawn]
        return Masks(hidden[:, None].expand(batch, frames, joints), torch.arange(frames)[None])


def part_mask(part: str, joints: int) -> Tensor:
    """(J,) bool, True for the joints of limbs joined by ``+``.

    Raises:
        InputError: the list of joints is neither of 17 nor of 16, or has no such limb.
    """
    limbs = LIMBS.get(joints, {})
    names = part.split('+')
    if not set(names) <= set(limbs):
        raise InputError(
            f'part {part!r} of {joints} joints: known are {", ".join(LIMBS[17])}, of 17 or 16 joints'
        )
    mask = torch.zeros(joints, dtype=torch.bool)
    mask[[index for name in names for index in limbs[name]]] = True
    return mask
