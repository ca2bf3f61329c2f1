"""The log-ratio loss: time and memory of forward and backward, ours against the loop over anchors that one would write.

Two rows per variant: ``video``, positives and negatives within a batch of sequences, and ``between``, 128 target by
128 source frames. Both implementations take the same features, joints and anchors. On a small batch they are first
compared with each other and with the triple loop of the equation.

Every measurement has a process of its own. Time is processor time on one thread, or wall time on a GPU. Memory is that
of the first call beyond its inputs: resident memory on the CPU, sampled every millisecond; memory that torch has
allocated on a GPU.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from pathlib import Path
from typing import Optional

import torch
from measuring import best_ms, peak_mib, record, use_one_thread
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

from literal.log_ratio import (  # noqa: E402
    Samples,
    literal_log_ratio,
    log_ratio_by_anchors,
    ranked_samples,
    video_samples,
)

from hrtk.losses import LogRatioLoss  # noqa: E402
from hrtk.losses.log_ratio import PENALTIES  # noqa: E402

TASKS = ('video', 'between')
SHOTS = 128


def scene(
    task: str, shape: tuple[int, int, int], device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Features (N, C), joints (N, 14, 3) and anchors (B,): random sequences that move slowly, or single frames."""
    generator = torch.Generator().manual_seed(0)
    batch, length, channels = shape
    if task == 'between':
        batch = 2 * SHOTS
        length = 1

    def walk(size: int) -> Tensor:
        start = torch.randn(batch, 1, size, generator=generator)
        steps = torch.randn(batch, length, size, generator=generator)
        return (start + 0.1 * steps.cumsum(1)).flatten(0, 1)

    features = walk(channels).relu().to(device)
    joints = 0.3 * walk(42).unflatten(1, (14, 3)).to(device)
    anchors = torch.randint(length, (batch,), generator=generator).to(device)
    return features, joints, anchors


def ours(task: str, features: Tensor, joints: Tensor, anchors: Tensor, variant: str) -> Tensor:
    """The vectorised loss."""
    loss = LogRatioLoss(variant)
    if task == 'video':
        clips = (len(anchors), -1)
        return loss(features.unflatten(0, clips), joints.unflatten(0, clips), anchors)
    shots = len(features) // 2
    return loss.between(features[:shots], joints[:shots], features[shots:], joints[shots:])


def samples_of(task: str, joints: Tensor, anchors: Tensor) -> Samples:
    """The same triplets for the other implementations."""
    if task == 'video':
        return video_samples(anchors.tolist(), len(joints) // len(anchors), 3, 'exclude')
    shots = len(joints) // 2
    return ranked_samples(joints[:shots], joints[shots:], (2, 3), 0.3)


def compare(variant: str, device: torch.device) -> float:
    """Largest difference of losses and gradients on a small batch, relative to the largest number of each."""
    largest = 0.0
    for task in TASKS:
        features, joints, anchors = scene('video', (3, 8, 32), device)
        if task == 'between':
            features = features[:20]
            joints = joints[:20]
        features.requires_grad_()
        samples = samples_of(task, joints, anchors)
        values = [ours(task, features, joints, anchors, variant)]
        for other in (literal_log_ratio, log_ratio_by_anchors):
            values.append(other(features, joints, samples, variant))
        gradients = [torch.autograd.grad(value, features)[0] for value in values]
        for first, *others in (values, gradients):
            for value in others:
                difference = (first - value).abs().max() / value.abs().max()
                largest = max(largest, difference.item())
    assert largest < 1e-5, f'{variant}: the implementations differ by {largest}'
    return largest


def measure(
    task: str, variant: str, shape: tuple[int, int, int], own: bool, repeat: int, device_name: str
) -> tuple[float, float, int]:
    """Measures our loss, or the loop over anchors.

    Returns:
        Milliseconds, MiB, and the number of all triplets.
    """
    use_one_thread()
    device = torch.device(device_name)
    features, joints, anchors = scene(task, shape, device)
    samples = samples_of(task, joints.cpu(), anchors)
    triplets = sum(len(positives) * len(negatives) for _, positives, negatives in samples)
    features.requires_grad_()

    def call() -> None:
        features.grad = None
        if own:
            loss = ours(task, features, joints, anchors, variant)
        else:
            loss = log_ratio_by_anchors(features, joints, samples, variant)
        loss.backward()

    if device.type == 'cuda':
        call()  # the first call of a process also loads libraries
        features.grad = None
    peak = peak_mib(call, device)
    return best_ms(call, repeat, device, warm_up=0), peak, triplets


def main(arguments: Optional[list[str]] = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--variants', nargs='+', choices=list(PENALTIES), default=list(PENALTIES))
    parser.add_argument('--tasks', nargs='+', choices=TASKS, default=list(TASKS))
    parser.add_argument(
        '--shape', type=int, nargs=3, default=[32, 16, 2048], help='sequences, frames, features'
    )
    parser.add_argument('--repeat', type=int, default=10, help='runs of which the best counts')
    parser.add_argument('--device', default='cpu')
    args = parser.parse_args(arguments)
    use_one_thread()
    context = multiprocessing.get_context('spawn')
    shape = tuple(args.shape)
    print(
        f'on {args.device}, {shape}\n'
        f'{"variant":<8} {"task":<8} {"triplets":>8} {"ours, ms":>9} {"MiB":>6} {"loop, ms":>9} {"MiB":>6} '
        f'{"times":>6}'
    )
    for variant in args.variants:
        difference = compare(variant, torch.device(args.device))
        for task in args.tasks:
            rows = []
            for own in (True, False):
                setting = (task, variant, shape, own, args.repeat, args.device)
                with context.Pool(1) as pool:
                    rows.append(pool.apply(measure, setting))
            (ms, mib, triplets), (loop_ms, loop_mib, _) = rows
            name = f'log-ratio loss, {variant}, {task}'
            record(name, ms, loop_ms, 'literal/log_ratio.py, anchor by anchor')
            print(
                f'{variant:<8} {task:<8} {triplets:8d} {ms:9.1f} {mib:6.1f} {loop_ms:9.1f} {loop_mib:6.1f} '
                f'{loop_ms / ms:6.2f}',
                flush=True,
            )
        print(
            f'         largest relative difference of losses and gradients {difference:.1e}',
            flush=True,
        )


if __name__ == '__main__':
    main()
