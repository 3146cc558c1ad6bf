"""Commands that compare: bench and compare. Both print a table, and write the figures to a file on demand."""

import json as formats
import shlex
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent
from typing import Annotated, Any, Literal, get_args

from flowlib.cli.parsing import Command, check_target, split_words

ABOUT = (
    "Compare schemes (post-norm, pre-norm, additive, Macaron, tangent Strang, RMS sphere; same parameters, same "
    "operations for each token) or depth (free layers, half the knots, elastic, coarse to fine) or remedies (what "
    "lets a trained flow change its depth) or dial (one model for L/2, L and 2L steps, beside one for each) or warmups "
    "(learning rates, and over how many updates they are reached). "
    "Presets: {texts}. The defaults below are those of {chosen}."
)


def bench(words: Sequence[str]) -> Command:
    """Measure speeds beside a plain GPT and torch's encoder."""
    import tyro

    from flowlib.studies.bench import Bench, bench, table
    from flowlib.training.heap import keep_heap

    def command(settings: Annotated[Bench, tyro.conf.arg(name="")]) -> None:
        check_target(settings.json, "--json", "bench.json", '"ratios": ')
        keep_heap()
        result = bench(settings)
        report(result, settings.json, table(result))

    command.__doc__ = Bench.__doc__
    return command


def compare(words: Sequence[str]) -> Command:
    """Train several flows alike and compare their losses."""
    import tyro

    from flowlib.studies.compare import What
    from flowlib.training import TrainConfig

    chosen, texts = choose_comparison(words, get_args(What))

    def command(
        what: What,
        preset: Literal[tuple(texts)] = chosen,
        /,
        config: Annotated[TrainConfig, tyro.conf.arg(name="")] = texts[chosen],
        seeds: int = 3,
        runs: Path = Path("runs/compare"),
        json: Path | None = None,
    ) -> None:
        """Args:
        what: What the flows differ in.
        preset: What the other flags begin from.
        seeds: Trainings of each variant, with the seeds from `seed` up.
        runs: Where the folders of the runs lie; what is finished there is not trained again.
        json: Write the figures to this file too (- prints them, and nothing else).
        """
        if preset != chosen:
            raise ValueError(f"the preset stands before the flags: flowlib compare {what} {preset} ...")
        check_target(json, "--json", "compare.json", '"variants": ')
        _compare(what, config, runs, seeds, json, shlex.join(["flowlib", "compare", *words]))

    about = ABOUT.format(texts=", ".join(texts), chosen=chosen)
    command.__doc__ = f"{about}\n\n{dedent(command.__doc__)}"
    return command


def choose_comparison(words: Sequence[str], known: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """The preset that is asked for, and all presets of text with what they hold.

    Raises: ValueError where the words ask for no comparison that is known, or for another preset.
    """
    from flowlib.training import TrainConfig, preset, preset_names

    [what, chosen] = [*split_words(words, 2), "", ""][:2]
    if what not in known and not {"-h", "--help"} & set(words):
        raise ValueError(f"compare what? known are {', '.join(known)}; got {what or 'nothing'!r}")
    texts = {name: preset(name) for name in preset_names() if isinstance(preset(name), TrainConfig)}
    chosen = chosen or "shakespeare-cpu"
    if chosen not in texts:
        preset(chosen)  # it says where there is no such preset at all
        raise ValueError(f"compare trains models of text; its presets are {', '.join(texts)}, not {chosen!r}")
    return chosen, texts


def _compare(what: str, config: Any, runs: Path, seeds: int, file: Path | None, command: str) -> None:
    from flowlib.studies.compare import compare, table
    from flowlib.training.heap import keep_heap

    keep_heap()
    result = compare(what, config, runs, seeds, progress=str(file) != "-") | {"command": command}
    report(result, file, f"\nvalidation loss, nats per token, {seeds} seeds\n\n{table(result)}")


def report(result: dict, file: Path | None, table: str) -> None:
    """Print the table, and write the figures to the file, if there is one; where it is -, print the figures instead."""
    from flowlib.files import save_text

    figures = formats.dumps(result, indent=1)
    if file and str(file) != "-":
        save_text(figures + "\n", file)
    print(figures if str(file) == "-" else table)
