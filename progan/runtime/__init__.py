"""The machine: files, devices, random streams, logs. Independent of GANs."""
