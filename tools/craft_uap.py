"""Crafts a universal adversarial perturbation of a network, without data.

    python tools/craft_uap.py NETWORK OUTPUT.npz [--eps 8] [--weights open:r18_studio] [--steps N] [--seed N]

NETWORK is an adapt config, whose ``estimator`` is attacked, or the name of a model.
"""

from __future__ import annotations

import argparse
import sys

from hrtk.apis.craft_uap import craft, load_estimator, save_perturbation
from hrtk.cli.options import guarded


def main() -> int:
    """Runs the command; 0 when done, 2 for bad input."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('network', help='path of an adapt config, or name of a model')
    parser.add_argument('output', help='the npz to write')
    parser.add_argument(
        '--eps', type=float, default=8.0, help='largest change of a pixel, grey levels of 255'
    )
    parser.add_argument('--weights', help="in place of the config's")
    parser.add_argument('--steps', type=int, default=1000, help='the most steps')
    parser.add_argument(
        '--rescalings', type=int, default=5, help='end when it has been saturated so often'
    )
    parser.add_argument('--seed', type=int, default=0, help='of the random start')
    parser.add_argument('--device', default='cpu', help='where the network runs')
    args = parser.parse_args()
    return guarded(lambda: run(args), 'nothing was written')


def run(args: argparse.Namespace) -> None:
    """Crafts, writes and says what came out."""
    estimator = load_estimator(args.network, args.weights).to(args.device)
    found = craft(estimator, args.eps, args.steps, args.rescalings, args.seed)
    save_perturbation(args.output, found, args.eps, estimator)
    print(
        f'{args.output}: {estimator.resolution} px, eps {args.eps:g}, {found.steps} steps, {found.rescalings} '
        f'saturations, objective {found.start:.2f} -> {found.objective:.2f}, {found.saturation:.0%} at the bound'
    )


if __name__ == '__main__':
    sys.exit(main())
