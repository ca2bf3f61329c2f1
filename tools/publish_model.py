"""Converts the last checkpoint of a finished training to a weights file for distribution (``hrtk publish-model``)."""

import sys

from hrtk.cli.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('publish-model'))
