"""Computes a table of configs beside the values of a paper (``hrtk benchmark``)."""

import sys

from hrtk.cli.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('benchmark'))
