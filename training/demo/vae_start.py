"""The VAE's first weights: a network that copies each block's mean colour.

From random weights the group norms hide flat colours and the first thousand steps go into finding them again. So the VAE starts
as a thumbnail: latents 0..2 are the mean red, green and blue of 8x8 pixels, and the decoder enlarges them smoothly. Two facts
carry it: silu(x) - silu(-x) = x, so a value kept as a pair (+x, -x) passes an activation unchanged; and a pair of large
constants makes up most of a norm's variance, so the norm scales all pictures by about the same factor.
"""
import torch

PAIRS = 8  # channels 0..2 hold +rgb, 3..5 hold -rgb, 6 and 7 hold the constants
CONSTANT = 3.0
LATENT_GAIN = 2.0
SPREAD = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16


@torch.no_grad()
def start_as_thumbnail(vae):
    """Overwrites the weights of a new AutoencoderKL that has one norm group."""
    vae.encoder.conv_in.weight[:PAIRS], vae.encoder.conv_in.bias[:PAIRS] = 0, 0
    vae.decoder.conv_in.weight[:PAIRS], vae.decoder.conv_in.bias[:PAIRS] = 0, 0
    for i in range(3):
        for conv, gain in ((vae.encoder.conv_in, 1.0), (vae.decoder.conv_in, 1 / LATENT_GAIN)):
            conv.weight[i, i, 1, 1], conv.weight[i + 3, i, 1, 1] = gain, -gain
    for conv in (vae.encoder.conv_in, vae.decoder.conv_in):
        conv.bias[6], conv.bias[7] = CONSTANT, -CONSTANT
    for name, module in vae.named_modules():
        if name.endswith(("conv2", "to_out.0")):  # residual branches start silent
            module.weight.zero_(), module.bias.zero_()
        elif name.endswith("conv_shortcut"):
            pass_through(module, torch.ones(1, 1))
        elif "downsamplers.0.conv" in name:
            corner = torch.zeros(3, 3)
            corner[:2, :2] = 0.25
            pass_through(module, corner)
        elif "upsamplers.0.conv" in name:
            pass_through(module, SPREAD)
    for conv, gain, width in ((vae.encoder.conv_out, LATENT_GAIN, 80), (vae.decoder.conv_out, 1.0, 16)):
        conv.weight[:3], conv.bias[:] = 0, 0
        for i in range(3):  # the norm divides by about sqrt(2 * CONSTANT ** 2 / width)
            scale = gain * (2 * CONSTANT**2 / width) ** 0.5
            conv.weight[i, i, 1, 1], conv.weight[i, i + 3, 1, 1] = scale, -scale
    for conv in (vae.quant_conv, vae.post_quant_conv):
        conv.weight[:, :, 0, 0], conv.bias[:] = torch.eye(len(conv.weight)), 0
    vae.quant_conv.weight[4:] = 0
    vae.quant_conv.bias[4:] = -5  # quiet latents


def pass_through(conv, kernel):
    """Makes a convolution hand on the paired channels through the kernel; its other channels keep weak random weights."""
    conv.weight.mul_(0.5)
    conv.weight[:PAIRS], conv.bias[:PAIRS] = 0, 0
    for i in range(PAIRS):
        conv.weight[i, i] = kernel
