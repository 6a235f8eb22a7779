"""Lets `python -m sandbox` run the command line."""

import sys

from sandbox.cli import main

sys.exit(main())
