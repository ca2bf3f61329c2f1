"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from typing import Any, Optional

from mmengine.config import DictAction

RESULTS_HELP = 'work dir of a run, or one of the folders in its results/'


class Options(DictAction):
    """Parses ``KEY=VALUE`` pairs; anything else is a usage error."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: Optional[str] = None,
    ) -> None:
        for value in values:
            if '=' not in value:
                parser.error(f'--cfg-options takes KEY=VALUE pairs, not {value!r}')
        super().__call__(parser, namespace, values, option_string)


def add_cfg_options(parser: argparse.ArgumentParser, example: str = '') -> None:
    """Adds ``--cfg-options KEY=VALUE ...``.

    Args:
        parser: the parser of a command.
        example: ends the option's help, e.g. ``', e.g. adapter.steps=2'``.
    """
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=Options,
        default={},
        metavar='KEY=VALUE',
        help=f'replacements by dotted key{example}',
    )


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of a run by config: CONFIG, work dir, launcher, resume and config options."""
    parser.add_argument('config', help='path of a config, or name of a bundled one')
    add_place_arguments(parser)
    parser.add_argument(
        '--resume',
        action=argparse.BooleanOptionalAction,
        help='reuse results of an earlier run in the work dir (default: as in the config, usually yes)',
    )
    add_cfg_options(parser, ', e.g. adapter.steps=2')


def add_place_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds where a run writes, and how its processes are started."""
    parser.add_argument('--work-dir', help='folder for all files of the run')
    parser.add_argument(
        '--launcher', choices=('none', 'pytorch', 'slurm', 'mpi'), help='how processes are started'
    )


def run_overrides(args: argparse.Namespace) -> dict[str, Any]:
    """The keys of :func:`add_run_arguments` that replace values of the config, without those not set or not there."""
    overrides = {key: getattr(args, key, None) for key in ('work_dir', 'launcher', 'resume')}
    return {key: value for key, value in overrides.items() if value is not None}
