"""DoNoHarm: any adapter, with a gate that returns to the frozen prediction where nothing supports the adapted one."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Optional

import torch
from torch import Tensor

from hrtk.adapters.base import Adapter, Preparation
from hrtk.adapters.gate.held_out import HeldOut, HiddenDataset
from hrtk.adapters.gate.judge import Limits
from hrtk.adapters.gate.session import GateSession
from hrtk.adapters.parts.wrapping import take_reset, wrapped_fingerprint
from hrtk.adapters.run import copied_weights
from hrtk.errors import OptionError
from hrtk.models.estimators import Estimator
from hrtk.registry import ADAPTERS


@ADAPTERS.register_module()
@dataclasses.dataclass(frozen=True, kw_only=True)
class DoNoHarm(Adapter):
    """Wraps an adapter; decides for every frame whether to keep, to blend or to roll back what it predicts.

    No ground truth is used: the wrapped adapter does not even receive it. Some keypoints of every frame, and all of
    some frames, are hidden from the wrapped adapter. They show whether it repaired a body or fitted its keypoints.

    The decision about a frame uses frames up to this one, or up to ``look_ahead`` later. See
    :class:`~hrtk.adapters.gate.judge.Judge` for the rule, which is our own.

    Args:
        adapter: config of the wrapped adapter.
        keypoint_share: share of the visible keypoints of a frame that is held out.
        frame_share: share of the frames whose keypoints are all held out.
        keep_above: see :class:`~hrtk.adapters.gate.judge.Limits`; so are the next ones.
        roll_back_below: support below which the frozen prediction returns.
        memory: share of the past evidence that counts at the next frame.
        acceleration: largest acceleration, in multiples of that of the frozen prediction or of the 2D motion.
        bones: largest relative change of the limbs.
        step: largest growth of the share of the adapted prediction from frame to frame.
        noise: error of the keypoints, px per coordinate on a crop of 224 px; a 2D error below it is no gain. The
            default is that of the presets with ``until``. 0 believes every keypoint.
        look_ahead: frames after a frame whose evidence is used too; above 0, predictions come that much later.
        reset: that of the wrapped adapter. Around an adapter that resets at every frame there is a choice:
            ``'sequence'``, the default, judges the frames as those of a video, ``'frame'`` each of them by itself.

    Raises:
        InputError: an option has a value that is not allowed.
    """

    uses_camera = True  # the wrapped adapter may
    adapter: Mapping[str, Any]
    keypoint_share: float = 0.1
    frame_share: float = 0.0
    keep_above: float = 0.5
    roll_back_below: float = 0.0
    memory: float = 0.9
    acceleration: float = 3.0
    bones: float = 0.15
    step: float = 1.0
    noise: float = 4.5
    look_ahead: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check()
        # Around one that forgets every frame, 'sequence' lets the judge remember the video.
        if (self.wrapped.reset, self.reset) != ('frame', 'sequence'):
            take_reset(self, self.wrapped)

    @functools.cached_property
    def wrapped(self) -> Adapter:
        """The wrapped adapter."""
        return ADAPTERS.build(dict(self.adapter))

    @functools.cached_property
    def limits(self) -> Limits:
        """The numbers of the decision."""
        names = [field.name for field in dataclasses.fields(Limits)]
        return Limits(**{name: getattr(self, name) for name in names})

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states of the wrapped adapter."""
        return self.wrapped.states

    def prepare(
        self, estimator: Estimator, dataset: Any, preparation: Preparation
    ) -> Optional[dict[str, Tensor]]:
        """Prepares the wrapped adapter, which does not see held-out keypoints here either."""
        # Random numbers are seeded before this call as before every sequence, with another seed. The sessions hide what
        # the preparation hid, and return to the weights before it.
        found = vars(self)
        found['_seed'] = torch.initial_seed()
        hidden = HiddenDataset(
            dataset, HeldOut(self.keypoint_share, self.frame_share, found['_seed'])
        )
        source = copied_weights(estimator)
        prepared = self.wrapped.prepare(estimator, hidden, preparation)
        if prepared is not None:
            found['_source'] = source
        return prepared

    def start(self, estimator: Estimator) -> GateSession:
        """Starts a session of the wrapped adapter.

        The frozen network has the weights from before :meth:`prepare`, or the present ones if there was none.
        """
        found = vars(self)
        return GateSession(self, estimator, found.get('_seed'), found.get('_source'))

    def fingerprint(self) -> dict[str, str]:
        """Returns the hashes of the wrapped adapter."""
        return wrapped_fingerprint(self.wrapped)

    def _check(self) -> None:
        for name in ('keypoint_share', 'frame_share', 'memory'):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise OptionError(f'DoNoHarm: {name} is in [0, 1), not {value}')
        for name in ('acceleration', 'bones', 'step'):
            value = getattr(self, name)
            if not value > 0:
                raise OptionError(f'DoNoHarm: {name} is above 0, not {value}')
        if not self.noise >= 0:
            raise OptionError(f'DoNoHarm: noise is 0 or more px, not {self.noise}')
        if self.look_ahead < 0:
            raise OptionError(f'DoNoHarm: look_ahead is 0 or more, not {self.look_ahead}')
        if not self.keep_above > self.roll_back_below:
            raise OptionError(
                f'DoNoHarm: keep_above ({self.keep_above}) is above roll_back_below ({self.roll_back_below})'
            )
        if self.keypoint_share == 0 and self.frame_share == 0:
            raise OptionError(
                'DoNoHarm: keypoint_share and frame_share are both 0, so that nothing is held out; set one of them'
            )
