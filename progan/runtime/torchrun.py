"""torchrun without its own report of a process that failed, which has said why itself.

`train.py --gpus` runs this file in its place.
"""

import logging
import sys

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # of this process; those of the training have their own
    try:
        main()
    except ChildFailedError as error:
        sys.exit(max(error.get_first_failure()[1].exitcode, 1))  # negative: by a signal
