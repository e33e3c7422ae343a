"""`python -m spanbert`."""

import sys

from spanbert.cli import main

if __name__ == "__main__":
    sys.exit(main())
