"""Dynamic bilevel adaptation the way DynaBOA's released code goes about it.

As :mod:`literal.boa`, with what DynaBOA adds: labelled crops found by cosine anew at every level and step, the mean
teacher on 49 joints where they lie, and plain steps on the upper level while the regressor's features turn. Features to
compare are computed by passes of their own, before the step and after every one, and so is the prediction.
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
        pool: labelled source items, read anew at every look-up; or None.
        features: (N, F) of the pool.
        clusters: lists of indices of the pool, one per row of ``centers``; None to take the nearest of the pool.
        centers: (K, F).
        batch: crops per look-up.
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
        options = {**dict(adam_betas=(0.5, 0.9), order='first', motion=0.8), **options}
        super().__init__(model, mixture, pool, **options)
        self.features, self.clusters, self.centers, self.batch = features, clusters, centers, batch
        self.threshold, self.max_extra, self.extra, self.certain_motion = (
            threshold,
            max_extra,
            extra,
            certain_motion,
        )
        self.mesh49 = WholeMesh(model.body.data, OPENPOSE25_SOURCES + SPIN24_SOURCES).to(
            next(model.parameters()).dtype
        )
        self.extra_steps: list[int] = []
        self.read_seconds = 0.0

    def _step(self, image: Tensor, xy: Tensor, confidence: Tensor, past: Optional[tuple]) -> None:
        frame = image, xy, confidence, past
        before = self._predict(image)['hidden']
        self._bilevel(frame)
        after, count = self._predict(image)['hidden'], 0
        while (
            count < self.max_extra
            and 1 - torch.cosine_similarity(before, after).item() > self.threshold
        ):
            before = after
            if self.extra == 'bilevel':
                self._bilevel(frame)
            else:
                self._adam(
                    torch.autograd.grad(
                        self._level(self.weights, frame, upper=True), list(self.weights.values())
                    )
                )
                self._follow()
            after, count = self._predict(image)['hidden'], count + 1
        self.extra_steps.append(count)

    def _bilevel(self, frame: tuple) -> None:
        clone = {name: value.clone() for name, value in self.weights.items()}
        low = self._level(clone, frame, upper=False)
        slopes = torch.autograd.grad(
            low, list(clone.values()), create_graph=self.second, retain_graph=self.second
        )
        fast = {
            name: value - self.inner_lr * slope
            for (name, value), slope in zip(clone.items(), slopes)
        }
        if self.evaluate_probe:
            self._look_at(fast, frame[0])
        self._adam(
            torch.autograd.grad(self._level(fast, frame, upper=True), list(self.weights.values()))
        )
        self._follow()

    @torch.no_grad()
    def _follow(self) -> None:
        """The mean teacher goes after the student."""
        for name, value in self.teacher.named_parameters():
            if name in self.weights:
                value.mul_(self.keep).add_(self.weights[name], alpha=1 - self.keep)

    def _level(self, weights: Named, frame: tuple, upper: bool) -> Tensor:
        """The losses of a level."""
        (image, xy, confidence, past), factors = frame, self.factors
        now = self._network(weights, self.model, image)
        points = self._joints(now)[1]
        squared = confidence[..., None] * (points - xy) ** 2
        amount = squared.numel() if self.normalise == 'all' else max(2 * confidence.sum(), 1)
        loss = (
            factors['keypoints2d'] * squared.sum() / amount
            + factors['shape_prior'] * (now['betas'] ** 2).sum()
        )
        if self.mixture is not None:
            loss = loss + factors['pose_prior'] * self._energy(now['rotmat'])
        if self.pool is not None:
            found = self._retrieve(now['features'].detach()[0])
            loss = loss + factors['source'] * self._source(weights, self._read(found))
        if upper and factors['teacher']:
            loss = loss + factors['teacher'] * self._consistency(now, image)
        if upper and past is not None and factors['motion']:
            then = self._joints(self._network(weights, self.model, past[0]))[1]
            a, b = confidence[..., None], past[2][..., None]
            seen = a + b == 2 if self.certain_motion else (a > 0) & (b > 0)
            loss = (
                loss + factors['motion'] * (seen * ((points - then) - (xy - past[1])) ** 2).mean()
            )
        return loss

    def _retrieve(self, query: Tensor) -> list[int]:
        """Indices of the pool."""
        rows = self.features if self.clusters is None else self.centers
        apart = torch.stack(
            [1 - torch.cosine_similarity(query, row.to(query.dtype), dim=0) for row in rows]
        )
        if self.clusters is None:
            return apart.argsort()[: self.batch].tolist()
        members = self.clusters[int(apart.argmin())]
        return [members[int(share * len(members))] for share in torch.rand(self.batch).tolist()]

    def _read(self, found: list[int]) -> list[dict]:
        start = time.process_time()
        items = [self.pool[i] for i in found]
        self.read_seconds += time.process_time() - start
        return items

    def _consistency(self, student: Named, image: Tensor) -> Tensor:
        """Against the mean teacher, 49 joints in space and in the crop."""
        with torch.no_grad():
            teacher = self._network({}, self.teacher, image)
            wanted3d, wanted2d = self._joints49(teacher)
        joints, points = self._joints49(student)
        return (
            5 * (joints - wanted3d).pow(2).mean()
            + 5 * (points - wanted2d).pow(2).mean()
            + (student['rotmat'] - teacher['rotmat']).pow(2).mean()
            + 0.001 * (student['betas'] - teacher['betas']).pow(2).mean()
        )

    def _joints49(self, found: Named) -> tuple[Tensor, Tensor]:
        mesh, self.mesh = self.mesh, self.mesh49
        try:
            return self._joints(found)
        finally:
            self.mesh = mesh
