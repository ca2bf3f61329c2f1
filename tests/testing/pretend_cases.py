"""Runs everything that is registered on the pretend device and on the CPU; prints a JSON line for every case.

A program of its own, because the device cannot be unregistered and forbids forks.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import json
import os
import sys
import tempfile
import traceback
from pathlib import Path
from unittest import mock

import torch

sys.path.insert(0, str(Path(__file__).parent))

from test_adapter_contracts import ADAPTERS_OF_HRTK  # noqa: E402
from test_estimator_contracts import ESTIMATORS_OF_HRTK  # noqa: E402

from hrtk.body_models import BodyModel  # noqa: E402
from hrtk.geometry.camera import crop_points  # noqa: E402
from hrtk.geometry.rotation import axis_angle_to_rotmat  # noqa: E402
from hrtk.losses.topology import alignment_losses  # noqa: E402
from hrtk.losses.topology_target import silhouette_target  # noqa: E402
from hrtk.registry import ESTIMATORS, LOSSES, MODELS, TEACHERS  # noqa: E402
from hrtk.results import PARAMETERS  # noqa: E402
from hrtk.testing import coloured_sequence, pretend  # noqa: E402
from hrtk.testing.trial import Setting, Trial, seed  # noqa: E402

IMAGE = ESTIMATORS_OF_HRTK['HMR']
TEMPORAL = dict(
    type='TCMR',
    features=32,
    hidden=8,
    attention=8,
    regressor=dict(type='IterativeRegressor', hidden=16),
)
VIBE = dict(
    type='VIBE', features=32, hidden=8, regressor=dict(type='IterativeRegressor', hidden=16)
)
LIFTER = dict(frames=9, channels=16, hidden=16, layers=1, heads=2)
TRAININGS = {
    'SupervisedTraining': dict(estimator=IMAGE),
    'DistilledTraining': dict(
        estimator=ESTIMATORS_OF_HRTK['HMR2'],
        teacher=IMAGE,
    ),
    'LandmarkTraining': dict(estimator=ESTIMATORS_OF_HRTK['LandmarkHMR']),
    'TemporalTraining': dict(network=TEMPORAL, start=IMAGE),
    'VideoTraining': dict(network=VIBE, start=IMAGE, metric=dict(type='LogRatioLoss', skip=1)),
    'MixedVideoTraining': dict(network=VIBE, start=IMAGE, metric=dict(type='LogRatioLoss', skip=1)),
    'SegmentationTraining': dict(network=ESTIMATORS_OF_HRTK['ForegroundHMR']['segmenter']),
    'PosePriorTraining': dict(
        network=dict(type='PoseAutoEncoder', latent=4, hidden=8), critic=8, mix=0.5, noise=0.1
    ),
    'MaskedPoseTraining': dict(network=dict(type='MPMStage1', **LIFTER)),
    'LiftingTraining': dict(network=dict(type='MPMStage2', **LIFTER)),
    'RefineTraining': dict(
        network=dict(type='RefinedLifter', lifter=dict(type='MPMStage2', **LIFTER))
    ),
    'CompletionTraining': dict(network=dict(type='MPMStage1', decoder_layers=2, **LIFTER)),
}


def adapters():
    for name, config in ADAPTERS_OF_HRTK.items():
        reference = contextlib.nullcontext
        if name.startswith('TopologyAdapter'):
            reference = torch_paths
        yield f'adapter {name}', functools.partial(adapter_case, config, reference)


def adapter_case(config, reference):
    """Runs on both devices over two sequences; the second one counts, because the first fills caches."""
    outcomes = []
    for device, context in (('cpu', reference), (pretend.NAME, contextlib.nullcontext)):
        setting = Setting(config)
        setting.network.to(device)
        with context():
            with pretend.record() as preparation:
                trial = Trial(setting)
            trial.adapt(setting.sequences[0])
            with pretend.record() as traffic:
                outcomes.append(trial.adapt(setting.sequences[1]))
    return outcomes, traffic, len(setting.sequences[1]), preparation


@contextlib.contextmanager
def torch_paths():
    """Lets the CPU take the paths of other devices, whose choice among equally near pixels may differ from OpenCV's."""
    with mock.patch.object(torch.Tensor, 'is_cpu', False):
        yield


