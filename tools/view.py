"""Serves the bodies of a run in an interactive 3D viewer, until Ctrl-C (``hrtk view``)."""

import sys

from hrtk.cli.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('view'))
