import json
import multiprocessing
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from video_training_parts import HEAD

from hrtk.apis import adapt
from hrtk.errors import InputError
from hrtk.models.estimators import HMR

ROOT = Path(__file__).parents[2]
TEXT = """
_base_ = {base!r}
custom_imports = dict(imports=['fake_parts'], allow_failed_imports=False)
estimator = dict(type='FakeEstimator')
dataset = dict(type='FakeDataset')
adapter = dict(type='Jiggle')
evaluator = dict(type='MeshEvaluator')
outputs = None
"""


@pytest.fixture
def config(tmp_path) -> Path:
    """A text config of the fakes."""
    path = tmp_path / 'fake_run.py'
    path.write_text(TEXT.format(base=str(ROOT / 'configs/_base_/default_runtime.py')))
    return path


@pytest.fixture
def run_tool(config):
    """Runs tools/adapt.py in new processes and returns the finished process."""

    def run(work_dir, *options, processes=1, path=config, **environment):
        env = dict(
            os.environ,
            OMP_NUM_THREADS='1',
            PYTHONPATH=os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
            **{k: str(v) for k, v in environment.items()},
        )
        launch = []
        if processes > 1:
            launch = ['-m', 'torch.distributed.run', '--standalone']
            launch.append(f'--nproc-per-node={processes}')
        command = [
            sys.executable,
            *launch,
            str(ROOT / 'tools/adapt.py'),
            str(path),
            '--work-dir',
            str(work_dir),
            *options,
        ]
        return subprocess.run(
            command, env=env, cwd=config.parent, capture_output=True, text=True, timeout=300
        )

    return run


@pytest.fixture
def fork(config):
    """Calls ``adapt`` in forked processes, which can be killed or form a group; returns (exit code, error) of each."""

    def run(work_dir, options=None, processes=1, **environment):
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            port = probe.getsockname()[1]
        context = multiprocessing.get_context('fork')
        children = []
        for rank in range(processes):
            env = dict(environment)
            if processes > 1:
                env.update(
                    RANK=rank,
                    LOCAL_RANK=rank,
                    WORLD_SIZE=processes,
                    MASTER_ADDR='127.0.0.1',
                    MASTER_PORT=port,
                )
            log = config.parent / f'rank{rank}.log'
            process = context.Process(target=_child, args=(config, work_dir, options, env, log))
            children.append((process, log))
        for process, _ in children:
            process.start()
        for process, _ in children:
            process.join(300)
        outcomes = []
        for process, log in children:
            error = log.read_text() if log.exists() else ''
            outcomes.append((process.exitcode, error))
        return outcomes

    return run


def _child(config, work_dir, options, environment, log):
    os.environ.update({key: str(value) for key, value in environment.items()})
    if 'fake_parts' in sys.modules:
        sys.modules[
            'fake_parts'
        ].JiggleSession.frames = 0  # FAKE_KILL counts the child's own frames
    try:
        adapt(config, work_dir=work_dir, cfg_options=options)
    except InputError as error:
        log.write_text(str(error))
        raise SystemExit(2)


@pytest.fixture
def digits():
    """Reads all errors of a run at full precision, without the times, which may differ."""

    def read(work_dir):
        def untimed(value):
            if isinstance(value, dict):
                return {k: untimed(v) for k, v in value.items() if not k.endswith('ms_per_frame')}
            return [untimed(v) for v in value] if isinstance(value, list) else value

        report = json.loads((Path(work_dir) / 'metrics.json').read_text())
        return untimed({key: report[key] for key in ('metrics', 'per_sequence', 'fingerprint')})

    return read


@pytest.fixture(scope='session')
def drawn_tracks(tmp_path_factory):
    """The folder of the tracks that tests of video networks draw."""
    return tmp_path_factory.mktemp('tracks')


@pytest.fixture(scope='module')
def track_cache(drawn_tracks):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('HRTK_CACHE', str(drawn_tracks))
        yield


@pytest.fixture(scope='module')
def start_config(track_cache, tmp_path_factory):
    """The config of a small image network with weights that say something."""
    torch.manual_seed(0)
    options = dict(
        backbone=dict(type='ResNet', depth=18, width=4),
        head=HEAD,
        resolution=32,
        body=dict(type='BodyModel', file='open'),
    )
    network = HMR(**options)
    for layer in (network.head.decpose, network.head.decshape, network.head.deccam):
        torch.nn.init.normal_(layer.weight, std=0.03)
    file = tmp_path_factory.mktemp('start') / 'start.pt'
    torch.save(network.state_dict(), file)
    return dict(type='HMR', **options, weights=str(file))
