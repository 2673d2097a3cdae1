"""Number formats for large models: close to float32, and refused in one sentence where there is no such thing."""

import pytest
import torch
from torch import nn

from focusmae.errors import SettingsError
from focusmae.models.autoencoder import AutoencoderConfig, MaskedAutoencoder
from focusmae.models.encoder import EncoderConfig
from focusmae.precision import CHOICES, VARIABLE, ByteLinear, HalfLinear, lighten, quickest, wanted
from tests.tiny import is_one_sentence

CPU, GPU = torch.device("cpu"), torch.device("cuda")
LAYER = {"int8": ByteLinear, "bfloat16": HalfLinear}


@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_in_int8_rounds_weights_and_tokens_to_127_steps(bias):
    torch.manual_seed(0)
    layer = nn.Linear(64, 48, bias=bias)
    rows = torch.randn(2, 5, 64) * torch.tensor([0.01, 1.0, 30.0, 1.0, 1.0])[:, None]  # scales of their own
    exact, rough = layer(rows), ByteLinear(layer)(rows)
    assert rough.shape == exact.shape and rough.dtype == torch.float32
    free = exact - (0 if layer.bias is None else layer.bias)
    assert ((rough - exact).norm(dim=-1) < 0.02 * free.norm(dim=-1)).all()
    step, scale = rows.abs().amax(-1, keepdim=True) / 127, layer.weight.abs().amax(1, keepdim=True) / 127
    by_hand = (rows / step).round() * step @ ((layer.weight / scale).round() * scale).T
    assert torch.allclose(rough, by_hand + (0 if layer.bias is None else layer.bias), atol=1e-4)


def test_a_token_of_zeros_is_the_bias():
    layer = nn.Linear(8, 4)
    assert torch.allclose(ByteLinear(layer)(torch.zeros(3, 8)), layer.bias.expand(3, -1))


@pytest.mark.parametrize("precision", list(LAYER))
def test_pictures_stay_the_same_to_the_eye(precision):
    torch.manual_seed(0)
    shape = EncoderConfig(width=96, depth=3, heads=3)
    model = MaskedAutoencoder(AutoencoderConfig(shape, decoder_width=64, decoder_depth=2)).eval()
    pixels, visible = torch.rand(2, 3, 1, 224, 224), torch.arange(0, 196, 4).expand(2, -1)
    with torch.inference_mode():
        exact = model.reconstruct(pixels, visible)
        assert lighten(model, precision) is model and model.precision == precision
        rough = model.reconstruct(pixels, visible)
    inside = [part for name, part in model.named_modules() if "blocks." in name and isinstance(part, LAYER[precision])]
    assert len(inside) == 4 * (3 + 2) and isinstance(model.decoder_head, nn.Linear)
    assert rough.dtype == torch.float32 and not torch.equal(rough, exact)
    assert -10 * torch.log10((rough - exact).square().mean()) >= 45  # dB


def test_float32_changes_nothing():
    model = nn.Sequential(nn.Linear(4, 4))
    assert lighten(model, "float32") is model and type(model[0]) is nn.Linear


def test_who_chooses(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert wanted(CPU) == "float32" and wanted(GPU) == "bfloat16"
    monkeypatch.setenv(VARIABLE, "int8")
    assert wanted(CPU) == "int8" and wanted(CPU, "bfloat16") == "bfloat16"
    assert wanted(CPU, "fast") == quickest(CPU) and quickest(CPU) in CHOICES and quickest(GPU) == "bfloat16"


@pytest.mark.parametrize(("device", "choice"), [(CPU, "float16"), (GPU, "int8")])
def test_what_there_is_not_is_refused_in_one_sentence(device, choice):
    with pytest.raises(SettingsError) as caught:
        wanted(device, choice)
    assert is_one_sentence(str(caught.value))
