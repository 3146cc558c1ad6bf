"""Likely mistakes: each ends in a sentence from flowlib that names what must hold; and models as objects."""

import copy
import pickle
import traceback

import numpy as np
import pytest
import torch
from torch import nn

from flowlib.fields import Grid
from flowlib.flow import SCHEMES, Constant, PerStep, PiecewiseLinear
from flowlib.models import (
    FlowConfig,
    FlowLM,
    FlowPoints,
    FlowVision,
    PointsConfig,
    VisionConfig,
    Vocabulary,
    from_huggingface,
    from_torch,
    shipped,
)
from flowlib.models.classifier import integral_mean
from flowlib.models.points import normalise_cloud
from flowlib.models.vision import index_positions, sample, square, standardise
from flowlib.models.zoo import macaron, ngpt
from flowlib.training import find_model

TINY = dict(width=8, heads=2, layers=1)


@pytest.fixture(scope="module")
def lm():
    return FlowLM(FlowConfig(vocabulary=Vocabulary.characters("abc \n"), context=8, **TINY)).eval()


@pytest.fixture(scope="module")
def vision():
    return FlowVision(VisionConfig(**TINY)).eval()


@pytest.fixture(scope="module")
def points():
    return FlowPoints(PointsConfig(**TINY)).eval()


def refused(call, error, message):
    """It ends in this error, with this sentence, and flowlib said it."""
    with pytest.raises(error, match=message) as caught:
        call()
    assert "/flowlib/" in traceback.extract_tb(caught.tb)[-1].filename.replace("\\", "/")


TOKENS = torch.tensor([[0, 1, 2]])
TEXTS = [
    (lambda m: m([[0, 1]]), TypeError, "tokens must be a tensor .*got a list of 1; try torch.tensor"),
    (lambda m: m(np.zeros((1, 3), int)), TypeError, "got a numpy array of shape"),
    (lambda m: m(None), TypeError, "tokens must be a tensor"),
    (lambda m: m("abc"), TypeError, "tokens must be a tensor .*got 'abc'"),
    (lambda m: m(torch.zeros(1, 3)), ValueError, r"whole numbers \(int64\), got torch.float32; try tokens.long"),
    (lambda m: m(torch.zeros(1, 3, dtype=torch.uint8)), ValueError, "got torch.uint8"),
    (lambda m: m(torch.zeros(1, 3, dtype=torch.bool)), ValueError, "got torch.bool"),
    (lambda m: m(torch.tensor(1)), ValueError, r"\(…, token\), at least one, got the shape \(\)"),
    (lambda m: m(torch.zeros(2, 0, dtype=torch.int64)), ValueError, "at least one"),
    (lambda m: m(torch.full((1, 3), 5)), ValueError, "tokens must be in 0 … 4, got 5 … 5"),
    (lambda m: m(torch.full((1, 3), -1)), ValueError, "tokens must be in 0 … 4, got -1"),
    (lambda m: m(torch.zeros(1, 9, dtype=torch.int64)), ValueError, "1 to 8 tokens fit this model, got 9"),
    (lambda m: m(TOKENS, 1.5), ValueError, "steps must be a whole number"),
    (lambda m: m.loss(TOKENS, TOKENS[:, :2]), ValueError, r"targets must be whole numbers .*\(1, 3\), got .*\(1, 2\)"),
    (lambda m: m.loss(TOKENS, TOKENS.float()), ValueError, "targets must be whole numbers"),
    (lambda m: m.loss(TOKENS, TOKENS + 9), ValueError, "targets must be in 0 … 4, got 9"),
    (lambda m: m.loss(TOKENS, [[0, 1, 2]]), TypeError, "targets must be a tensor"),
    (lambda m: m.generate(None), TypeError, "prompt must be a text, got NoneType"),
    (lambda m: m.generate(b"abc"), TypeError, "prompt must be a text, got bytes"),
    (lambda m: m.generate(["a", 3]), TypeError, "prompt must be a text, got int"),
    (lambda m: m.generate("a", 2.5), ValueError, "tokens ≥ 0, a whole number, got 2.5"),
    (lambda m: m.generate("a", 2, top_k=1.5), ValueError, "top_k must be ≥ 1"),
    (lambda m: m.generate("a", 2, temperature="hot"), ValueError, "temperature must be ≥ 0 and finite, got 'hot'"),
    (lambda m: m.generate("a", 2, temperature=torch.nan), ValueError, "temperature must be ≥ 0 and finite"),
    (lambda m: m.generate("a", 2, temperature=None), ValueError, "temperature must be"),
    (lambda m: m.generate("a", 2, seed="x"), ValueError, "seed must be a whole number"),
    (lambda m: m.generate("a", 2, seed=2**70), ValueError, "seed must be a whole number"),
    (lambda m: m.trajectory(TOKENS), TypeError, "text must be a text, got Tensor"),
    (lambda m: m.config.vocabulary.encode(5), TypeError, "text must be a text, got int"),
    (lambda m: m.config.vocabulary.decode(5), TypeError, "whole numbers in a row"),
    (lambda m: m.config.vocabulary.decode("ab"), TypeError, "whole numbers in a row"),
    (lambda m: m.config.vocabulary.decode([1.5]), TypeError, "whole numbers in a row"),
    (lambda m: m.config.vocabulary.decode(torch.tensor([0.5])), TypeError, "whole numbers in a row"),
    (lambda m: m.config.vocabulary.decode(TOKENS), TypeError, "whole numbers in a row"),
    (lambda m: m.config.vocabulary.decode([7]), ValueError, "tokens must be in 0 … 4, got 7"),
    (lambda m: Vocabulary.characters(5), TypeError, "text must be a text, got int"),
    (lambda m: m.read_out([1.0]), TypeError, "u must be a tensor"),
    (lambda m: m.read_out(torch.rand(2, 5)), ValueError, "width = 8"),
    (lambda m: FlowLM.load(shipped("tiny"), "gpu"), ValueError, "device must be one of torch's.*got 'gpu'"),
    (lambda m: find_model(None), TypeError, "path must be a path"),
    (lambda m: ngpt(8, 0, 1), ValueError, "heads must be at least 1"),
    (lambda m: shipped(None), TypeError, "name must be a text, got NoneType"),
]


