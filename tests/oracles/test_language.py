"""Language models: text and perplexity of a real one, and files that other tools read."""
import json
from pathlib import Path

import numpy as np
import pytest

from conftest import onnxruntime_session

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


# Measures of language models, against the same figures from ONNX Runtime's scores.

LETTERS = {" ": 299} | {chr(ord("a") + i): 300 + i for i in range(26)}


class Scores:
    """Log-probabilities of a model's next tokens by ONNX Runtime."""

    def __init__(self, path):
        self.session = onnxruntime_session(path)

    def __call__(self, ids):
        logits = self.session.run(None, {"input_ids": np.array([ids], np.int64)})[0][0].astype(np.float64)
        logits -= logits.max(-1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


@pytest.fixture(scope="module")
def written():
    """The model, its scores, and 200 tokens that it writes at random."""
    path = LLM / "stories260K.onnx"
    if not path.exists():
        pytest.skip("the real models are absent")
    scores, random, ids = Scores(path), np.random.default_rng(1), [1]
    while len(ids) < 200:
        p = np.exp(scores(ids)[-1])
        ids.append(int(random.choice(512, p=p / p.sum())))
    return path, scores, ids


def measured(pare, tmp_path, description, *models):
    (tmp_path / "d.toml").write_text(description)
    rows = tmp_path / "rows.json"
    done = pare("measure", *models, "--data", tmp_path / "d.toml", "--seconds", "0.1", "--json", rows)
    assert done.code == 0, done.err
    return json.loads(rows.read_text())["rows"]


def test_sliding_windows_are_onnxruntimes(pare, written, tmp_path):
    path, scores, ids = written
    np.array(ids, np.uint16).tofile(tmp_path / "ids.u16")
    length, stride = 64, 24
    rows = measured(pare, tmp_path, f'task = "language"\n[test]\nformat = "tokens"\nfiles = ["ids.u16"]\nstride = {stride}\n'
                                    f"[text]\nlength = {length}\ninputs = {{ input_ids = \"ids\" }}\n", path)
    lost, judged = 0.0, 0
    for start in range(0, len(ids) - length + 1, stride):
        window = ids[start:start + length]
        p = scores(window)
        first = 1 if start == 0 else length - stride
        lost -= sum(p[t - 1, window[t]] for t in range(first, length))
        judged += length - first
    assert abs(rows[0]["metric"]["value"] - np.exp(lost / judged)) < 1e-4 * np.exp(lost / judged)


def test_divergence_from_the_original_is_onnxruntimes(pare, written, tmp_path):
    path, scores, ids = written
    np.array(ids, np.uint16).tofile(tmp_path / "ids.u16")
    small = tmp_path / "small.onnx"
    assert pare("compress", path, "--recipe", "prune-weights{sparsity=0.3}", "-o", small).code == 0
    rows = measured(pare, tmp_path, 'task = "language"\n[test]\nformat = "tokens"\nfiles = ["ids.u16"]\n'
                                    '[text]\nlength = 50\ninputs = { input_ids = "ids" }\n', path, small)
    assert rows[0]["more_metrics"] == []
    found = {metric["name"]: metric for metric in rows[1]["more_metrics"]}
    other, divergences, same = Scores(small), [], []
    for start in range(0, 200, 50):
        p, q = scores(ids[start:start + 50])[:-1], other(ids[start:start + 50])[:-1]
        divergences.append((np.exp(p) * (p - q)).sum(-1))
        same.append(p.argmax(-1) == q.argmax(-1))
    expected = np.mean(divergences)
    assert expected > 0.01, "the model was hardly changed"
    assert abs(found["kl_divergence"]["value"] - expected) < 1e-3 * expected
    error = np.std(np.mean(divergences, axis=1), ddof=1) / np.sqrt(len(divergences))   # windows are of one length
    assert abs(found["kl_divergence"]["standard_error"] - error) < 2e-3 * error
    assert abs(found["top1_agreement"]["value"] - np.mean(same)) < 1e-9


def test_multiple_choice_is_onnxruntimes(pare, written, tmp_path):
    path, scores, _ = written
    (tmp_path / "t.json").write_text(json.dumps({"model": {"type": "BPE", "vocab": LETTERS, "merges": []}}))
    random = np.random.default_rng(2)
    words = lambda count: " ".join("".join(random.choice(list(LETTERS)[1:], random.integers(1, 5))) for _ in range(count))
    questions = [{"prompt": words(3), "choices": [words(random.integers(1, 4)) for _ in range(4)], "answer": int(random.integers(4))}
                 for _ in range(40)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(question) + "\n" for question in questions))
    rows = measured(pare, tmp_path, 'task = "multiple-choice"\n[test]\nformat = "choices"\nfiles = ["q.jsonl"]\n'
                                    '[text]\ntokenizer = "t.json"\ninputs = { input_ids = "ids" }\n', path)
    right, by_length = 0, 0
    for question in questions:
        likelihoods = []
        for choice in question["choices"]:
            ids = [LETTERS[letter] for letter in question["prompt"] + " " + choice]
            p = scores(ids)
            likelihoods.append(sum(p[t - 1, ids[t]] for t in range(len(question["prompt"]), len(ids))))
        right += int(np.argmax(likelihoods)) == question["answer"]
        by_length += int(np.argmax([l / len(c) for l, c in zip(likelihoods, question["choices"])])) == question["answer"]
    assert right != by_length, "both ways agree: other questions would tell more"
    assert rows[0]["metric"]["name"] == "accuracy" and abs(rows[0]["metric"]["value"] - right / 40) < 1e-9
    assert abs(rows[0]["more_metrics"][0]["value"] - by_length / 40) < 1e-9
