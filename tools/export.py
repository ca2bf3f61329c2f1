"""Writes stored results as files for other programs (``hrtk export``)."""

import sys

from hrtk.cli.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('export'))