@pytest.mark.parametrize("call, error, message", TEXTS)
def test_what_is_no_text(lm, call, error, message):
    refused(lambda: call(lm), error, message)


def test_an_empty_list_of_tokens_is_an_empty_text(lm):
    assert lm.config.vocabulary.decode([]) == lm.config.vocabulary.decode(torch.tensor([], dtype=torch.int64)) == ""
    assert lm.config.vocabulary.decode(np.array([0, 1])) == lm.config.vocabulary.decode([0, 1])


@pytest.mark.parametrize("temperature", [1e-4, 1e-30, 1e-40, 1e-60, 5e-324])
@pytest.mark.parametrize("top_k", [None, 2])
def test_near_temperature_0_the_likeliest_is_taken(lm, temperature, top_k):
    loud = copy.deepcopy(lm)
    with torch.no_grad():
        loud.embed.weight.mul_(1000)
    assert loud.generate("ab", 5, temperature=temperature, top_k=top_k, seed=0) == loud.generate("ab", 5, temperature=0)


PICTURE = torch.rand(1, 8, 8)
PICTURES = [
    (lambda m: m(PICTURE.tolist()), TypeError, "pictures must be a tensor .*got a list of"),
    (lambda m: m(PICTURE.numpy()), TypeError, "pictures must be a tensor .*got a numpy array"),
    (lambda m: m(None), TypeError, "pictures must be a tensor"),
    (lambda m: m((255 * PICTURE).byte()), ValueError, "pictures must be floats .*got torch.uint8.*pictures.float"),
    (lambda m: m(PICTURE.double()), ValueError, "pictures must be torch.float32, as the model's .* got torch.float64"),
    (lambda m: m(PICTURE.half()), ValueError, "got torch.float16; try pictures.to"),
    (lambda m: m(PICTURE[0]), ValueError, "channel = 1.*for grey pictures"),
    (lambda m: m(PICTURE.expand(3, 8, 8)), ValueError, "channel = 1"),
    (lambda m: m(PICTURE[:, :0]), ValueError, "must have rows and columns"),
    (lambda m: m(PICTURE, grid=5), TypeError, "grid must be a Grid, got int"),
    (lambda m: m(PICTURE, grid=torch.rand(4, 2)), TypeError, "grid must be a Grid, got Tensor"),
    (lambda m: m(PICTURE, grid=Grid.uniform(4)), ValueError, "grid must have dim 2"),
    (lambda m: m(PICTURE, positions=[[0, 0]]), TypeError, "positions must be a tensor"),
    (lambda m: m(PICTURE, 0), ValueError, "steps must be a whole number"),
    (lambda m: m.loss(PICTURE[None], targets=torch.tensor([10])), ValueError, "targets must be in 0 … 9, got 10"),
    (lambda m: m.loss(PICTURE[None], targets=torch.tensor([1, 2])), ValueError, r"of shape \(1,\), got .*\(2,\)"),
    (lambda m: m.loss(PICTURE[None], targets=[1]), TypeError, "targets must be a tensor"),
    (lambda m: standardise([[1.0]]), TypeError, "pictures must be a tensor"),
    (lambda m: standardise(torch.ones(3)), ValueError, "pictures must be floats"),
    (lambda m: sample(PICTURE, torch.rand(4, 3)), ValueError, r"points must be \(point, 2\)"),
    (lambda m: sample(PICTURE, [[0.5, 0.5]]), TypeError, "points must be a tensor"),
    (lambda m: index_positions(2.5, 2, 2), ValueError, "rows must be a whole number ≥ 1, got 2.5"),
    (lambda m: VisionConfig(near=-1), ValueError, "near must be odd"),
    (lambda m: VisionConfig(patch=1.5), ValueError, "patch must be a whole number, got 1.5"),
]


