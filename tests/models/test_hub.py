"""from_pretrained, save_pretrained, push_to_hub: what is written, what is refused; the hub is loaded when asked."""

import json
import shutil
import subprocess
import sys

import pytest
import torch

import flowlib
from flowlib.models import FlowLM, FlowVision, shipped


def test_saved_and_loaded_it_is_the_same_model_and_says_what_it_is(tmp_path):
    model = FlowLM.from_pretrained("tiny")
    folder = model.save_pretrained(tmp_path / "one")
    said = json.loads((folder / "config.json").read_text("utf-8"))
    assert said["architectures"] == ["FlowLM"] and said["flowlib_version"] == flowlib.__version__
    card = (folder / "README.md").read_text("utf-8")
    assert card.startswith("---\nlibrary_name: flowlib\n") and "827,392 parameters" in card
    assert (shipped("tiny") / "CARD.md").read_text("utf-8").strip() in card  # how it was trained goes along
    for again in (FlowLM.from_pretrained(folder), FlowLM.load(folder)):
        assert again.config == model.config and not again.training
        assert all(z.equal(other) for z, other in zip(again.parameters(), model.parameters()))
        assert (again.device, again.dtype) == (torch.device("cpu"), torch.float32)
    assert again.double().dtype == torch.float64


def test_old_folders_load_and_are_saved_over(tmp_path):
    folder = shutil.copytree(shipped("tiny-elastic"), tmp_path / "old")
    model = FlowLM.from_pretrained(folder)
    assert model.save_pretrained(folder) == folder and FlowLM.load(folder).config == model.config
    model.save(folder)  # and by the other way over the new one
    assert FlowLM.from_pretrained(folder).config == model.config


def test_a_card_of_somebody_else_stays(tmp_path):
    (tmp_path / "README.md").write_text("mine", "utf-8")
    FlowLM.from_pretrained("tiny").save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text("utf-8") == "mine"


def test_the_wrong_class_says_so(tmp_path):
    FlowLM.from_pretrained("tiny").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="holds a FlowLM, not a FlowVision: load it with FlowLM.from_pretrained"):
        FlowVision.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="one of FlowLM: load it with that"):
        FlowVision.load(tmp_path)


@pytest.mark.parametrize("name", ["nobody/none", "a name that is none"])
def test_what_is_not_there_is_named(name, monkeypatch):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: 1 / 0)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        FlowLM.from_pretrained(name)


def test_the_hub_is_asked_for_what_was_said(monkeypatch, tmp_path):
    asked = {}

    def fetch(name, allow_patterns, **more):
        asked.update(more, name=name)
        return shipped("tiny")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert FlowLM.from_pretrained("owner/river", revision="v1").config.width == 128
    assert asked == {"name": "owner/river", "revision": "v1"}


def test_pushing_uploads_the_saved_folder(monkeypatch, tmp_path):
    seen = {}

    class Api:
        def __init__(self, token=None):
            seen["token"] = token

        def create_repo(self, name, **more):
            return type("Repo", (), {"repo_id": f"me/{name}"})

        def upload_folder(self, repo_id, folder_path, commit_message):
            seen.update(repo=repo_id, files=sorted(file.name for file in folder_path.iterdir()))
            return "address"

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    model = FlowLM.from_pretrained("tiny")
    assert model.push_to_hub("river", token="t") == "address"
    assert seen == {"token": "t", "repo": "me/river", "files": ["README.md", "config.json", "model.safetensors"]}
    model.save_pretrained(tmp_path / "sea", push_to_hub=True)
    assert seen["repo"] == "me/sea"
    with pytest.raises(ValueError, match="such as OWNER/NAME"):
        model.push_to_hub("no such name")


def test_without_the_package_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModuleNotFoundError, match="pip install huggingface_hub"):
        FlowLM.from_pretrained("owner/river")


def test_models_are_imported_without_the_hub():
    code = "import sys, flowlib.models; print({'huggingface_hub', 'transformers'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120).stdout == "set()\n"
