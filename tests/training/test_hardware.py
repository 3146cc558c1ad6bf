"""A step computed in other ways (in parts, anew, compiled, in bfloat16, by several processes) is the same step."""

import json
import math
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import flowlib
from flowlib.models.language import FlowConfig, FlowLM
from flowlib.operators import project_moments, project_sphere
from flowlib.training import TrainConfig, newest_checkpoint, read_metrics, train
from flowlib.training.hardware import in_bfloat16, out_of_memory

SMALL = FlowConfig(context=8, width=8, heads=2, layers=2)
DROPPING = replace(SMALL, dropout=0.3)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture
def config(tmp_path) -> TrainConfig:
    """A run of a few milliseconds."""
    text = tmp_path / "text.txt"
    text.write_text("the river is the flow and the flow is the river; " * 20)
    return TrainConfig(
        corpus=str(text), model=SMALL, steps=4, batch=4, eval_every=2, log_every=1, warmup=1, device="cpu"
    )


def losses(run: Path) -> list[float]:
    """Every training and validation loss of a run, in order."""
    return [line[name] for line in read_metrics(run) for name in ("train_loss", "validation_loss") if name in line]


def assert_same_files(run: Path, other: Path) -> None:
    ours, theirs = newest_checkpoint(run), newest_checkpoint(other)
    assert ours.name == theirs.name and losses(run) == losses(other)
    for name in ("model.safetensors", "optimizer.safetensors"):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name


def resumed(whole: Path, config: TrainConfig, run: Path) -> None:
    """A copy of a run without its last checkpoint, gone on with."""
    shutil.copytree(whole, run)
    shutil.rmtree(newest_checkpoint(run))
    train(config, run, resume=True, progress=False)
    assert_same_files(whole, run)


# In parts, and anew


@pytest.mark.parametrize("micro_batch", [1, 2])
def test_a_batch_in_parts_gives_the_same_curve_and_resumes_to_equal_bits(config, tmp_path, micro_batch):
    train(config, tmp_path / "one", progress=False)
    parts = replace(config, micro_batch=micro_batch)
    train(parts, tmp_path / "parts", progress=False)
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)
    resumed(tmp_path / "parts", replace(parts, model=SMALL), tmp_path / "again")


def test_what_is_dropped_depends_on_seed_and_step_alone(config, tmp_path):
    dropping = replace(config, model=DROPPING, micro_batch=2)
    train(dropping, tmp_path / "drop", progress=False)
    train(replace(dropping, model=SMALL), tmp_path / "keep", progress=False)
    assert losses(tmp_path / "drop")[1] != losses(tmp_path / "keep")[1]
    assert losses(tmp_path / "drop")[0] == losses(tmp_path / "keep")[0]  # an evaluation drops nothing
    resumed(tmp_path / "drop", dropping, tmp_path / "again")


def test_recomputing_gives_equal_bits_with_dropout_too(config, tmp_path):
    dropping = replace(config, model=DROPPING)
    train(dropping, tmp_path / "kept", progress=False)
    result = train(replace(dropping, recompute=True), tmp_path / "anew", progress=False)
    assert_same_files(tmp_path / "kept", tmp_path / "anew")
    assert not result.model.flow.recompute and result.model.flow.checks


