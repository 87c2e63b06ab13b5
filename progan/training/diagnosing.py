"""The diagnosis of a training while it goes on."""

from pathlib import Path

from progan.config import Run
from progan.diagnosis.findings import Verdict
from progan.diagnosis.history import History, Row, read_rows
from progan.diagnosis.report import finding_words, summary
from progan.diagnosis.symptoms import SYMPTOMS, diagnose
from progan.invocation import command
from progan.run_directory import STATISTICS_FILE
from progan.runtime.log import Log
from progan.training.monitor import Monitor


class Diagnosis:
    """The status after each tick; what changes goes to the log and, as text, to TensorBoard.

    stats.jsonl does not get it: it follows from what stands there.
    """

    def __init__(self, run: Run, directory: Path, monitor: Monitor, log: Log) -> None:
        self._rows: list[Row] = read_rows(directory / STATISTICS_FILE)
        self._run, self._monitor, self._log = run, monitor, log
        self._plotting = command("diagnosis", directory, "--plot", "curves.png")
        self.verdict = self._judged()

    def add(self, row: Row) -> None:
        """Judge anew, with the statistics of another tick."""
        self._rows.append(row)
        before, self.verdict = self.verdict, self._judged()
        images_seen = int(row["images_seen"])
        found = {finding.name for finding in self.verdict.findings}
        self._monitor.curves({f"diagnosis/{symptom.name.replace(' ', '-')}":
                              float(symptom.name in found) for symptom in SYMPTOMS}, images_seen)
        if found != {finding.name for finding in before.findings} or (
                before.judged != self.verdict.judged):
            self._tell(before, images_seen)

    def _judged(self) -> Verdict:
        return diagnose(History.of_run(self._rows, self._run))

    def _tell(self, before: Verdict, images_seen: int) -> None:
        known = {finding.name for finding in before.findings}
        new = [finding_words(finding) for finding in self.verdict.findings
               if finding.name not in known]
        lines = [f"Diagnosis: {words}" for words in new or [summary(self.verdict)]]
        for line in lines:
            self._log(f"{line} (Curves: {self._plotting})" if new else line)
        self._monitor.text("diagnosis", "\n\n".join(lines), images_seen)
