"""`python -m progan.report --help`."""

from progan.runtime.signals import install_early_handlers

if __name__ == "__main__":
    install_early_handlers()  # before the imports that take long

    from progan.report.cli import main

    main(prog_name="python -m progan.report")
