"""Everything that is registered on the pretend accelerator: digits of the CPU, no mixture, no needless traffic."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import hrtk.training  # noqa: F401  # registers the trainings
from hrtk.registry import ADAPTERS, ESTIMATORS, LOSSES, MODELS, TEACHERS
from hrtk.testing.pretend import is_supported

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / 'docs/en/gpu.md'
pytestmark = pytest.mark.skipif(not is_supported(), reason='this torch has no Python devices')

REGISTRIES = {
    'adapter': ADAPTERS,
    'estimator': ESTIMATORS,
    'loss': LOSSES,
    'teacher': TEACHERS,
    'training': MODELS,
}
# By file: the largest number of uploads per step, a frame for adapters, and what they are.
UPLOADS = {
    'models/estimators/base.py': (1, 'the crops of the frames'),
    'models/estimators/rsc_net.py': (1, 'the crops of the frames'),
    'models/estimators/landmark_hmr.py': (1, 'the observations of the frames'),
    'adapters/parts/source_bank.py': (8, 'indices of source crops, per batch, or sequential crops'),
    'adapters/parts/targets.py': (2, 'keypoints, per sequence'),
    'adapters/rivals/cycle_adapt.py': (
        12,
        'its network, per sequence; masks and orders, per cycle',
    ),
    'adapters/topology/targets.py': (2, 'masks'),
    'adapters/parts/image_camera.py': (1, 'camera, per sequence'),
    'models/lifting/masking.py': (4, 'masks of the training, drawn on the CPU'),
    'teachers/features.py': (1, 'features, per sequence'),
    'teachers/temporal.py': (1, 'windows, per sequence'),
}
# By file: why the program waits.
WAITS = {
    'adapters/parts/learner.py': 'the number of skipped updates, per sequence',
    'adapters/bilevel/retrieval.py': 'whether the exemplars of the last step are still the nearest',
    'adapters/bilevel/dynamic.py': 'whether to take another step',
    'adapters/bilevel/online.py': 'which frames have keypoints, per sequence',
    'adapters/parts/targets.py': 'the number of frames without keypoints, per sequence',
    'adapters/rivals/keypoint_fit.py': 'whether to take another step, with `until`',
    'adapters/topology/learner.py': 'whether a fit improved, per fitting step',
    'adapters/topology/objectives.py': 'whether a batch has usable masks',
    'adapters/track/fit.py': 'which frames have keypoints, per sequence and pass',
    'adapters/track/objectives.py': 'which frames have a past, per batch',
    'adapters/topology/sessions.py': 'which frames have usable masks',
    'silhouettes/coverage.py': 'the number of pixels that faces may cover',
    'losses/topology_material.py': 'the pixels of outlines and skeletons',
    'training/mixed_video.py': 'which clips have 3D joints, per step',
}
# Where the configs of the cases stand.
HOMES = {
    'adapter': 'ADAPTERS_OF_HRTK in tests/testing/test_adapter_contracts.py',
    'estimator': 'ESTIMATORS_OF_HRTK in tests/testing/test_estimator_contracts.py',
    'loss': 'losses() in tests/testing/pretend_cases.py',
    'teacher': 'teachers() in tests/testing/pretend_cases.py',
    'training': 'TRAININGS in tests/testing/pretend_cases.py, and its batch to batch_of()',
}
DOWNLOADS = {
    'adapters/parts/learner_session.py': 'which frames have keypoints, per sequence',
    'models/estimators/base.py': 'hashes of weights, per sequence of a temporal teacher',
    'adapters/bilevel/online.py': 'which frames have keypoints, per sequence',
    'adapters/track/fit.py': 'which frames have keypoints, per sequence',
    'adapters/gate/session.py': 'shares of the adapted predictions, per sequence',
}
# The device has no fused Adam, so that steps round differently; one of 24 bits in the losses of a segmenter.
TOLERANCE = 5e-5
# The roots of the bones' depths and the camera's fit enlarge the rounding of the network.
TOLERANCES = {'adapter ClosedForm': 2e-4}
# Of one case, instead of the number in UPLOADS. Crops per frame where they are read more than once: by the frozen
# network of the gate, and by the predictions behind the cycles over a video. The gate's own keypoints, 4 per sequence,
# are added to those of an adapter that starts anew at every frame.
MOST = {
    ('adapter DoNoHarm', 'models/estimators/base.py'): 2,
    ('adapter DoNoHarm, never', 'models/estimators/base.py'): 2,
    ('adapter DoNoHarm, frames', 'models/estimators/base.py'): 2,
    ('adapter DoNoHarm, frames', 'adapters/parts/targets.py'): 2 + 4 / 3,
    ('adapter CycleAdapt', 'models/estimators/base.py'): 2,
    # SMPLify and the TrackFit that it wraps.
    ('adapter SMPLify, adapter', 'adapters/parts/image_camera.py'): 2,
}


def run_python(*arguments):
    program = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=HERE, check=False
    )
    assert program.returncode == 0, program.stderr
    return program.stdout


@pytest.fixture(scope='module')
def results():
    lines = run_python('pretend_cases.py').splitlines()
    return {line['case']: line for line in map(json.loads, lines)}


def by_file(counts):
    totals = {}
    for line, count in counts.items():
        file = line.rpartition(':')[0]
        totals[file] = totals.get(file, 0) + count
    return totals


def test_everything_computes_the_digits_of_the_cpu_and_mixes_nothing(results):
    assert {name: line['error'] for name, line in results.items() if 'error' in line} == {}
    assert all(line['finite'] for line in results.values())
    wrong = {
        name: line['difference']
        for name, line in results.items()
        if not line['difference'] <= TOLERANCES.get(name, TOLERANCE)
    }
    assert wrong == {}


def test_nothing_is_uploaded_per_step_but_the_frame(results):
    too_many = []
    for name, line in results.items():
        for file, count in by_file(line['uploads']).items():
            most, _ = UPLOADS.get(file, (0, ''))
            most = MOST.get((name, file), most)
            if name == 'loss of silhouettes':
                continue  # its one call uploads the faces and a constant
            if count > most * line['steps']:
                too_many.append(f'{name}: {file} {count} in {line["steps"]} steps')
    assert too_many == []


def test_a_training_step_uploads_nothing_that_was_not_drawn_on_the_cpu(results):
    for name, line in results.items():
        if name.startswith('training'):
            assert set(by_file(line['uploads'])) <= {'models/lifting/masking.py'}, name
            waits = {'training/mixed_video.py': 1} if name.endswith('MixedVideoTraining') else {}
            assert by_file(line['waits']) == waits and not line['downloads'], name


def test_the_program_waits_where_the_page_says(results):
    waits, downloads = set(), set()
    for line in results.values():
        waits.update(by_file(line['waits']))
        downloads.update(by_file(line['downloads']))
    assert waits == set(WAITS) and downloads == set(DOWNLOADS)
    page = PAGE.read_text(encoding='utf-8')
    assert [file for file in (*WAITS, *DOWNLOADS, *UPLOADS) if f'`{file}`' not in page] == []


def test_once_per_sequence_is_not_once_per_frame(results):
    line = results['adapter Bilevel']
    assert by_file(line['waits']) == {'adapters/parts/learner.py': 1} and line['steps'] == 3
    assert by_file(line['uploads'])['adapters/parts/targets.py'] == 2


def forgotten(kind, registry, ran):
    """A message about classes of hrtk that the pretend device has not run, and about cases without a class."""
    registry.import_from_location()
    names = registry.module_dict
    ours = {name for name in names if registry.get(name).__module__.startswith('hrtk.')}
    if kind == 'training':
        ours = {name for name in ours if name.endswith('Training')}
    problems = []
    for name in sorted(ours - ran):
        problems.append(
            f'{kind} {name} is registered and has no case: add one to {HOMES[kind]}, then name what it uploads and '
            f'what it waits for in this file and in docs/en/gpu.md'
        )
    for name in sorted(ran - ours):
        problems.append(f'{kind} {name} has a case and is not registered: remove the case')
    return '\n'.join(problems)


def test_nothing_is_forgotten(results):
    for kind, registry in REGISTRIES.items():
        names = [name for name in results if name.startswith(f'{kind} ')]
        ran = {name.removeprefix(f'{kind} ').split(',')[0] for name in names} - {'of silhouettes'}
        assert forgotten(kind, registry, ran) == ''


def test_a_new_class_without_a_case_is_seen():
    message = forgotten('teacher', TEACHERS, {'TemporalTeacher', 'Nobody'})
    assert message.startswith(
        'teacher EstimatorTeacher is registered and has no case: add one to teachers()'
    )
    assert message.endswith('teacher Nobody has a case and is not registered: remove the case')


SELF_TEST = """
import copy, io, torch
from torch.nn import functional as F
from hrtk.testing import pretend

