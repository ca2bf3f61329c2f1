"""Self-adaptation from foreground masks alone, by aligning silhouettes and their topology.

Rakesh, Kundu, Jampani, Venkatesh Babu, "Aligning Silhouette Topology for Self-Adaptive 3D Human Pose Recovery", NeurIPS
2021: Algorithm 1 with its losses L_S and L_T (Eq. 5), the baselines of its Table 4, and fitting alone.
"""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Mapping
from typing import Any, Literal, Optional
from typing import Sequence as SequenceOf

from hrtk.adapters.base import Preparation, PreparationStep, Session
from hrtk.adapters.parts.learner import Learner
from hrtk.adapters.parts.preparing import PreparingAdapter
from hrtk.adapters.parts.source_bank import dataset_fingerprint
from hrtk.adapters.topology.learner import (
    BodyFitter,
    FittingOptions,
    MaskLearner,
    optimiser_names,
)
from hrtk.adapters.topology.objectives import Gradient, Kind, MaskObjectives
from hrtk.adapters.topology.pose_space import PoseSpace
from hrtk.adapters.topology.sessions import FittingSession, LearningSession, PoseSpaceSession
from hrtk.adapters.topology.targets import SequenceTargets
from hrtk.adapters.topology.whole_target import WholeTargetProcess
from hrtk.errors import InputError, OptionError
from hrtk.models.estimators import Estimator, hash_tensors
from hrtk.models.priors import PoseAutoEncoder
from hrtk.registry import ADAPTERS, DATASETS
from hrtk.structures import Sequence

ESTIMATOR = 'estimator'  # value of `prior`: the estimator's own


