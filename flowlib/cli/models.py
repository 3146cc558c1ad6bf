"""Commands for models: train, sample, tokenize, ship."""

import gc
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Annotated, Any, Literal

from flowlib.cli.parsing import Command, split_words

if TYPE_CHECKING:
    from flowlib.training import TrainResult

PROCESSES = (
    "Several GPUs or hosts: accelerate config, once; then accelerate launch -m flowlib.cli train, with the same flags "
    "(precision and compilation are set by the flags below, and not by accelerate)."
)


def train(words: Sequence[str]) -> Command:
    """Train a flow on text, pictures or shapes."""
    import tyro

    from flowlib.training import preset, preset_names, preset_table

    [chosen] = split_words(words, 1) or ["tiny"]
    defaults = preset(chosen)

    def command(
        preset: Literal[tuple(preset_names())] = chosen,
        /,
        config: Annotated[type(defaults), tyro.conf.arg(name="")] = defaults,
        name: str = chosen,
        runs: Path = Path("runs"),
        resume: bool = False,
        prompt: str = "\n",
    ) -> int:
        """Args:
        preset: What the other flags begin from.
        name: The run is the folder of this name.
        runs: Where the folders of runs lie.
        resume: Go on from the newest checkpoint; start, if there is none.
        prompt: What the sample at the end begins with (of a model of text).
        """
        if preset != chosen:
            raise ValueError(f"the preset stands before the flags: flowlib train {preset} ...")
        again = shlex.join(["flowlib", "train", *words, *([] if resume else ["--resume"])])
        return _train(config, runs / name, resume, prompt, again)

    about = f"{type(defaults).__doc__}\n\n{preset_table()}\n\nThe defaults below are those of {chosen}. {PROCESSES}"
    command.__doc__ = f"{about}\n\n{dedent(command.__doc__)}"
    return command


def _train(config: Any, run: Path, resume: bool, prompt: str, again: str) -> int:
    """Train; then show the losses and a sample, in one process where there are several."""
    from accelerate import PartialState

    from flowlib.training import Interrupted, train
    from flowlib.training.heap import keep_heap

    keep_heap()
    try:
        result = train(config, run, resume=resume)
    except Interrupted as stopped:
        print(f"\n{stopped}\nresume with: {again}", file=sys.stderr)
        return 130
    processes = PartialState()
    gc.collect()  # what still holds on to the group keeps its threads, and they abort Python at its end
    processes.destroy_process_group()
    if processes.is_main_process:
        _show_losses(result)
        _show_test(result, run) if hasattr(result.task, "test") else _show_sample(result, run, prompt)
    return 0


def _show_losses(result: "TrainResult") -> None:
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


def _show_test(result: "TrainResult", run: Path) -> None:
    """How many of the pictures or shapes that were kept aside the model tells."""
    loss, accuracy = result.task.measure(result.model, result.task.test)
    print(f"on {len(result.task.test[1])} {result.task.unit}s kept aside: accuracy {accuracy:.1%}, loss {loss:.4f}")
    print(f"the run lies in {run}")


def _show_sample(result: "TrainResult", run: Path, prompt: str) -> None:
    """Text by the model, where it can write any."""
    try:
        print(f"\n{result.model.generate(prompt, tokens=400, temperature=0.8, top_k=50, seed=0)}\n")
    except (ValueError, ModuleNotFoundError, ConnectionError) as error:  # a prompt, or a vocabulary to be fetched
        print(f"\nno sample: {error}\n")
    print(f"the run lies in {run}; more of it: flowlib sample {run}")


def sample(
    run: Path,
    /,
    prompt: str = "\n",
    tokens: int = 400,
    temperature: float = 0.8,
    top_k: int | None = None,
    seed: int | None = None,
    steps: int | None = None,
) -> None:
    """Write text with a trained model.

    Args:
        run: The folder of a run (its best model is taken), or of a saved model; or the name of one that comes with
            flowlib, as tiny.
        prompt: What the text begins with.
        tokens: How many tokens to add.
        temperature: Below 1 the likely becomes likelier.
        top_k: Choose among this many of the likeliest only.
        seed: The same seed gives the same text.
        steps: Steps of the flow; without a number, the model's own.
    """
    model = _load_language_model(run)
    how = dict(temperature=temperature, top_k=top_k, seed=seed, steps=steps)
    pieces = model.stream(prompt, tokens, **how)
    print(prompt, end="")
    for piece in pieces:
        print(piece, end="", flush=True)
    print()


def _load_language_model(run: Path):
    """Raises: ValueError where the folder holds a model of something else."""
    from flowlib.models.disk import find_shipped
    from flowlib.models.language import FlowLM
    from flowlib.training import find_model

    folder = find_model(run if run.exists() else find_shipped(str(run)) or run)
    try:
        return FlowLM.load(folder)
    except ValueError as error:
        if '"classes"' not in (folder / "config.json").read_text("utf-8"):
            raise
        said = f"{run} classifies pictures or shapes; sample needs a model of text, as runs/tiny is one"
        raise ValueError(said) from error


def tokenize(text: str, folder: Path, /, vocabulary: Literal["bytes", "characters", "gpt2"] = "gpt2") -> None:
    """Encode a text into a folder of tokens, to train on.

    It is encoded once; train takes the folder as a corpus.

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


def ship(run: Path, folder: Path, /, command: str, at: tuple[int, ...] = (), half: bool = False) -> None:
    """Put a finished run's best model and card into a folder.

    The metrics go there too; the folder is made to be given away.

    Args:
        run: The folder of the run.
        folder: Where to; an older model there is replaced, and what else lies there stays.
        command: The command that made the run; it goes on the card.
        at: Other numbers of steps of the flow, at which its loss goes on the card too.
        half: Store the parameters in float16, where that changes the loss by less than 0.001 nats.
    """
    from flowlib.training.ship import ship

    print((ship(run, folder, command, at, half=half) / "CARD.md").read_text("utf-8"))
