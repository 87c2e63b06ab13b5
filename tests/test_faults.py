"""The list of deliberate faults fits the code; `make faults` inserts them."""

from pathlib import Path

from tests.faults.run import Fault, load_faults

ROOT = Path(__file__).resolve().parents[1]


def misfits(fault: Fault) -> list[str]:
    count = (ROOT / fault.file).read_text("utf-8").count(fault.old)
    missing = [test for test in fault.tests if not (ROOT / test).exists()]
    return [f"{fault.what}: {count} times in {fault.file}"] * (count != 1) + missing


def test_every_fault_can_be_inserted() -> None:
    assert [each for fault in load_faults() for each in misfits(fault)] == []


def test_the_table_names_these_faults_and_whole_tests() -> None:
    rows = [
        line.strip("| ").split(" | ")
        for line in (ROOT / "docs/faults.md").read_text("utf-8").splitlines()
        if line.startswith("| ") and not line.startswith("| fault ")
    ]
    assert [row[:2] for row in rows] == [[fault.what, f"`{fault.file}`"] for fault in load_faults()]
    assert [row[2] for row in rows if row[2].count("[") != row[2].count("]")] == []
