"""How torch's threads wait for each other. Imported before torch, which reads it only once."""

import os


def wait_politely() -> None:
    """Let OpenMP's threads sleep instead of spin while they wait, unless the user chose otherwise.

    Where another process takes a core, spinning threads starve the one they wait for, and a
    training becomes many times slower (docs/log.md).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
