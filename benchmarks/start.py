"""Processor time until a command or a call is ready, beside an eager import of everything.

    python benchmarks/start.py

Every row runs a fresh Python with a warm page cache, one thread, several times; the median counts. The ratio is that of
the row "everything" to the row: it imports all registered classes and mmengine's training loop and makes one Adam, as
every command would without imports on demand. The first row is also what a whole run needs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from typing import Optional

from measuring import child_seconds, record

COMMAND = 'from hrtk.cli.main import main; main({arguments!r})'
EVERYTHING = """
import torch, mmengine.runner, hrtk.engine, hrtk.training, hrtk.evaluation, hrtk.visualization, hrtk.apis.infer
from hrtk import registry
for value in vars(registry).values():
    if isinstance(value, registry.Registry):
        value.import_from_location()
torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
"""
GUARDED_ADAM = """
import torch
from hrtk.adapters.parts.guarded_adam import GuardedAdam
GuardedAdam([torch.nn.Parameter(torch.zeros(1))], 1e-3, (0.9, 0.999)).step([torch.ones(1)], [])
"""
ROWS = {
    'everything': EVERYTHING,
    'hrtk --help': COMMAND.format(arguments=['--help']),
    'hrtk list': COMMAND.format(arguments=['list']),
    'hrtk adapt --help': COMMAND.format(arguments=['adapt', '--help']),
    'hrtk infer --help': COMMAND.format(arguments=['infer', '--help']),
    'import hrtk': 'import hrtk',
    'import torch': 'import torch',
    'from hrtk.apis import load_model': 'from hrtk.apis import load_model',
    'from hrtk.apis import adapt': 'from hrtk.apis import adapt',
    'one step of GuardedAdam': GUARDED_ADAM,
}

NEED_TORCH = ('from hrtk.apis import load_model', 'one step of GuardedAdam')


def main(arguments: Optional[list[str]] = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--repeat', type=int, default=5, help='runs of each row (%(default)s)')
    args = parser.parse_args(arguments)
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    times: dict[str, list[float]] = {name: [] for name in ROWS}
    for turn in range(args.repeat + 1):
        for name, code in ROWS.items():  # the rows take turns
            seconds = child_seconds([sys.executable, '-c', code], environment)
            if turn:  # the first turn warms the page cache
                times[name].append(seconds)
    everything = statistics.median(times['everything'])
    torch_alone = statistics.median(times['import torch'])
    print(f'{"":<34}{"CPU s":>8}{"ratio":>8}')
    for name, values in times.items():
        seconds = statistics.median(values)
        floor = None
        if name in NEED_TORCH:
            floor = torch_alone
        if name not in ('everything', 'import torch'):
            record(f'start, {name}', seconds, everything, 'everything imported', floor, 's')
        print(f'{name:<34}{seconds:8.2f}{everything / seconds:8.1f}')


if __name__ == '__main__':
    main()
