"""One frame of bilevel adaptation: hrtk's step against the literal one of ``literal/boa.py``, on the same numbers.

Both adapt a copy of the same network to the same noise, frame by frame in turn, so that a busy machine slows both
alike. The motion term looks back one frame, and frames before it sets in are not timed. The literal step also
evaluates its probe on every frame, as released code of the family does; ``no probe`` is the ratio without that.

The last columns are differences after the same frames in float64: the largest difference of a rotation matrix and of a
weight, and the norm of the difference of the weights over the norm of their change. (In float32 Adam turns the rounding
of gradients near zero into full steps, in either program.)
"""

from __future__ import annotations

import argparse
import copy
import itertools
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Optional

import torch

sys.path.insert(0, str(Path(__file__).parent))

from literal.boa import LiteralBOA  # noqa: E402
from literal.scene import DoubleHMR, RandomViews, random_sequence  # noqa: E402
from measuring import floor_ms, record  # noqa: E402

from hrtk.adapters import Bilevel  # noqa: E402
from hrtk.models.estimators import HMR  # noqa: E402
from hrtk.models.priors.gmm import OPEN_GMM, read_gmm  # noqa: E402


class Setting(NamedTuple):
    """A network and the settings of its adaptation.

    Attributes:
        network: arguments of HMR.
        resolution: of the crops, px.
        batch: source crops per step.
        options: of the adapter.
        loss_weights: of the adapter that differ from its defaults.
    """

    network: dict[str, Any]
    resolution: int
    batch: int
    options: dict[str, Any]
    loss_weights: dict[str, float]

    def literal_options(self) -> dict[str, Any]:
        """The options under the names of the literal code."""
        options = dict(self.options)
        options['keep'] = options.pop('teacher_keep')
        return options


# The settings of BOA for 3DPW, those of configs/boa/r18_wild.py, and a network that only shows that a program runs.
NETS = {
    'r50': Setting(
        network=dict(backbone=dict(type='ResNet', depth=50, norm='gn')),
        resolution=224,
        batch=1,
        options=dict(lr=3e-6, inner_lr=8e-6, interval=1, teacher_keep=0.1, normalise='all'),
        loss_weights={},
    ),
    'r18': Setting(
        network=dict(
            backbone=dict(type='ResNet', depth=18, width=32),
            head=dict(type='IterativeRegressor', hidden=512, activation='relu', dropout=0.0),
        ),
        resolution=112,
        batch=4,
        options=dict(lr=3e-4, inner_lr=3e-4, interval=1, teacher_keep=0.9, normalise='visible'),
        loss_weights=dict(shape_prior=1e-3, source=0.3, motion=1.0),
    ),
    'tiny': Setting(
        network=dict(
            backbone=dict(type='ResNet', depth=18, width=8),
            head=dict(type='IterativeRegressor', hidden=32, dropout=0.0),
        ),
        resolution=32,
        batch=1,
        options=dict(lr=3e-4, inner_lr=3e-4, interval=1, teacher_keep=0.9, normalise='visible'),
        loss_weights={},
    ),
}
MEASURED = ('r50', 'r18')


class Side:
    """One of the programs: its predictions and their times."""

    def __init__(self, predictions: Iterator) -> None:
        self.predictions = predictions
        self.cpu = 0.0
        self.wall = 0.0

    def step(self, timed: bool) -> Any:
        """Predicts one frame."""
        cpu = time.process_time()
        wall = time.perf_counter()
        prediction = next(self.predictions)
        if timed:
            self.cpu += time.process_time() - cpu
            self.wall += time.perf_counter() - wall
        return prediction


def build_network(setting: Setting, double: bool) -> HMR:
    """The network with random weights, in float64 if ``double``."""
    torch.manual_seed(0)
    kind = DoubleHMR if double else HMR
    return kind(**setting.network, resolution=setting.resolution).eval()


def weight_differences(
    model: torch.nn.Module, twin: torch.nn.Module, start: dict[str, torch.Tensor]
) -> dict[str, float]:
    """Differences of the weights of two networks: the largest, and their norm relative to the change from the start."""
    end = _flat(model.parameters())
    difference = end - _flat(twin.parameters())
    change = end - _flat(start.values())
    return dict(
        weights=difference.abs().max().item(), relative=(difference.norm() / change.norm()).item()
    )


