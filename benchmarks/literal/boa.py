"""Bilevel online adaptation in the manner of its released code.

Every image of a step is a batch of its own, every body is posed as a whole mesh and its joints are regressed from the
mesh, the student is posed once more for the teacher's loss, the outer gradient flows through the probe step, Adam and
the mean teacher update one tensor at a time, and all frames stay in memory. Formulas: Guan et al., CVPR 2021, Eq. 2-6
and Algorithm 1, with the terms and loss weights of the code.
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
Loss = Callable[[Named], Tensor]
# Indices of COCO's points among the 24: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; left before
# right.
COCO_IN_24 = (19, 20, 21, 22, 23, 9, 8, 10, 7, 11, 6, 3, 2, 4, 1, 5, 0)
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)
LOSS_WEIGHTS = dict(
    keypoints2d=10.0, shape_prior=2e-6, pose_prior=1e-4, source=0.1, motion=0.1, teacher=0.1
)


class LiteralBOA:
    """One model that adapts frame by frame.

    Args:
        model: an HMR estimator; it is changed. Only its backbone, the tensors of its head and its body data are used.
        mixture: means (K, 69), covars (K, 69, 69), weights (K,) of the pose prior, or None without that term.
        pool: labelled source items, or None.
        draw: returns the indices of the next source batch.
        evaluate_probe: pose the probe's prediction four times more, as code that logs the lower level does.
        adapts: which parameters change, by name; all by default.
        lr, adam_betas, inner_lr, steps, scheme, lower, upper, order, interval, keep, normalise, truncate, predict,
            teacher_update, source_labels, **loss_weights: as of :class:`hrtk.adapters.Bilevel` (``keep`` is its
            ``teacher_keep``).
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
        teacher_update: str = 'frame',
        source_labels: str = 'body',
        **loss_weights: float,
    ) -> None:
        self.model = model.eval()
        self.pool = pool
        self.draw = draw
        self.evaluate_probe = evaluate_probe
        self.lr = lr
        self.adam_betas = adam_betas
        self.inner_lr = inner_lr
        self.steps = steps
        self.scheme = scheme
        self.lower = lower
        self.upper = upper
        self.second_order = order == 'second'
        self.interval = interval
        self.keep = keep
        self.normalise = normalise
        self.truncate = truncate
        self.predict = predict
        self.teacher_update = teacher_update
        self.source_labels = source_labels
        self.loss_weights = {**LOSS_WEIGHTS, **loss_weights}
        dtype = next(model.parameters()).dtype
        self.mesh = WholeMesh(model.body.data).to(dtype)
        self.weights = {}
        self.moments = {}
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(adapts(name))
            if parameter.requires_grad:
                self.weights[name] = parameter
                self.moments[name] = (torch.zeros_like(parameter), torch.zeros_like(parameter))
        self.adam_steps = 0
        self.teacher = copy.deepcopy(model).requires_grad_(False)
        self.mixture = None
        if mixture is not None:
            self.mixture = _inverted(mixture, dtype)
        self.probe_seconds = 0.0

    def adapt(self, sequence) -> Iterator[dict[str, Tensor]]:
        """Yields the prediction of every frame."""
        history: list[tuple[Tensor, Tensor, Tensor]] = []
        for t in range(len(sequence)):
            xy, confidence = self._evidence(sequence, t)
            image = self.model.crops(sequence, [t])
            past = history[t - self.interval] if t >= self.interval else None
            history.append((image, xy, confidence))
            before = None
            if self.predict == 'before':
                before = self._predict(image)
            self._take_steps(image, xy, confidence, past)
            if self.teacher_update == 'frame':
                self._update_teacher()
            yield self._predict(image) if before is None else before

    @torch.no_grad()
    def _predict(self, image: Tensor) -> dict[str, Tensor]:
        return self._network(self.weights, self.model, image)

    def _take_steps(
        self, image: Tensor, xy: Tensor, confidence: Tensor, past: Optional[tuple]
    ) -> None:
        for _ in range(self.steps):
            self._step(image, xy, confidence, past)
            if self.teacher_update == 'step':
                self._update_teacher()

    def _step(self, image: Tensor, xy: Tensor, confidence: Tensor, past: Optional[tuple]) -> None:
        batch = None
        if self.pool is not None:
            batch = [self.pool[index] for index in self.draw()]

        def lower(weights: Named) -> Tensor:
            return self._loss(weights, self.lower, image, xy, confidence, None, batch)

        def upper(weights: Named) -> Tensor:
            return self._loss(weights, self.upper, image, xy, confidence, past, batch)

        if self.scheme == 'bilevel':
            self._bilevel_update(lower, upper, image)
        else:
            if self.scheme == 'two-stage':
                self._descend(lower)
            self._plain_update(upper)

    def _bilevel_update(self, lower: Loss, upper: Loss, image: Tensor) -> None:
        """A probe step on the lower loss, and an Adam step on the upper loss of the probe."""
        clone = {name: value.clone() for name, value in self.weights.items()}
        gradients = torch.autograd.grad(
            lower(clone),
            list(clone.values()),
            create_graph=self.second_order,
            retain_graph=self.second_order,
        )
        probe = {}
        for (name, value), gradient in zip(clone.items(), gradients):
            probe[name] = value - self.inner_lr * gradient
        if self.evaluate_probe:
            self._pose_probe(probe, image)
        self._adam(torch.autograd.grad(upper(probe), list(self.weights.values())))

    def _descend(self, loss: Loss) -> None:
        """A step of plain gradient descent: the weights of the probe become those of the model."""
        gradients = torch.autograd.grad(loss(self.weights), list(self.weights.values()))
        with torch.no_grad():
            for weight, gradient in zip(self.weights.values(), gradients):
                weight -= self.inner_lr * gradient

    def _plain_update(self, loss: Loss) -> None:
        """An Adam step on a loss."""
        self._adam(torch.autograd.grad(loss(self.weights), list(self.weights.values())))

    @torch.no_grad()
    def _update_teacher(self) -> None:
        """The exponential moving average of the weights."""
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
        factor = self.loss_weights
        loss = 0.0
        now = self._network(weights, self.model, image)
        points = self._joints(now)[1]
        if 'frame' in terms:
            squared = confidence[..., None] * (points - xy) ** 2
            amount = squared.numel() if self.normalise == 'all' else max(2 * confidence.sum(), 1)
            loss = loss + factor['keypoints2d'] * squared.sum() / amount
            loss = loss + factor['shape_prior'] * (now['betas'] ** 2).sum()
            if self.mixture is not None:
                loss = loss + factor['pose_prior'] * self._energy(now['rotmat'])
            if batch is not None:
                loss = loss + factor['source'] * self._source(weights, batch)
        if 'temporal' in terms:
            if factor['teacher']:
                loss = loss + factor['teacher'] * self._consistency(now, image)
            if past is not None and factor['motion']:
                then = self._joints(self._network(weights, self.model, past[0]))[1]
                visible = ((confidence > 0) & (past[2] > 0))[..., None]
                motion_error = (points - then) - (xy - past[1])
                loss = loss + factor['motion'] * (visible * motion_error**2).mean()
        return loss

    def _source(self, weights: Named, batch: list[dict]) -> Tensor:
        """Labelled crops in a pass of their own."""
        dtype = next(iter(weights.values())).dtype
        images = torch.stack([_imagenet(item['image']) for item in batch]).to(dtype)
        rotmat = torch.stack([item['rotmat'] for item in batch])
        betas = torch.stack([item['betas'] for item in batch])
        keypoints2d = torch.stack([item['keypoints2d'] for item in batch])
        predicted = self._network(weights, self.model, images)
        joints, points = self._joints(predicted)
        true_joints = self.mesh(rotmat, betas)[1]
        sure3d = sure2d = torch.ones(len(batch), 24, 1, dtype=dtype)
        if self.source_labels == 'measured':
            measured = torch.stack([item['S'] for item in batch])
            true_joints, sure3d = measured[:, :, :3], measured[:, :, 3:]
            measured = torch.stack([item['part'] for item in batch])
            keypoints2d, sure2d = measured[:, :, :2], measured[:, :, 2:]
        return (
            5 * (sure3d * (_centred(joints) - _centred(true_joints)).pow(2)).mean()
            + 5 * (sure2d * (points - keypoints2d).pow(2)).mean()
            + (predicted['rotmat'] - rotmat).pow(2).mean()
            + 0.001 * (predicted['betas'] - betas).pow(2).mean()
        )

    def _consistency(self, student: Named, image: Tensor) -> Tensor:
        """Against the mean teacher; the student's body is posed anew."""
        with torch.no_grad():
            teacher = self._network({}, self.teacher, image)
            teacher_joints, teacher_points = self._joints(teacher)
        joints, points = self._joints(student)
        return (
            5 * (_centred(joints) - _centred(teacher_joints)).pow(2).mean()
            + 5 * (points - teacher_points).pow(2).mean()
            + (student['rotmat'] - teacher['rotmat']).pow(2).mean()
            + 0.001 * (student['betas'] - teacher['betas']).pow(2).mean()
        )

    def _network(self, weights: Named, model: nn.Module, images: Tensor) -> dict[str, Tensor]:
        """Backbone and SPIN's regressor, with ``weights`` in place of the parameters of these names."""
        backbone = {}
        for name, weight in weights.items():
            if name.startswith('backbone.'):
                backbone[name.removeprefix('backbone.')] = weight
        features = functional_call(model.backbone, backbone, (images,))
        head = dict(model.head.named_parameters()) | dict(model.head.named_buffers())
        for name, value in head.items():
            head[name] = weights.get(f'head.{name}', value)
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

    def _joints(self, predicted: Named) -> tuple[Tensor, Tensor]:
        """The 24 joints in metres and in the crop, through the mesh and the camera of f = 5000 px."""
        joints = self.mesh(predicted['rotmat'], predicted['betas'])[1]
        s, tx, ty = predicted['camera'].T
        translation = torch.stack([tx, ty, 2 * 5000.0 / (224 * s + 1e-9)], dim=1)
        in_camera = joints + translation[:, None]
        return joints, 5000.0 * in_camera[..., :2] / in_camera[..., 2:] / 112.0

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
        means, precisions, log_weights = self.mixture
        offset = pose - means
        distances = torch.einsum('ki,kij,kj->k', offset, precisions, offset)
        return (0.5 * distances - log_weights).min()

    def _pose_probe(self, probe: Named, image: Tensor) -> None:
        start = time.process_time()
        with torch.no_grad():
            predicted = self._network(probe, self.model, image)
            for _ in range(4):
                self.mesh(predicted['rotmat'], predicted['betas'])
        self.probe_seconds += time.process_time() - start

    @torch.no_grad()
    def _adam(self, gradients: tuple[Tensor, ...]) -> None:
        """Kingma and Ba, Algorithm 1, one tensor at a time."""
        self.adam_steps += 1
        b1, b2 = self.adam_betas
        for (name, weight), gradient in zip(self.weights.items(), gradients):
            first, second = self.moments[name]
            first.mul_(b1).add_(gradient, alpha=1 - b1)
            second.mul_(b2).addcmul_(gradient, gradient, value=1 - b2)
            root = (second / (1 - b2**self.adam_steps)).sqrt_().add_(1e-8)
            weight.addcdiv_(first, root, value=-self.lr / (1 - b1**self.adam_steps))

    def _evidence(self, sequence, t: int) -> tuple[Tensor, Tensor]:
        """The 24 keypoints of a frame in [-1, 1] of its crop, (1, 24, 2) and (1, 24)."""
        keypoints = sequence.keypoints2d
        indices = {'spin24': range(24), 'coco17': COCO_IN_24}[keypoints.skeleton]
        cx, cy, side = sequence.boxes[t].tolist()
        xy = keypoints.xy.new_zeros(1, 24, 2)
        confidence = keypoints.xy.new_zeros(1, 24)
        for source, index in enumerate(indices):
            if keypoints.confidence[t, source] > 0:
                x, y = keypoints.xy[t, source].tolist()
                u = (x - cx) / (side / 2)
                v = (y - cy) / (side / 2)
                if self.truncate:
                    u = (int((u + 1) * 112) + 1) / 112 - 1
                    v = (int((v + 1) * 112) + 1) / 112 - 1
                xy[0, index] = torch.tensor([u, v], dtype=xy.dtype)
                confidence[0, index] = keypoints.confidence[t, source]
        return xy, confidence


def _imagenet(image: Tensor) -> Tensor:
    mean = torch.tensor(IMAGE_MEAN).view(3, 1, 1) * 255
    std = torch.tensor(IMAGE_STD).view(3, 1, 1) * 255
    return (image.float() - mean) / std


def _centred(joints: Tensor) -> Tensor:
    """Joints about the middle of both hips, the third and fourth of the 24."""
    return joints - (joints[:, 2:3] + joints[:, 3:4]) / 2


def _inverted(mixture: Mapping, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Means, precision matrices and the logarithms of SMPLify's normalised weights."""
    covars = torch.as_tensor(mixture['covars'], dtype=torch.float64)
    roots = torch.linalg.det(covars.double()).sqrt()
    weights = torch.as_tensor(mixture['weights'], dtype=torch.float64)
    constant = math.log((2 * math.pi) ** (69 / 2.0))
    log_weights = torch.log(weights) - constant - torch.log(roots / roots.min())
    return (
        torch.as_tensor(mixture['means'], dtype=dtype),
        torch.linalg.inv(covars).to(dtype),
        log_weights.to(dtype),
    )
