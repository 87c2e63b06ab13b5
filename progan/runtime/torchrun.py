"""torchrun for `train.py --gpus`, with the messages and the exit code of a single process.

Without torchrun's own report of a process that failed, which has said why itself. A stop by a
signal ends with the code that the training has left, not with 1 and a traceback.
"""

import logging
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run torchrun with the command line of this process; return the exit code."""
    sys.path.insert(0, str(ROOT))  # this progan, not one that is installed besides
    from progan.runtime.distributed import EXIT_CODE_FILE
    from progan.runtime.signals import choose_early_exit_code, install_early_handlers

    install_early_handlers(is_training=True)  # until torchrun installs its own
    del sys.path[0]
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as run_torchrun

    logging.disable(logging.CRITICAL)  # in this process; those of the training log for themselves
    with tempfile.TemporaryDirectory(prefix="progan-") as folder:
        file = Path(folder) / "exit-code"
        os.environ[EXIT_CODE_FILE] = str(file)
        code = 0
        try:
            run_torchrun()
        except ChildFailedError as error:
            return max(error.get_first_failure()[1].exitcode, 1)  # negative: by a signal
        except SignalException as stop:
            code = choose_early_exit_code(stop.sigval)
        written = file.read_text("ascii") if file.is_file() else ""
        return int(written or code)


if __name__ == "__main__":
    sys.exit(main())
