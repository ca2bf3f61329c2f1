"""Shows a run as one HTML page that works offline (``hrtk report``)."""

import sys

from hrtk.cli.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('report'))
