"""Dynamic bilevel adaptation in the manner of DynaBOA's released code.

As :mod:`literal.boa`, with DynaBOA's additions: labelled crops retrieved by cosine at every level and step, the mean
teacher on 49 joints without centring, and plain steps on the upper level while the regressor's features change. The
features to compare are computed by separate passes, before the first step and after every step, and so is the
prediction.
"""

from __future__ import annotations

import time
from typing import Mapping, Optional, Sequence

import torch
from torch import Tensor, nn

from literal.boa import LiteralBOA, Named
from literal.body import OPENPOSE25_SOURCES, SPIN24_SOURCES, WholeMesh


class LiteralDynaBOA(LiteralBOA):
    """One model that adapts frame by frame.

    Args:
        model: as of :class:`LiteralBOA`.
        mixture: the same.
        pool: labelled source items, read again at every retrieval; or None.
        features: (N, F) of the pool.
        clusters: lists of indices of the pool, one per row of ``centers``; None to take the nearest of the pool.
        centers: (K, F).
        batch: crops per retrieval.
        extra: ``'single'`` or ``'bilevel'``.
        threshold, max_extra, certain_motion, **options: as of :class:`hrtk.adapters.DynamicBilevel` and
            :class:`LiteralBOA`.

    Attributes:
        extra_steps: of every frame.
        read_seconds: spent on reading exemplars.
    """

    def __init__(
        self,
        model: nn.Module,
        mixture: Optional[Mapping] = None,
        pool: Optional[Sequence[dict]] = None,
        features: Optional[Tensor] = None,
        clusters: Optional[list[list[int]]] = None,
        centers: Optional[Tensor] = None,
        batch: int = 1,
        threshold: float = 3.1e-4,
        max_extra: int = 7,
        extra: str = 'single',
        certain_motion: bool = False,
        **options,
    ) -> None:
        released = dict(adam_betas=(0.5, 0.9), order='first', motion=0.8, teacher_update='step')
        options = {**released, **options}
        super().__init__(model, mixture, pool, **options)
        self.features = features
        self.clusters = clusters
        self.centers = centers
        self.batch = batch
        self.threshold = threshold
        self.max_extra = max_extra
        self.extra = extra
        self.certain_motion = certain_motion
        dtype = next(model.parameters()).dtype
        self.mesh49 = WholeMesh(model.body.data, OPENPOSE25_SOURCES + SPIN24_SOURCES).to(dtype)
        self.extra_steps: list[int] = []
        self.read_seconds = 0.0

    def _take_steps(
        self, image: Tensor, xy: Tensor, confidence: Tensor, past: Optional[tuple]
    ) -> None:
        frame = (image, xy, confidence, past)

        def lower(weights: Named) -> Tensor:
            return self._level(weights, frame, upper=False)

        def upper(weights: Named) -> Tensor:
            return self._level(weights, frame, upper=True)

        before = self._predict(image)['hidden']
        self._bilevel_update(lower, upper, image)
        if self.teacher_update == 'step':
            self._update_teacher()
        after = self._predict(image)['hidden']
        count = 0
        while count < self.max_extra and self._changed(before, after):
            before = after
            if self.extra == 'bilevel':
                self._bilevel_update(lower, upper, image)
            else:
                self._plain_update(upper)
            if self.teacher_update == 'step':
                self._update_teacher()
            after = self._predict(image)['hidden']
            count += 1
        self.extra_steps.append(count)

    def _changed(self, before: Tensor, after: Tensor) -> bool:
        return 1 - torch.cosine_similarity(before, after).item() > self.threshold

    def _level(self, weights: Named, frame: tuple, upper: bool) -> Tensor:
        """The losses of a level."""
        image, xy, confidence, past = frame
        factor = self.loss_weights
        now = self._network(weights, self.model, image)
        points = self._joints(now)[1]
        squared = confidence[..., None] * (points - xy) ** 2
        amount = squared.numel() if self.normalise == 'all' else max(2 * confidence.sum(), 1)
        loss = factor['keypoints2d'] * squared.sum() / amount
        loss = loss + factor['shape_prior'] * (now['betas'] ** 2).sum()
        if self.mixture is not None:
            loss = loss + factor['pose_prior'] * self._energy(now['rotmat'])
        if self.pool is not None:
            indices = self._retrieve(now['features'].detach()[0])
            loss = loss + factor['source'] * self._source(weights, self._read(indices))
        if upper and factor['teacher']:
            loss = loss + factor['teacher'] * self._consistency(now, image)
        if upper and past is not None and factor['motion']:
            then = self._joints(self._network(weights, self.model, past[0]))[1]
            visible = self._visible(confidence[..., None], past[2][..., None])
            motion_error = (points - then) - (xy - past[1])
            loss = loss + factor['motion'] * (visible * motion_error**2).mean()
        return loss

    def _visible(self, confidence: Tensor, past_confidence: Tensor) -> Tensor:
        """The keypoints whose motion counts."""
        if self.certain_motion:
            return confidence + past_confidence == 2
        return (confidence > 0) & (past_confidence > 0)

    def _retrieve(self, query: Tensor) -> list[int]:
        """Indices of the pool."""
        rows = self.features if self.clusters is None else self.centers
        similarities = [torch.cosine_similarity(query, row.to(query.dtype), dim=0) for row in rows]
        distances = torch.stack([1 - similarity for similarity in similarities])
        if self.clusters is None:
            return distances.argsort()[: self.batch].tolist()
        members = self.clusters[int(distances.argmin())]
        return [members[int(share * len(members))] for share in torch.rand(self.batch).tolist()]

    def _read(self, indices: list[int]) -> list[dict]:
        start = time.process_time()
        items = [self.pool[index] for index in indices]
        self.read_seconds += time.process_time() - start
        return items

    def _consistency(self, student: Named, image: Tensor) -> Tensor:
        """Against the mean teacher, 49 joints in space and in the crop."""
        with torch.no_grad():
            teacher = self._network({}, self.teacher, image)
            teacher_joints, teacher_points = self._joints49(teacher)
        joints, points = self._joints49(student)
        return (
            5 * (joints - teacher_joints).pow(2).mean()
            + 5 * (points - teacher_points).pow(2).mean()
            + (student['rotmat'] - teacher['rotmat']).pow(2).mean()
            + 0.001 * (student['betas'] - teacher['betas']).pow(2).mean()
        )

    def _joints49(self, predicted: Named) -> tuple[Tensor, Tensor]:
        mesh24 = self.mesh
        self.mesh = self.mesh49
        try:
            return self._joints(predicted)
        finally:
            self.mesh = mesh24
