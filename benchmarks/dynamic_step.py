"""One frame of dynamic bilevel adaptation: hrtk against the literal ``literal/dynamic.py``, on the same numbers.

Both adapt a copy of the same network to the same noise, frame by frame in turn, so that a busy machine slows both
alike; the third in the turn is hrtk with ``parameters='layer4+head'``, which is another method and cheaper. Every frame
takes the same number of extra steps. The motion term looks back one frame, and frames before it sets in are not timed.
The literal step also evaluates its probe and reads its exemplars from pictures at every look-up, as the released code
does; ``bare`` is the ratio without both.

The last columns say how far the results of ``hrtk`` and ``literal`` lie apart after the same frames in float64: the
largest difference of a rotation matrix and of a weight, and the length of that difference over that of the way the
weights have gone.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))

from bilevel_step import NETS, Side, apart  # noqa: E402
from literal.dynamic import LiteralDynaBOA  # noqa: E402
from literal.scene import DoubleHMR, RandomPhotos, random_sequence  # noqa: E402

from hrtk.adapters import DynamicBilevel, Preparation  # noqa: E402
from hrtk.models.estimators import HMR  # noqa: E402
from hrtk.models.priors.gmm import OPEN_GMM, read_gmm  # noqa: E402

ALWAYS = -1.0  # a threshold that every step passes
VIEWS = 8


def sides(net: str, extra: int, order: str, double: bool) -> dict[str, Any]:
    """The programs with their networks, ready to adapt."""
    config, resolution, batch, settings, factors = NETS[net]
    torch.manual_seed(0)
    model = (DoubleHMR if double else HMR)(**config, resolution=resolution).eval()
    views = dict(resolution=resolution, double=double, length=VIEWS)
    dtype = torch.float64 if double else torch.float32
    options = dict(threshold=ALWAYS, max_extra=extra, order=order)

    def ours(parameters: str) -> tuple[DynamicBilevel, HMR]:
        adapter = DynamicBilevel(
            **settings,
            **options,
            weights=factors,
            parameters=parameters,
            pose_prior=dict(type='GMMPosePrior', dtype=dtype),
            exemplars=dict(dataset=dict(type='RandomPhotos', **views), batch=batch),
        )
        twin = copy.deepcopy(model)
        adapter.prepare(twin, None, Preparation())
        return adapter, twin

    whole, part, twin = ours('all'), ours('layer4+head'), copy.deepcopy(model)
    named = {'keep' if name == 'teacher_keep' else name: value for name, value in settings.items()}
    literal = LiteralDynaBOA(
        twin,
        read_gmm(OPEN_GMM),
        RandomPhotos(**views),
        whole[0].exemplars._arrays['features'],
        batch=batch,
        evaluate_probe=True,
        **named,
        **options,
        **factors,
    )
    return dict(hrtk=whole, literal=(literal, twin), part=part, start=model)


def compare(
    net: str, extra: int, order: str, frames: int, double: bool = False
) -> dict[str, float]:
    """Runs all sides in turn.

    Returns:
        Milliseconds per frame, ratios, and by how much the results differ.
    """
    found = sides(net, extra, order, double)
    start = {name: value.detach() for name, value in found.pop('start').named_parameters()}
    interval, dtype = NETS[net][3]['interval'], torch.float64 if double else torch.float32
    sequence, warm = random_sequence('noise', interval + 1 + frames, 256, dtype=dtype), interval + 1
    turns = {
        name: Side(
            adapter.adapt(sequence) if name == 'literal' else adapter.start(model).run(sequence)
        )
        for name, (adapter, model) in found.items()
    }
    literal, worst = found['literal'][0], 0.0
    for t in range(warm + frames):
        if t == warm:
            literal.probe_seconds = literal.read_seconds = 0.0
        seen = {name: turns[name].step(t >= warm) for name in (turns if t % 2 else reversed(turns))}
        worst = max(worst, (seen['hrtk'].rotmat - seen['literal']['rotmat']).abs().max().item())
    ours, plain, part = (turns[name].cpu for name in ('hrtk', 'literal', 'part'))
    bare = plain - literal.probe_seconds - literal.read_seconds
    return dict(
        ours=1e3 * ours / frames,
        literal=1e3 * plain / frames,
        part=1e3 * part / frames,
        ratio=plain / ours,
        bare_ratio=bare / ours,
        gain=ours / part,
        over=plain / part,
        prediction=worst,
        **apart(found['hrtk'][1], found['literal'][1], start),
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--net', nargs='+', choices=NETS, default=['r50'], help='which networks')
    parser.add_argument(
        '--extra', nargs='+', type=int, default=[0, 2], help='extra steps per frame'
    )
    parser.add_argument('--order', nargs='+', choices=['first', 'second'], default=['first'])
    parser.add_argument('--frames', type=int, default=4, help='timed frames')
    parser.add_argument(
        '--check', type=int, default=1, help='frames of the comparison in float64, after two others'
    )
    parser.add_argument(
        '--threads', type=int, default=1, help='of torch; CPU time is summed over them'
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as cache:
        os.environ['HRTK_CACHE'] = cache
        print(
            f'CPU ms per frame over {args.frames} frames, {args.threads} thread(s), torch {torch.__version__}\n'
            f'{"net":<4} {"order":<7} {"extra":>5} {"hrtk":>8} {"literal":>8} {"ratio":>6} {"bare":>6} '
            f'{"layer4+head":>12} {"x hrtk":>7} {"x literal":>10}   {"max |d rotmat|":>14} {"max |d weight|":>14} '
            f'{"|d| / |moved|":>13}'
        )
        for net in args.net:
            for order in args.order:
                for extra in args.extra:
                    row = compare(net, extra, order, args.frames)
                    exact = (
                        compare(net, extra, order, args.check, double=True)
                        if args.check
                        else dict.fromkeys(row, float('nan'))
                    )
                    print(
                        f'{net:<4} {order:<7} {extra:5d} {row["ours"]:8.1f} {row["literal"]:8.1f} '
                        f'{row["ratio"]:6.2f} {row["bare_ratio"]:6.2f} {row["part"]:12.1f} {row["gain"]:7.2f} '
                        f'{row["over"]:10.2f}   {exact["prediction"]:14.1e} {exact["weights"]:14.1e} '
                        f'{exact["relative"]:13.1e}',
                        flush=True,
                    )


if __name__ == '__main__':
    main()
