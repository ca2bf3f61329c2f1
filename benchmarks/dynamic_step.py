"""One frame of dynamic bilevel adaptation: hrtk against the literal ``literal/dynamic.py``, on the same numbers.

Both adapt a copy of the same network to the same noise, frame by frame in turn, so that a busy machine slows both
alike; the third program is hrtk with ``parameters='layer4+head'``, which is another method and cheaper. Every frame
takes the same number of extra steps. The motion term looks back one frame, and frames before it sets in are not timed.
The literal step also evaluates its probe and reads its exemplars from image files at every retrieval, as the released
code does; ``bare`` is the ratio without both.

The last columns are differences between ``hrtk`` and ``literal`` after the same frames in float64: the largest
difference of a rotation matrix and of a weight, and the norm of the difference of the weights over the norm of their
change.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple, Optional

import torch

sys.path.insert(0, str(Path(__file__).parent))

from bilevel_step import NETS, Side, build_network, weight_differences  # noqa: E402
from literal.dynamic import LiteralDynaBOA  # noqa: E402
from literal.scene import RandomPhotos, random_sequence  # noqa: E402
from measuring import floor_ms, record  # noqa: E402

from hrtk.adapters import DynamicBilevel, Preparation  # noqa: E402
from hrtk.models.estimators import HMR  # noqa: E402
from hrtk.models.priors.gmm import OPEN_GMM, read_gmm  # noqa: E402

ALWAYS = -1.0  # a threshold that every step passes
VIEWS = 8


class Program(NamedTuple):
    """An adapter and its network."""

    adapter: DynamicBilevel | LiteralDynaBOA
    model: HMR


def programs(net: str, extra: int, order: str, double: bool) -> dict[str, Program]:
    """The programs with their networks, ready to adapt."""
    setting = NETS[net]
    model = build_network(setting, double)
    views = dict(resolution=setting.resolution, double=double, length=VIEWS)
    dtype = torch.float64 if double else torch.float32
    options = dict(threshold=ALWAYS, max_extra=extra, order=order)
    exemplars = dict(dataset=dict(type='RandomPhotos', **views), batch=setting.batch)

    def ours(parameters: str) -> Program:
        adapter = DynamicBilevel(
            **setting.options,
            **options,
            weights=setting.loss_weights,
            parameters=parameters,
            pose_prior=dict(type='GMMPosePrior', dtype=dtype),
            exemplars=exemplars,
        )
        twin = copy.deepcopy(model)
        adapter.prepare(twin, None, Preparation())
        return Program(adapter, twin)

    hrtk = ours('all')
    part = ours('layer4+head')
    literal = LiteralDynaBOA(
        model,
        read_gmm(OPEN_GMM),
        RandomPhotos(**views),
        hrtk.adapter.exemplar_bank._arrays['features'],
        batch=setting.batch,
        evaluate_probe=True,
        **setting.literal_options(),
        **options,
        **setting.loss_weights,
    )
    return dict(hrtk=hrtk, literal=Program(literal, model), part=part)


def compare(
    net: str, extra: int, order: str, frames: int, double: bool = False
) -> dict[str, float]:
    """Runs all programs in turn.

    Returns:
        Milliseconds per frame, ratios, and differences of the results.
    """
    compared = programs(net, extra, order, double)
    literal = compared['literal'].adapter
    start = {
        name: value.detach().clone() for name, value in compared['literal'].model.named_parameters()
    }
    warm_up = NETS[net].options['interval'] + 1
    dtype = torch.float64 if double else torch.float32
    sequence = random_sequence('noise', warm_up + frames + 1, 256, dtype=dtype)
    sides = {'literal': Side(literal.adapt(sequence))}
    for name in ('hrtk', 'part'):
        adapter, model = compared[name]
        sides[name] = Side(adapter.start(model).run(sequence))
    largest = 0.0
    for t in range(warm_up + frames):
        if t == warm_up:
            literal.probe_seconds = 0.0
            literal.read_seconds = 0.0
        turn = ('hrtk', 'literal', 'part') if t % 2 else ('part', 'literal', 'hrtk')
        predictions = {name: sides[name].step(t >= warm_up) for name in turn}
        difference = predictions['hrtk'].rotmat - predictions['literal']['rotmat']
        largest = max(largest, difference.abs().max().item())
    ours = sides['hrtk'].cpu
    plain = sides['literal'].cpu
    part = sides['part'].cpu
    bare = plain - literal.probe_seconds - literal.read_seconds
    changes = weight_differences(compared['hrtk'].model, compared['literal'].model, start)
    return dict(
        floor=floor_ms(lambda: sides['hrtk'].step(False)),
        ours=1e3 * ours / frames,
        literal=1e3 * plain / frames,
        part=1e3 * part / frames,
        ratio=plain / ours,
        bare_ratio=bare / ours,
        gain=ours / part,
        over=plain / part,
        prediction=largest,
        **changes,
    )


def print_row(net: str, extra: int, order: str, frames: int, check: int) -> None:
    """Measures one setting; ``check`` frames are compared in float64, none for 0."""
    row = compare(net, extra, order, frames)
    exact = dict.fromkeys(row, float('nan'))
    if check:
        exact = compare(net, extra, order, check, double=True)
    name = f'DynamicBilevel, one frame, {net}, {order} order, {extra} extra steps'
    record(name, row['ours'], row['literal'], 'literal/dynamic.py', row['floor'])
    print(
        f'{net:<4} {order:<7} {extra:5d} {row["ours"]:8.1f} {row["literal"]:8.1f} '
        f'{row["ratio"]:6.2f} {row["bare_ratio"]:6.2f} {row["part"]:12.1f} {row["gain"]:7.2f} '
        f'{row["over"]:10.2f}   {exact["prediction"]:14.1e} {exact["weights"]:14.1e} '
        f'{exact["relative"]:13.1e}',
        flush=True,
    )


def main(arguments: Optional[list[str]] = None) -> None:
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
    args = parser.parse_args(arguments)
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
                    print_row(net, extra, order, args.frames, args.check)


if __name__ == '__main__':
    main()
