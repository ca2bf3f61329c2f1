"""Times and memory of calls, the least time of arithmetic, and rows of the table of speeds: for all benchmarks."""

from __future__ import annotations

import dataclasses
import functools
import resource
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Optional

import torch
from torch.utils.flop_counter import FlopCounterMode

from hrtk.apis.tables.content import mean_interval

CPU = torch.device('cpu')
MIB = 2**20
SAMPLING = 0.001  # seconds between samples of the memory
PRODUCT = 768  # rows and columns of the matrices whose product gives the rate of the machine


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table of speeds, see ``benchmarks/README.md``.

    Attributes:
        name: what was timed.
        this: its time.
        reference: the time of the same work done otherwise; None if nothing was timed beside it.
        against: how the reference does it.
        floor: the least time of this work on this machine, see :func:`floor_ms`; None if it was not found.
        unit: of the times.
    """

    name: str
    this: float
    reference: Optional[float] = None
    against: str = ''
    floor: Optional[float] = None
    unit: str = 'ms'

    @property
    def ratio(self) -> Optional[float]:
        """The reference's time over this one's."""
        if self.reference is None:
            return None
        return self.reference / self.this


ROWS: list[Row] = []  # of this process, in the order of their measurement


def record(
    name: str,
    this: float,
    reference: Optional[float] = None,
    against: str = '',
    floor: Optional[float] = None,
    unit: str = 'ms',
) -> None:
    """Adds a :class:`Row` to :data:`ROWS`, which ``benchmarks/all.py`` writes down."""
    ROWS.append(Row(name, this, reference, against, floor, unit))


@functools.cache
def operations_per_ms(dtype: torch.dtype = torch.float32) -> float:
    """Multiplications and additions per millisecond in a product of two matrices, the best of five, on the CPU."""
    matrices = torch.ones(2, PRODUCT, PRODUCT, dtype=dtype)
    return 2 * PRODUCT**3 / best_ms(lambda: matrices[0] @ matrices[1], 5)


def floor_ms(call: Callable[[], object], dtype: torch.dtype = torch.float32) -> float:
    """The least time of a call: its multiplications and additions at the rate of a product of large matrices.

    Counted are matrix products and convolutions, forward and backward, while the call runs once; norms, activations
    and everything else count as free. The rate is that of the CPU and its present number of threads.
    """
    counter = FlopCounterMode(display=False)
    with counter:
        call()
    return counter.get_total_flops() / operations_per_ms(dtype)


def use_one_thread() -> None:
    """One thread, and float32 in full: cuDNN would round the literal convolutions to TF32, but not our products."""
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False


def clock(device: torch.device = CPU) -> float:
    """Seconds: of this process on the CPU, of the wall on a GPU, after all of its work is done."""
    if device.type == 'cuda':
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def best_ms(
    call: Callable[[], object], repeat: int, device: torch.device = CPU, warm_up: int = 1
) -> float:
    """Shortest time of a call in milliseconds, after ``warm_up`` calls that are not timed."""
    times = []
    for _ in range(warm_up):
        call()
    for _ in range(repeat):
        start = clock(device)
        call()
        times.append(clock(device) - start)
    return 1000 * min(times)


def child_seconds(command: list[str], environment: dict[str, str]) -> float:
    """User and system seconds of a command that has to succeed; its output to stdout is dropped."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def peak_mib(call: Callable[[], object], device: torch.device) -> float:
    """Largest memory of a call beyond the memory before it, MiB.

    On the CPU the resident memory, sampled every millisecond; on a GPU the memory that torch has allocated.
    """
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / MIB
    samples = [0.0]
    finished = threading.Event()
    before = resident_mib()

    def sample() -> None:
        while not finished.wait(SAMPLING):
            samples.append(resident_mib())

    sampler = threading.Thread(target=sample)
    sampler.start()
    call()
    samples.append(resident_mib())
    finished.set()
    sampler.join()
    return max(samples) - before


def resident_mib() -> float:
    """Resident memory of this process, MiB."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * resource.getpagesize() / MIB


def mean_text(values: Iterable[float], digits: int) -> str:
    """Mean with its 95 % interval, ``'12.3 ± 0.4'``; the mean alone of a single value."""
    mean, interval = mean_interval(values)
    text = f'{mean:.{digits}f}'
    if interval is not None:
        text += f' ± {interval:.{digits}f}'
    return text
