"""Ctrl-C, taken between two steps."""

import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accelerate import Accelerator


class Interrupted(KeyboardInterrupt):
    """Ctrl-C came; the step was finished and a checkpoint saved."""


class StopOnInterrupt:
    """Inside `with`, the first Ctrl-C is only noted, so that no step is cut in two; the second stops at once."""

    def __enter__(self) -> "StopOnInterrupt":
        self._noted = False
        self._in_main_thread = threading.current_thread() is threading.main_thread()  # only there may one listen
        if self._in_main_thread:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: Any) -> None:
        if self._in_main_thread:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, *_: Any) -> None:
        if self._noted:
            raise KeyboardInterrupt
        self._noted = True

    def requested(self, accelerator: "Accelerator", ask: bool = True) -> bool:
        """Whether it came, in any of the processes: all of them get the same answer at the same step.

        ask: whether this is a step at which several processes tell each other; at others they go on.
        """
        if accelerator.num_processes == 1:
            return self._noted
        if not ask:
            return False
        if self._noted:
            accelerator.set_trigger()
        return accelerator.check_trigger()
