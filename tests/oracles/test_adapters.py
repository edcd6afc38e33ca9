"""Low-rank adapters: what PEFT computes with its own files, weights merged by numpy, and llama.cpp's names."""
import json
import struct
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
STORIES = ROOT.parent / "shared" / "models" / "llm" / "stories260K"
ADAPTER = ROOT / "tests" / "golden" / "peft"   # written by PEFT; expected.json: what the adapted model computes there


@pytest.fixture
def stories():
    if not STORIES.is_dir():
        pytest.skip("the real models are absent")
    return STORIES


def read_safetensors(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: np.frombuffer(data[8 + size:][slice(*entry["data_offsets"])], np.float32).reshape(entry["shape"]).copy()
            for name, entry in header.items()}


def write_safetensors(tensors, path):
    header, end = {}, 0
    for name, array in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(a.tobytes() for a in tensors.values()))


def last_scores(pare, model, folder, ids):
    np.save(folder / "ids.npy", np.array([ids], np.int64))
    done = pare("run", model, "--input", folder / "ids.npy", "--output", folder / "out")
    assert done.code == 0, done.err
    return np.load(next((folder / "out").glob("*.npy")))[0, -1]


def test_peft_adapter_computes_what_peft_computed(pare, stories, tmp_path):
    expected = json.loads((ADAPTER / "expected.json").read_text())
    gguf = tmp_path / "stories.gguf"
    assert pare("compress", stories, "-o", gguf).code == 0
    for base in (stories, gguf):
        found = last_scores(pare, f"{base}+{ADAPTER}", tmp_path, expected["ids"])
        assert np.abs(found - expected["last_scores"]).max() < 1e-3
    assert np.abs(last_scores(pare, stories, tmp_path, expected["ids"]) - expected["last_scores"]).max() > 0.5


def test_merged_weights_are_numpys(pare, stories, tmp_path):
    merged = tmp_path / "merged" / "model.safetensors"
    merged.parent.mkdir()
    assert pare("compress", f"{stories}+{ADAPTER}", "--recipe", "merge-lora", "-o", merged).code == 0
    weights, config = read_safetensors(stories / "model.safetensors"), json.loads((ADAPTER / "adapter_config.json").read_text())
    factors = read_safetensors(ADAPTER / "adapter_model.safetensors")
    changed = 0
    for name, a in factors.items():
        if ".lora_A." not in name:
            continue
        layer = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        b = factors[name.replace("lora_A", "lora_B")]
        alpha = config["alpha_pattern"].get(layer.split(".")[-1], config["lora_alpha"])
        weights[layer + ".weight"] += alpha / a.shape[0] * (b @ a)
        changed += 1
    assert changed == 15
    for name, tensor in read_safetensors(merged).items():
        assert np.abs(tensor - weights[name]).max() < 1e-5, name


def test_adapters_travel_through_gguf_as_llama_cpp_names_them(pare, stories, tmp_path):
    expected = json.loads((ADAPTER / "expected.json").read_text())
    adapter = tmp_path / "adapter.gguf"
    assert pare("compress", f"{stories}+{ADAPTER}", "-o", adapter).code == 0
    data = adapter.read_bytes()
    for text in (b"general.type", b"adapter.lora.alpha", b"blk.4.attn_q.weight.lora_a", b"blk.4.attn_q.weight.lora_b"):
        assert text in data
    found = last_scores(pare, f"{stories}+{adapter}", tmp_path, expected["ids"])
    assert np.abs(found - expected["last_scores"]).max() < 1e-3
    done = pare("generate", stories, "--adapter", adapter, "--tokens", "5")
    assert done.code == 0, done.err
    done = pare("generate", adapter, "--tokens", "5")
    assert done.code == 1 and "not the model" in done.err


def test_peft_loads_what_pare_writes(pare, stories, tmp_path):
    peft, torch, transformers = (pytest.importorskip(name) for name in ("peft", "torch", "transformers"))
    expected = json.loads((ADAPTER / "expected.json").read_text())
    folder = tmp_path / "adapter"
    folder.mkdir()
    gguf = tmp_path / "stories.gguf"
    assert pare("compress", stories, "-o", gguf).code == 0
    assert pare("compress", f"{gguf}+{ADAPTER}", "-o", folder / "adapter_model.safetensors").code == 0
    model = transformers.LlamaForCausalLM.from_pretrained(stories).float().eval()
    model = peft.PeftModel.from_pretrained(model, folder).eval()
    with torch.no_grad():
        scores = model(torch.tensor([expected["ids"]])).logits[0, -1].numpy()
    assert np.abs(scores - expected["last_scores"]).max() < 1e-4


def test_only_answers_are_judged(pare, stories, tmp_path):
    """Perplexity over an answer's tokens, worked out from the scores of the whole text; ids as another tokenizer gave them."""
    cases = json.loads((ROOT / "tests" / "golden" / "tokenizers" / "real_stories260k.json").read_text())["cases"]
    (prompt, front), (answer, back) = [(text, bare) for text, _, bare, *_ in cases if text.isascii() and 10 < len(bare) < 60][:2]
    ids = [1, *front, *back]
    np.save(tmp_path / "ids.npy", np.array([ids], np.int64))
    assert pare("run", stories, "--input", tmp_path / "ids.npy", "--output", tmp_path / "out").code == 0
    scores = np.load(next((tmp_path / "out").glob("*.npy")))[0].astype(np.float64)
    surprise = np.log(np.exp(scores).sum(1))[:-1] - scores[np.arange(len(ids) - 1), ids[1:]]
    (tmp_path / "lines.jsonl").write_text(json.dumps({"question": prompt, "reply": answer}) + "\n")
    (tmp_path / "data.toml").write_text(
        'task = "language"\n[test]\nformat = "jsonl"\nfiles = ["lines.jsonl"]\nprompt = "question"\nanswer = "reply"\n'
        f'[text]\ntokenizer = "{STORIES}/tokenizer.json"\nlength = 128\n')
    done = pare("measure", stories, "--data", tmp_path / "data.toml", "--json", "-", "--quiet")
    assert done.code == 0, done.err
    found = json.loads(done.out)["rows"][0]["metric"]["value"]
    assert found == pytest.approx(np.exp(surprise[-len(back):].mean()), rel=1e-3)
    assert found != pytest.approx(np.exp(surprise.mean()), rel=0.05)
