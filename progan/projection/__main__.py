"""`python -m progan.projection --help`."""

from progan.runtime.early_signals import heed_signals

if __name__ == "__main__":
    heed_signals()  # before the imports that take long

    from progan.projection.cli import main

    main(prog_name="python -m progan.projection")
