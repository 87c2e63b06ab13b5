"""Make datasets, look at them, and check them: see `python dataset_tool.py --help`."""

from progan.runtime.signals import install_early_handlers

if __name__ == "__main__":
    install_early_handlers()  # before the imports that take long

    from progan.cli.dataset import main

    main()