@pytest.mark.parametrize("call, error, message", PICTURES)
def test_what_is_no_picture(vision, call, error, message):
    refused(lambda: call(vision), error, message)


def test_a_picture_of_any_size_is_one(vision):
    assert vision(torch.rand(2, 1, 7, 13), grid=square(3)).shape == (2, 10)
    scores = vision(torch.rand(2, 3, 1, 8, 8))
    assert vision.loss(torch.rand(2, 3, 1, 8, 8), targets=torch.zeros(2, 3, dtype=torch.int64)).isfinite()
    assert scores.shape == (2, 3, 10)


CLOUD = torch.rand(9, 3)
CLOUDS = [
    (lambda m: m(CLOUD.tolist()), TypeError, "points must be a tensor .*got a list of"),
    (lambda m: m(CLOUD.numpy()), TypeError, "points must be a tensor"),
    (lambda m: m(None), TypeError, "points must be a tensor"),
    (lambda m: m(CLOUD.long()), ValueError, "points must be floats"),
    (lambda m: m(CLOUD.double()), ValueError, "points must be torch.float32.*got torch.float64"),
    (lambda m: m(CLOUD[0]), ValueError, "points must be floats"),
    (lambda m: m(CLOUD, weights=[1.0] * 9), TypeError, "weights must be a tensor"),
    (lambda m: m(CLOUD, weights=torch.ones(8)), ValueError, "one weight per point"),
    (lambda m: m(Grid.uniform(9)), ValueError, "a surface lies in space"),
    (lambda m: m.loss(CLOUD[None], targets=torch.tensor([8])), ValueError, "targets must be in 0 … 7, got 8"),
    (lambda m: normalise_cloud([[0.0, 0.0, 0.0]]), TypeError, "points must be a tensor"),
    (lambda m: normalise_cloud(CLOUD[:, :2]), ValueError, "points must be floats"),
    (lambda m: integral_mean([1.0]), TypeError, "u must be a tensor"),
    (lambda m: integral_mean(CLOUD, [1.0]), TypeError, "weights must be a tensor"),
]


@pytest.mark.parametrize("call, error, message", CLOUDS)
def test_what_is_no_cloud(points, call, error, message):
    refused(lambda: call(points), error, message)


# ------------------------------------------------------------------------------------------------ models as objects


def read_gpt2():
    tf = pytest.importorskip("transformers", reason='transformers is not installed; pip install -e ".[test]"')
    shape = dict(n_embd=24, n_layer=1, n_head=3, vocab_size=40, n_positions=32, bos_token_id=None, eos_token_id=None)
    return from_huggingface(tf.GPT2Model(tf.GPT2Config(**shape)).eval())


def read_vit():
    """Of pictures that are no multiple of a patch, of which transformers drops the rest."""
    tf = pytest.importorskip("transformers", reason='transformers is not installed; pip install -e ".[test]"')
    shape = dict(hidden_size=24, num_hidden_layers=1, num_attention_heads=3, intermediate_size=20)
    return from_huggingface(tf.ViTModel(tf.ViTConfig(**shape, image_size=(9, 13), patch_size=4, num_channels=2)).eval())


