"""Compare a dataset's files with the checksums they had when they were written."""

from pathlib import Path

from tqdm import tqdm

from progan.data.format import DatasetInfo, size_fault
from progan.runtime.files import sha256_of


def damaged_files(directory: Path, info: DatasetInfo) -> list[str]:
    """Read every array file; return one sentence for each that is not what was written."""
    faults = []
    with tqdm(total=info.num_bytes, unit="B", unit_scale=True,
              desc="verifying", disable=None, leave=False) as progress:
        for file in info.array_files():
            fault = size_fault(directory, file)
            if not fault and sha256_of(directory / file.name) != info.checksums.get(file.name):
                fault = f"{file.name} has other content than when it was written"
            faults += [fault] * bool(fault)
            progress.update(file.num_bytes)
    return faults
