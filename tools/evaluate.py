"""Scores stored results or joints, without a network: ``python tools/evaluate.py RESULTS_DIR... [--protocol NAME]``.

``python tools/evaluate.py JOINTS_DIR --config CONFIG`` scores joints of another program on the data set of a config.
"""

import argparse
import sys

from hrtk.apis import evaluate, evaluate_joints
from hrtk.cli.options import Options, guarded


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Scores stored results, perhaps under another protocol, or joints of another program'
    )
    parser.add_argument(
        'results',
        nargs='+',
        metavar='RESULTS_DIR',
        help='work dir of a run, or one of the folders in its results/; with --config a folder of joints, '
        '<sequence>.json',
    )
    parser.add_argument(
        '--protocol', metavar='NAME', help='evaluation protocol (default: the one of the config)'
    )
    parser.add_argument('--config', help='names the data set that the joints belong to')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=Options,
        default={},
        metavar='KEY=VALUE',
        help='replacements in --config by dotted key, e.g. dataset.stride=1',
    )
    return parser.parse_args()


def main() -> None:
    """Scores what the command line names."""
    args = parse()
    if args.config is None:
        evaluate(args.results, protocol=args.protocol)
        return
    options = dict(args.cfg_options)
    if args.protocol is not None:
        options['evaluator.protocol'] = args.protocol
    for folder in args.results:
        evaluate_joints(folder, args.config, cfg_options=options)


if __name__ == '__main__':
    sys.exit(guarded(main, 'nothing was changed'))
