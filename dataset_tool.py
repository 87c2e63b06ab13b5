"""Make datasets, look at them, and check them: see `python dataset_tool.py --help`."""

from progan.runtime.early_signals import heed_signals

if __name__ == "__main__":
    heed_signals()  # before the imports that take long

    from progan.cli.dataset import main

    main()
