"""Estimates the bodies of all people in a video, in images or in front of a webcam (``hrtk infer``)."""

import sys

from hrtk.cli.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('infer'))
