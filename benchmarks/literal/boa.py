"""Bilevel online adaptation the way its released code goes about it.

Every image of a step goes through the network by itself, every body is posed as a whole mesh and its joints are
regressed from that, the student is posed once more for the teacher's loss, the outer gradient flows through the probe
step, Adam and the mean teacher visit one tensor at a time, and all frames are kept. Formulas: Guan et al., CVPR 2021,
Eq. 2-6 and Algorithm 1, with the terms and factors of the code.
"""

from __future__ import annotations

import copy
import math
import time
from typing import Callable, Iterator, Mapping, Optional

import torch
from torch import Tensor, nn
from torch.func import functional_call

from literal.body import WholeMesh

Named = Mapping[str, Tensor]
# COCO's points in the 24: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; left before right.
COCO_IN_24 = (19, 20, 21, 22, 23, 9, 8, 10, 7, 11, 6, 3, 2, 4, 1, 5, 0)
IMAGE_MEAN, IMAGE_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FACTORS = dict(
    keypoints2d=10.0, shape_prior=2e-6, pose_prior=1e-4, source=0.1, motion=0.1, teacher=0.1
)


class LiteralBOA:
    """One model that adapts frame by frame.

    Args:
        model: an HMR estimator; it is changed. Only its backbone, the tensors of its head and its body data are used.
        mixture: means (K, 69), covars (K, 69, 69), weights (K,) of the pose prior, or None without that term.
        pool: labelled source items, or None.
        draw: gives the indices of the next source batch.
        evaluate_probe: pose the probe's prediction four times more, as code that logs the lower level does.
        adapts: which parameters change, by name; all by default.
        lr, adam_betas, inner_lr, steps, scheme, lower, upper, order, interval, keep, normalise, truncate,
            predict, **factors: as of :class:`hrtk.adapters.Bilevel` (``keep`` is its ``teacher_keep``).
    """

    def __init__(
        self,
        model: nn.Module,
        mixture: Optional[Mapping] = None,
        pool: Optional[list[dict]] = None,
        draw: Optional[Callable[[], list[int]]] = None,
        evaluate_probe: bool = False,
        adapts: Callable[[str], bool] = lambda name: True,
        lr: float = 3e-6,
        adam_betas: tuple[float, float] = (0.5, 0.999),
        inner_lr: float = 8e-6,
        steps: int = 1,
        scheme: str = 'bilevel',
        lower: tuple[str, ...] = ('frame',),
        upper: tuple[str, ...] = ('frame', 'temporal'),
        order: str = 'second',
        interval: int = 5,
        keep: float = 0.1,
        normalise: str = 'all',
        truncate: bool = False,
        predict: str = 'after',
        **factors: float,
    ) -> None:
        self.model, self.pool, self.draw, self.evaluate_probe = (
            model.eval(),
            pool,
            draw,
            evaluate_probe,
        )
        self.lr, self.adam_betas, self.inner_lr, self.steps, self.scheme = (
            lr,
            adam_betas,
            inner_lr,
            steps,
            scheme,
        )
        self.lower, self.upper, self.second, self.interval, self.keep = (
            lower,
            upper,
            order == 'second',
            interval,
            keep,
        )
        self.normalise, self.truncate, self.when = normalise, truncate, predict
        self.factors = {**FACTORS, **factors}
        self.mesh = WholeMesh(model.body.data).to(next(model.parameters()).dtype)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(adapts(name))
        self.weights = {
            name: value for name, value in model.named_parameters() if value.requires_grad
        }
        self.moments = {
            name: (torch.zeros_like(w), torch.zeros_like(w)) for name, w in self.weights.items()
        }
        self.count = 0
        self.teacher = copy.deepcopy(model).requires_grad_(False)
        self.mixture = (
            None if mixture is None else _inverted(mixture, next(model.parameters()).dtype)
        )
        self.probe_seconds = 0.0

    def adapt(self, sequence) -> Iterator[dict[str, Tensor]]:
        """Yields the prediction of every frame."""
        history: list[tuple[Tensor, Tensor, Tensor]] = []
        for t in range(len(sequence)):
            xy, confidence = self._evidence(sequence, t)
            image = self.model.crops(sequence, [t])
            past = history[t - self.interval] if t >= self.interval else None
            history.append((image, xy, confidence))
            before = self._predict(image) if self.when == 'before' else None
            for _ in range(self.steps):
                self._step(image, xy, confidence, past)
            yield self._predict(image) if before is None else before

    @torch.no_grad()
    def _predict(self, image: Tensor) -> dict[str, Tensor]:
        return self._network(self.weights, self.model, image)

    def _step(self, image: Tensor, xy: Tensor, confidence: Tensor, past: Optional[tuple]) -> None:
        batch = [self.pool[i] for i in self.draw()] if self.pool is not None else None

        def loss(weights: Named, terms: tuple[str, ...], with_past: bool) -> Tensor:
            return self._loss(
                weights, terms, image, xy, confidence, past if with_past else None, batch
            )

        if self.scheme == 'bilevel':
            clone = {name: value.clone() for name, value in self.weights.items()}
            low = loss(clone, self.lower, False)
            slopes = torch.autograd.grad(
                low, list(clone.values()), create_graph=self.second, retain_graph=self.second
            )
            fast = {
                name: value - self.inner_lr * slope
                for (name, value), slope in zip(clone.items(), slopes)
            }
            if self.evaluate_probe:
                self._look_at(fast, image)
            self._adam(
                torch.autograd.grad(loss(fast, self.upper, True), list(self.weights.values()))
            )
        else:
            if self.scheme == 'two-stage':
                self._adam(
                    torch.autograd.grad(
                        loss(self.weights, self.lower, False), list(self.weights.values())
                    )
                )
            self._adam(
                torch.autograd.grad(
                    loss(self.weights, self.upper, True), list(self.weights.values())
                )
            )
        with torch.no_grad():
            for name, value in self.teacher.named_parameters():
                if name in self.weights:
                    value.mul_(self.keep).add_(self.weights[name], alpha=1 - self.keep)

    def _loss(
        self,
        weights: Named,
        terms: tuple[str, ...],
        image: Tensor,
        xy: Tensor,
        confidence: Tensor,
        past: Optional[tuple],
        batch: Optional[list[dict]],
    ) -> Tensor:
        factors, loss = self.factors, 0.0
        now = self._network(weights, self.model, image)
        joints, points = self._joints(now)
        if 'frame' in terms:
            squared = confidence[..., None] * (points - xy) ** 2
            amount = squared.numel() if self.normalise == 'all' else max(2 * confidence.sum(), 1)
            loss = loss + factors['keypoints2d'] * squared.sum() / amount
            loss = loss + factors['shape_prior'] * (now['betas'] ** 2).sum()
            if self.mixture is not None:
                loss = loss + factors['pose_prior'] * self._energy(now['rotmat'])
            if batch is not None:
                loss = loss + factors['source'] * self._source(weights, batch)
        if 'temporal' in terms:
            if factors['teacher']:
                loss = loss + factors['teacher'] * self._consistency(now, image)
            if past is not None and factors['motion']:
                then = self._joints(self._network(weights, self.model, past[0]))[1]
                seen = ((confidence > 0) & (past[2] > 0))[..., None]
                moved = (points - then) - (xy - past[1])
                loss = loss + factors['motion'] * (seen * moved**2).mean()
        return loss

    def _source(self, weights: Named, batch: list[dict]) -> Tensor:
        """Labelled crops in a pass of their own."""
        images = torch.stack([_imagenet(item['image']) for item in batch]).to(
            next(iter(weights.values())).dtype
        )
        labels = {
            name: torch.stack([item[name] for item in batch])
            for name in ('rotmat', 'betas', 'keypoints2d')
        }
        found = self._network(weights, self.model, images)
        joints, points = self._joints(found)
        true = self.mesh(labels['rotmat'], labels['betas'])[1]
        return (
            5 * (_centred(joints) - _centred(true)).pow(2).mean()
            + 5 * (points - labels['keypoints2d']).pow(2).mean()
            + (found['rotmat'] - labels['rotmat']).pow(2).mean()
            + 0.001 * (found['betas'] - labels['betas']).pow(2).mean()
        )

    def _consistency(self, student: Named, image: Tensor) -> Tensor:
        """Against the mean teacher; the student's body is posed anew."""
        with torch.no_grad():
            teacher = self._network({}, self.teacher, image)
            wanted3d, wanted2d = self._joints(teacher)
        joints, points = self._joints(student)
        return (
            5 * (_centred(joints) - _centred(wanted3d)).pow(2).mean()
            + 5 * (points - wanted2d).pow(2).mean()
            + (student['rotmat'] - teacher['rotmat']).pow(2).mean()
            + 0.001 * (student['betas'] - teacher['betas']).pow(2).mean()
        )

    def _network(self, weights: Named, model: nn.Module, images: Tensor) -> dict[str, Tensor]:
        """Backbone and SPIN's regressor with the given weights in place of the model's own."""
        inside = {
            name.removeprefix('backbone.'): w
            for name, w in weights.items()
            if name.startswith('backbone.')
        }
        features = functional_call(model.backbone, inside, (images,))
        head = {
            name: weights.get(f'head.{name}', value)
            for name, value in (*model.head.named_parameters(), *model.head.named_buffers())
        }
        state = [head[f'init_{name}'].expand(len(images), -1) for name in ('pose', 'shape', 'cam')]
        activate = torch.relu if model.head.activation == 'relu' else lambda x: x
        for _ in range(model.head.iterations):
            hidden = torch.cat([features, *state], dim=1)
            inner = hidden @ head['fc1.weight'].T + head['fc1.bias']
            hidden = activate(activate(inner) @ head['fc2.weight'].T + head['fc2.bias'])
            state = [
                value + hidden @ head[f'{layer}.weight'].T + head[f'{layer}.bias']
                for value, layer in zip(state, ('decpose', 'decshape', 'deccam'))
            ]
        pairs = state[0].reshape(-1, 3, 2)
        first = pairs[:, :, 0] / pairs[:, :, 0].norm(dim=1, keepdim=True)
        second = pairs[:, :, 1] - (first * pairs[:, :, 1]).sum(1, keepdim=True) * first
        second = second / second.norm(dim=1, keepdim=True)
        matrices = torch.stack([first, second, torch.linalg.cross(first, second, dim=1)], dim=2)
        return dict(
            rotmat=matrices.view(len(images), 24, 3, 3),
            betas=state[1],
            camera=state[2],
            features=features,
            hidden=inner,
        )

    def _joints(self, found: Named) -> tuple[Tensor, Tensor]:
        """The 24 joints in metres and in the crop, through the mesh and the camera of f = 5000 px."""
        joints = self.mesh(found['rotmat'], found['betas'])[1]
        s, tx, ty = found['camera'].T
        moved = joints + torch.stack([tx, ty, 2 * 5000.0 / (224 * s + 1e-9)], dim=1)[:, None]
        return joints, 5000.0 * moved[..., :2] / moved[..., 2:] / 112.0

    def _energy(self, rotmat: Tensor) -> Tensor:
        """Max-mixture prior of one body pose: arc cosine for the angle, precision matrices for the distance."""
        body = rotmat[0, 1:]
        angle = torch.acos((body.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2)
        axis = torch.stack(
            [
                body[:, 2, 1] - body[:, 1, 2],
                body[:, 0, 2] - body[:, 2, 0],
                body[:, 1, 0] - body[:, 0, 1],
            ],
            dim=1,
        )
        pose = (axis * (angle / (2 * angle.sin()))[:, None]).reshape(-1)
        means, precisions, logs = self.mixture
        away = pose - means
        return (0.5 * torch.einsum('ki,kij,kj->k', away, precisions, away) - logs).min()

    def _look_at(self, fast: Named, image: Tensor) -> None:
        start = time.process_time()
        with torch.no_grad():
            found = self._network(fast, self.model, image)
            for _ in range(4):
                self.mesh(found['rotmat'], found['betas'])
        self.probe_seconds += time.process_time() - start

    @torch.no_grad()
    def _adam(self, gradients: tuple[Tensor, ...]) -> None:
        """Kingma and Ba, Algorithm 1, one tensor at a time."""
        self.count += 1
        b1, b2 = self.adam_betas
        for (name, weight), gradient in zip(self.weights.items(), gradients):
            first, second = self.moments[name]
            first.mul_(b1).add_(gradient, alpha=1 - b1)
            second.mul_(b2).addcmul_(gradient, gradient, value=1 - b2)
            root = (second / (1 - b2**self.count)).sqrt_().add_(1e-8)
            weight.addcdiv_(first, root, value=-self.lr / (1 - b1**self.count))

    def _evidence(self, sequence, t: int) -> tuple[Tensor, Tensor]:
        """The 24 keypoints of a frame in [-1, 1] of its crop, (1, 24, 2) and (1, 24)."""
        given, (cx, cy, side) = sequence.keypoints2d, sequence.boxes[t].tolist()
        places = {'spin24': range(24), 'coco17': COCO_IN_24}[given.skeleton]
        xy, confidence = given.xy.new_zeros(1, 24, 2), given.xy.new_zeros(1, 24)
        for source, place in enumerate(places):
            if given.confidence[t, source] > 0:
                u, v = (
                    (a - c) / (side / 2) for a, c in zip(given.xy[t, source].tolist(), (cx, cy))
                )
                if self.truncate:
                    u, v = (int((a + 1) * 112) / 112 - 1 for a in (u, v))
                xy[0, place] = torch.tensor([u, v], dtype=xy.dtype)
                confidence[0, place] = given.confidence[t, source]
        return xy, confidence


def _imagenet(image: Tensor) -> Tensor:
    mean, std = (torch.tensor(v).view(3, 1, 1) * 255 for v in (IMAGE_MEAN, IMAGE_STD))
    return (image.float() - mean) / std


def _centred(joints: Tensor) -> Tensor:
    """Joints about the middle of both hips, the third and fourth of the 24."""
    return joints - (joints[:, 2:3] + joints[:, 3:4]) / 2


def _inverted(mixture: Mapping, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Means, precision matrices and the logarithms of SMPLify's normalised weights."""
    covars = torch.as_tensor(mixture['covars'], dtype=torch.float64)
    roots = torch.linalg.det(covars.double()).sqrt()
    weights = torch.as_tensor(mixture['weights'], dtype=torch.float64)
    logs = (
        torch.log(weights) - math.log((2 * math.pi) ** (69 / 2.0)) - torch.log(roots / roots.min())
    )
    return (
        torch.as_tensor(mixture['means'], dtype=dtype),
        torch.linalg.inv(covars).to(dtype),
        logs.to(dtype),
    )
