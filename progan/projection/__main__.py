"""`python -m progan.projection --help`."""

from progan.projection.cli import main

if __name__ == "__main__":
    main(prog_name="python -m progan.projection")
