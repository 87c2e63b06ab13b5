"""`python -m progan.interop --help`."""

from progan.interop.cli import main

if __name__ == "__main__":
    main(prog_name="python -m progan.interop")