def test_recomputing_keeps_fewer_numbers_for_the_backward_pass():
    def kept(recompute: bool) -> int:
        torch.manual_seed(0)
        model = FlowLM(replace(SMALL, layers=8))
        model.flow.recompute = recompute
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            model(torch.zeros(64, 8, dtype=torch.int64))
        return sum(sizes)

    assert kept(True) < 0.25 * kept(False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"micro_batch": 3}, "micro_batch must divide the 4 windows that each of 1 processes takes of a batch, is 3"),
        ({"micro_batch": 8}, "micro_batch must divide the 4 windows"),
    ],
)
def test_a_batch_that_cannot_be_shared_out_is_an_error(config, tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        train(replace(config, **settings), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_dropout_is_a_share_and_an_old_model_has_none(tmp_path):
    with pytest.raises(ValueError, match="dropout must be a share from 0 up to, not including, 1, got 1.0"):
        FlowConfig(dropout=1.0)
    torch.manual_seed(0)
    model = FlowLM(SMALL).eval()
    model.save(tmp_path / "old")
    file = tmp_path / "old" / "config.json"
    before = json.loads(file.read_text())
    assert "dropout" not in before  # a setting that is off is left out
    del before["vocabulary"]["bpe"]  # as it was written before there was this
    file.write_text(json.dumps(before))
    tokens = torch.arange(8)[None]
    assert torch.equal(FlowLM.load(tmp_path / "old").train()(tokens), model(tokens))


def test_the_mean_over_what_is_dropped_is_what_is_kept():
    """Both terms are linear in what is dropped: the mean of many draws comes back, to 4.5 standard errors."""
    torch.manual_seed(0)
    model = FlowLM(replace(DROPPING, layers=1))
    for term in model.flow.depth.layers[0]:
        u = torch.randn(8, 8)
        with torch.no_grad():
            draws = torch.stack([term.train()(u) for _ in range(2000)])
            error = (draws.mean(0) - term.eval()(u)).abs()
        assert (error < 4.5 * draws.std(0) / math.sqrt(2000) + 1e-7).all()


# In bfloat16


def test_in_bfloat16_the_field_means_and_spreads_stay_in_float32():
    torch.manual_seed(0)
    for norm in ("post", "pre"):
        model = FlowLM(replace(SMALL, norm=norm))
        tokens = torch.randint(256, (2, 8))
        with torch.autocast("cpu", torch.bfloat16):
            trajectory = model.flow(model.initial_field(tokens))
            logits = model(tokens)
        assert trajectory.fields.dtype == trajectory.final.dtype == torch.float32
        assert logits.dtype == torch.bfloat16  # the products are what is taken in bfloat16
        if norm == "post":
            exact = FlowLM(SMALL).constraint.defect(model.flow(model.initial_field(tokens)).fields).max()
            assert model.constraint.defect(trajectory.fields).max() < exact + 1e-3


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_a_field_in_half_precision_is_projected_in_float32_and_rounded_once(half):
    v = (300 + 30 * torch.randn(5, 64, generator=torch.Generator().manual_seed(0))).to(half)  # 300² overflows float16
    for project in (project_moments, lambda v: project_moments(v, eps=1e-5), project_sphere):
        assert project(v).dtype == half
        assert torch.equal(project(v), project(v.float()).to(half))


def test_the_curve_in_bfloat16_is_that_in_float32_to_its_three_digits(config, tmp_path):
    train(config, tmp_path / "full", progress=False)
    train(replace(config, precision="bf16"), tmp_path / "half", progress=False)
    assert losses(tmp_path / "half") != losses(tmp_path / "full")
    assert losses(tmp_path / "half") == pytest.approx(losses(tmp_path / "full"), rel=1e-3)
    resumed(tmp_path / "half", replace(config, precision="bf16"), tmp_path / "again")
    assert not in_bfloat16(replace(config, precision="auto"), torch.device("cpu"))


# Compiled


@pytest.fixture
def fresh_compiler():
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield torch._dynamo.utils.counters
    torch._dynamo.reset()


@pytest.mark.since_torch("2.7")  # before that, several graphs, or none
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="torch.compile needs a C++ compiler")
def test_a_compiled_run_is_one_graph_with_the_same_curve_and_resumes_to_equal_bits(config, tmp_path, fresh_compiler):
    train(config, tmp_path / "plain", progress=False)
    asked = replace(config, compile="yes", micro_batch=2)
    train(asked, tmp_path / "compiled", progress=False)
    assert fresh_compiler["stats"]["unique_graphs"] == 1 and not fresh_compiler["graph_break"]
    assert losses(tmp_path / "compiled") == pytest.approx(losses(tmp_path / "plain"), rel=1e-5)
    resumed(tmp_path / "compiled", asked, tmp_path / "again")


@pytest.mark.no_shape_check
def test_dropout_and_recomputing_make_no_second_graph(config, tmp_path, fresh_compiler, monkeypatch):
    original = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model, **options: original(model, backend="aot_eager", **options))
    asked = replace(config, compile="yes", model=DROPPING, recompute=True, precision="bf16")
    train(asked, tmp_path / "whole", progress=False)
    assert fresh_compiler["stats"]["unique_graphs"] == 1 and not fresh_compiler["graph_break"]
    resumed(tmp_path / "whole", asked, tmp_path / "again")


