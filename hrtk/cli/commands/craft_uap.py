"""Crafts a universal adversarial perturbation of a network, without data.

NETWORK is an adapt config, whose `estimator` is attacked, or the name of a model.
Example: hrtk craft-uap hmr_r18 uap.npz --weights open:r18_studio --eps 16
"""

from __future__ import annotations

import argparse

ON_INTERRUPT = 'nothing was written'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('network', help='path of an adapt config, or name of a model')
    parser.add_argument('output', help='the npz to write')
    parser.add_argument(
        '--eps', type=float, default=8.0, help='largest change of a pixel, grey levels of 255'
    )
    parser.add_argument('--weights', help="checkpoint; default: the config's")
    parser.add_argument('--steps', type=int, default=1000, help='maximum number of steps')
    parser.add_argument(
        '--rescalings', type=int, default=5, help='stop after this number of saturations'
    )
    parser.add_argument('--seed', type=int, default=0, help='of the random initial pattern')
    parser.add_argument('--device', default='cpu', help='device of the network (%(default)s)')


def run(args: argparse.Namespace) -> int:
    from hrtk.apis.craft_uap import craft, load_estimator, save_perturbation

    estimator = load_estimator(args.network, args.weights).to(args.device)
    result = craft(estimator, args.eps, args.steps, args.rescalings, args.seed)
    save_perturbation(args.output, result, args.eps, estimator)
    print(
        f'{args.output}: {estimator.resolution} px, eps {args.eps:g}, {result.steps} steps, '
        f'{result.rescalings} saturations, objective {result.start:.2f} -> {result.objective:.2f}, '
        f'{result.saturation:.0%} at the bound'
    )
    return 0
