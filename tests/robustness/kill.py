"""Kills runs at random moments, starts them again until they finish, and compares every bit with an undisturbed run.

``python tests/robustness/kill.py TRIALS [SEED [NAME ...]]`` prints a line per trial and the counts; ``make kill`` makes
thirty trials.
"""

import collections
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from pathlib import Path

import cv2
import numpy as np
import torch

import hrtk.engine  # noqa: F401  # imported before the forks, which saves seconds per trial
import hrtk.training  # noqa: F401
from hrtk.cli.main import main as hrtk_main
from hrtk.interrupts import INTERRUPTED, TERMINATED
from hrtk.testing.trial import TINY

ROOT = Path(__file__).parents[2]
MOST_KILLS = 4  # of one run
EPOCHS = 12  # of the training
EXITS = {
    signal.SIGKILL: (-signal.SIGKILL,),
    signal.SIGTERM: (TERMINATED,),
    signal.SIGINT: (INTERRUPTED,),
}
SECONDS = 120
CONFIG = """
custom_imports = dict(imports=['kill_parts'], allow_failed_imports=False)
estimator = {estimator!r}
dataset = dict(type='NoisyTracks', lengths={lengths!r})
adapter = {adapter!r}
evaluator = dict(type='MeshEvaluator', protocol='open')
midway = dict(frames=3)
"""
ADAPTER = dict(type='Bilevel', lr=1e-3, inner_lr=1e-3, interval=2)
TRAINING = {
    'model.estimator.backbone.width': 4,
    'model.estimator.head.hidden': 16,
    'model.estimator.resolution': 32,
    'model.bf16': False,
    'model.augment': 0.0,
    'train_dataloader.batch_size': 8,
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'train_dataloader.dataset.length': 16,
    'train_dataloader.dataset.resolution': 32,
    'val_dataloader.batch_size': 8,
    'val_dataloader.dataset.length': 8,
    'val_dataloader.dataset.resolution': 32,
    'train_cfg.max_epochs': EPOCHS,
}


class Run:
    """A command that works in a folder.

    Args:
        folder: of the inputs that all starts share.
    """

    processes = 1

    def __init__(self, folder):
        self.folder = folder

    def arguments(self, output):
        raise NotImplementedError

    def digits(self, output):
        """Everything that the run computed, times excepted, by name."""
        values = {}
        for path in sorted(output.glob('results/*/*.npz')):
            with np.load(path) as arrays:
                for key in arrays:
                    if not key.endswith('ms_per_frame'):
                        values[f'{path.name} {key}'] = arrays[key].tobytes()
        left = list(output.glob('results/*/midway_*.pt'))
        assert not left, left
        return values

    def config(self, name, **parts):
        path = self.folder / f'{name}.py'
        path.write_text(CONFIG.format(estimator=TINY, **parts))
        return str(path)


class Adapt(Run):
    """Several sequences, of which the session carries its state on or not."""

    def __init__(self, folder, reset):
        super().__init__(folder)
        self.path = self.config(
            f'adapt_{reset}', lengths=(9, 4, 7), adapter=dict(ADAPTER, reset=reset)
        )

    def arguments(self, output):
        return ['adapt', self.path, '--work-dir', str(output)]


class Ranks(Adapt):
    """Two processes share the sequences."""

    processes = 2


class Infer(Run):
    """One long track of a clip."""

    def __init__(self, folder, frames=30):
        super().__init__(folder)
        rng = np.random.default_rng(0)
        (folder / 'clip').mkdir()
        people = []
        body = rng.uniform(0, 1, (17, 2)) * (40, 90)
        for t in range(frames):
            cv2.imwrite(
                str(folder / 'clip' / f'{t:03d}.png'),
                rng.integers(0, 256, (120, 160, 3), dtype=np.uint8),
            )
            people.append(dict(keypoints=[(body + (50 + t, 15)).tolist()], scores=[[0.9] * 17]))
        (folder / 'keypoints.json').write_text(json.dumps(people))
        self.path = self.config('infer', lengths=(1,), adapter=ADAPTER)

    def arguments(self, output):
        return [
            'infer',
            str(self.folder / 'clip'),
            '--fps=25',
            f'--keypoints={self.folder / "keypoints.json"}',
            f'--adapt={self.path}',
            f'--output={output}',
            '--no-film',
        ]


class Train(Run):
    """A training, whose checkpoints lie between its epochs."""

    def arguments(self, output):
        options = [f'{key}={value}' for key, value in TRAINING.items()]
        config = str(ROOT / 'configs/hmr/r18_plain.py')
        return ['train', config, '--work-dir', str(output), '--cfg-options', *options]

    def digits(self, output):
        state = torch.load(output / f'epoch_{EPOCHS}.pth', weights_only=True, map_location='cpu')
        values = {key: value.numpy().tobytes() for key, value in state['state_dict'].items()}
        for index, moments in state['optimizer']['state'].items():
            for key, value in moments.items():
                values[f'{index} {key}'] = torch.as_tensor(value).numpy().tobytes()
        return values


RUNS = {
    'adapt': lambda folder: Adapt(folder, 'sequence'),
    'adapt, never': lambda folder: Adapt(folder, 'never'),
    'infer': Infer,
    'train': Train,
    'ranks': lambda folder: Ranks(folder, 'sequence'),
}


