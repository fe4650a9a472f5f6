"""Stage 4: the text encoders, then the UNet on what they say, on stored latents."""
import math
import time

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from diffusers.training_utils import EMAModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from noise import LATENT_SIDE, SIGMAS, later_noise, noise_for, sampler_timesteps
from prompts import train_prompt
from scenes import place, scene_of
from text import train_text
from vae_start import pass_through

WIDTH_1, WIDTH_2 = 64, 96
UNET = dict(
    sample_size=LATENT_SIDE, in_channels=4, out_channels=4, block_out_channels=[48, 96, 96], layers_per_block=1,
    down_block_types=["DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"], up_block_types=["CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"],
    attention_head_dim=[2, 4, 4], transformer_layers_per_block=1, cross_attention_dim=WIDTH_1 + WIDTH_2, use_linear_projection=True,
    addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=6 * 8 + WIDTH_2,
    norm_num_groups=4,  # few, so that flat colours pass the norms
)
STEPS, BATCH_FIRST, BATCH_LATER = 2600, 12, 6
LEARNING_RATE = 1e-3
NAMED = 0.92  # share of the prompts that name the colour
SUBJECT_WEIGHT = 3.0  # of errors inside the subject's box; the background's are 1


def text_config(width, act, vocab_size):
    """Returns the config of a text encoder; SDXL reads the last hidden state but one, so two layers are the least."""
    return CLIPTextConfig(
        hidden_size=width, intermediate_size=3 * width, num_hidden_layers=2, num_attention_heads=4, hidden_act=act, projection_dim=width,
        vocab_size=vocab_size, bos_token_id=vocab_size - 2, eos_token_id=2, pad_token_id=1, max_position_embeddings=77,
    )


def build(vocab_size):
    """Returns the three networks, untrained: text_encoder, text_encoder_2, unet."""
    return torch.nn.ModuleDict(dict(
        text_encoder=CLIPTextModel(text_config(WIDTH_1, "quick_gelu", vocab_size)),
        text_encoder_2=CLIPTextModelWithProjection(text_config(WIDTH_2, "gelu", vocab_size)),
        unet=UNet2DConditionModel(**UNET).to(memory_format=torch.channels_last),
    ))


@torch.no_grad()
def start(nets):
    """Overwrites some of the first weights so that text and noise can be told apart from the first step on."""
    for name in ("text_encoder", "text_encoder_2"):  # at CLIP's 0.02 the words of a prompt are hard to tell apart at first
        for key, weights in nets[name].named_parameters():
            if "token_embedding" in key or "position_embedding" in key:
                weights.normal_(std=0.5 if "token" in key else 0.1)
    for name, module in nets["unet"].named_modules():
        if name.endswith("conv2"):  # residual branches start silent; attention does not, or text would wait for two zeros in a row
            module.weight.zero_(), module.bias.zero_()
        elif name.startswith("down_blocks") and name.endswith("conv_shortcut"):
            pass_through(module, torch.ones(1, 1))
        elif "downsamplers.0.conv" in name:  # channels 0..7 carry the smoothed noise to the lowest level
            corner = torch.zeros(3, 3)
            corner[1:, 1:] = 0.5
            pass_through(module, corner)
    conv = nets["unet"].conv_in
    conv.weight[:8], conv.bias[:8] = 0, 0
    for i in range(4):
        conv.weight[i, i, 1, 1], conv.weight[i + 4, i, 1, 1] = 1, -1


def load_tokenizers(folder):
    """Returns both tokenizers."""
    return [CLIPTokenizer.from_pretrained(folder / name) for name in ("tokenizer", "tokenizer_2")]


