"""Crafts a universal adversarial perturbation of a network, without data (``hrtk craft-uap``)."""

import sys

from hrtk.cli.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('craft-uap'))
