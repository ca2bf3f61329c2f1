"""Adapts an estimator to footage (``hrtk adapt``)."""

import sys

from hrtk.cli.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('adapt'))
