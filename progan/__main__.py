"""`python -m progan`: the same as the installed command `progan`."""

from progan.cli.start import main

if __name__ == "__main__":
    main(prog_name="python -m progan")
