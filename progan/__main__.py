"""`python -m progan --help`."""

from progan.cli.start import main

if __name__ == "__main__":
    main(prog_name="python -m progan")
