"""Layout and precision of convolutions: times and differences of predictions and of bilevel steps.

    python benchmarks/precision.py

Four variants of the same network take turns: ``float32`` and ``bfloat16``, each with the kernels of its convolutions as
PyTorch makes them (``first``) and with channels last (``last``), as hrtk lays them out. The networks are those of
``bilevel_step.py`` with random weights: BOA's ResNet-50 and the r18 start model. ``difference`` is the largest one of a
rotation matrix of the frozen network from float32 with ``first``.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import torch

sys.path.insert(0, str(Path(__file__).parent))

from bilevel_step import MEASURED, NETS, Setting, build_network  # noqa: E402
from literal.scene import random_sequence  # noqa: E402
from measuring import floor_ms, record, use_one_thread  # noqa: E402

from hrtk.adapters import Bilevel  # noqa: E402
from hrtk.models.backbones.layout import lay_out_convolutions  # noqa: E402
from hrtk.models.estimators import HMR  # noqa: E402

LAYOUTS = {'first': torch.contiguous_format, 'last': torch.channels_last}
VARIANTS = tuple(itertools.product(('float32', 'bfloat16'), LAYOUTS))
REFERENCE = VARIANTS[0]
Variant = tuple[str, str]


def networks(setting: Setting) -> dict[Variant, HMR]:
    """The variants of a network, with the same weights."""
    built = {}
    for precision, layout in VARIANTS:
        network = build_network(setting, double=False)
        network.precision = precision
        lay_out_convolutions(network, LAYOUTS[layout])
        built[precision, layout] = network
    return built


def in_turn(calls: dict[Variant, Callable[[], Any]], repeat: int) -> dict[Variant, float]:
    """The shortest CPU time of every call, ms; the calls take turns, and the first turn does not count."""
    best = dict.fromkeys(calls, float('inf'))
    for turn in range(repeat + 1):
        for variant, call in calls.items():
            start = time.process_time()
            call()
            spent = 1e3 * (time.process_time() - start)
            if turn:
                best[variant] = min(best[variant], spent)
    return best


def report(task: str, calls: dict[Variant, Callable[[], Any]], repeat: int) -> None:
    """Times the calls, prints and records them."""
    best = in_turn(calls, repeat)
    least = {
        precision: floor_ms(calls[precision, 'first'], getattr(torch, precision))
        for precision in ('float32', 'bfloat16')
    }
    for variant, spent in best.items():
        precision, layout = variant
        ratio = best[REFERENCE] / spent
        print(f'{task:<34}{precision:<9}{layout:<6}{spent:9.1f} ms{ratio:6.2f}', flush=True)
        if variant != REFERENCE:
            name = f'{task}, {precision}, channels {layout}'
            record(name, spent, best[REFERENCE], 'float32, channels first', least[precision])


@torch.no_grad()
def frozen(net: str, batch: int, repeat: int) -> None:
    """Times predictions of a batch of crops."""
    setting = NETS[net]
    built = networks(setting)
    torch.manual_seed(1)
    crops = torch.randn(batch, 3, setting.resolution, setting.resolution)
    calls = {variant: lambda network=network: network(crops) for variant, network in built.items()}
    report(f'frozen {net}, batch {batch}', calls, repeat)
    exact = built[REFERENCE](crops).rotmat
    for variant, network in built.items():
        difference = (network(crops).rotmat - exact).abs().max()
        print(f'{"":<34}{" ".join(variant):<16}difference {difference:.1e}')


def steps(net: str, order: str, repeat: int) -> None:
    """Times frames of the Bilevel adapter."""
    setting = NETS[net]
    views = dict(type='RandomViews', resolution=setting.resolution)
    sequence = random_sequence('noise', repeat + 4, 256)
    running: dict[Variant, Iterator] = {}
    for variant, network in networks(setting).items():
        adapter = Bilevel(
            **setting.options,
            order=order,
            weights=setting.loss_weights,
            pose_prior=dict(type='GMMPosePrior'),
            source=dict(dataset=views, batch=setting.batch, order='sequential'),
        )
        running[variant] = iter(adapter.start(network).run(sequence))
        next(running[variant])  # has no past
    calls = {variant: lambda run=run: next(run) for variant, run in running.items()}
    report(f'Bilevel {net}, {order} order, a frame', calls, repeat)


def main(arguments: Optional[list[str]] = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--net', nargs='+', choices=NETS, default=MEASURED, help='which networks')
    parser.add_argument('--batch', nargs='*', type=int, default=[1, 8], help='of frozen networks')
    parser.add_argument(
        '--order', nargs='*', choices=['first', 'second'], default=['first', 'second']
    )
    parser.add_argument('--repeat', type=int, default=5, help='runs of which the best counts')
    args = parser.parse_args(arguments)
    use_one_thread()
    for net in args.net:
        for batch in args.batch:
            frozen(net, batch, args.repeat)
        for order in args.order:
            steps(net, order, args.repeat)


if __name__ == '__main__':
    main()
