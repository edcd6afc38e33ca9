"""Language models beside llama.cpp: prompt and generation speed and peak memory, in turns, from the same files.

Both read the same number of tokens and then write behind them; each program's own load time is left out, as llama-bench
leaves it out."""
import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

TEXT = Path(__file__).resolve().parents[2] / "../shared/models/llm/wikitext2_test.txt"
LETTERS = 1000  # about 250 tokens of English


def run(command):
    """(what it wrote, peak resident bytes)."""
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command[0]} ended with {process.returncode}; the command was:\n{' '.join(map(str, command))}")
    return output, usage.ru_maxrss * 1024


def time_pare(program, model, threads, prompt, tokens):
    output, memory = run([program, "generate", model, "--prompt", prompt, "--tokens", tokens, "--keep-on", "--threads", threads, "--json=-"])
    found = json.loads(output)
    return {"prompt": found["throughput"]["prompt_tokens_per_s"], "generate": found["throughput"]["generate_tokens_per_s"],
            "memory": memory, "prompt_tokens": found["prompt_tokens"]}


def time_llama(folder, model, threads, prompt_tokens, tokens):
    bench = [Path(folder) / "llama-bench", "-m", model, "-t", threads, "-r", 1, "-o", "json"]
    prompt, memory = run([*bench, "-p", prompt_tokens, "-n", 0])
    generate, more = run([*bench, "-p", 0, "-n", tokens, "-d", prompt_tokens])
    return {"prompt": json.loads(prompt)[0]["avg_ts"], "generate": json.loads(generate)[0]["avg_ts"], "memory": max(memory, more)}


def compare(options, model, threads, prompt):
    ours, theirs = [], []
    tokens = time_pare(options.pare, model, threads, prompt, 2)["prompt_tokens"]  # and the file is in memory for both
    for turn in range(options.rounds):
        engines = [lambda: ours.append(time_pare(options.pare, model, threads, prompt, options.tokens)),
                   lambda: theirs.append(time_llama(options.llama, model, threads, tokens, options.tokens))]
        for engine in engines if turn % 2 == 0 else engines[::-1]:
            engine()
    row = {"model": Path(model).name, "threads": threads, "prompt_tokens": tokens}
    for what in ("prompt", "generate", "memory"):
        ratios = [a[what] / b[what] for a, b in zip(ours, theirs)]
        row[what] = {"pare": statistics.median(a[what] for a in ours), "llama.cpp": statistics.median(b[what] for b in theirs),
                     "ratio": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}
    return row


def cell(figure, scale=1.0):
    return (f"{figure['pare'] / scale:.0f} / {figure['llama.cpp'] / scale:.0f} = **{figure['ratio']:.2f}** "
            f"[{figure['least']:.2f}, {figure['most']:.2f}]")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pare", required=True)
    parser.add_argument("--llama", required=True, help="folder of llama.cpp's programs")
    parser.add_argument("--model", nargs="+", required=True, help="GGUF files")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64, help="to write behind the prompt")
    parser.add_argument("--prompt", type=Path, default=TEXT, help="a text file; its first letters are the prompt")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    prompt = options.prompt.read_text()[:LETTERS]
    rows = [compare(options, model, threads, prompt) for model in options.model for threads in options.threads]
    print("| file | threads | prompt, tokens/s | generation, tokens/s | peak memory, MB |\n|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['model']} | {row['threads']} | {cell(row['prompt'])} | {cell(row['generate'])} | {cell(row['memory'], 1e6)} |")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
