#!/usr/bin/env python3
"""A LoRA adapter of stories260K as PEFT writes it, and what PEFT computes with it: tests/golden/peft.

    python tools/make_adapter_golden.py            (needs peft, transformers and torch, and the shared models)
"""
import json
from pathlib import Path

import peft
import torch
import transformers

ROOT = Path(__file__).resolve().parents[1]
BASE = ROOT.parent / "shared" / "models" / "llm" / "stories260K"
OUT = ROOT / "tests" / "golden" / "peft"
IDS = [1, 403, 407, 261, 378, 13, 30, 8]


def main():
    torch.manual_seed(3)
    model = transformers.LlamaForCausalLM.from_pretrained(BASE).float().eval()
    config = peft.LoraConfig(r=2, lora_alpha=3, target_modules=["q_proj", "k_proj", "down_proj"], task_type="CAUSAL_LM",
                             alpha_pattern={"k_proj": 5}, rank_pattern={"k_proj": 1})
    model = peft.get_peft_model(model, config)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if "lora_" in name:
                tensor.copy_(torch.randn_like(tensor) * 0.2)
        scores = model(torch.tensor([IDS])).logits[0, -1].double().tolist()
    model.save_pretrained(OUT, safe_serialization=True)
    (OUT / "README.md").unlink(missing_ok=True)
    written = json.loads((OUT / "adapter_config.json").read_text())
    written["base_model_name_or_path"] = BASE.name
    (OUT / "adapter_config.json").write_text(json.dumps(written, indent=1))
    versions = f"peft {peft.__version__}, transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}"
    (OUT / "expected.json").write_text(json.dumps({"made_by": versions, "ids": IDS, "last_scores": [round(x, 6) for x in scores]}))


if __name__ == "__main__":
    main()
