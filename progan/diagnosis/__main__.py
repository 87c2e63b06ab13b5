"""`python -m progan.diagnosis --help`."""

from progan.diagnosis.cli import main

if __name__ == "__main__":
    main(prog_name="python -m progan.diagnosis")
