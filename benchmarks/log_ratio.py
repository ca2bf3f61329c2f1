"""The log-ratio loss: time and memory of forward and backward, ours against the triple loop of its equation.

Two rows per variant: ``video``, positives and negatives within a batch of sequences, and ``between``, 128 target by
128 source frames. Both implementations take the same features, joints and anchors, and they are compared on a small
batch first. The loop would need minutes and gigabytes for one batch, so it runs over its first triplets only, and its
time and memory are scaled; both are proportional to the number of triplets.

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

from literal.log_ratio import Samples, literal_log_ratio, ranked_samples, video_samples  # noqa: E402

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
    """The same triplets for the loop."""
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
        loss = ours(task, features, joints, anchors, variant)
        loop_loss = literal_log_ratio(features, joints, samples, variant)
        gradient = torch.autograd.grad(loss, features)[0]
        loop_gradient = torch.autograd.grad(loop_loss, features)[0]
        for value, loop_value in ((loss, loop_loss), (gradient, loop_gradient)):
            difference = (value - loop_value).abs().max() / loop_value.abs().max()
            largest = max(largest, difference.item())
    assert largest < 1e-5, f'{variant}: ours and the loop differ by {largest}'
    return largest


def measure(
    task: str, variant: str, shape: tuple[int, int, int], limit: int, repeat: int, device_name: str
) -> tuple[float, float, int]:
    """Measures the loop over ``limit`` triplets, or with 0 our loss.

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
        if limit:
            loss = literal_log_ratio(features, joints, samples, variant, limit=limit)
        else:
            loss = ours(task, features, joints, anchors, variant)
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
    parser.add_argument(
        '--limit', type=int, default=1000, help='triplets of the loop that are timed'
    )
    parser.add_argument(
        '--repeat', type=int, default=10, help='runs of which the best counts; two of the loop'
    )
    parser.add_argument('--device', default='cpu')
    args = parser.parse_args(arguments)
    use_one_thread()
    context = multiprocessing.get_context('spawn')
    shape = tuple(args.shape)
    print(
        f'on {args.device}, {shape}; the loop is measured over {args.limit} triplets and scaled\n'
        f'{"variant":<8} {"task":<8} {"triplets":>8} {"ours, ms":>9} {"MiB":>6} {"loop, s":>8} {"GiB":>6} '
        f'{"times":>7}'
    )
    for variant in args.variants:
        difference = compare(variant, torch.device(args.device))
        for task in args.tasks:
            rows = []
            for limit, repeat in ((0, args.repeat), (args.limit, 2)):
                setting = (task, variant, shape, limit, repeat, args.device)
                with context.Pool(1) as pool:
                    rows.append(pool.apply(measure, setting))
            (ms, mib, triplets), (loop_ms, loop_mib, _) = rows
            factor = triplets / args.limit
            name = f'log-ratio loss, {variant}, {task}'
            record(name, ms, loop_ms * factor, 'literal/log_ratio.py, part of it scaled')
            print(
                f'{variant:<8} {task:<8} {triplets:8d} {ms:9.1f} {mib:6.1f} {loop_ms * factor / 1000:8.1f} '
                f'{loop_mib * factor / 1024:6.1f} {loop_ms * factor / ms:7.0f}',
                flush=True,
            )
        print(
            f'         largest relative difference of losses and gradients {difference:.1e}',
            flush=True,
        )


if __name__ == '__main__':
    main()
