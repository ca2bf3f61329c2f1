"""Trains a start model: ``python tools/train.py CONFIG [--work-dir DIR] [--cfg-options KEY=VALUE ...]``.

Several GPUs: ``torchrun --nproc-per-node=N tools/train.py CONFIG``. A killed training goes on where it was.
"""

import sys

from hrtk.apis.command import run_command
from hrtk.apis.train import train

if __name__ == '__main__':
    sys.exit(
        run_command(train, 'Trains a start model', 'run again to go on from the last checkpoint')
    )
