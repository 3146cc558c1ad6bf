"""Commands for models: train, sample, tokenize, ship, bench, compare."""

import gc
import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from flowlib.cli.parsing import parse, to_write

if TYPE_CHECKING:
    from flowlib.training import TrainResult

PROCESSES = (
    "Several GPUs or hosts: accelerate config, once; then accelerate launch -m flowlib.cli train, with the same flags "
    "(precision and compilation are set by the flags below, and not by accelerate)."
)


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
    asked = parse(Train, flags, f"flowlib train {chosen}", about)
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
        run: tyro.conf.Positional[Path],
        prompt: str = "\n",
        tokens: int = 400,
        temperature: float = 0.8,
        top_k: int | None = None,
        seed: int | None = None,
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

        folder = find_model(run)
        try:
            model = FlowLM.load(folder)
        except ValueError as error:
            if '"classes"' not in (folder / "config.json").read_text("utf-8"):
                raise
            said = f"{run} classifies pictures or shapes; sample needs a model of text, as runs/tiny is one"
            raise ValueError(said) from error
        print(model.generate(prompt, tokens=tokens, temperature=temperature, top_k=top_k, seed=seed))

    parse(sample, arguments, "flowlib sample")
    return 0


def tokenize(arguments: list[str]) -> int:
    """Encode a text into a folder of tokens, to train on: flowlib tokenize TEXT FOLDER [--vocabulary gpt2]."""
    import tyro

    def tokenize(
        text: tyro.conf.Positional[str],
        folder: tyro.conf.Positional[Path],
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

        if folder.is_file():
            raise ValueError(f"the tokens need a folder, and {folder} is a file; try {folder.with_suffix('')}-tokens")
        corpus = load_corpus(text)
        if not isinstance(corpus, Corpus):
            raise ValueError(f"{text} is a folder of tokens already; give it to train: --corpus {text}")
        write_tokens(corpus.text, folder, vocabulary)
        print(f"train on it: flowlib train PRESET --corpus {folder} --vocabulary {vocabulary}")

    parse(tokenize, arguments, "flowlib tokenize")
    return 0


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

    parse(ship, arguments, "flowlib ship")
    return 0


def bench(arguments: list[str]) -> int:
    """Measure speeds beside a discrete network, a plain GPT and torch's encoder: flowlib bench [--quick] [--json F]."""
    from flowlib.studies import bench

    asked = parse(bench.Bench, arguments, "flowlib bench")
    to_write(asked.json, "--json", "bench.json")
    result = bench.bench(asked)
    _report(result, asked.json, bench.table(result))
    return 0


def compare(arguments: list[str]) -> int:
    """Train several flows alike and compare their losses: flowlib compare WHAT [PRESET] [--seeds N ...]."""
    import tyro

    from flowlib.training import TrainConfig, preset, preset_names

    known = ("schemes", "depth", "remedies")
    words = [argument for argument in arguments[:2] if not argument.startswith("-")]
    what = words[0] if words else "nothing"
    if what not in known and (words or not {"-h", "--help"} & set(arguments)):
        raise ValueError(f"compare what? known are {', '.join(known)}; got {what!r}")
    chosen = words[1] if len(words) > 1 else "shakespeare-cpu"
    defaults = preset(chosen)
    texts = [name for name in preset_names() if isinstance(preset(name), TrainConfig)]
    if chosen not in texts:
        raise ValueError(f"compare trains models of text; its presets are {', '.join(texts)}, not {chosen!r}")

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
        f"lets a trained flow change its depth). Presets: {', '.join(texts)}. "
        f"The defaults below are those of {chosen}."
    )
    asked = parse(Compare, arguments[len(words) :], " ".join(["flowlib compare", *(words or ["WHAT"])]), about)
    to_write(asked.json, "--json", "compare.json")
    from flowlib.studies.compare import compare, table

    result = compare(what, asked.config, asked.runs, asked.seeds, progress=str(asked.json) != "-")
    result["command"] = shlex.join(["flowlib", "compare", *arguments])
    _report(result, asked.json, f"\nvalidation loss, nats per token, {asked.seeds} seeds\n\n{table(result)}")
    return 0


def _report(result: dict, file: Path | None, table: str) -> None:
    """Print the table, and write the figures to the file, if there is one; where it is -, print the figures instead."""
    from flowlib.files import save_text

    figures = json.dumps(result, indent=1)
    if file and str(file) != "-":
        save_text(figures + "\n", file)
    print(figures if str(file) == "-" else table)