def _flat(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def compare(
    net: str, order: str, frames: int, dtype: torch.dtype = torch.float32
) -> dict[str, float]:
    """Runs both programs in turn.

    Returns:
        Milliseconds per frame, ratios, and differences of the results.
    """
    setting = NETS[net]
    double = dtype == torch.float64
    model = build_network(setting, double)
    start = {name: value.detach().clone() for name, value in model.named_parameters()}
    twin = copy.deepcopy(model)
    views = dict(resolution=setting.resolution, double=double)
    source = dict(type='RandomViews', **views)
    adapter = Bilevel(
        **setting.options,
        order=order,
        weights=setting.loss_weights,
        pose_prior=dict(type='GMMPosePrior', dtype=dtype),
        source=dict(dataset=source, batch=setting.batch, order='sequential'),
    )
    pool = [RandomViews(**views)[index] for index in range(8)]
    indices = itertools.cycle(range(8))
    literal = LiteralBOA(
        twin,
        read_gmm(OPEN_GMM),
        pool,
        lambda: list(itertools.islice(indices, setting.batch)),
        evaluate_probe=True,
        order=order,
        **setting.literal_options(),
        **setting.loss_weights,
    )
    warm_up = setting.options['interval'] + 1
    sequence = random_sequence('noise', warm_up + frames + 1, 256, dtype=dtype)
    ours = Side(adapter.start(model).run(sequence))
    theirs = Side(literal.adapt(sequence))
    largest = 0.0
    for t in range(warm_up + frames):
        if t == warm_up:
            literal.probe_seconds = 0.0
        predictions = {}
        for side in (ours, theirs) if t % 2 else (theirs, ours):
            predictions[side] = side.step(t >= warm_up)
        difference = predictions[ours].rotmat - predictions[theirs]['rotmat']
        largest = max(largest, difference.abs().max().item())
    changes = weight_differences(model, twin, start)
    return dict(
        floor=floor_ms(lambda: ours.step(False)),
        ours=1e3 * ours.cpu / frames,
        literal=1e3 * theirs.cpu / frames,
        ratio=theirs.cpu / ours.cpu,
        wall_ratio=theirs.wall / ours.wall,
        bare_ratio=(theirs.cpu - literal.probe_seconds) / ours.cpu,
        prediction=largest,
        **changes,
    )


def main(arguments: Optional[list[str]] = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--net', nargs='+', choices=NETS, default=MEASURED, help='which networks')
    parser.add_argument(
        '--order', nargs='+', choices=['first', 'second'], default=['first', 'second']
    )
    parser.add_argument('--frames', type=int, default=8, help='timed frames')
    parser.add_argument(
        '--check',
        type=int,
        default=1,
        help='frames of the comparison in float64, after two others; 0 for none',
    )
    parser.add_argument(
        '--threads', type=int, default=1, help='of torch; CPU time is summed over them'
    )
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    print(
        f'CPU ms per frame over {args.frames} frames, {args.threads} thread(s), torch {torch.__version__}\n'
        f'{"net":<4} {"order":<7} {"hrtk":>8} {"literal":>8} {"ratio":>6} {"wall":>6} {"no probe":>9}   '
        f'{"max |d rotmat|":>14} {"max |d weight|":>14} {"|d| / |moved|":>13}'
    )
    for net in args.net:
        for order in args.order:
            row = compare(net, order, args.frames)
            exact = dict.fromkeys(row, float('nan'))
            if args.check:
                exact = compare(net, order, args.check, torch.float64)
            name = f'Bilevel, one frame, {net}, {order} order'
            record(name, row['ours'], row['literal'], 'literal/boa.py', row['floor'])
            print(
                f'{net:<4} {order:<7} {row["ours"]:8.1f} {row["literal"]:8.1f} {row["ratio"]:6.2f} '
                f'{row["wall_ratio"]:6.2f} {row["bare_ratio"]:9.2f}   {exact["prediction"]:14.1e} '
                f'{exact["weights"]:14.1e} {exact["relative"]:13.1e}',
                flush=True,
            )


if __name__ == '__main__':
    main()
