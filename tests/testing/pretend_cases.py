"""Runs everything that is registered on the pretend device and on the CPU; prints a JSON line for every case.

A program of its own, because the device cannot be unregistered and forbids forks.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

from test_adapter_contracts import ADAPTERS_OF_HRTK  # noqa: E402

from hrtk.testing import pretend  # noqa: E402
from hrtk.testing.trial import Setting, Trial  # noqa: E402


def adapters():
    for name, config in ADAPTERS_OF_HRTK.items():
        yield f'adapter {name}', lambda config=config: adapter_case(config)


def adapter_case(config):
    """Runs on both devices over two sequences; the second one counts, because the first fills caches."""
    outcomes, traffics = [], []
    for device in ('cpu', pretend.NAME):
        setting = Setting(config)
        setting.network.to(device)
        trial = Trial(setting)
        trial.adapt(setting.sequences[0])
        with pretend.record() as traffic:
            outcomes.append(trial.adapt(setting.sequences[1]))
        traffics.append(traffic)
    return outcomes, traffics[1], len(setting.sequences[1])


CASES = {'adapters': adapters}


def main(kinds):
    os.environ['HRTK_CACHE'] = tempfile.mkdtemp()
    torch.set_num_threads(1)
    pretend.install()
    for kind in kinds or CASES:
        for name, run in CASES[kind]():
            line = dict(case=name)
            try:
                (ours, other), traffic, steps = run()
                differences = [
                    float((value - other[key].cpu()).abs().max()) for key, value in ours.items()
                ]
                line.update(difference=max(differences), steps=steps)
                for field in ('uploads', 'downloads', 'waits', 'upload_bytes'):
                    line[field] = dict(getattr(traffic, field))
            except Exception:
                line['error'] = traceback.format_exc()
            print(json.dumps(line), flush=True)


if __name__ == '__main__':
    main(sys.argv[1:])
