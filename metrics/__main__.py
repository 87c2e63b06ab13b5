"""`python -m metrics --help`, and `python -m metrics neighbours --help`."""

import sys

from metrics.cli import main
from metrics.neighbours_cli import neighbours

if __name__ == "__main__":
    if sys.argv[1:2] == ["neighbours"]:
        neighbours(sys.argv[2:], prog_name="python -m metrics neighbours")
    main(prog_name="python -m metrics")
