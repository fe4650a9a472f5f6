"""The four networks of an SDXL model as plain functions of tensors, so that every engine is given the same work."""
import json
import pathlib

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTextModelWithProjection

TOKENS = 77
CLASSES = dict(
    text_encoder=CLIPTextModel, text_encoder_2=CLIPTextModelWithProjection, unet=UNet2DConditionModel, vae=AutoencoderKL
)
# The parts that each stage needs, as in our own bench.
PARTS = dict(text=["text_encoder", "text_encoder_2"], unet=["unet"], decode=["vae"], picture=list(CLASSES))


class TextEncoder(torch.nn.Module):
    """Token ids [batch, 77] → hidden states before the last layer, and what stands first in the output."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids):
        output = self.model(ids, output_hidden_states=True, return_dict=True)
        return output.hidden_states[-2], output[0]


class Unet(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, sample, timestep, context, pooled, sizes):
        added = dict(text_embeds=pooled, time_ids=sizes)
        return self.model(sample, timestep, context, added_cond_kwargs=added, return_dict=False)[0]


class Decoder(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, latents):
        return self.model.decode(latents / self.model.config.scaling_factor, return_dict=False)[0]


WRAPPERS = dict(text_encoder=TextEncoder, text_encoder_2=TextEncoder, unet=Unet, vae=Decoder)


def load_torch(folder, part, dtype=torch.float32):
    """Loads one part with torch, whichever of the usual file names it has."""
    is_half = any((pathlib.Path(folder) / part).glob("*.fp16.safetensors"))
    options = dict(variant="fp16") if is_half else {}
    model = CLASSES[part].from_pretrained(pathlib.Path(folder) / part, torch_dtype=dtype, **options)
    return WRAPPERS[part](model).eval()


def read_config(folder, part):
    return json.loads((pathlib.Path(folder) / part / "config.json").read_text())


def make_inputs(folder, part, batch, height, width, dtype=torch.float32):
    """Random inputs in the shapes a picture of this size has."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(shape, generator=generator).to(dtype)
    if part.startswith("text_encoder"):
        ids = torch.randint(1000, (batch, TOKENS), generator=generator)
        ids[:, -1] = read_config(folder, part)["vocab_size"] - 1
        return [ids]
    factor = 2 ** (len(read_config(folder, "vae")["block_out_channels"]) - 1)
    channels = read_config(folder, "unet")["in_channels"]
    latents = draw(batch, channels, height // factor, width // factor)
    if part == "vae":
        return [latents * read_config(folder, "vae")["scaling_factor"]]
    cross = read_config(folder, "unet")["cross_attention_dim"]
    pooled = read_config(folder, "text_encoder_2")["projection_dim"]
    sizes = torch.tensor([[height, width, 0, 0, height, width]] * batch, dtype=dtype)
    return [latents, torch.tensor(999.0).to(dtype), draw(batch, TOKENS, cross), draw(batch, pooled), sizes]
