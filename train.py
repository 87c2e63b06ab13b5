#!/usr/bin/env python3
"""Train a progressive GAN: `python train.py --help`."""

from progan.cli.train import main

if __name__ == "__main__":
    main()