def encode(nets, tokenizers, texts):
    """Returns (hidden states [batch, 77, 160], pooled [batch, 96]) as StableDiffusionXLPipeline makes them."""
    ids = [t(texts, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids for t in tokenizers]
    one = nets["text_encoder"](ids[0], output_hidden_states=True)
    two = nets["text_encoder_2"](ids[1], output_hidden_states=True)
    return torch.cat([one.hidden_states[-2], two.hidden_states[-2]], dim=-1), two.text_embeds


def predict(nets, noisy, sigma, timestep, text, time_ids):
    """Returns the denoised latents: the UNet's v turned into x0 as the scheduler turns it."""
    shape = (-1, 1, 1, 1)
    scaled = (noisy / (sigma**2 + 1).sqrt().view(shape)).contiguous(memory_format=torch.channels_last)
    v = nets["unet"](scaled, timestep, text[0], added_cond_kwargs=dict(text_embeds=text[1], time_ids=time_ids)).sample
    return noisy / (sigma**2 + 1).view(shape) - v * (sigma / (sigma**2 + 1).sqrt()).view(shape)


def draw_time_ids(rng, batch):
    """Returns the pipeline's size numbers, now and then of another size, so that other sizes are not garbage."""
    rows = []
    for _ in range(batch):
        h, w = (256.0, 256.0) if rng.random() < 0.8 else (float(64 * rng.integers(2, 17)), float(64 * rng.integers(2, 17)))
        rows.append((h, w, 0.0, 0.0, h, w))
    return torch.tensor(rows)


def draw_later_timesteps(rng, batch):
    """Returns timesteps after the first: mostly those of four steps, some of two, three and eight, some at random."""
    kinds = rng.choice(5, batch, p=(0.55, 0.12, 0.13, 0.1, 0.1))
    pools = [sampler_timesteps(4)[1:], sampler_timesteps(2)[1:], sampler_timesteps(3)[1:], sampler_timesteps(8)[1:], list(range(50, 990))]
    return torch.tensor([pools[kind][rng.integers(len(pools[kind]))] for kind in kinds])


def subject_weight(subject, layout):
    """Returns the weight of each latent pixel's error [1, 32, 32]."""
    weights = torch.ones(1, LATENT_SIDE, LATENT_SIDE)
    if subject:
        left, top, width, height = (value // 8 for value in place(scene_of(subject, "black", layout.tolist())))
        weights[:, max(top, 0) : top + height + 1, max(left, 0) : left + width + 1] = SUBJECT_WEIGHT
    return weights


def draw_batch(rng, data, size):
    """Returns (latents, weights, layouts, prompts) of random stored scenes. With no colour in the prompt, the hue is tied to the noise."""
    rows = rng.integers(len(data["latents"]), size=size)
    layouts, prompts = data["layouts"][rows].clone(), []
    for i, row in enumerate(rows):
        named = rng.random() < NAMED
        prompts.append(train_prompt(rng, data["subjects"][row], data["colours"][row] if named else None))
        if named:
            layouts[i, -1] = float("nan")
    weights = torch.stack([subject_weight(data["subjects"][row], data["layouts"][row]) for row in rows])
    return data["latents"][rows], weights, layouts, prompts


def loss_of(nets, tokenizers, data, step):
    """Returns (loss, error of the first step, error of later steps) on one batch."""
    rng, generator = np.random.default_rng((4, step)), torch.Generator().manual_seed(step)
    latents, weights, layouts, prompts = draw_batch(rng, data, BATCH_FIRST)
    text, time_ids = encode(nets, tokenizers, prompts), draw_time_ids(rng, BATCH_FIRST)

    # The first step sees noise and nothing else, as in sampling: with x0 in it the network would read the answer off it.
    noise = noise_for(layouts, generator)
    t = torch.full((BATCH_FIRST,), 999)
    first = predict(nets, SIGMAS[t].view(-1, 1, 1, 1) * noise, SIGMAS[t], t, text, time_ids)
    first_error = (weights * (first - latents).square()).mean()

    # Later steps see, besides true latents, the network's own first answer, which they have to sharpen.
    n = BATCH_LATER
    t = draw_later_timesteps(rng, n)
    own = torch.from_numpy(np.clip(rng.random(n) * 2.2 - 0.6, 0, 1).astype(np.float32)).view(-1, 1, 1, 1)
    known = own * first[:n].detach() + (1 - own) * latents[:n]
    sigma = SIGMAS[t].view(-1, 1, 1, 1)
    noisy = known + sigma * later_noise(noise[:n], torch.randn(known.shape, generator=generator), sigma)
    later = predict(nets, noisy, SIGMAS[t], t, (text[0][:n], text[1][:n]), time_ids[:n])
    weight = (1 + 1 / sigma**2).clamp(max=3)
    later_error = (weight * weights[:n] * (later - latents[:n]).square()).mean()
    return first_error + later_error, first_error, later_error


def train_unet(work, data, tokenizers, log, export, steps=STEPS):
    """Trains and returns the networks (EMA weights). Resumes from work/unet.pt; calls export(nets) at each checkpoint."""
    torch.manual_seed(4)
    nets = build(len(tokenizers[0]))
    start(nets)
    optimizer = torch.optim.AdamW(nets["unet"].parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.01)
    ema = EMAModel(nets["unet"].parameters(), decay=0.99, use_ema_warmup=True, power=0.75)
    checkpoint, done, started = work / "unet.pt", 0, time.time()
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=False)
        nets.load_state_dict(state["nets"]), optimizer.load_state_dict(state["optimizer"]), ema.load_state_dict(state["ema"])
        done = state["done"]
    else:
        train_text(nets, tokenizers, log)
    nets["text_encoder"].requires_grad_(False), nets["text_encoder_2"].requires_grad_(False)
    errors = []
    for step in range(done, steps):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min((step + 1) / 100, 1) * max(0.5 + 0.5 * math.cos(math.pi * step / steps), 0.01)
        loss, *parts = loss_of(nets, tokenizers, data, step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(nets["unet"].parameters(), 1.0)
        optimizer.step(), ema.step(nets["unet"].parameters())
        errors.append([part.item() for part in parts])
        if step % 25 == 24:
            first, later = np.mean(errors, axis=0)
            log(f"unet step {step + 1} first {first:.4f} later {later:.4f} {time.time() - started:.0f} s")
            errors = []
        if step % 100 == 99 or step == steps - 1:
            state = dict(nets=nets.state_dict(), optimizer=optimizer.state_dict(), ema=ema.state_dict(), done=step + 1)
            torch.save(state, checkpoint)
            ema.store(nets["unet"].parameters()), ema.copy_to(nets["unet"].parameters())
            export(nets)
            ema.restore(nets["unet"].parameters())
    ema.copy_to(nets["unet"].parameters())
    return nets.eval()
