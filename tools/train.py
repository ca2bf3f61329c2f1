"""Trains a start model: ``python tools/train.py CONFIG [--work-dir DIR] [--cfg-options KEY=VALUE ...]``.

Several GPUs: ``torchrun --nproc-per-node=N tools/train.py CONFIG``. A killed training goes on where it was.
"""

import sys

from hrtk.apis.train import train
from hrtk.cli.options import run_command

if __name__ == '__main__':
    sys.exit(
        run_command(train, 'Trains a start model', 'run again to go on from the last checkpoint')
    )
