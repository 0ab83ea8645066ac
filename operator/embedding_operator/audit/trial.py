"""A case set tried on one pod, part by part: the whole may take a slow pod longer than one request can wait."""

from collections.abc import Sequence
from functools import cached_property

from embedding_model.goldens.cases import CaseSet
from embedding_model.ports import GateState, GoldensReport
from embedding_operator.audit.sheets import split_cases


class Trial:
    """What is to be asked next, and what came of it. An answer is kept until another process gives one, so parts that
    go unanswered in between cost only themselves.
    """

    def __init__(self, case_set: CaseSet) -> None:
        self._case_set = case_set
        self._reports: dict[int, GoldensReport] = {}  # by the number of the part, all of one process

    @property
    def part(self) -> CaseSet:
        """The first that has not been answered."""
        return self._parts[self._next]

    def take(self, report: GoldensReport) -> GoldensReport | None:
        """`report` answers `part`. The report on the whole set, once every part has been answered by one process.

        After one that failed, only the parts that did are asked again: a large set takes much of the time of a pod
        that serves.
        """
        number = self._next
        self._reports = {place: kept for place, kept in self._reports.items() if kept.boot_id == report.boot_id}
        self._reports[number] = report
        if len(self._reports) < len(self._parts):
            return None
        whole = self._join(latest=report)
        self._reports = {place: kept for place, kept in self._reports.items() if kept.state is GateState.PASSED}
        return whole

    @cached_property
    def _parts(self) -> Sequence[CaseSet]:
        """Split when it is first needed: every reconcile requests a trial, and few begin one."""
        return list(split_cases(self._case_set))

    @property
    def _next(self) -> int:
        return next(number for number in range(len(self._parts)) if number not in self._reports)

    def _join(self, *, latest: GoldensReport) -> GoldensReport:
        reports = [self._reports[number] for number in range(len(self._parts))]
        has_failed = any(report.state is GateState.FAILED for report in reports)
        return latest.model_copy(
            update={
                "case_set": self._case_set.name,
                "state": GateState.FAILED if has_failed else GateState.PASSED,
                "results": tuple(result for report in reports for result in report.results),
            }
        )
