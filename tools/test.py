"""Scores the network of a training config (``hrtk test``)."""

import sys

from hrtk.cli.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('test'))
