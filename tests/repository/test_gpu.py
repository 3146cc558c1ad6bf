"""make gpu, tried without a GPU: small numbers, the same way."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from flowlib.models import FlowConfig, FlowLM

pytestmark = pytest.mark.timeout(1500)  # eight imports of torch, on a busy machine
ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "etc/gpu.py"


@pytest.fixture(scope="module")
def gpu():
    spec = importlib.util.spec_from_file_location("gpu", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    """What a dry run of two of its parts leaves."""
    out = tmp_path_factory.mktemp("gpu") / "out"
    command = [sys.executable, str(SCRIPT), "--dry", "--minutes", "30", "--out", str(out), "--parts"]
    ran = subprocess.run([*command, "elastic", "bench-10m"], cwd=out.parent, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["elastic: done", "bench-10m: done"]
    return out


def test_a_dry_run_leaves_what_a_gpu_would(out):
    names = {file.name for file in out.iterdir()}
    assert names - {"curves.png"} == {"report.md", "results.json", "elastic-1-of-1.safetensors"}
    results = json.loads((out / "results.json").read_text("utf-8"))
    assert results["elastic"]["until"] == "the end" and results["elastic"]["updates"] == 8
    assert set(results["elastic"]["at"]) == {"3", "6", "9", "12", "24"} and results["elastic"]["sample"]
    assert abs(results["elastic"]["lost by float16"]) < 1e-3
    assert set(results["bench-10m"]["speeds"]) == {"flow", "plain GPT", "weighted flow"}
    report = (out / "report.md").read_text("utf-8")
    assert "3 steps in the first 4 updates, then every batch split over 3, 6, 6, 12 steps" in report
    assert "| flow |" in report


def test_its_tensors_are_a_model(out):
    settings = json.loads((out / "results.json").read_text("utf-8"))["elastic"]["settings"]
    model = FlowLM(FlowConfig.from_dict(settings["model"]))
    model.load_state_dict({k: v.float() for k, v in load_file(out / "elastic-1-of-1.safetensors").items()})


def test_tensors_are_parted_where_a_file_would_be_too_large(gpu, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "PART", 100)
    tensors = {name: torch.full((10,), k, dtype=torch.float32) for k, name in enumerate("abcde")}
    gpu.write_parts(tensors, tmp_path / "model")
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [f"model-{k}-of-3.safetensors" for k in (1, 2, 3)]
    together = {name: t for file in files for name, t in load_file(file).items()}
    assert all(torch.equal(together[name], tensors[name]) for name in tensors)


def test_a_part_that_takes_too_long_is_stopped_and_leaves_what_it_has(gpu, tmp_path):
    script = "import json, sys, time; open(sys.argv[1], 'w').write(json.dumps({'first': 1})); time.sleep(60)"
    file = tmp_path / "slow.json"
    (tmp_path / "slow.log").write_text("so far\n")
    process = subprocess.Popen([sys.executable, "-c", script, str(file)])
    while not file.is_file() or not file.read_text():
        pass
    gpu.wait("slow", process, tmp_path, 0.1)
    assert json.loads(file.read_text()) == {"first": 1, "ended": "stopped after 0 s", "log": "so far\n"}


def test_without_a_gpu_it_says_so(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    ran = subprocess.run([sys.executable, str(SCRIPT), "--out", str(tmp_path)], capture_output=True, text=True)
    assert ran.returncode == 2 and "make gpu GPU_ARGS=--dry" in ran.stdout
