"""Adapts an estimator to footage: ``python tools/adapt.py CONFIG [--work-dir DIR] [--cfg-options KEY=VALUE ...]``.

Several processes: ``torchrun --nproc-per-node=N tools/adapt.py CONFIG``.
"""

import sys

from hrtk.apis import adapt
from hrtk.cli.options import run_command

if __name__ == '__main__':
    sys.exit(
        run_command(
            adapt,
            'Adapts an estimator to footage',
            'everything finished is stored: run again to resume',
        )
    )