def estimators():
    for name, config in ESTIMATORS_OF_HRTK.items():
        if 'precision' in config:
            continue  # the device has no autocast
        yield f'estimator {name}', functools.partial(estimator_case, config)


def estimator_case(config):
    sequence = coloured_sequence('frames', 3, 64, 0)
    outcomes = []
    for device in ('cpu', pretend.NAME):
        seed('estimator')
        model = ESTIMATORS.build(copy.deepcopy(config)).eval().to(device)
        for _ in range(2):
            with pretend.record() as traffic:
                prediction = model(model.crops(sequence, range(3)))
        outcomes.append({name: getattr(prediction, name).detach() for name in PARAMETERS})
    return outcomes, traffic, 1


def trainings():
    for name, config in TRAININGS.items():
        yield f'training {name}', functools.partial(training_case, dict(type=name, **config))


def training_case(config):
    """The second of two steps; the batch lies on the device before it."""
    outcomes = []
    for device in ('cpu', pretend.NAME):
        seed('training')
        model = MODELS.build(copy.deepcopy(config)).to(device).train()
        batch = {name: value.to(device) for name, value in batch_of(config['type'], model).items()}
        optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)
        for step in range(2):
            seed(f'step {step}')
            with pretend.record() as traffic:
                losses = model(**batch, mode='loss')
                total = sum(losses.values())
                optimiser.zero_grad()
                total.backward()
                optimiser.step()
        outcomes.append({name: loss.detach() for name, loss in losses.items()})
    return outcomes, traffic, 1


def batch_of(kind, model):
    """A batch as the data set of a training makes it.

    A training without a batch of its own here gets features and labels of single frames.
    """
    if kind in ('MaskedPoseTraining', 'LiftingTraining', 'CompletionTraining'):
        return dict(keypoints2d=torch.randn(4, 9, 17, 2), joints3d=torch.randn(4, 9, 17, 3))
    if kind == 'RefineTraining':
        return dict(
            keypoints2d=0.1 * torch.randn(32, 9, 17, 2),
            joints3d=0.3 * torch.randn(32, 9, 17, 3),
            root=0.1 * torch.randn(32, 9, 3) + 3,
            intrinsics=torch.tensor([[1.1, 1.1, 0, 0, 0, 0, 0, 0, 0]]).repeat(32, 1),
        )
    if kind == 'PosePriorTraining':
        return dict(rotmat=axis_angle_to_rotmat(0.3 * torch.randn(6, 23, 3)))
    if kind == 'SegmentationTraining':
        image = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8)
        return dict(image=image, mask=torch.randint(2, (2, 64, 64), dtype=torch.uint8))
    frames = (4,)
    if kind in ('VideoTraining', 'MixedVideoTraining'):
        frames = (4, 8)
    labels = dict(
        rotmat=axis_angle_to_rotmat(0.3 * torch.randn(*frames, 24, 3)),
        betas=torch.randn(*frames, 10),
        keypoints2d=torch.rand(*frames, 24, 2) - 0.5,
    )
    if kind == 'LandmarkTraining':
        return dict(image=torch.randn(4, *model.estimator.input_shape), **labels)
    if kind == 'MixedVideoTraining':
        seen = torch.ones(4, 8, 49, 1)
        labels.update(
            features=torch.rand(4, 1, 8, 32),
            keypoints2d=torch.cat([torch.rand(4, 8, 49, 2) - 0.5, seen], -1),
            joints3d=0.3 * torch.randn(4, 8, 14, 3),
            has_joints3d=torch.tensor([0.0, 1, 1, 1])[:, None].repeat(1, 8),
            has_body=torch.tensor([0.0, 0, 1, 1])[:, None].repeat(1, 8),
        )
        return labels
    camera = torch.tensor([0.9, 0.0, 0.0]).expand(*frames, 3).clone()
    if kind in ('SupervisedTraining', 'DistilledTraining'):
        side = model.estimator.resolution
        image = torch.randint(256, (4, 3, side, side), dtype=torch.uint8)
        return dict(image=image, camera=camera, **labels)
    length = 8 if kind == 'VideoTraining' else 16
    return dict(features=torch.rand(4, 2, length, 32), camera=camera, **labels)


