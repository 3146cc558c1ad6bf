"""Ctrl-C, and the SIGTERM of a cluster, taken between two steps."""

import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accelerate import Accelerator

LISTENED = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM came; the step was finished and a checkpoint saved."""


class StopOnInterrupt:
    """Inside `with`, the first signal is only noted, so that no step is cut in two; a Ctrl-C after it stops at once."""

    def __enter__(self) -> "StopOnInterrupt":
        self._noted = False
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():  # only there may one listen
            self._before = {number: signal.signal(number, self._note) for number in LISTENED}
        return self

    def __exit__(self, *_: Any) -> None:
        for number, before in self._before.items():
            signal.signal(number, signal.SIG_DFL if before is None else before)  # None: it was not set from Python

    def _note(self, number: int, _: Any) -> None:
        if self._noted and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._noted = True

    def is_due(self, accelerator: "Accelerator", ask: bool = True) -> bool:
        """Whether one came, in any of the processes: all of them get the same answer at the same step.

        ask: whether this is a step at which several processes tell each other; at others they go on.
        """
        if accelerator.num_processes == 1:
            return self._noted
        if not ask:
            return False
        if self._noted:
            accelerator.set_trigger()
        return accelerator.check_trigger()
