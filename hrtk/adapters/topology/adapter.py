"""Self-adaptation from foreground masks alone, by aligning silhouettes and their topology.

Rakesh, Kundu, Jampani, Venkatesh Babu, "Aligning Silhouette Topology for Self-Adaptive 3D Human Pose Recovery", NeurIPS
2021: Algorithm 1 with its losses L_S and L_T (Eq. 5), the baselines of its Table 4, and fitting alone.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Literal, Optional
from typing import Sequence as SequenceOf

from hrtk.adapters.base import Preparation, PreparationStep, Session
from hrtk.adapters.parts.learner import Learner
from hrtk.adapters.parts.preparing import PreparingAdapter
from hrtk.adapters.topology.learner import BodyFitter, Fitting, MaskLearner, optimiser_names
from hrtk.adapters.topology.objectives import Gradient, Kind, MaskObjectives
from hrtk.adapters.topology.pose_space import PoseSpace
from hrtk.adapters.topology.sessions import FittingSession, LearningSession, PoseSpaceSession
from hrtk.adapters.topology.targets import SequenceTargets
from hrtk.adapters.topology.whole_target import WholeTarget
from hrtk.errors import InputError
from hrtk.models.estimators import Estimator, hash_tensors
from hrtk.models.priors import PoseAutoEncoder
from hrtk.registry import ADAPTERS
from hrtk.structures import Sequence


@ADAPTERS.register_module()
@dataclasses.dataclass(frozen=True, kw_only=True)
class TopologyAdapter(PreparingAdapter):
    """Learns from masks, without labels; 2D keypoints can be added.

    Of ``every`` iterations all but one move the network's weights down L_S, and then, after another forward pass, down
    L_T, with one Adam each. The remaining iteration fits the bodies of the batch to their masks from where the network
    puts them, keeps for each body the best coordinates that the fit passed, and moves the weights, with a third Adam,
    towards the bodies that improved. Frames whose mask is empty, full or shows two people are left out and counted.

    Args:
        mode: ``'set'``: Algorithm 1 over the whole target before anything is predicted, as in the paper; ``'online'``:
            over ``batch`` frames of a sequence at a time, in order; ``'fit'``: the weights stay, and the fitted bodies
            are the predictions.
        iterations: of Algorithm 1: in all, or for every batch of the mode ``'online'``. 0 shows the effect of the prior
            alone on the predictions.
        batch: frames per iteration; 16 in the paper.
        tracks: over how many sequences a batch of the mode ``'set'`` is spread.
        every: K of Algorithm 1, 4; 0 never fits.
        fitting_steps: 10 in the paper; the mode ``'fit'`` needs more.
        fitting_rate: of Adam on the bodies. The paper's one rate, 1e-6, cannot be meant: ten steps would move nothing.
        lr: of the network's Adams; 1e-6 in the paper (ResNet-50).
        adam_betas: decay rates of Adam's moments, torch's defaults; the paper is silent.
        silhouette: the loss on silhouettes: ``'chamfer'``, L_S; ``'l2'``, B1 of Table 4; None.
        topology: the loss on skeletons: ``'chamfer'``, L_T; ``'l2'``, B3; None.
        weights: factors that differ from ``silhouette`` 1, ``topology`` 1, ``betas`` 1e-3 (pull to the mean shape, as
            in SPIN), ``fit`` 1 (of L_Theta), and ``keypoints2d`` 0, of the squared reprojection error of 2D keypoints:
            alone it is A1 of Table 5, with L_S it is A2.
        grad: of :func:`~hrtk.losses.topology_loss`.
        prior: weights of the :class:`~hrtk.models.priors.PoseAutoEncoder` through which every pose goes: ``'open'``, a
            file, or None for free poses.
        parameters: which weights adapt, see :func:`~hrtk.adapters.parts.parameter_selection.select_parameters`.
        reset: of :class:`~hrtk.adapters.base.Adapter`.
        save_every: iterations between the states from which an interrupted run of the mode ``'set'`` resumes.

    Raises:
        InputError: an option has a value that is not allowed, or there is no loss.
    """

    mode: Literal['set', 'online', 'fit'] = 'set'
    iterations: int = 400
    batch: int = 16
    tracks: int = 4
    every: int = 4
    fitting_steps: int = 10
    fitting_rate: float = 1e-2
    lr: float = 1e-6
    adam_betas: tuple[float, float] = (0.9, 0.999)
    silhouette: Optional[Kind] = 'chamfer'
    topology: Optional[Kind] = 'chamfer'
    weights: Optional[Mapping[str, float]] = None
    grad: Gradient = 'material'
    prior: Optional[str] = 'open'
    parameters: str = 'all'

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one = min(self.batch, self.tracks)
        at_least_zero = min(self.iterations, self.every, self.fitting_steps)
        if at_least_one < 1 or at_least_zero < 0:
            raise InputError(
                f'TopologyAdapter: batch and tracks are at least 1, iterations, every and fitting_steps 0; not '
                f'{self.batch}, {self.tracks}, {self.iterations}, {self.every} and {self.fitting_steps}'
            )
        self.objectives  # a wrong factor is reported now, and so is
        self.space  # a missing file of the prior

    @functools.cached_property
    def objectives(self) -> MaskObjectives:
        """The losses."""
        return MaskObjectives(self.silhouette, self.topology, self.weights, self.grad)

    @functools.cached_property
    def space(self) -> PoseSpace:
        """The coordinates that bodies are fitted in."""
        if self.prior is None:
            return PoseSpace()
        return PoseSpace(PoseAutoEncoder(weights=self.prior))

    @property
    def total_steps(self) -> int:
        """Iterations before anything is predicted."""
        if self.mode != 'set':
            return 0
        return self.iterations

    def begin(
        self,
        estimator: Estimator,
        sequences: SequenceOf[Sequence],
        preparation: Preparation,
        seed: int,
    ) -> WholeTarget:
        """Reads every mask of the target, before the background thread has the frames for itself."""
        targets = [SequenceTargets(sequence, estimator, self.objectives) for sequence in sequences]
        usable = 0
        for number, target in enumerate(targets, 1):
            usable += target.count_usable()
            step = PreparationStep('masks', number, len(targets), {'usable_masks': usable})
            preparation.report(step)
        if not usable:
            reasons = [f'{target.sequence.name} {target.skipped}' for target in targets]
            raise InputError(
                f'TopologyAdapter: no frame of the target has a usable mask: {", ".join(reasons)}'
            )
        return WholeTarget(self._learner(estimator), targets, self.batch, self.tracks, seed)

    def start(self, estimator: Estimator) -> Session:
        """Starts a session of the mode; in the mode ``'set'`` the weights no longer change."""
        self.space.to(estimator.device)
        if self.mode == 'set':
            return PoseSpaceSession(estimator, self.space, self.batch)
        if self.mode == 'fit':
            return FittingSession(estimator, self._fitter(estimator), self.batch)
        return LearningSession(self._learner(estimator), self.batch, self.iterations)

    def fingerprint(self) -> dict[str, str]:
        """Returns a hash of the prior's weights."""
        if self.space.prior is None:
            return {}
        return {'pose_prior': hash_tensors(self.space.prior.state_dict())}

    def _fitter(self, estimator: Estimator) -> BodyFitter:
        fitting = Fitting(self.fitting_steps, self.fitting_rate)
        return BodyFitter(estimator, self.space, self.objectives, fitting)

    def _learner(self, estimator: Estimator) -> MaskLearner:
        self.space.to(estimator.device)
        learner = Learner(
            estimator,
            self.parameters,
            self.lr,
            self.adam_betas,
            optimisers=optimiser_names(self.objectives),
        )
        return MaskLearner(learner, self._fitter(estimator), self.every)
