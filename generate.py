#!/usr/bin/env python3
"""Make pictures with a trained network: `python generate.py --help`."""

from progan.cli.generate import main

if __name__ == "__main__":
    main()
