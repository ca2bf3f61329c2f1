"""Runs every command that writes on a full disk and on a read-only one, and prints what each says, as JSON.

``unshare -rm python tests/robustness/full_disks.py`` mounts two tiny disks that only this process sees.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import kill_parts  # noqa: F401  # reports and exports find its data set
from kill import ROOT, TRAINING, Adapt, Infer, _run, finish

import hrtk.apis.look.report
import hrtk.visualization.report

CACHE = 'cache full'


class Command:
    """Arguments of a command, in the form of a run of kill.py."""

    processes = 1

    def __init__(self, arguments):
        self.fixed = arguments

    def arguments(self, output):
        return [str(part).replace('OUT', str(output)) for part in self.fixed]


def mount(folder, *options):
    subprocess.run(['mount', '-t', 'tmpfs', *options, 'none', str(folder)], check=True)


def disks(root, content):
    """A disk without a free byte, and one that is read-only; ``content`` fills both before that."""
    full, fixed = root / 'full', root / 'fixed'
    for folder in (full, fixed):
        folder.mkdir()
        mount(folder, '-o', 'size=8m')
        content(folder)
    try:
        with open(full / 'filling', 'wb', buffering=0) as file:
            while file.write(bytes(4096)):
                pass
    except OSError:
        pass
    subprocess.run(['mount', '-o', 'remount,ro', str(fixed)], check=True)
    return full, fixed


def commands(root):
    """Every command that writes, by name."""
    inputs = root / 'inputs'
    inputs.mkdir()
    adapt = Adapt(inputs, 'sequence')
    infer = Infer(inputs, frames=3)
    train = ['train', ROOT / 'configs/hmr/r18_plain.py', '--work-dir', 'OUT/train', '--cfg-options']
    train += [f'{key}={value}' for key, value in TRAINING.items()]
    return {
        'adapt': Command(adapt.arguments('OUT/adapt')),
        'infer': Command(infer.arguments('OUT/infer')),
        'train': Command(train),
        'benchmark': Command(
            ['benchmark', ROOT / 'configs/3dhrco/tables/demo.yaml', '--work-dir', 'OUT/table']
        ),
        'export': Command(['export', 'OUT/run', '--format', 'glb', 'amass']),
        'report': Command(['report', 'OUT/run', '--output', 'OUT/report.html']),
    }


def with_full_cache(train, root):
    """Exit code and output of a training of one epoch whose views are to be cached on the full disk."""
    log = root / 'cache.log'
    child = os.fork()
    if child == 0:
        os.environ['HRTK_CACHE'] = str(root / 'full')
        train.fixed.append('train_cfg.max_epochs=1')
        _run(train, root / 'kept', log, 0, 0)
    _, status = os.waitpid(child, 0)
    return [os.waitstatus_to_exitcode(status), log.read_text(errors='replace')]


def main():
    cv2.setNumThreads(0)
    for module in (hrtk.apis.look.report, hrtk.visualization.report):
        module.plotly_script = lambda: '/* stands for plotly, which need not be installed */'
    sys.path.insert(0, str(Path(__file__).parent))
    root = Path(tempfile.mkdtemp(prefix='hrtk_disks_'))
    mount(root, '-o', 'size=256m')
    os.environ['HRTK_CACHE'] = str(root / 'cache')
    os.environ['PYTHONPATH'] = str(Path(__file__).parent)
    cases = commands(root)

    def content(folder):
        finish(Adapt(root / 'inputs', 'sequence'), folder / 'run', root / 'log')

    said = {}
    for kind, folder in zip(('full', 'read-only'), disks(root, content)):
        for name in [name for name in cases if name in sys.argv[1:] or not sys.argv[1:]]:
            log = root / f'{kind} {name}'
            child = os.fork()
            if child == 0:
                _run(cases[name], folder, log, 0, 0)
            _, status = os.waitpid(child, 0)
            code = os.waitstatus_to_exitcode(status)
            said[f'{name} {kind}'] = [code, log.read_text(errors='replace')]
    if not sys.argv[1:] or CACHE in sys.argv[1:]:
        said[CACHE] = with_full_cache(cases['train'], root)
    print(json.dumps(said))


if __name__ == '__main__':
    main()
