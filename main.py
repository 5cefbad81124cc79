"""The command of a checkout: `python main.py task=sst2 ofa.widths=[1,0.75,0.5]`. It is all in `ofa/commands`."""

import sys

from ofa.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
