#!/usr/bin/env python3
"""Train a progressive GAN: `python train.py --help`."""

from progan.runtime.signals import install_early_handlers

if __name__ == "__main__":
    install_early_handlers(is_training=True)  # before the imports that take long

    from progan.cli.train import main

    main()