@ADAPTERS.register_module()
@dataclasses.dataclass(frozen=True, kw_only=True)
class TopologyAdapter(PreparingAdapter):
    """Learns from masks, without labels; an optional loss uses 2D keypoints.

    In each cycle of ``every`` iterations, the first is a fitting iteration: it fits the bodies of the batch to their
    masks, starting from the network's prediction, and keeps the iterate with the lowest loss for each body. One Adam
    step then moves the weights towards the bodies that improved (L_Theta). The other iterations take one Adam step on
    L_S, run the network again, and take one step on L_T. Each loss has its own Adam. Frames whose mask is empty, full
    or shows two people are skipped and counted.

    Args:
        mode: ``'set'`` runs Algorithm 1 over the whole target before anything is predicted, as in the paper;
            ``'online'`` runs it on ``batch`` frames of a sequence at a time, in order; ``'fit'`` leaves the weights
            unchanged and predicts the fitted bodies.
        iterations: number of iterations of Algorithm 1: total in mode ``'set'``, per batch in mode ``'online'``, where
            each batch begins with a fitting iteration, so that with 1 the weights learn from fitted bodies only. 0
            shows the effect of the prior alone on the predictions.
        batch: frames per iteration; 16 in the paper.
        tracks: number of sequences per batch in mode ``'set'``.
        every: period of the fitting iterations (K in Algorithm 1; 4 in the paper); 0 disables fitting.
        fitting_steps: Adam steps per fit; 10 in the paper. Mode ``'fit'`` needs more.
        fitting_rate: learning rate of the fitting Adam. The paper gives a single rate of 1e-6, which must be meant for
            the network only: ten such steps would not move a body.
        lr: learning rate of the network's Adams; 1e-6 in the paper (ResNet-50).
        adam_betas: decay rates of Adam's moments; the defaults are torch's, because the paper does not state them.
        silhouette: the loss on silhouettes: ``'chamfer'`` (L_S) or ``'l2'`` (baseline B1 of Table 4); None disables
            this loss.
        topology: the loss on skeletons: ``'chamfer'`` (L_T) or ``'l2'`` (baseline B3 of Table 4); None disables this
            loss.
        weights: overrides of the loss weights:

            * ``silhouette``: weight of the loss on silhouettes, default 1.
            * ``topology``: weight of the loss on skeletons, default 1.
            * ``betas``: weight of the mean squared betas, which regularise the shape as in SPIN, default 1e-3.
            * ``fit``: weight of L_Theta, the loss to the fitted bodies, default 1.
            * ``keypoints2d``: weight of the squared reprojection error of 2D keypoints, default 0. Baselines of Table
              5: ``keypoints2d`` only: A1; with L_S: A2.
        grad: gradient mode of :func:`~hrtk.losses.topology_loss`.
        prior: weights of the :class:`~hrtk.models.priors.PoseAutoEncoder` that every predicted pose passes through:
            ``'open'``, a file, or None for free poses. ``'estimator'``: the estimator is a
            :class:`~hrtk.models.estimators.LatentHMR`, and Theta is what it regresses, ``{phi, beta, R, s, t}`` as in
            the paper.
        target: configs of data sets with masks that mode ``'set'`` learns from instead of those that are predicted, as
            the paper learns from Human3.6M and MPII and predicts 3DPW; None learns from those that are predicted.
        parameters: which weights adapt, see :func:`~hrtk.adapters.parts.parameter_selection.select_parameters`.
        reset: when a new session starts, see :class:`~hrtk.adapters.base.Adapter`.
        save_every: iterations between the stored states; an interrupted run in mode ``'set'`` resumes from the last.

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
    target: Optional[SequenceOf[Mapping[str, Any]]] = None
    parameters: str = 'all'

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target is not None and self.mode != 'set':
            raise OptionError(
                f"TopologyAdapter: target needs mode='set'; mode={self.mode!r} learns from the frames that it predicts"
            )
        # Build these now, so that bad options fail at construction.
        self.objectives
        self.loaded_prior
        self.target_datasets

    @functools.cached_property
    def objectives(self) -> MaskObjectives:
        """The losses."""
        return MaskObjectives(self.silhouette, self.topology, self.weights, self.grad)

    @functools.cached_property
    def loaded_prior(self) -> Optional[PoseAutoEncoder]:
        """The prior that this adapter loads itself: none for free poses, and none beside the estimator's."""
        if self.prior in (None, ESTIMATOR):
            return None
        return PoseAutoEncoder(weights=self.prior)

    @functools.cached_property
    def target_datasets(self) -> list[Any]:
        """The data sets of ``target``."""
        return [DATASETS.build(dict(config)) for config in self.target or ()]

    def space_of(self, estimator: Estimator) -> PoseSpace:
        """Returns the coordinates in which bodies are fitted.

        Raises:
            InputError: ``prior='estimator'``, and the estimator has none.
        """
        if self.prior != ESTIMATOR:
            space = PoseSpace(self.loaded_prior)
            space.to(estimator.device)
            return space
        prior = getattr(estimator, 'prior', None)
        if not isinstance(prior, PoseAutoEncoder):
            raise InputError(
                f'TopologyAdapter: prior={ESTIMATOR!r} needs an estimator that regresses latents, such as LatentHMR; '
                f"{type(estimator).__name__} has no prior of its own, use prior='open'"
            )
        return PoseSpace(prior, regressed=True)

    @property
    def total_steps(self) -> int:
        """Number of iterations before anything is predicted: 0 except in mode ``'set'``."""
        if self.mode != 'set':
            return 0
        return self.iterations

    def begin(
        self,
        estimator: Estimator,
        sequences: SequenceOf[Sequence],
        preparation: Preparation,
        seed: int,
    ) -> WholeTargetProcess:
        """Reads all masks, those of ``target`` if there is one, and returns the learning process.

        The masks are read here because CropReader's background thread later has sole access to the frames.
        """
        if self.target_datasets:
            sequences = [
                dataset[index] for dataset in self.target_datasets for index in range(len(dataset))
            ]
        targets = [SequenceTargets(sequence, estimator, self.objectives) for sequence in sequences]
        usable = 0
        for number, target in enumerate(targets, 1):
            usable_of_track = target.count_usable()
            usable += usable_of_track
            if not usable_of_track:
                warnings.warn(
                    f'{target.sequence.name}: none of its masks is usable {target.skipped}; nothing is learned from it',
                    stacklevel=2,
                )
            step = PreparationStep('masks', number, len(targets), {'usable_masks': usable})
            preparation.report(step)
        if not usable:
            reasons = [f'{target.sequence.name} {target.skipped}' for target in targets]
            raise InputError(
                f'TopologyAdapter: no frame of the target has a usable mask: {", ".join(reasons)}'
            )
        mask_learner = self._mask_learner(estimator)
        return WholeTargetProcess(mask_learner, targets, self.batch, self.tracks, seed)

    def start(self, estimator: Estimator) -> Session:
        """Starts the session of the mode; in mode ``'set'`` the weights no longer change."""
        if self.mode == 'set':
            return PoseSpaceSession(estimator, self.space_of(estimator), self.batch)
        if self.mode == 'fit':
            return FittingSession(estimator, self._fitter(estimator), self.batch)
        return LearningSession(self._mask_learner(estimator), self.batch, self.iterations)

    def fingerprint(self) -> dict[str, str]:
        """Returns hashes of the prior's weights and of the data that ``target`` names.

        The weights of the estimator's own prior are among those of the estimator.
        """
        hashes = {}
        if self.loaded_prior is not None:
            hashes['pose_prior'] = hash_tensors(self.loaded_prior.state_dict())
        for index, dataset in enumerate(self.target_datasets):
            for name, value in dataset_fingerprint(dataset).items():
                hashes[f'target.{index}.{name}'] = value
        return hashes

    def _fitter(self, estimator: Estimator) -> BodyFitter:
        options = FittingOptions(self.fitting_steps, self.fitting_rate)
        return BodyFitter(estimator, self.space_of(estimator), self.objectives, options)

    def _mask_learner(self, estimator: Estimator) -> MaskLearner:
        learner = Learner(
            estimator,
            self.parameters,
            self.lr,
            self.adam_betas,
            optimisers=optimiser_names(self.objectives),
        )
        return MaskLearner(learner, self._fitter(estimator), self.every)
