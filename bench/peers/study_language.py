#!/usr/bin/env python3
"""Studies a language model in every GGUF type beside llama.cpp, and writes that part of docs/guide/study.md.

llama.cpp quantizes the model (its weights decoded, where no 16-bit original is at hand) to each type; both programs judge and run the
same files. Files that were made before, such as calibrated ones, join with --also. What fails leaves a sentence, and the rest goes on.
"""
import argparse
import datetime
import json
import pathlib
import re
import subprocess

import artifacts
import language
import run
import sections
import study_pruning
import tables

TYPES = ["F16", "BF16", "Q8_0", "Q6_K", "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_S", "Q4_1", "Q4_0", "IQ4_NL", "Q3_K_M", "Q2_K"]
IDS, TEXT = "llm/wikitext2_test_smollm2_ids.u16", "llm/wikitext2_test.txt"


def parse_arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--llama", type=pathlib.Path, required=True, help="folder of llama.cpp's programs")
    p.add_argument("--model", type=pathlib.Path, required=True, help="the GGUF file that all others are made of")
    p.add_argument("--ids", default=IDS, help="the test text as the model's token ids, below --models-dir; those of SmolLM2 lie there")
    p.add_argument("--types", type=lambda text: text.split(","), default=TYPES, metavar="NAMES", help="comma-separated: " + ", ".join(TYPES))
    p.add_argument("--also", nargs="*", default=[], metavar="TITLE=FILE", help="files that were made before")
    p.add_argument("--chunks", type=int, default=24, help="of 512 tokens, whose second half is judged")
    p.add_argument("--rounds", type=int, default=1, help="of both programs in turns, for speed")
    p.add_argument("--tokens", type=int, default=64, help="to write behind the prompt")
    p.add_argument("--pare", type=pathlib.Path, default=artifacts.ROOT / "build/release/pare")
    p.add_argument("--models-dir", type=pathlib.Path, default=artifacts.ROOT.parent / "shared/models")
    p.add_argument("--out", type=pathlib.Path, default=artifacts.ROOT / "build/study-language", help="files and figures")
    p.add_argument("--page", type=pathlib.Path, default=artifacts.ROOT / "docs/guide/study.md")
    a = p.parse_args()
    if a.ids == IDS and "smollm2" not in a.model.name.lower():
        p.error(f"{a.model.name} is not SmolLM2: give its own token ids of {TEXT} with --ids")
    return a


def output_of(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{pathlib.Path(command[0]).name}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return done.stdout, done.stderr


def make(target, command):
    """`target` by a command that is given a name beside it, so that what a kill leaves is not taken for it."""
    if not target.exists():
        part = target.with_name("part-" + target.name)
        output_of([part if word is None else word for word in command])
        part.rename(target)
    return target


def make_file(a, kind):
    """The model in one type, by llama.cpp; from weights as floats, as a checkpoint would be."""
    folder = a.out / a.model.stem
    folder.mkdir(parents=True, exist_ok=True)
    floats = make(folder / "floats.gguf", [a.pare, "compress", a.model, "--recipe", "quantize-weights{type=f32}", "-o", None, "--quiet"])
    return make(folder / f"{kind}.gguf", [a.llama / "llama-quantize", floats, None, kind, "2"])


def pare_perplexity(a, file):
    data = a.out / "data.toml"
    data.write_text(f'task = "language"\n[test]\nformat = "tokens"\nfiles = ["{(a.models_dir / a.ids).resolve()}"]\nwindows = {a.chunks}\n'
                    'context = 257\n[text]\nlength = 512\n')
    found = json.loads(output_of([a.pare, "measure", file, "--data", data, "--seconds", "0.1", "--quiet", "--threads", "2", "--json", "-"])[0])
    return found["rows"][0]["metric"]["value"]


def llama_perplexity(a, file):
    text = "".join(output_of([a.llama / "llama-perplexity", "-m", file, "-f", a.models_dir / TEXT, "-c", "512", "--chunks", a.chunks, "-t", "2"]))
    return float(re.search(r"Final estimate: PPL = ([0-9.]+)", text)[1])


def study_file(a, title, file):
    print(f"studying {title}", flush=True)
    row = {"title": title, "bytes": file.stat().st_size, "pare_perplexity": pare_perplexity(a, file), "llama_perplexity": llama_perplexity(a, file)}
    prompt = (a.models_dir / TEXT).read_text()[:language.LETTERS]
    row["speed"] = [language.compare(a, file, threads, prompt) for threads in (1, 2)]
    return row


def figures(row, what, scale=1.0):
    return " ; ".join(f"{s[what]['pare'] / scale:.0f} / {s[what]['llama.cpp'] / scale:.0f} = {s[what]['ratio']:.2f}" for s in row["speed"])


def row_text(row):
    if "error" in row:
        return [row["title"], "failed: " + row["error"].replace("|", "/"), *[""] * 4]
    apart = row["pare_perplexity"] / row["llama_perplexity"] - 1
    return [row["title"], f"{row['bytes'] / 1e6:.1f}", f"{row['pare_perplexity']:.3f} / {row['llama_perplexity']:.3f} ({100 * apart:+.2f} %)",
            figures(row, "prompt"), figures(row, "generate"), figures(row, "memory", 1e6)]


def section(result):
    head = [f"`{result['file']}` as", "MB", "perplexity (apart)", "prompt, tokens/s", "generation, tokens/s", "peak MB"]
    return (f"Every type of the same weights, quantized by llama.cpp but where a pass is named; pare / llama.cpp from the same file, speed and memory with "
            f"1 ; 2 threads. Perplexity: wikitext-2, {result['chunks']} windows of 512 tokens of which the last 255 are judged, as llama.cpp does. "
            f"[language.md](language.md) says how each is made and measured.\n\n"
            f"{tables.table(head, [row_text(row) for row in result['rows']])}\n"
            f"*{result['machine']['cpu']}, {result['machine']['cores']} cores, {study_pruning.instructions()}; {result['date']}; medians of {result['rounds']} interleaved "
            f"round(s), {result['rows'][0].get('speed', [{}])[0].get('prompt_tokens', '?')} tokens of prompt and {result['tokens']} behind it. The source is the model's {result['source']} file, decoded: no 16-bit original is at hand, so types near its "
            f"grid look better than they would.*\n")


def main():
    a = parse_arguments()
    a.out.mkdir(parents=True, exist_ok=True)
    name, _, source = a.model.stem.rpartition(".")
    result = {"machine": run.describe_machine(), "date": datetime.date.today().isoformat(), "file": name or a.model.stem, "source": source or "GGUF",
              "chunks": a.chunks, "rounds": a.rounds, "tokens": a.tokens, "rows": []}
    jobs = [(kind, lambda kind=kind: make_file(a, kind)) for kind in a.types]
    jobs += [(title, lambda file=file: pathlib.Path(file)) for title, _, file in (word.rpartition("=") for word in a.also)]
    for title, made in jobs:
        try:
            result["rows"].append(study_file(a, title, made()))
        except Exception as error:  # one type may not cost the others
            print(f"  {error}")
            result["rows"].append({"title": title, "error": str(error)})
        (a.out / "language.json").write_text(json.dumps(result, indent=1) + "\n")
    a.page.write_text(sections.LANGUAGE.replaced(a.page.read_text(), section(result)))
    print(f"{a.page}\n{a.out / 'language.json'}")


if __name__ == "__main__":
    main()
