"""Who leads a study that several commands work on: one names the parent run and registers the best."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from glacier_ml.studies.liveness import heartbeat, is_gone
from glacier_ml.studies.processes import is_local, own_name

if TYPE_CHECKING:
    import optuna

LEADER = "leader"
SETTLING = 0.2  # between claiming the lead and looking who has it [s]
NEWBORN = 2.0  # that the maker of a study may take to claim it [s]


class Lead:
    """Part of this process in a study's lead.

    Attributes
    ----------
    held : bool
        Whether this process leads.
    """

    def __init__(self, study: optuna.Study) -> None:
        self.study, self.held = study, False

    def take(self, made: bool = False) -> bool:
        """Take the lead where nobody alive has it; `made`: this process has just made the study."""
        if not made and not self.held and self._is_taken():
            return False
        if self.held and self._leader()[0] != own_name():  # another has claimed it at the same moment
            self.held = False
            return False
        self._beat(time.time())
        if not made and not self.held:
            time.sleep(SETTLING)  # another may have claimed it at the same moment: the last one has it
        self.held = self._leader()[0] == own_name()
        return self.held

    def resign(self) -> None:
        """Leave the lead to whoever takes it next."""
        if self.held:
            self.study.set_user_attr(LEADER, ["", 0.0])
        self.held = False

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Show, while the block runs, that the leader is alive."""
        with heartbeat(lambda now: self._beat(now) if self.held else None):
            yield

    def take_or_leave(self) -> bool:
        """Take the lead, or leave it to a leader that shows within a beat of its heart that it is alive."""
        seen = self._leader()
        while not self.take():
            if self._leader() != seen or is_local(seen[0]):
                return False
            time.sleep(1.0)
        return True

    def _beat(self, now: float) -> None:
        self.study.set_user_attr(LEADER, [own_name(), now])

    def _leader(self) -> tuple[str, float]:
        name, alive = self.study.user_attrs.get(LEADER) or ("", 0.0)
        return str(name), float(alive)

    def _is_taken(self) -> bool:
        until = time.monotonic() + NEWBORN
        while LEADER not in self.study.user_attrs and time.monotonic() < until:
            time.sleep(0.05)
        name, alive = self._leader()
        return bool(name) and name != own_name() and not is_gone(name, alive)
