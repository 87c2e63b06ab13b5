#!/usr/bin/env python3
"""Generate images with a trained network: `python generate.py --help`."""

from progan.runtime.signals import install_early_handlers

if __name__ == "__main__":
    install_early_handlers()  # before the imports that take long

    from progan.cli.generate import main

    main()
