"""Adapts an estimator to footage: ``python tools/adapt.py CONFIG [--work-dir DIR] [--cfg-options KEY=VALUE ...]``.

Several processes: ``torchrun --nproc-per-node=N tools/adapt.py CONFIG``.
"""

from __future__ import annotations

import argparse
import sys

from mmengine.config import DictAction
from rich.console import Console

from hrtk.apis import adapt
from hrtk.structures import InputError


class Options(DictAction):
    """``KEY=VALUE`` pairs, with a usage message for anything else."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        for value in values:
            if '=' not in value:
                parser.error(f'--cfg-options takes KEY=VALUE pairs, not {value!r}')
        super().__call__(parser, namespace, values, option_string)


def main() -> int:
    """Runs the command; 0 when done, 2 for bad input, 130 when interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].partition(':')[0])
    parser.add_argument('config', help='path of an adapt config')
    parser.add_argument('--work-dir', help='folder for results, pictures and metrics.json')
    parser.add_argument('--launcher', choices=('none', 'pytorch', 'slurm', 'mpi'), help='how processes are started')
    parser.add_argument('--resume', action=argparse.BooleanOptionalAction,
                        help='use results that are stored already (default: the config, which says yes)')
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE',
                        help='replacements by dotted key, e.g. adapter.steps=2')
    args = parser.parse_args()
    named = {key: getattr(args, key) for key in ('work_dir', 'launcher', 'resume')}
    try:
        adapt(args.config, cfg_options=args.cfg_options, **{k: v for k, v in named.items() if v is not None})
    except InputError as error:
        Console(stderr=True, soft_wrap=True).print(f'error: {error}', style='red', markup=False, highlight=False)
        return 2
    except KeyboardInterrupt:
        Console(stderr=True).print('interrupted; everything finished is stored: run again to resume', style='yellow')
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
