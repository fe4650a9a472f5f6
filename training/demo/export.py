"""Writes the model folder in SDXL's layout (fp16 safetensors)."""
import copy
import json

import torch
from diffusers import EulerAncestralDiscreteScheduler

from noise import SCHEDULER
from tokenizer import write_tokenizers

PARTS = dict(
    scheduler=["diffusers", "EulerAncestralDiscreteScheduler"], text_encoder=["transformers", "CLIPTextModel"],
    text_encoder_2=["transformers", "CLIPTextModelWithProjection"], tokenizer=["transformers", "CLIPTokenizer"],
    tokenizer_2=["transformers", "CLIPTokenizer"], unet=["diffusers", "UNet2DConditionModel"], vae=["diffusers", "AutoencoderKL"],
)


def export_vae(vae, scaling_factor, out):
    """Writes vae/."""
    half = copy.deepcopy(vae).to(memory_format=torch.contiguous_format).half()
    half.register_to_config(scaling_factor=scaling_factor, force_upcast=False)
    half.save_pretrained(out / "vae")


def export_nets(nets, out):
    """Writes unet/, text_encoder/ and text_encoder_2/."""
    for name, net in nets.items():
        half = copy.deepcopy(net).cpu().to(memory_format=torch.contiguous_format).half()
        half.config.architectures = [type(net).__name__] if name != "unet" else None
        half.save_pretrained(out / name)
        if name != "unet":
            load_as_float32(out / name / "config.json")


def load_as_float32(path):
    """Has transformers widen the text encoders when it is not told a dtype, as diffusers does with UNet and VAE."""
    path.write_text(json.dumps({**json.loads(path.read_text()), "dtype": "float32"}, indent=2) + "\n")


def export_rest(out):
    """Writes the tokenizers, the scheduler and model_index.json."""
    write_tokenizers(out)
    EulerAncestralDiscreteScheduler(**SCHEDULER).save_pretrained(out / "scheduler")
    index = dict(_class_name="StableDiffusionXLPipeline", _diffusers_version="0.24.0.dev0", feature_extractor=[None, None],
                 force_zeros_for_empty_prompt=True, image_encoder=[None, None], **PARTS)
    (out / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
