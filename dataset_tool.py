"""Make datasets, look at them, and check them: see `python dataset_tool.py --help`."""

from progan.cli.dataset import main

if __name__ == "__main__":
    main()
