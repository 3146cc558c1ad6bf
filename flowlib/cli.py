"""The command `flowlib`: train, sample, tokenize, claims, bench, compare, doctor, notebooks, ship, release, grade.

Flags and help are built by tyro from the dataclasses and functions that use them, so none is declared twice. What a
command needs is imported when it runs. Exit codes: 0 done, 1 a check failed, 2 a mistake in what was asked, 130 Ctrl-C.
"""

import gc
import json
import os
import platform
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

if TYPE_CHECKING:
    from flowlib.training import TrainResult

MISTAKES = (ValueError, OSError, FloatingPointError, MemoryError, ModuleNotFoundError)
PROCESSES = (
    "Several GPUs or hosts: accelerate config, once; then accelerate launch -m flowlib.cli train, with the same flags "
    "(precision and compilation are set by the flags below, and not by accelerate)."
)
PACKAGES = ("torch", "numpy", "safetensors", "accelerate", "tyro", "tqdm", "pooch")


def train(arguments: list[str]) -> int:
    """Train a flow on text, pictures or shapes: flowlib train [PRESET] [--steps N ...] [--resume]."""
    import tyro
    from accelerate import PartialState

    from flowlib.training import Interrupted, preset, preset_table
    from flowlib.training import train as run_training

    chosen, flags = "tiny", arguments
    if arguments and not arguments[0].startswith("-"):
        chosen, *flags = arguments
    defaults = preset(chosen)

    @dataclass(frozen=True)
    class Train:
        config: Annotated[type(defaults), tyro.conf.arg(name="")] = defaults
        name: str = chosen
        """The run is the folder of this name."""
        runs: Path = Path("runs")
        """Where the folders of runs lie."""
        resume: bool = False
        """Go on from the newest checkpoint; start, if there is none."""
        prompt: str = "\n"
        """What the sample at the end begins with (of a model of text)."""

    about = f"{type(defaults).__doc__}\n\n{preset_table()}\n\nThe defaults below are those of {chosen}. {PROCESSES}"
    asked = _parse(Train, flags, f"flowlib train {chosen}", about)
    run = asked.runs / asked.name
    try:
        result = run_training(asked.config, run, resume=asked.resume)
    except Interrupted as stopped:
        again = shlex.join(["flowlib", "train", *arguments, *([] if asked.resume else ["--resume"])])
        print(f"\n{stopped}\nresume with: {again}", file=sys.stderr)
        return 130
    processes = PartialState()
    gc.collect()  # what still holds on to the group keeps its threads, and they abort Python at its end
    processes.destroy_process_group()
    if not processes.is_main_process:
        return 0
    _show_training(result)
    if hasattr(result.task, "test"):
        loss, accuracy = result.task.measure(result.model, result.task.test)
        print(f"on {len(result.task.test[1])} {result.task.unit}s kept aside: accuracy {accuracy:.1%}, loss {loss:.4f}")
        print(f"the run lies in {run}")
        return 0
    try:
        print(f"\n{result.model.generate(asked.prompt, tokens=400, temperature=0.8, top_k=50, seed=0)}\n")
    except (ValueError, ModuleNotFoundError, ConnectionError) as error:  # a prompt, or a vocabulary to be fetched
        print(f"\nno sample: {error}\n")
    print(f"the run lies in {run}; more of it: flowlib sample {run}")
    return 0


