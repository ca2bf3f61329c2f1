"""What a keypoint file holds that cannot be used: counted by reason, named by its first example, told in one line."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

from hrtk.errors import InputError

_log = logging.getLogger(__name__)


@dataclasses.dataclass
class _Reason:
    """One reason.

    Attributes:
        noun: what is counted, a plural: ``'points'``.
        first: the first example.
        complaint: the message if nothing else is left.
        count: the number of examples.
    """

    noun: str
    first: str
    complaint: str
    count: int = 0


class LeftOut:
    """The parts of one keypoint file that are not used.

    One bad value does not spoil a file, but a file whose values are all bad is another file than it seems, which is
    said as an error.

    Args:
        path: of the file, with which every message begins.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reasons: dict[str, _Reason] = {}
        self._notes: list[str] = []
        self._totals: dict[str, int] = {}

    def total(self, noun: str, count: int) -> None:
        """Notes how many of something the file has in all, those that are left out included."""
        self._totals[noun] = count

    def add(self, noun: str, reason: str, first: str, complaint: str, count: int = 1) -> None:
        """Counts something that is not used.

        Args:
            noun: what it is, a plural: ``'points'``.
            reason: a predicate: ``'are no finite numbers and count as absent'``.
            first: which one it is; the first one of a reason is told.
            complaint: the error message, without the path, if every one of the noun has this reason.
            count: the number of them.
        """
        entry = self._reasons.setdefault(reason, _Reason(noun, first, complaint))
        entry.count += count

    def note(self, text: str) -> None:
        """Adds something to the line that is no loss."""
        if text not in self._notes:
            self._notes.append(text)

    def finish(self) -> None:
        """Writes the line to the log, if there is anything to tell.

        Raises:
            InputError: all of a noun are left out for one reason.
        """
        parts = []
        for reason, entry in self._reasons.items():
            total = self._totals.get(entry.noun, entry.count)
            if entry.count >= total:
                raise InputError(f'{self.path}: {entry.complaint}')
            parts.append(
                f'{entry.count} of {total} {entry.noun} {reason} (the first: {entry.first})'
            )
        parts += self._notes
        if parts:
            _log.warning('%s: %s', self.path, '; '.join(parts))
