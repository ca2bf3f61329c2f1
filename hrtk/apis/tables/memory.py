"""Peak memory of a run, kept beside its results, since a stored run is not computed again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Optional

import torch

from hrtk.errors import InputError
from hrtk.files import write_text_atomically
from hrtk.reading import read_json

FILE = 'memory.json'
MIB = 2**20
STATUS = Path('/proc/self/status')
RESET = Path('/proc/self/clear_refs')
RESET_PEAK = '5'  # resets VmHWM, see proc_pid_clear_refs(5) of Linux


def restart_peak() -> bool:
    """Lets the peak be counted anew; False where nothing counts it.

    On a GPU it is what torch has allocated. On the CPU it is the resident memory of the whole process, with Python,
    torch and what earlier runs of the same process have left; only Linux tells it.
    """
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return True
    try:
        RESET.write_text(RESET_PEAK)
    except OSError:
        return False
    return True


def record_peak(folder: Path) -> None:
    """Writes the peak since :func:`restart_peak` to ``memory.json``, or keeps the larger one of an earlier part.

    Args:
        folder: of the run.
    """
    peak: Optional[float]
    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated() / MIB
    else:
        peak = _resident_peak()
    stored = peak_memory(folder)
    if peak is not None and (stored is None or stored < peak):
        write_text_atomically(folder / FILE, json.dumps({'peak_mib': round(peak, 1)}) + '\n')


def peak_memory(folder: Path) -> Optional[float]:
    """The recorded peak of a run, MiB; None if there is none."""
    if not (folder / FILE).exists():
        return None
    try:
        value = read_json(folder / FILE, kind=dict).get('peak_mib')
    except InputError:  # a number beside the results, which are worth more than it
        return None
    return value if isinstance(value, float) else None


def _resident_peak() -> Optional[float]:
    """MiB."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(':')
        if name == 'VmHWM':
            return int(value.split()[0]) * 1024 / MIB
    return None
