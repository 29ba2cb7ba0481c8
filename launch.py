"""Runs memjax from a clone: the same as `memjax` and `python -m memjax`."""

import sys

from memjax.__main__ import main

if __name__ == '__main__':
  sys.exit(main())
