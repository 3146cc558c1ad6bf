"""Which questions were answered, and at which attempt: on the reader's own disk, and nowhere else.

It is one small file, `progress.json` in the user's data folder. FLOWLIB_PROGRESS names another file, or says
`off`; it is off under pytest, and `flowlib notebooks` switches it off, so that no test and no execution ever
touches a reader's file. Off, or on a disk that cannot be written, answers are counted until the kernel ends.
"""

import itertools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from flowlib.files import save_text

WHERE = "FLOWLIB_PROGRESS"


@dataclass(frozen=True)
class Standing:
    """How a question stands: attempts up to the first right one, and whether there was one."""

    tries: int = 0
    right: bool = False

    def count(self, right: bool) -> "Standing":
        """After one more attempt; what was right once stays as it was."""
        return self if self.right else Standing(self.tries + 1, right)


_here: dict[str, Standing] = {}  # of this kernel
_troubles: dict[str, bool] = {}  # sentence -> has it been said?


def place() -> Path | None:
    """The file, or None where nothing is kept."""
    told = os.environ.get(WHERE) or ("off" if "PYTEST_VERSION" in os.environ else "")
    if told.lower() == "off":
        return None
    from platformdirs import user_data_path

    try:
        file = Path(told).expanduser() if told else user_data_path("flowlib", appauthor=False) / "progress.json"
    except RuntimeError:  # an account without a home, say pathlib and newer ones of platformdirs
        file = None
    if file and not str(file).startswith("~"):  # older ones leave a ~ that stands for nothing
        return file
    _trouble(f"Your progress is not kept beyond this session, since this account has no home; {WHERE} can name a file.")
    return None


def recall() -> dict[str, Standing]:
    """Everything that was answered, by the question's key."""
    return _here | _load(place())


def note(key: str, right: bool) -> Standing:
    """Count one more attempt. Two kernels may do so at the same time: what the other wrote is kept."""
    file = place()
    try:
        with _lock(file):
            known = _load(file)
            _here[key] = known.get(key, _here.get(key, Standing())).count(right)
            _save(file, known | {key: _here[key]})
    except OSError as error:
        _here[key] = _here.get(key, Standing()).count(right)
        _trouble(f"Your progress is not kept beyond this session, since {file} cannot be written ({error}).")
    return _here[key]


def forget(chapter: int | None = None) -> None:
    """Forget all answers, or those of one chapter. A question that is on the page shows it when it is run again.

    Raises: OSError where the file cannot be written.
    """
    file, goes = place(), "" if chapter is None else f"Q{chapter}."
    with _lock(file):
        _save(file, {key: answered for key, answered in _load(file).items() if not key.startswith(goes)})
    for key in [key for key in _here if key.startswith(goes)]:
        del _here[key]


def trouble() -> str:
    """What has gone wrong with the file and was not said yet, in a sentence; empty where all is well."""
    new = [sentence for sentence, said in _troubles.items() if not said]
    _troubles.update(dict.fromkeys(new, True))
    return " ".join(new)


def _trouble(sentence: str) -> None:
    _troubles.setdefault(sentence, False)


@contextmanager
def _lock(file: Path | None) -> Iterator[None]:
    """Nobody else writes the file meanwhile. Raises: OSError where it cannot be locked, or not within two seconds."""
    if file is None:
        yield
        return
    from filelock import FileLock

    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file.with_name(f"{file.name}.lock"), timeout=2, poll_interval=0.01)  # Timeout is an OSError
    try:
        lock.acquire()
    except NotImplementedError as error:  # some network disks cannot lock; newer ones of filelock find another way
        raise OSError("this disk cannot lock a file") from error
    try:
        yield
    finally:
        lock.release()


def _load(file: Path | None) -> dict[str, Standing]:
    if file is None:
        return {}
    try:
        kept = json.loads(file.read_text("utf-8"))
        return {key: Standing(int(value["tries"]), bool(value["right"])) for key, value in kept.items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        _trouble(f"Your progress cannot be read from {file} ({error}).")
    except (ValueError, TypeError, KeyError, AttributeError):
        _set_aside(file)
    return {}


def _set_aside(file: Path) -> None:
    names = (file.with_name(f"{file.stem}.damaged-{n}.json") for n in itertools.count(1))
    aside = next(name for name in names if not name.exists())
    try:
        os.replace(file, aside)
    except OSError:
        aside = file
    _trouble(f"Your progress could not be understood; the damaged file is kept as {aside}, and a new one begins.")


def _save(file: Path | None, known: dict[str, Standing]) -> None:
    """The file is whole at every moment."""
    if file is None:
        return
    save_text(json.dumps({k: asdict(known[k]) for k in sorted(known)}, indent=1), file)
