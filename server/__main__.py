"""Lets `python -m server` run the command line."""

import sys

from server.cli import main

sys.exit(main())
