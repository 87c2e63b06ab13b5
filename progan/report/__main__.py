"""`python -m progan.report --help`."""

from progan.report.cli import main

if __name__ == "__main__":
    main(prog_name="python -m progan.report")
