"""Converts the last checkpoint of a finished training to a weights file for distribution.

Example: hrtk publish-model work_dirs/r18_studio my_model.pt
"""

from __future__ import annotations

import argparse

ON_INTERRUPT = 'nothing was written'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('work_dir', help='folder of a training by tools/train.py')
    parser.add_argument(
        'output', help='weights file to write; its training record is written as .json beside it'
    )
    parser.add_argument(
        '--without',
        nargs='+',
        default=(),
        metavar='PART',
        help='parts of the network that other files provide, e.g. backbone segmenter',
    )


def run(args: argparse.Namespace) -> int:
    from hrtk.apis.zoo.publish import publish

    record = publish(args.work_dir, args.output, args.without)
    size = record['bytes'] / 2**20
    print(f'{args.output}: {size:.1f} MiB, validation {record["validation"][-1:]}')
    return 0