device = pretend.install()
assert pretend.install() == device
x = torch.randn(3, 4, 5)
y = x.to(device)
torch.testing.assert_close(y.cpu(), x)

def counts(call):
    with pretend.record() as traffic:
        call()
    fields = (traffic.uploads, traffic.downloads, traffic.waits)
    return [sum(field.values()) for field in fields]

assert counts(lambda: y * 2 + 1) == [0, 0, 0]
assert counts(lambda: y[:, [0, 2]]) == [1, 0, 0]
assert counts(lambda: torch.tensor([1.0, 2.0], device=device)) == [1, 0, 0]
assert counts(lambda: y.sum().item()) == [0, 0, 1]
assert counts(lambda: bool((y > 0).any())) == [0, 0, 1]
assert counts(lambda: y[y > 0]) == [0, 0, 1]
assert counts(lambda: (y > 0).nonzero()) == [0, 0, 1]
assert counts(lambda: y.cpu()) == [0, 1, 0]
for mixture in (lambda: y + x, lambda: torch.cat([y, x]), lambda: y @ x.mT, lambda: F.linear(y, torch.ones(2, 5))):
    try:
        mixture()
    except RuntimeError as error:
        assert 'device' in str(error)
    else:
        raise AssertionError('a mixture passed')
assert (y * torch.tensor(2.0)).shape == x.shape  # as on a GPU, a number may come from the CPU