def losses():
    yield 'loss GMMPosePrior', functools.partial(loss_case, dict(type='GMMPosePrior'), [(5, 69)])
    shapes = [(3, 8, 16), (3, 8, 14, 3)]
    yield 'loss LogRatioLoss', functools.partial(loss_case, dict(type='LogRatioLoss'), shapes)

    yield 'loss of silhouettes', alignment_case


def alignment_case():
    """Values and gradients of the losses of TopologyAdapter, by the same paths on both devices."""
    seed('alignment')
    body = BodyModel()
    rotmat = axis_angle_to_rotmat(0.2 * torch.randn(2, 24, 3))
    vertices = body(rotmat, torch.zeros(2, 10)).vertices
    points = crop_points(vertices, torch.tensor([[0.8, 0.0, 0.2]]).expand(2, 3), 64).detach()
    mask = torch.zeros(2, 64, 64)
    mask[:, 8:60, 24:40] = 1
    outcomes = []
    for device, context in (('cpu', torch_paths), (pretend.NAME, contextlib.nullcontext)):
        with context():
            here = points.to(device).requires_grad_()
            target = silhouette_target(mask.to(device))
            with pretend.record() as traffic:
                both = alignment_losses(here, body.faces.to(device), target, 'material', 'mean')
                (gradient,) = torch.autograd.grad((both.silhouette + both.topology).sum(), here)
        outcomes.append(dict(gradient=gradient, **both._asdict()))
    return outcomes, traffic, 1


def loss_case(config, shapes):
    outcomes = []
    for device in ('cpu', pretend.NAME):
        seed('loss')
        loss = LOSSES.build(config).to(device)
        first, *rest = [torch.randn(shape).to(device) for shape in shapes]
        first.requires_grad_()
        for _ in range(2):
            seed('step')
            with pretend.record() as traffic:
                value = loss(first, *rest)
                (gradient,) = torch.autograd.grad(value.sum(), first)
        outcomes.append(dict(value=value.detach(), gradient=gradient))
    return outcomes, traffic, 1


def teachers():
    network = dict(type='TemporalTeacher', border='clamp', network=TEMPORAL)
    yield 'teacher TemporalTeacher', functools.partial(teacher_case, network)
    yield (
        'teacher EstimatorTeacher',
        functools.partial(teacher_case, dict(type='EstimatorTeacher', estimator=IMAGE)),
    )


def teacher_case(config):
    sequence = coloured_sequence('frames', 4, 64, 0)
    outcomes = []
    for device in ('cpu', pretend.NAME):
        seed('teacher')
        student = ESTIMATORS.build(copy.deepcopy(IMAGE)).eval().to(device)
        teacher = TEACHERS.build(copy.deepcopy(config))
        for _ in range(2):
            with pretend.record() as traffic:
                label = teacher.label(sequence, student)
        outcomes.append({name: getattr(label, name) for name in PARAMETERS})
    return outcomes, traffic, 1


CASES = dict(
    adapters=adapters, estimators=estimators, losses=losses, teachers=teachers, trainings=trainings
)


def as_dict(traffic):
    return {name: dict(counts) for name, counts in vars(traffic).items()}


def main(kinds):
    os.environ['HRTK_CACHE'] = tempfile.mkdtemp()
    torch.set_num_threads(1)
    pretend.install()
    for kind in kinds or CASES:
        for name, run in CASES[kind]():
            line = dict(case=name)
            try:
                (ours, other), traffic, steps, *preparation = run()
                differences = []
                for key, value in ours.items():
                    differences.append((value - other[key].cpu()).detach().abs().max().item())
                finite = all(torch.isfinite(value).all().item() for value in ours.values())
                line.update(difference=max(differences), finite=finite, steps=steps)
                line.update(as_dict(traffic))
                if preparation:
                    line['preparation'] = as_dict(preparation[0])
            except Exception:
                line['error'] = traceback.format_exc()
            print(json.dumps(line), flush=True)


if __name__ == '__main__':
    main(sys.argv[1:])
