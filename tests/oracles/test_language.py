"""Language models: text and perplexity of a real one, and files that other tools read."""
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LLM = ROOT.parent / "shared" / "models" / "llm"


@pytest.fixture
def stories():
    folder = LLM / "stories260K"
    if not folder.is_dir():
        pytest.skip("the real models are absent")
    return folder


def test_greedy_text_is_the_expected_one(pare, stories):
    done = pare("generate", stories, "--tokens", "120")
    assert done.code == 0
    assert done.out.rstrip("\n") == (stories / "expected_greedy.txt").read_text().rstrip("\n")


def test_greedy_text_survives_gguf(pare, stories, tmp_path):
    written = tmp_path / "stories.gguf"
    assert pare("compress", stories, "-o", written).code == 0
    back = tmp_path / "folder" / "model.safetensors"
    back.parent.mkdir()
    assert pare("compress", written, "-o", back).code == 0
    (back.parent / "tokenizer.json").write_text((stories / "tokenizer.json").read_text())
    done = pare("generate", back.parent, "--tokens", "120")
    assert done.out.rstrip("\n") == (stories / "expected_greedy.txt").read_text().rstrip("\n")


def test_perplexity_is_the_manifests(pare, stories, tmp_path):
    rows = tmp_path / "rows.json"
    assert pare("measure", stories, "--data", ROOT / "tests/models/tinystories.toml", "--json", rows).code == 0
    metric = json.loads(rows.read_text())["rows"][0]["metric"]
    assert metric["name"] == "perplexity" and not metric["higher_is_better"]
    assert abs(metric["value"] - 3.548) < 0.001


def test_a_file_that_is_cut_short_is_named(pare, stories, tmp_path):
    written = tmp_path / "stories.gguf"
    assert pare("compress", stories, "-o", written).code == 0
    written.write_bytes(written.read_bytes()[:50000])
    done = pare("generate", written, "--prompt", "a")
    assert done.code == 1 and "cut short" in done.err and str(written) in done.err