def test_where_nothing_can_be_compiled_it_says_so_and_trains_without(config, tmp_path, monkeypatch):
    def compiler(graph, inputs):
        raise OSError("no C++ compiler found")

    original = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model, **options: original(model, backend=compiler, **options))
    train(config, tmp_path / "plain", progress=False)
    with pytest.warns(RuntimeWarning, match="torch.compile does not work here .*no C.. compiler found.*goes on"):
        train(replace(config, compile="yes"), tmp_path / "run", progress=False)
    assert_same_files(tmp_path / "plain", tmp_path / "run")


# By several processes, and from a notebook

MACHINE = [
    sys.executable,
    "-m",
    "accelerate.commands.launch",
    "--multi_gpu",
    "--num_machines",
    "1",
    "--mixed_precision",
    "no",
    "--dynamo_backend",
    "no",
    "--num_cpu_threads_per_process",
    "1",
]


def launch(processes: int, *program: str) -> subprocess.CompletedProcess:
    """`accelerate launch` of a program on this machine; with --device cpu its processes talk through gloo."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    path = os.pathsep.join(filter(None, [str(Path(flowlib.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]))
    command = [*MACHINE, "--num_processes", str(processes), "--main_process_port", port, *program]
    return subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=200)


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_two_processes_have_the_curve_of_one_and_resume_it(config, tmp_path):
    """The same global batch, in parts on each: the losses agree to 1e-5 (the gradients are added in another order)."""
    train(config, tmp_path / "one", progress=False)
    flags = {
        "corpus": config.corpus,
        "steps": 4,
        "batch": 4,
        "micro-batch": 1,
        "eval-every": 2,
        "log-every": 1,
        "warmup": 1,
        "device": "cpu",
        "learning-rate": config.learning_rate,
        "model.context": 8,
        "model.width": 8,
        "model.heads": 2,
        "model.layers": 2,
        "name": "two",
        "runs": tmp_path,
    }
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    outcome = launch(2, "-m", "flowlib.cli", "train", "tiny", *words)
    run = tmp_path / "two"
    assert newest_checkpoint(run), outcome.stderr  # not by the exit code: gloo's threads may abort a Python that ends
    assert losses(run) == pytest.approx(losses(tmp_path / "one"), rel=1e-5)
    state = json.loads((newest_checkpoint(run) / "state.json").read_text())
    assert state["versions"]["processes"] == 2
    shutil.rmtree(newest_checkpoint(run))
    train(config, run, resume=True, progress=False)  # one process goes on where two left it
    assert losses(run) == pytest.approx(losses(tmp_path / "one"), rel=1e-5)


SHARDED = '''
"""Two processes, each of which holds half of every parameter (FSDP): saved, resumed, and compared with one."""
import sys
from pathlib import Path
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from flowlib.models.language import FlowConfig, FlowLM
from flowlib.training import checkpoints
from flowlib.training.evaluation import cross_entropy

run = Path(sys.argv[1])
dist.init_process_group("gloo")
rank = dist.get_rank()

def build(sharded, checkpoint=None):
    torch.manual_seed(0)
    shape = FlowConfig(context=8, width=8, heads=2, layers=2)
    model = checkpoints.load_model(checkpoint) if checkpoint else FlowLM(shape)
    model.flow.checks = False
    if sharded:
        mesh = init_device_mesh("cpu", (2,))
        for layer in model.flow.depth.layers:
            for term in layer:
                fully_shard(term, mesh=mesh)
        fully_shard(model, mesh=mesh)
    return model, torch.optim.AdamW(model.parameter_groups(0.1), lr=1e-3)

def update(model, optimizer, step, part):
    tokens = torch.randint(256, (4, 9), generator=torch.Generator().manual_seed(step))[part]
    cross_entropy(model, tokens[:, :-1], tokens[:, 1:]).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()

def distance(model, other):
    ours, theirs = (checkpoints.gather_all(m.state_dict()) for m in (model, other))
    return max((ours[name] - theirs[name]).abs().max().item() for name in ours)

half, optimizer = build(True)
one, its_optimizer = build(False)
for step in range(3):
    update(half, optimizer, step, slice(rank, None, 2))
    update(one, its_optimizer, step, slice(None))
assert distance(half, one) < 1e-5, distance(half, one)
folder = checkpoints.save_checkpoint(run, half, optimizer, {"step": 3, "best_loss": 1.0}, write_here=rank == 0)
dist.barrier()
again, optimizer_again = build(True, folder)
checkpoints.load_optimizer(folder, again, optimizer_again)
assert distance(half, again) == 0.0
for step in range(3, 6):
    update(half, optimizer, step, slice(rank, None, 2))
    update(again.train(), optimizer_again, step, slice(rank, None, 2))
assert distance(half, again) == 0.0
print("resumed to equal bits", flush=True)
dist.destroy_process_group()
'''


@pytest.mark.since_torch("2.9")  # before that, fully_shard on a CPU makes other updates than one process
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_parameters_spread_over_processes_are_saved_whole_and_resumed_to_equal_bits(tmp_path):
    (tmp_path / "sharded.py").write_text(SHARDED)
    outcome = launch(2, str(tmp_path / "sharded.py"), str(tmp_path / "run"))
    assert outcome.stdout.count("resumed to equal bits") == 2, outcome.stderr
    FlowLM.load(newest_checkpoint(tmp_path / "run"))  # one process reads it without any of that


def test_it_trains_in_a_notebooks_launcher(config, tmp_path):
    from accelerate import notebook_launcher

    notebook_launcher(train, (config, tmp_path / "run"), num_processes=1)
    assert newest_checkpoint(tmp_path / "run").name == "step-000004"


# On a GPU


@needs_gpu
def test_a_step_on_a_gpu_is_the_step_on_the_cpu(config, tmp_path):
    train(config, tmp_path / "cpu", progress=False)
    train(replace(config, device="auto"), tmp_path / "gpu", progress=False)
    assert losses(tmp_path / "gpu") == pytest.approx(losses(tmp_path / "cpu"), rel=1e-4)
    train(replace(config, device="auto", precision="auto", compile="auto"), tmp_path / "fast", progress=False)
    assert losses(tmp_path / "fast") == pytest.approx(losses(tmp_path / "cpu"), rel=2e-3)


@needs_gpu
def test_between_two_lines_of_metrics_nothing_waits_for_the_gpu(config, tmp_path):
    """torch warns of every call that makes it wait; a step more without a line must not add one."""

    def waits(steps: int) -> int:
        asked = replace(config, device="auto", steps=steps, eval_every=10**6, log_every=10**6)
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with pytest.warns(UserWarning) as warned:
                train(asked, tmp_path / f"run-{steps}", progress=False)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return sum("synchroniz" in str(warning.message) for warning in warned)

    assert waits(30) == waits(20)


def test_out_of_memory_is_known_by_its_kind_or_its_words():
    assert out_of_memory(MemoryError()) and out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"))
    assert not out_of_memory(RuntimeError("shapes cannot be multiplied"))
    assert not out_of_memory(OSError("out of memory"))
