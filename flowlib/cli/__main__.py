"""python -m flowlib.cli, for accelerate launch."""

import sys

from flowlib.cli import main

sys.exit(main())