def _show_training(result: "TrainResult") -> None:
    """A curve of the validation loss in text: one bar an evaluation, at most a dozen."""
    losses = result.validation_losses
    shown = losses[:: -(-len(losses) // 12)]
    if shown[-1] != losses[-1]:
        shown = [*shown, losses[-1]]
    highest = max(loss for _, loss in shown)
    print(f"\nvalidation loss, nats per {result.task.unit}")
    for step, loss in shown:
        print(f"{step:8d}  {loss:7.4f}  {'━' * round(40 * loss / highest)}")
    print(f"from {losses[0][1]:.4f} to {losses[-1][1]:.4f}, lowest {result.best_loss:.4f}")


def sample(arguments: list[str]) -> int:
    """Write text with a trained model: flowlib sample RUN [--prompt ...]."""
    import tyro

    def sample(
        run: tyro.conf.Positional[Path], prompt: str = "\n", tokens: int = 400,
        temperature: float = 0.8, top_k: int | None = None, seed: int | None = None,
    ) -> None:
        """Write text with a trained model.

        Args:
            run: The folder of a run (its best model is taken), or of a saved model.
            prompt: What the text begins with.
            tokens: How many tokens to add.
            temperature: Below 1 the likely becomes likelier.
            top_k: Choose among this many of the likeliest only.
            seed: The same seed gives the same text.
        """
        from flowlib.models.language import FlowLM
        from flowlib.training import find_model

        model = FlowLM.load(find_model(run))
        print(model.generate(prompt, tokens=tokens, temperature=temperature, top_k=top_k, seed=seed))

    _parse(sample, arguments, "flowlib sample")
    return 0


def tokenize(arguments: list[str]) -> int:
    """Encode a text into a folder of tokens, to train on: flowlib tokenize TEXT FOLDER [--vocabulary gpt2]."""
    import tyro

    def tokenize(
        text: tyro.conf.Positional[str], folder: tyro.conf.Positional[Path],
        vocabulary: Literal["bytes", "characters", "gpt2"] = "gpt2",
    ) -> None:
        """Encode a text once, into a folder of tokens that train takes as a corpus.

        Args:
            text: The path of a UTF-8 file, or embedded, or shakespeare.
            folder: Where train.bin, val.bin and vocabulary.json go, two bytes a token.
            vocabulary: What a token is.
        """
        from flowlib.training.data import Corpus, load_corpus
        from flowlib.training.tokens import write_tokens

        corpus = load_corpus(text)
        if not isinstance(corpus, Corpus):
            raise ValueError(f"{text} is a folder of tokens already; give it to train: --corpus {text}")
        write_tokens(corpus.text, folder, vocabulary)
        print(f"train on it: flowlib train PRESET --corpus {folder} --vocabulary {vocabulary}")

    _parse(tokenize, arguments, "flowlib tokenize")
    return 0


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

    return _parse(doctor, arguments, "flowlib doctor")


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


def ship(arguments: list[str]) -> int:
    """Put a finished run's best model, metrics and card into a folder: flowlib ship RUN FOLDER --command ..."""
    import tyro

    def ship(
        run: tyro.conf.Positional[Path], folder: tyro.conf.Positional[Path], command: str, at: tuple[int, ...] = ()
    ) -> None:
        """Put a finished run's best model, its metrics and a card into a folder, to give away.

        Args:
            run: The folder of the run.
            folder: Where to; an older one there is replaced.
            command: The command that made the run; it goes on the card.
            at: Other numbers of steps of the flow, at which its loss goes on the card too.
        """
        from flowlib.training.ship import ship

        print((ship(run, folder, command, at) / "CARD.md").read_text("utf-8"))

    _parse(ship, arguments, "flowlib ship")
    return 0


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

    return _parse(claims, arguments, "flowlib claims")


def bench(arguments: list[str]) -> int:
    """Measure speeds beside a discrete network, a plain GPT and torch's encoder: flowlib bench [--quick] [--json F]."""
    from flowlib import bench

    bench.main(_parse(bench.Bench, arguments, "flowlib bench"))
    return 0


def compare(arguments: list[str]) -> int:
    """Train several flows alike and compare their losses: flowlib compare WHAT [PRESET] [--seeds N ...]."""
    import tyro

    from flowlib.training import TrainConfig, preset, preset_names

    known = ("schemes", "depth", "remedies")
    words = [argument for argument in arguments[:2] if not argument.startswith("-")]
    if words[:1] and words[0] not in known:
        raise ValueError(f"compare what? known are {', '.join(known)}, not {words[0]!r}")
    chosen = words[1] if len(words) > 1 else "shakespeare-cpu"
    defaults = preset(chosen)

    @dataclass(frozen=True)
    class Compare:
        config: Annotated[TrainConfig, tyro.conf.arg(name="")] = defaults
        seeds: int = 3
        """Trainings of each variant, with the seeds from `seed` up."""
        runs: Path = Path("runs/compare")
        """Where the folders of the runs lie; what is finished there is not trained again."""
        json: Path | None = None
        """Write the figures to this file too (- prints them, and nothing else)."""

    about = (
        f"Compare schemes (post-norm, pre-norm, additive, Macaron, tangent Strang, RMS sphere; same parameters, same "
        f"operations for each token) or depth (free layers, half the knots, elastic, coarse to fine) or remedies (what "
        f"lets a trained flow change its depth). Presets: {', '.join(preset_names())}. "
        f"The defaults below are those of {chosen}."
    )
    program = f"flowlib compare {' '.join(words) if words else 'schemes'}"
    asked = _parse(Compare, arguments[len(words) :], program, about)
    from flowlib.training.compare import compare, table

    only_json = str(asked.json) == "-"
    what = words[0] if words else known[0]
    result = compare(what, asked.config, asked.runs, asked.seeds, progress=not only_json)
    result["command"] = shlex.join(["flowlib", "compare", *arguments])
    text = json.dumps(result, indent=1)
    if asked.json and not only_json:
        asked.json.write_text(text + "\n", "utf-8")
    print(text if only_json else f"\nvalidation loss, nats per token, {asked.seeds} seeds\n\n{table(result)}")
    return 0


def release(arguments: list[str]) -> int:
    """Make what students get of an assignment, without its solutions: flowlib release [NAME ...] [--course exercises]."""
    import tyro

    def release(names: tyro.conf.Positional[tuple[str, ...]] = (), course: Path = Path("exercises")) -> None:
        """Make release/NAME from source/NAME, with solutions and hidden tests taken out.

        Args:
            names: Assignments; without a name, all of the course.
            course: The folder of the course.
        """
        book = _classroom().Course(course)
        for name in names or book.assignments():
            print(book.release(name))

    _parse(release, arguments, "flowlib release")
    return 0


def grade(arguments: list[str]) -> int:
    """Grade what students handed in, each in a sandbox: flowlib grade SUBMISSIONS --out GRADES.csv [--assignment N]."""
    import tyro

    def grade(
        submissions: tyro.conf.Positional[Path], out: Path, course: Path = Path("exercises"),
        assignment: str | None = None, seconds: float = 120.0, call_seconds: float = 20.0, megabytes: int = 1200,
        seed: int = 0, workers: int = 0, sandbox: Literal["bubblewrap", "none"] = "bubblewrap",
    ) -> int:
        """Grade notebooks; write a table of grades, and give everything to nbgrader's gradebook.

        Exit code 1 if a submission could not be graded; the table says which, and why.

        Args:
            submissions: STUDENT/ASSIGNMENT/*.ipynb as nbgrader collects them, or STUDENT.ipynb with --assignment.
            out: The table of grades, CSV; details of every test go beside it, as JSON.
            course: The folder of the course.
            assignment: Grade this one only.
            seconds: Wall-clock time for a whole notebook.
            call_seconds: Wall-clock time for a cell, or a call of a student's function.
            megabytes: Memory for all processes of one student.
            seed: Draws the numbers in the tests; another one for another class.
            workers: Students graded at a time; 0: as many as there are cores.
            sandbox: none runs students' programs as you: only in a container that is thrown away.
        """
        from tqdm import tqdm

        room = _classroom()
        book = room.Course(course)
        names = [assignment] if assignment else book.assignments()
        count = len(room.submissions(submissions, names))
        with tqdm(total=count, unit="submission", disable=None) as bar:
            results = room.grade_all(
                book, submissions, names=names, limits=room.Limits(seconds, call_seconds, megabytes), seed=seed,
                isolate=sandbox != "none", workers=workers or None, progress=bar.update,
            )
        save_text(room.table(results), out)
        save_text(room.details(results), out.with_suffix(".json"))
        print(f"{len(results)} submissions graded: {out}; every test: {out.with_suffix('.json')}")
        for result in results:
            if result.notes:
                print(f"  {result.student}, {result.assignment}: {'; '.join(result.notes)}")
        return 1 if any(not r.points for r in results) else 0

    from flowlib.models.files import save_text

    return _parse(grade, arguments, "flowlib grade")


def _classroom():
    """flowlib.classroom.course, or a word on what is missing."""
    try:
        import nbgrader  # noqa: F401
    except ImportError:
        raise ModuleNotFoundError("grading needs nbgrader: pip install -e '.[classroom]'") from None
    from flowlib.classroom import course

    return course


COMMANDS = {
    command.__name__: command
    for command in (train, sample, tokenize, claims, bench, compare, doctor, notebooks, ship, release, grade)
}


def _parse(target: Any, arguments: Sequence[str], program: str, description: str | None = None) -> Any:
    """tyro's reading of the flags, without the vocabulary's own: it comes from the corpus."""
    import tyro
    from tyro.constructors import ConstructorRegistry, StructConstructorSpec

    registry = ConstructorRegistry()

    @registry.struct_rule
    def hide_vocabulary(info: Any) -> StructConstructorSpec | None:
        if getattr(info.type, "__name__", "") != "Vocabulary":
            return None
        return StructConstructorSpec(instantiate=info.type.bytes, fields=())

    plain_flags = (tyro.conf.FlagCreatePairsOff,)  # --resume, without a --no-resume
    return tyro.cli(
        target, args=arguments, prog=program, description=description, config=plain_flags, registry=registry
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        print("usage: flowlib COMMAND ...\n")
        for known, command in COMMANDS.items():
            print(f"  {known:10} {command.__doc__}")
        print("\nFlags of a command: flowlib COMMAND --help")
        return 0
    if name not in COMMANDS:
        print(f"flowlib: unknown command {name!r}; known are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook's has none
            stream.reconfigure(errors="replace")  # a console that lacks a character shows a ? for it
    try:
        return COMMANDS[name](rest)
    except MISTAKES as error:
        print(f"flowlib {name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nflowlib {name}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
