"""Lists the licensed files that hrtk can use, and checks those that are present (``hrtk check-assets``)."""

import sys

from hrtk.cli.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('check-assets'))