# Views of views share memory; bits may be read as another type; shapes that C++ changes alone.
z = y.clone()
z.narrow(1, 1, 2).narrow(2, 0, 3).fill_(7)
w = x.clone()
w[:, 1:3, 0:3] = 7
torch.testing.assert_close(z.cpu(), w)
torch.testing.assert_close(F.pad(y[None], (0, 1, 2, 0)).cpu(), F.pad(x[None], (0, 1, 2, 0)))
assert torch.equal(y.view(torch.int32).long().cpu(), x.view(torch.int32).long())
torch.testing.assert_close(y.permute(2, 0, 1)[1:].transpose(0, 1).reshape(3, -1).cpu(),
                           x.permute(2, 0, 1)[1:].transpose(0, 1).reshape(3, -1))

# Networks, their gradients, copies and files.
for network, inputs in (
    (torch.nn.Conv2d(3, 4, 3, stride=2, padding=1), torch.randn(2, 3, 8, 8)),
    (torch.nn.GRU(5, 4, num_layers=2, batch_first=True, bidirectional=True), torch.randn(2, 6, 5)),
    (torch.nn.BatchNorm2d(3), torch.randn(2, 3, 4, 4)),
):
    there = copy.deepcopy(network).to(device)
    there = copy.deepcopy(there)
    results = []
    for model, values in ((network, inputs), (there, inputs.to(device))):
        output = model(values)
        output = output[0] if isinstance(output, tuple) else output
        gradients = torch.autograd.grad(output.square().sum(), list(model.parameters()))
        results.append([output, *gradients])
    for ours, other in zip(*results):
        torch.testing.assert_close(other.cpu(), ours, rtol=1e-4, atol=1e-4)
    file = io.BytesIO()
    torch.save(there.state_dict(), file)
    file.seek(0)
    for name, value in torch.load(file, weights_only=True).items():
        assert torch.equal(value.cpu(), there.state_dict()[name].cpu())
from hrtk.adapters.parts.guarded_adam import has_fused_adam
assert not has_fused_adam('pretend') and has_fused_adam('cpu')
print('passed')
"""


def test_the_device_itself():
    assert run_python('-c', SELF_TEST).strip() == 'passed'
