"""What known architectures have that no reader has yet: told where one is refused."""

LISTENS = "a field that listens to another field (cross-attention)"
CHOOSES = "a local term that each token chooses (a mixture of experts)"
CAPPED = "scores that are capped, and norms after the terms as well as before them"
RELATIVE = "a kernel whose weights depend on x − x̃ by a learned table"

NEEDED = {
    "t5": f"{LISTENS}, and {RELATIVE}",
    "bart": LISTENS,
    "mbart": LISTENS,
    "marian": LISTENS,
    "pegasus": LISTENS,
    "whisper": f"{LISTENS}, and a start from sound",
    "mixtral": CHOOSES,
    "qwen2_moe": CHOOSES,
    "qwen3_moe": CHOOSES,
    "gpt_oss": f"{CHOOSES}, and a kernel that may hear nothing",
    "gemma2": CAPPED,
    "gemma3_text": "norms after the terms as well as before them, and rotations that change with depth",
    "deberta": RELATIVE,
    "deberta-v2": RELATIVE,
    "modernbert": "a window to both sides, and rotations that change with depth",
    "clip": "two flows, one for pictures and one for text",
    "mamba": "a term with a memory of its own, in place of the integral",
    "mamba2": "a term with a memory of its own, in place of the integral",
}


def what_it_needs(kind: str) -> str:
    """The end of a sentence that refuses an architecture; empty for one of which nothing is known."""
    return f"; it needs {NEEDED[kind]}" if kind in NEEDED else ""