def read_torch():
    layer = nn.TransformerEncoderLayer(12, 3, 20, 0.0, batch_first=True)
    return from_torch(nn.TransformerEncoder(layer, 2, nn.LayerNorm(12), enable_nested_tensor=False))


OBJECTS = {
    "FlowLM": lambda: FlowLM(FlowConfig(**TINY)),
    "FlowVision": lambda: FlowVision(VisionConfig(near=3, **TINY)),
    "FlowPoints": lambda: FlowPoints(PointsConfig(norm="pre", **TINY)),
    "GPT-2": read_gpt2,
    "ViT": read_vit,
    "from_torch": read_torch,
    "macaron": lambda: macaron(8, 2, 2),
    "macaron, shared": lambda: macaron(8, 2, 2, shared=True),
    "nGPT": lambda: ngpt(8, 2, 2),
    "per step": lambda: PerStep(2),
    "constant": lambda: Constant(2),
    "linear": lambda: PiecewiseLinear(3, 2),
    **{f"scheme {name}": lambda scheme=scheme: scheme for name, scheme in SCHEMES.items()},
}


@pytest.mark.parametrize("name", OBJECTS)
def test_it_is_copied_and_pickled_and_its_repr_holds_no_tensor(name):
    made = OBJECTS[name]()
    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert repr(other) == repr(made) or not isinstance(made, nn.Module)
        if isinstance(made, nn.Module):
            for ours, theirs in zip(made.state_dict().values(), other.state_dict().values(), strict=True):
                assert torch.equal(ours, theirs)
    assert "tensor(" not in repr(made)


def test_macaron_says_the_same_from_a_pickle():
    flow, u = macaron(8, 2, 2), torch.randn(3, 8)
    assert torch.equal(pickle.loads(pickle.dumps(flow))(u).final, flow(u).final)


def test_a_models_repr_says_its_settings(vision):
    said = repr(vision)
    assert all(f"{name}={value!r}" in said for name, value in vars(vision.config).items())
    assert "pictures=(2, 9, 13), patch=(4, 4)" in repr(read_vit()) and "waves=4" in said


def test_the_patches_of_a_picture_that_is_no_multiple_lie_where_they_are():
    grid = read_vit().embed.grid
    assert len(grid) == 6 and grid.points[-1].tolist() == pytest.approx([6 / 9, 10 / 13])
    assert grid.measure == pytest.approx(8 / 9 * 12 / 13)


INPUT_IDS = torch.tensor([[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize(
    "more, error, message",
    [
        (dict(input_ids=[[1, 2]]), TypeError, "input_ids must be a tensor"),
        (dict(input_ids=INPUT_IDS.float()), ValueError, "input_ids must be whole numbers"),
        (dict(input_ids=INPUT_IDS + 40), ValueError, "input_ids must be in 0 … 39, got 41"),
        (dict(input_ids=INPUT_IDS, attention_mask=[[1, 1, 0]] * 2), TypeError, "attention_mask must be a tensor"),
        (dict(input_ids=INPUT_IDS, attention_mask=torch.zeros(2, 3) - torch.inf), ValueError, "must hold 1 .* and 0"),
        (dict(input_ids=INPUT_IDS, attention_mask=torch.ones(2, 4)), ValueError, r"\(batch, token\) = \(2, 3\)"),
        (dict(), ValueError, "give input_ids .tokens., pixel_values"),
    ],
)
def test_what_a_read_model_cannot_take(more, error, message):
    refused(lambda: read_gpt2()(**more), error, message)


class Final(nn.Module):
    def __init__(self, read):
        super().__init__()
        self.read = read

    def forward(self, input_ids):
        return self.read(input_ids).final


@torch.no_grad()
def test_a_read_model_is_compiled_whole_and_exported():
    read = read_gpt2()
    whole = torch.compile(read, fullgraph=True, backend="eager")(INPUT_IDS).final
    torch.testing.assert_close(whole, read(INPUT_IDS).final)
    exported = torch.export.export(Final(read), (INPUT_IDS,)).module()
    torch.testing.assert_close(exported(INPUT_IDS), read(INPUT_IDS).final)


@torch.no_grad()
def test_a_language_model_is_compiled_whole(lm):
    whole = torch.compile(lm, fullgraph=True, backend="eager")
    torch.testing.assert_close(whole(TOKENS), lm(TOKENS))
