"""What the commands in ``tools/`` share: the arguments of a run by config, and exit codes."""

from __future__ import annotations

import argparse
from typing import Any, Callable

from mmengine.config import DictAction
from rich.console import Console

from hrtk.errors import InputError


class Options(DictAction):
    """``KEY=VALUE`` pairs, with a usage message for anything else."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        for value in values:
            if '=' not in value:
                parser.error(f'--cfg-options takes KEY=VALUE pairs, not {value!r}')
        super().__call__(parser, namespace, values, option_string)


def run_command(run: Callable[..., Any], description: str, advice: str) -> int:
    """Parses the command line, runs and says what went wrong.

    Args:
        run: :func:`hrtk.apis.adapt` or :func:`hrtk.apis.train.train`.
        description: one line for ``--help``.
        advice: what to tell who interrupts it.

    Returns:
        The exit code: 0 when done, 2 for bad input, 130 when interrupted.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', help='path of a config')
    parser.add_argument('--work-dir', help='folder for everything the run leaves')
    parser.add_argument(
        '--launcher', choices=('none', 'pytorch', 'slurm', 'mpi'), help='how processes are started'
    )
    parser.add_argument(
        '--resume',
        action=argparse.BooleanOptionalAction,
        help='use what an earlier run left there (default: the config, which says yes)',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=Options,
        default={},
        metavar='KEY=VALUE',
        help='replacements by dotted key, e.g. adapter.steps=2',
    )
    args = parser.parse_args()
    named = {key: getattr(args, key) for key in ('work_dir', 'launcher', 'resume')}
    named = {key: value for key, value in named.items() if value is not None}
    return guarded(lambda: run(args.config, cfg_options=args.cfg_options, **named), advice)


def guarded(command: Callable[[], Any], advice: str) -> int:
    """Runs a command and says what went wrong.

    Args:
        command: its exit code is what it returns, if that is an int, else 0.
        advice: what to tell who interrupts it.

    Returns:
        Its exit code, 2 for bad input, 130 when interrupted.
    """
    try:
        code = command()
        return code if isinstance(code, int) else 0
    except InputError as error:
        Console(stderr=True, soft_wrap=True).print(
            f'error: {error}', style='red', markup=False, highlight=False
        )
        return 2
    except KeyboardInterrupt:
        Console(stderr=True).print(f'interrupted; {advice}', style='yellow')
        return 130
