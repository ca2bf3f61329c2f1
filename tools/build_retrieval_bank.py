"""Writes a bank of labelled crops and their network features for DynamicBilevel (``hrtk build-retrieval-bank``)."""

import sys

from hrtk.cli.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('build-retrieval-bank'))
