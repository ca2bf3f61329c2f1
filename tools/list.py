"""Lists the classes that configs can name, with the package that provides each (``hrtk list``)."""

import sys

from hrtk.cli.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('list'))
