"""Exported networks in PyTorch, each run once for every line on standard input: the other side of against_pytorch.py.

Run with an interpreter that has torch and transformers. Ready after the line ``{"versions": ...}``; a request is
``{"network": "w0.5", "precision": "int8", "batch": "b16"}``, the answer ``{}``, or the logits if they are asked for.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import AutoModelForSequenceClassification

warnings.filterwarnings("ignore", category=DeprecationWarning)
warnings.filterwarnings("ignore", category=FutureWarning)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="exported networks by name, and batches.npz")
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    networks = {}
    for folder in sorted(path for path in args.folder.iterdir() if path.is_dir()):
        # The folders' own code, where Transformers has none for pruned heads. Attention is PyTorch's fused one.
        eager = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True).eval()
        networks[folder.name, "fp32"] = eager
        networks[folder.name, "int8"] = torch.ao.quantization.quantize_dynamic(eager, {torch.nn.Linear}, torch.qint8)
    batches = {name: torch.from_numpy(ids) for name, ids in np.load(args.folder / "batches.npz").items()}
    print(json.dumps({"versions": {"torch": torch.__version__, "transformers": transformers.__version__}}), flush=True)
    while True:
        try:
            asked = json.loads(input())
        except EOFError:
            return
        ids = batches[asked["batch"]]
        with torch.inference_mode():
            logits = networks[asked["network"], asked["precision"]](
                input_ids=ids, token_type_ids=torch.zeros_like(ids)
            ).logits
        print(json.dumps({"logits": logits.tolist()} if asked.get("logits") else {}), flush=True)


if __name__ == "__main__":
    main()
