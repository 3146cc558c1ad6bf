"""Commands for the course: doctor, notebooks, claims."""

import os
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from flowlib.cli.parsing import MISTAKES, parse

PACKAGES = ("torch", "numpy", "safetensors", "accelerate", "tyro", "tqdm", "pooch")


def doctor(arguments: list[str]) -> int:
    """Say what flowlib finds on this machine; exit code 1 if something it needs does not work."""

    def doctor() -> int:
        """Say what flowlib finds on this machine; exit code 1 if something it needs does not work."""
        checks: list[tuple[str, Callable[[], str]]] = [
            ("Python", lambda: f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
            *((name, lambda name=name: version(name)) for name in PACKAGES),
            ("device", _check_device), ("data folder", _check_data), ("shipped checkpoint", _check_shipped),
        ]
        failed = 0
        for name, check in checks:
            try:
                print(f"ok      {name}: {check()}")
            except PackageNotFoundError:
                failed += 1
                print(f"FAILED  {name}: not installed; pip install {name}")
            except (*MISTAKES, ImportError, RuntimeError) as error:
                failed += 1
                print(f"FAILED  {name}: {error}")
        print(f"{failed} of {len(checks)} checks failed" if failed else "all is well")
        return 1 if failed else 0

    return parse(doctor, arguments, "flowlib doctor")


def _check_device() -> str:
    import torch

    threads = f"{torch.get_num_threads()} threads of {os.cpu_count()} CPU cores"
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, {threads}"
    return f"mps, {threads}" if torch.backends.mps.is_available() else f"cpu, {threads}"


def _check_data() -> str:
    folder = os.environ.get("FLOWLIB_DATA")
    if not folder:
        return "FLOWLIB_DATA is not set; tiny-shakespeare is fetched when it is first asked for"
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"FLOWLIB_DATA must be a folder, but {folder} is none; make it, or unset FLOWLIB_DATA")
    from flowlib.training.data import SHAKESPEARE_FILE, shakespeare_file

    if not (Path(folder) / SHAKESPEARE_FILE).is_file():
        return f"{folder}, without {SHAKESPEARE_FILE}, which is fetched when it is first asked for"
    return f"{folder}, {shakespeare_file().name} is the original"


def _check_shipped() -> str:
    from flowlib.models.language import FlowLM, shipped

    model = FlowLM.load(shipped("tiny"))
    text = model.generate("The river ", tokens=8, seed=0)
    return f"tiny, {sum(p.numel() for p in model.parameters()):,} parameters, says {text!r}"


def notebooks(arguments: list[str]) -> int:
    """Run notebooks in place and measure them, all chapters by default: flowlib notebooks [PATH ...] [--dry]."""
    from flowlib.notebook import execute

    if not any(not argument.startswith("-") for argument in arguments):
        arguments = [*arguments, *map(str, sorted(Path("chapters").glob("*.ipynb")))]
    return 1 if execute.main(arguments) else 0


def claims(arguments: list[str]) -> int:
    """Measure every claim of the course, and show the ledger: flowlib claims [--recorded] [--write]."""

    def claims(recorded: bool = False, write: bool = False) -> int:
        """Measure every claim of the course and show the ledger: statement, section, figures, bounds, tests.

        Exit code 1 if a claim fails, a chapter states one that no test measures, a test measures one that no chapter
        states, or the page chapters/claims.md no longer lists what is measured.

        Args:
            recorded: Show what was measured when chapters/claims.md was written, and measure nothing.
            write: Write chapters/claims.md, and tests/claims.json which it is made from, anew.
        """
        from flowlib.notebook import claims as book

        if recorded and write:
            raise ValueError("--recorded shows the old figures and --write makes new ones; give one of the two")
        root = book.root_of(Path.cwd())
        rows = book.recorded(root)[0] if recorded else book.measure(root)
        found = book.ledger(root, rows)
        print(f"{book.table(found)}\n\n{found.verdict()}")
        if write:
            book.write(root, rows)
        changed = book.drift(book.recorded(root)[0], rows)
        if changed:
            print("\n".join([*changed, "chapters/claims.md is out of date; write it with: flowlib claims --write"]))
        return 0 if found.sound and not changed else 1

    return parse(claims, arguments, "flowlib claims")
