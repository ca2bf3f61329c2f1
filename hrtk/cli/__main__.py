"""``python -m hrtk.cli COMMAND ...``, which ``torchrun -m hrtk.cli COMMAND ...`` starts."""

import sys

from hrtk.cli.main import main

if __name__ == '__main__':
    sys.exit(main())
