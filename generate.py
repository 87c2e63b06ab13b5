#!/usr/bin/env python3
"""Make pictures with a trained network: `python generate.py --help`."""

from progan.runtime.early_signals import heed_signals

if __name__ == "__main__":
    heed_signals()  # before the imports that take long

    from progan.cli.generate import main

    main()
