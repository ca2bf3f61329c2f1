"""Trains a start model: ``python tools/train.py CONFIG [--work-dir DIR] [--cfg-options KEY=VALUE ...]``.

Several GPUs: ``torchrun --nproc-per-node=N tools/train.py CONFIG``. A killed training goes on where it was.
"""

from __future__ import annotations

import argparse
import sys

from mmengine.config import DictAction
from rich.console import Console

from hrtk.apis.train import train
from hrtk.structures import InputError


def main() -> int:
    """Runs the command; 0 when done, 2 for bad input, 130 when interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].partition(':')[0])
    parser.add_argument('config', help='path of a training config')
    parser.add_argument('--work-dir', help='folder for checkpoints and logs')
    parser.add_argument('--launcher', choices=('none', 'pytorch', 'slurm', 'mpi'), help='how processes are started')
    parser.add_argument('--resume', action=argparse.BooleanOptionalAction,
                        help='go on from the last checkpoint (default: the config, which says yes)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
                        help='replacements by dotted key, e.g. model.bf16=False')
    args = parser.parse_args()
    named = {key: getattr(args, key) for key in ('work_dir', 'launcher', 'resume')}
    try:
        metrics = train(args.config, cfg_options=args.cfg_options, **{k: v for k, v in named.items() if v is not None})
    except InputError as error:
        Console(stderr=True, soft_wrap=True).print(f'error: {error}', style='red', markup=False, highlight=False)
        return 2
    except KeyboardInterrupt:
        Console(stderr=True).print('interrupted; run again to go on from the last checkpoint', style='yellow')
        return 130
    print(', '.join(f'{name} {value:.2f}' for name, value in metrics.items()))
    return 0


if __name__ == '__main__':
    sys.exit(main())
