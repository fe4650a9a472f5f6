"""Writes a full-size SDXL with random weights in the files and layout of stabilityai/sdxl-turbo (fp16 safetensors, 6.9 GB).

For timing, memory and layout work where the real weights cannot be had; its pictures are noise.
Needs from PyPI: torch diffusers transformers accelerate safetensors, and open_clip_torch (only for its CLIP BPE file).
Usage: python make-random-sdxl.py OUT_DIR          (about 2 minutes on 2 cores)
       python make-random-sdxl.py OUT_DIR --mid    (1.5 GB: narrower, as deep, the VAE full-size; for trying things out)
       python make-random-sdxl.py OUT_DIR --tiny   (28 MB, most of it the CLIP vocabulary; same layout, every block type present)
"""
import gzip, importlib.util, json, os, pathlib, sys

import accelerate, torch
from diffusers import AutoencoderKL, EulerAncestralDiscreteScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

out, tiny, mid = pathlib.Path(sys.argv[1]), "--tiny" in sys.argv, "--mid" in sys.argv
torch.manual_seed(0)


def fill(module):
    """Norm weights 1, biases small, other weights uniform with variance 1/fan_in, so that signals neither die nor blow up."""
    for name, p in module.named_parameters():
        with torch.no_grad():
            if p.ndim == 1:
                p.fill_(1.0) if "norm" in name and name.endswith("weight") else p.copy_(torch.randn(p.shape) * 0.02)
            else:
                p.copy_((torch.rand(p.shape) * 2 - 1) * (3.0 / p[0].numel()) ** 0.5)
    return module


def build(cls, config):
    with accelerate.init_empty_weights():
        module = cls(**config) if isinstance(config, dict) else cls(config)
    return fill(module.to_empty(device="cpu").half())


w1, w2, width = (32, 32, 32) if tiny else (512, 640, 128) if mid else (768, 1280, 320)
channels = [width, 2 * width, 4 * width]
cross, pooled = w1 + w2, w2
unet = dict(
    sample_size=64, in_channels=4, out_channels=4,
    down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    block_out_channels=channels, layers_per_block=2, cross_attention_dim=cross,
    attention_head_dim=[2, 4, 8] if tiny else [width // 64 * n for n in (1, 2, 4)],
    transformer_layers_per_block=[1, 1, 2] if tiny else [1, 2, 10],
    use_linear_projection=True, addition_embed_type="text_time",
    addition_time_embed_dim=8 if tiny else 256,
    projection_class_embeddings_input_dim=(6 * 8 if tiny else 6 * 256) + pooled,
)
vae = dict(
    block_out_channels=[32, 32, 64, 64] if tiny else [128, 256, 512, 512],
    down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
    latent_channels=4, layers_per_block=2, sample_size=1024, scaling_factor=0.13025, force_upcast=True,
)


def clip(hidden, layers, heads, act):
    return CLIPTextConfig(
        hidden_size=hidden, intermediate_size=4 * hidden, num_hidden_layers=layers, num_attention_heads=heads,
        hidden_act=act, projection_dim=hidden, vocab_size=49408, bos_token_id=0, eos_token_id=2, pad_token_id=1,
    )


build(UNet2DConditionModel, unet).save_pretrained(out / "unet", variant="fp16", max_shard_size="20GB")
build(AutoencoderKL, vae).save_pretrained(out / "vae", variant="fp16")
encoders = (
    ("text_encoder", CLIPTextModel, clip(w1, 3 if tiny else 12, 4 if tiny else w1 // 64, "quick_gelu")),
    ("text_encoder_2", CLIPTextModelWithProjection, clip(w2, 3 if tiny else 32, 4 if tiny else w2 // 64, "gelu")),
)
for folder, cls, config in encoders:
    module = fill(cls(config).half())
    module.config.architectures = [cls.__name__]
    module.save_pretrained(out / folder)
    os.rename(out / folder / "model.safetensors", out / folder / "model.fp16.safetensors")
EulerAncestralDiscreteScheduler(
    beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000,
    prediction_type="epsilon", timestep_spacing="trailing", steps_offset=1,
).save_pretrained(out / "scheduler")

bpe = pathlib.Path(importlib.util.find_spec("open_clip").origin).with_name("bpe_simple_vocab_16e6.txt.gz")
merges = gzip.decompress(bpe.read_bytes()).decode().split("\n")[1 : 49152 - 256 - 2 + 1]
printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
hidden_bytes = [b for b in range(256) if b not in printable]
letters = [chr(b) for b in printable] + [chr(256 + i) for i in range(len(hidden_bytes))]
vocab = letters + [c + "</w>" for c in letters] + ["".join(m.split()) for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
assert len(vocab) == 49408
for folder, pad in (("tokenizer", "<|endoftext|>"), ("tokenizer_2", "!")):
    (out / folder).mkdir(parents=True, exist_ok=True)
    special = dict(bos_token="<|startoftext|>", eos_token="<|endoftext|>", pad_token=pad, unk_token="<|endoftext|>")
    write = lambda name, value: (out / folder / name).write_text(json.dumps(value, ensure_ascii=False))
    write("vocab.json", {token: i for i, token in enumerate(vocab)})
    (out / folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    write("special_tokens_map.json", special)
    write("tokenizer_config.json", dict(special, add_prefix_space=False, do_lower_case=True, model_max_length=77, tokenizer_class="CLIPTokenizer", errors="replace"))
parts = dict(
    scheduler=["diffusers", "EulerAncestralDiscreteScheduler"], text_encoder=["transformers", "CLIPTextModel"],
    text_encoder_2=["transformers", "CLIPTextModelWithProjection"], tokenizer=["transformers", "CLIPTokenizer"],
    tokenizer_2=["transformers", "CLIPTokenizer"], unet=["diffusers", "UNet2DConditionModel"], vae=["diffusers", "AutoencoderKL"],
)
index = dict(_class_name="StableDiffusionXLPipeline", _diffusers_version="0.24.0.dev0", feature_extractor=[None, None],
             force_zeros_for_empty_prompt=True, image_encoder=[None, None], **parts)
(out / "model_index.json").write_text(json.dumps(index, indent=2))