def start(run, output, log):
    """Starts the processes of a run, forked from this one."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    children = []
    for rank in range(run.processes):
        child = os.fork()
        if child == 0:
            _run(run, output, log, rank, port)
        children.append(child)
    return children


def _run(run, output, log, rank, port):
    """Replaces this process by a command; does not return."""
    code = 99
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        if run.processes > 1:
            os.environ.update(
                RANK=str(rank),
                LOCAL_RANK=str(rank),
                WORLD_SIZE=str(run.processes),
                MASTER_ADDR='127.0.0.1',
                MASTER_PORT=str(port),
            )
        sys.argv = ['hrtk', *run.arguments(output)]
        code = hrtk_main()
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def wait(children, until):
    """Exit codes of the children; None for one that still runs at this time."""
    codes = []
    for child in children:
        while True:
            finished, status = os.waitpid(child, os.WNOHANG)
            if finished:
                codes.append(os.waitstatus_to_exitcode(status))
                break
            if time.monotonic() > until:
                codes.append(None)
                break
            time.sleep(0.002)
    return codes


def finish(run, output, log):
    """Runs to the end; returns the seconds."""
    begin = time.monotonic()
    children = start(run, output, log)
    codes = wait(children, begin + SECONDS)
    if codes != [0] * run.processes:
        for child, code in zip(children, codes):
            if code is None:
                os.kill(child, signal.SIGKILL)
        raise AssertionError(f'exit codes {codes}\n{_end(log)}')
    return time.monotonic() - begin


def kill_once(run, output, log, number, delay):
    """Starts a run and sends it a signal; returns a complaint, '' after a proper end, or None if it ended before."""
    children = start(run, output, log)
    codes = wait(children, time.monotonic() + delay)
    alive = [child for child, code in zip(children, codes) if code is None]
    if not alive:
        if codes == [0] * run.processes:
            return None
        return f'exit codes {codes} without a signal'
    for child in alive:
        os.kill(child, number)
    codes = wait(alive, time.monotonic() + SECONDS)
    for child, code in zip(alive, codes):
        if code is None:
            os.kill(child, signal.SIGKILL)
            return f'{number.name} does not end it'
        if code not in (*EXITS[number], 0):
            return f'exit code {code} after {number.name}'
    return ''


def _end(log):
    """The traceback in a log, or its last lines."""
    text = log.read_text() if log.exists() else ''
    return text[max(text.find('Traceback'), len(text) - 3000) :]


def trial(run, whole, seconds, folder, rng):
    """Kills a run several times and lets it finish; returns (number of kills, complaint)."""
    output = folder / 'run'
    log = folder / 'log.txt'
    kills = 0
    for _ in range(rng.randint(1, MOST_KILLS)):
        number = signal.SIGKILL
        if run.processes == 1:
            number = rng.choice(list(EXITS))
        complaint = kill_once(run, output, log, number, rng.uniform(0, seconds))
        if complaint is None:
            break
        kills += 1
        if complaint:
            return kills, f'{complaint}\n{_end(log)}'
    try:
        finish(run, output, log)
    except AssertionError as error:
        return kills, str(error)
    text = log.read_text()
    if 'Traceback' in text:
        return kills, text[text.index('Traceback') :][:3000]
    digits = run.digits(output)
    differing = [key for key in {*digits, *whole} if digits.get(key) != whole.get(key)]
    if differing:
        return kills, f'other bits: {sorted(differing)[:5]}'
    return kills, ''


def run_trials(count, seed=0, names=tuple(RUNS), echo=lambda line: None):
    """Makes trials of every kind of run in turn; returns (name, kills, complaint) of each."""
    cv2.setNumThreads(0)  # a forked child has no threads of its parent
    torch.set_num_threads(1)
    os.environ['PYTHONPATH'] = str(Path(__file__).parent)
    sys.path.insert(0, str(Path(__file__).parent))
    root = Path(tempfile.mkdtemp(prefix='hrtk_kill_'))
    os.environ['HRTK_CACHE'] = str(root / 'cache')
    rng = random.Random(seed)
    outcomes = []
    try:
        references = {}
        for name in names[:count]:
            inputs = root / name / 'inputs'
            inputs.mkdir(parents=True)
            run = RUNS[name](inputs)
            seconds = finish(run, root / name / 'whole', root / name / 'log.txt')
            # Again, because the first one fills the cache, and another program may have slowed it down.
            again = finish(run, root / name / 'again', root / name / 'log.txt')
            assert run.digits(root / name / 'again') == run.digits(root / name / 'whole')
            seconds = min(seconds, again)
            references[name] = (run, run.digits(root / name / 'whole'), seconds)
            echo(f'{name}: {seconds:.1f} s undisturbed, {len(references[name][1])} values')
        for index in range(count):
            name = names[index % len(names)]
            folder = root / name / f'trial{index}'
            folder.mkdir()
            kills, complaint = trial(*references[name], folder, rng)
            outcomes.append((name, kills, complaint))
            echo(f'{index + 1} {name}: {kills} kills, {complaint or "same bits"}')
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return outcomes


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    begin = time.monotonic()

    def echo(line):
        print(line, flush=True)

    names = tuple(sys.argv[3:]) or tuple(RUNS)
    outcomes = run_trials(count, seed, names, echo)
    kills = collections.Counter()
    for name, number, _ in outcomes:
        kills[name] += number
    failures = [complaint for _, _, complaint in outcomes if complaint]
    print(
        f'{count} trials, seed {seed}, {time.monotonic() - begin:.0f} s: {dict(kills)} kills, {len(failures)} failures'
    )
    return bool(failures)


if __name__ == '__main__':
    sys.exit(main())
