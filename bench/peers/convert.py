"""Converts one part of a model to OpenVINO's format: fp16 weights, or those compressed to int8.

Usage: python convert.py MODEL_DIR PART fp16|int8 OUT.xml [FP16.xml]     (int8 starts from the fp16 file)
"""
import gc
import pathlib
import sys
import warnings

import openvino as ov
import torch

from parts import load_torch, make_inputs

warnings.filterwarnings("ignore")  # tracing warns of every branch that shapes decide
folder, part, weights, out = sys.argv[1:5]
draft = pathlib.Path(out).with_name("draft-" + pathlib.Path(out).name)
if weights == "fp16":
    module = load_torch(folder, part)
    with torch.no_grad():
        model = ov.convert_model(module, example_input=make_inputs(folder, part, 1, 256, 256))
    del module
    gc.collect()
    ov.save_model(model, draft, compress_to_fp16=True)
else:
    import nncf

    model = nncf.compress_weights(ov.Core().read_model(sys.argv[5]), mode=nncf.CompressWeightsMode.INT8_ASYM)
    ov.save_model(model, draft, compress_to_fp16=True)
# The weights first: a file that has its name is whole.
draft.with_suffix(".bin").rename(pathlib.Path(out).with_suffix(".bin"))
draft.rename(out)
