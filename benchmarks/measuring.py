"""Times and memory of calls, for all benchmarks."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from hrtk.apis.tables.content import mean_interval

CPU = torch.device('cpu')
MIB = 2**20
SAMPLING = 0.001  # seconds between samples of the memory


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
