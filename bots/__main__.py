"""Lets `python -m bots` run the command line."""

import sys

from bots.cli import main

sys.exit(main())
