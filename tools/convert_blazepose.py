"""Makes BlazePose's weights from MediaPipe's wheel: ``python tools/convert_blazepose.py WHEEL --output FILE.pt``."""

import sys

from hrtk.cli.convert_blazepose import main

if __name__ == '__main__':
    sys.exit(main())
