"""Pre-adaptation: frames per second of labelling, of whole epochs, and of the bare student passes that they contain.

The floor is one forward and backward pass and one fused Adam step over a batch in memory. The rest of an epoch is
reading, cropping, corruption and the losses. ``live`` is the time of an epoch if the teacher labelled every batch anew,
the features of its window included, as Algorithm 1 is written.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path
from typing import Optional

import torch

sys.path.insert(0, str(Path(__file__).parent))

from bilevel_step import MEASURED, NETS, build_network  # noqa: E402
from literal.scene import random_sequence  # noqa: E402
from measuring import record  # noqa: E402

from hrtk.adapters import PreAdapt, Preparation, PreparationStep  # noqa: E402
from hrtk.models.estimators import HMR  # noqa: E402

TEACHERS = {
    'r50': dict(type='MPSNet'),
    'r18': dict(type='MPSNet', features=256, hidden=256),
    'tiny': dict(type='MPSNet', features=64, hidden=64),
}


class Clock(Preparation):
    """Notes the times at which labels and epochs are finished."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.labelled = [now(device)]
        self.epochs: list[float] = []

    def report(self, step: PreparationStep) -> None:
        """Notes the time."""
        times = self.labelled if step.stage == 'labels' else self.epochs
        times.append(now(self.device))


def now(device: torch.device) -> float:
    """Wall time after all work of the device is done."""
    if device.type == 'cuda':
        torch.cuda.synchronize()
    return time.perf_counter()


def bare_pass(student: HMR, epochs: int, size: int, device: torch.device) -> float:
    """Seconds of a forward and backward pass and an Adam step over a batch of 8; the first pass does not count."""
    batch = torch.randn(8, 3, size, size, device=device)
    adam = torch.optim.Adam(list(student.requires_grad_().parameters()), fused=True)
    times = []
    for _ in range(1 + epochs):
        start = now(device)
        out = student(batch)
        (out.rotmat.mean() + out.betas.mean() + out.camera.mean()).backward()
        adam.step()
        times.append(now(device) - start)
    return sum(times[1:]) / epochs


def measure(net: str, epochs: int, device: torch.device) -> dict[str, float]:
    """Frames per second of one network; ``epochs`` beyond the first are timed."""
    size = NETS[net].resolution
    student = build_network(NETS[net], double=False).to(device)
    tracks = [random_sequence(f'noise{i}', 16, 2 * size, seed=i, dropped=0.0) for i in range(3)]
    clock = Clock(device)
    adapter = PreAdapt(
        teacher=dict(type='TemporalTeacher', network=TEACHERS[net]), epochs=1 + epochs
    )
    adapter.prepare(student, tracks, clock)
    label = (clock.labelled[-1] - clock.labelled[0]) / sum(map(len, tracks))
    epoch = (clock.epochs[-1] - clock.epochs[0]) / epochs
    floor = bare_pass(student, epochs, size, device)
    return dict(
        label=1 / label,
        epoch=24 / epoch,
        floor=8 / floor,
        share=3 * floor / epoch,
        live=24 / (epoch + 24 * 16 * label),
        ms_per_batch=1000 * epoch / 3,
    )


def main(arguments: Optional[list[str]] = None) -> None:
    """Prints a line per network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--nets', nargs='+', choices=sorted(NETS), default=MEASURED)
    parser.add_argument('--epochs', type=int, default=4)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--device', default='cpu')
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    for net in args.nets:
        row = measure(net, args.epochs, device)
        per_frame = {name: 1e3 / row[name] for name in ('epoch', 'live', 'floor')}
        record(
            f'PreAdapt, one frame of an epoch, {net}',
            per_frame['epoch'],
            per_frame['live'],
            'the teacher labels every batch anew (wall time)',
            per_frame['floor'],
        )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f'{net}: labelling {row["label"]:.1f} frames/s; epochs {row["epoch"]:.1f} frames/s '
            f'({row["ms_per_batch"]:.0f} ms per batch of 8), of which the bare passes are {row["share"]:.0%} '
            f'({row["floor"]:.1f} frames/s); with a live teacher {row["live"]:.1f} frames/s; peak {peak:.1f} GiB'
        )


if __name__ == '__main__':
    main()
