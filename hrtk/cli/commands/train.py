"""Trains a start model.

Example: hrtk train hmr/r18_studio --work-dir work_dirs/r18_studio
Several GPUs: torchrun --nproc-per-node=N -m hrtk.cli train CONFIG
Interrupted training resumes from its last checkpoint.
"""

from __future__ import annotations

import argparse

from hrtk.cli.options import add_run_arguments, run_overrides

ON_INTERRUPT = 'run again to resume from the last checkpoint'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from hrtk.apis.train import train

    train(args.config, cfg_options=args.cfg_options, **run_overrides(args))
    return 0
