"""Converts data sets in the form of their owners to the files that hrtk reads (``hrtk prepare-dataset``)."""

import sys

from hrtk.cli.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('prepare-dataset'))
