"""Adapts an estimator to footage.

Example: hrtk adapt boa/r18_wild --cfg-options adapter.steps=2
Several processes: torchrun --nproc-per-node=N -m hrtk.cli adapt CONFIG
"""

from __future__ import annotations

import argparse

from hrtk.cli.options import add_run_arguments, run_overrides

ON_INTERRUPT = 'everything finished is stored: run again to resume'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from hrtk.apis import adapt

    adapt(args.config, cfg_options=args.cfg_options, **run_overrides(args))
    return 0
