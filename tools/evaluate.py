"""Scores stored results again, or joints of another program, without a network (``hrtk evaluate``)."""

import sys

from hrtk.cli.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('evaluate'))
