"""`python -m metrics --help`."""

from metrics.cli import main

if __name__ == "__main__":
    main(prog_name="python -m metrics")
