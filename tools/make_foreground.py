"""Writes foreground masks from two detectors and the limbs between keypoints (``hrtk make-foreground``)."""

import sys

from hrtk.cli.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('make-foreground'))
