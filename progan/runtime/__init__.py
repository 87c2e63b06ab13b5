"""The machine: files, devices, random streams, logs. Knows nothing of GANs."""
