"""One frame of bilevel adaptation: hrtk's step against the literal one of ``literal/boa.py``, on the same numbers.

Both adapt a copy of the same network to the same noise, frame by frame in turn, so that a busy machine slows both
alike. The motion term looks back one frame, and frames before it sets in are not timed. The literal step also
evaluates its probe on every frame, as released code of the family does; ``no probe`` is the ratio without that.

The last columns say how far the results lie apart after the same frames in float64: the largest difference of a
rotation matrix and of a weight, and the length of that difference over the length of the way the weights have gone.
(In float32 Adam turns the rounding of gradients near zero into whole steps, in either program.)
"""

from __future__ import annotations

import argparse
import copy
import itertools
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

from literal.boa import LiteralBOA  # noqa: E402
from literal.scene import DoubleHMR, RandomViews, random_sequence  # noqa: E402

from hrtk.adapters import Bilevel  # noqa: E402
from hrtk.models.estimators import HMR  # noqa: E402
from hrtk.models.priors.gmm import OPEN_GMM, read_gmm  # noqa: E402

# The network, its crops, the source crops per step, and the adapter's settings: BOA's for 3DPW, and those of
# configs/boa/r18_wild.py.
NETS = {
    'r50': (
        dict(backbone=dict(type='ResNet', depth=50, norm='gn')),
        224,
        1,
        dict(lr=3e-6, inner_lr=8e-6, interval=1, teacher_keep=0.1, normalise='all'),
        {},
    ),
    'r18': (
        dict(
            backbone=dict(type='ResNet', depth=18, width=32),
            head=dict(type='IterativeRegressor', hidden=512, activation='relu', dropout=0.0),
        ),
        112,
        4,
        dict(lr=3e-4, inner_lr=3e-4, interval=1, teacher_keep=0.9, normalise='visible'),
        dict(shape_prior=1e-3, source=0.3, motion=1.0),
    ),
}


class Side:
    """One of the two: a generator of predictions and the time it takes."""

    def __init__(self, predictions) -> None:
        self.predictions, self.cpu, self.wall = predictions, 0.0, 0.0

    def step(self, timed: bool):
        """Takes one frame."""
        cpu, wall = time.process_time(), time.perf_counter()
        prediction = next(self.predictions)
        if timed:
            self.cpu += time.process_time() - cpu
            self.wall += time.perf_counter() - wall
        return prediction


def apart(
    model: torch.nn.Module, twin: torch.nn.Module, start: dict[str, torch.Tensor]
) -> dict[str, float]:
    """How far the weights of two networks lie apart: at most, and as a share of the way from the start."""
    pairs = list(zip(model.parameters(), twin.parameters(), start.values()))
    difference, moved = (
        torch.cat([x.detach().flatten() for x in part])
        for part in ([a - b for a, b, _ in pairs], [a - c for a, _, c in pairs])
    )
    return dict(
        weights=difference.abs().max().item(), relative=(difference.norm() / moved.norm()).item()
    )


def compare(
    net: str, order: str, frames: int, dtype: torch.dtype = torch.float32
) -> dict[str, float]:
    """Runs both sides in turn.

    Returns:
        Milliseconds per frame, ratios, and by how much the results differ.
    """
    config, resolution, batch, settings, factors = NETS[net]
    double = dtype == torch.float64
    torch.manual_seed(0)
    model = (DoubleHMR if double else HMR)(**config, resolution=resolution).eval()
    start = {name: value.detach().clone() for name, value in model.named_parameters()}
    twin = copy.deepcopy(model)
    views = dict(resolution=resolution, double=double)
    ours = Bilevel(
        **settings,
        order=order,
        weights=factors,
        pose_prior=dict(type='GMMPosePrior', dtype=dtype),
        source=dict(dataset=dict(type='RandomViews', **views), batch=batch, order='sequential'),
    )
    options = {
        'keep' if name == 'teacher_keep' else name: value for name, value in settings.items()
    }
    pool, drawn = list(map(RandomViews(**views).__getitem__, range(8))), itertools.count()
    literal = LiteralBOA(
        twin,
        read_gmm(OPEN_GMM),
        pool,
        lambda: [next(drawn) % 8 for _ in range(batch)],
        evaluate_probe=True,
        order=order,
        **options,
        **factors,
    )
    warm = settings['interval'] + 1
    sequence = random_sequence('noise', warm + frames, 256, dtype=dtype)
    left, right, worst = Side(ours.start(model).run(sequence)), Side(literal.adapt(sequence)), 0.0
    for t in range(warm + frames):
        if t == warm:
            literal.probe_seconds = 0.0
        found = {side: side.step(t >= warm) for side in ((left, right) if t % 2 else (right, left))}
        worst = max(worst, (found[left].rotmat - found[right]['rotmat']).abs().max().item())
    return dict(
        ours=1e3 * left.cpu / frames,
        literal=1e3 * right.cpu / frames,
        ratio=right.cpu / left.cpu,
        wall_ratio=right.wall / left.wall,
        bare_ratio=(right.cpu - literal.probe_seconds) / left.cpu,
        prediction=worst,
        **apart(model, twin, start),
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--net', nargs='+', choices=NETS, default=list(NETS), help='which networks')
    parser.add_argument(
        '--order', nargs='+', choices=['first', 'second'], default=['first', 'second']
    )
    parser.add_argument('--frames', type=int, default=8, help='timed frames')
    parser.add_argument(
        '--check', type=int, default=1, help='frames of the comparison in float64, after two others'
    )
    parser.add_argument(
        '--threads', type=int, default=1, help='of torch; CPU time is summed over them'
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(
        f'CPU ms per frame over {args.frames} frames, {args.threads} thread(s), torch {torch.__version__}\n'
        f'{"net":<4} {"order":<7} {"hrtk":>8} {"literal":>8} {"ratio":>6} {"wall":>6} {"no probe":>9}   '
        f'{"max |d rotmat|":>14} {"max |d weight|":>14} {"|d| / |moved|":>13}'
    )
    for net in args.net:
        for order in args.order:
            row = compare(net, order, args.frames)
            exact = compare(net, order, args.check, torch.float64)
            print(
                f'{net:<4} {order:<7} {row["ours"]:8.1f} {row["literal"]:8.1f} {row["ratio"]:6.2f} '
                f'{row["wall_ratio"]:6.2f} {row["bare_ratio"]:9.2f}   {exact["prediction"]:14.1e} '
                f'{exact["weights"]:14.1e} {exact["relative"]:13.1e}',
                flush=True,
            )


if __name__ == '__main__':
    main()
