#!/usr/bin/env python3
"""Writes tests/golden/tokenizers: small tokenizers of every kind with the ids and texts that the Hugging Face library
makes of random Unicode. record_tokens.py [MODELS], with `pip install tokenizers==0.23.3`; MODELS is the folder of real models."""
import json
import random
import sys
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

OUT = Path(__file__).resolve().parents[1] / "tests/golden/tokenizers"
CORPUS = ["The quick brown fox jumps over the lazy dog, doesn't it? We'll see in 1984 or 2,048.",
          "A tokenizer turns text into numbers; unbelievable but true! Naïve café déjà vu.",
          "for (int i = 0; i < 10; ++i) {\n\tprint(i);\n}\r\n", "你好 世界 日本語 한국어 हिन्दी 😀"] * 5
WORDS = ("the The don't I'LL we've 123 4567 1984 Hello, world! naïve café cafe\u0301 ﬁne Ｆｕｌｌ ½ ² Ⅷ ß İstanbul ΑΣ 你好 日本語 "
         "한국어 हिन्दी עברית ไทย 😀 👩‍👩‍👧 ... -- __x__ #tag [CLS] <s> </s> <unk> [SEP] <mask> word \u2581 \u00a0 \u3000 \u200b \u180e \u0085 "
         "\u2028 \t \n \r\n \x00 \x07 \ufffd \u0301 's 'S '' ++i {\n\t} \u1e9b\u0323 \u212b").split(" ")


def texts(seed, count):
    r = random.Random(seed)
    cases = ["", " ", "  two  spaces ", "The quick brown fox jumps over the lazy dog, doesn't it?", "a<mask>b <mask> word  words",
             "<s>The </s> <unk>", "\u00e4\u0301" * 3, "x" * 150, "\u180e \u2e52"]
    while len(cases) < count:
        kind, length = r.random(), r.randrange(1, 10)
        if kind < .7:
            cases.append(r.choice(["", " ", "  "]).join(r.choice(WORDS) for _ in range(length)))
        else:
            most = 0x250 if kind < .85 else 0x30000
            cases.append("".join(chr(c) for c in (r.randrange(1, most) for _ in range(length)) if not 0xD800 <= c < 0xE000))
    return cases


def cases_of(tokenizer, seed, count):
    tokenizer.no_padding()
    tokenizer.no_truncation()
    made = []
    for text in texts(seed, count):
        ids = tokenizer.encode(text).ids
        made.append([text, ids, tokenizer.encode(text, add_special_tokens=False).ids, tokenizer.decode(ids), tokenizer.decode(ids, False)])
    return made


def bpe(name, normalizer=None, pre=None, decoder=None, size=400, added=(), post=None, initial=None, **options):
    tokenizer = Tokenizer(models.BPE(**options))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre:
        tokenizer.pre_tokenizer = pre
    special = [options["unk_token"]] if options.get("unk_token") else []
    if options.get("byte_fallback"):
        special += [f"<0x{b:02X}>" for b in range(256)]
    extra = {k: options[k] for k in ("continuing_subword_prefix", "end_of_word_suffix") if options.get(k)}
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False,
                                                              initial_alphabet=initial or [], **extra))
    if options.get("byte_fallback"):  # byte tokens are ordinary ones
        file = json.loads(tokenizer.to_str())
        file["added_tokens"] = [t for t in file["added_tokens"] if not t["content"].startswith("<0x")]
        tokenizer = Tokenizer.from_str(json.dumps(file))
    return finish(name, tokenizer, decoder, added, post)


def wordpiece(name, normalizer, added=(), **options):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", **options))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[UNK]", "[CLS]", "[SEP]"], show_progress=False))
    return finish(name, tokenizer, decoders.WordPiece(), added, processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1)))


def finish(name, tokenizer, decoder, added, post):
    if decoder:
        tokenizer.decoder = decoder
    for token in added:
        tokenizer.add_special_tokens([token]) if token.special else tokenizer.add_tokens([token])
    if post:
        tokenizer.post_processor = post(tokenizer) if callable(post) and not isinstance(post, processors.PostProcessor) else post
    return name, tokenizer


def write(name, content):
    OUT.mkdir(parents=True, exist_ok=True)
    content = {"made_by": f"tools/record_tokens.py, tokenizers {tokenizers.__version__}", **content}
    (OUT / f"{name}.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")


def main():
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    byte_level = dict(initial=alphabet, decoder=decoders.ByteLevel())
    llama3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    qwen2 = llama3.replace(r"\p{N}{1,3}", r"\p{N}")
    split = lambda p: pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(p), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    mask = AddedToken("<mask>", special=True, lstrip=True)
    begin = lambda t: processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", t.token_to_id("<s>"))])
    flags = [AddedToken("word", single_word=True), AddedToken("<mask>", rstrip=True, normalized=False), AddedToken("Naïve", normalized=True)]
    tests = [
        bpe("gpt2", pre=pre_tokenizers.ByteLevel(add_prefix_space=True), added=[mask], **byte_level),
        bpe("llama3", pre=split(llama3), added=[AddedToken("<s>", special=True)], post=begin, ignore_merges=True, **byte_level),
        bpe("qwen2", normalizer=normalizers.NFC(), pre=split(qwen2), **byte_level),
        bpe("llama2", normalizer=normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), unk_token="<unk>", fuse_unk=True, size=500,
            byte_fallback=True, added=[AddedToken("<s>", special=True)] + flags[:1],
            decoder=decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])),
        bpe("metaspace", pre=pre_tokenizers.Metaspace(prepend_scheme="first"), unk_token="<unk>", added=flags, decoder=decoders.Metaspace(prepend_scheme="first")),
        bpe("clip", normalizer=normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]),
            pre=pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"'s|'t|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"), "removed", invert=True)]),
            unk_token="<unk>", end_of_word_suffix="</w>", decoder=decoders.BPEDecoder()),
        bpe("pieces", normalizer=normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Strip()]),
            pre=pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("merged_with_previous"), pre_tokenizers.Digits()]),
            unk_token="<unk>", fuse_unk=True, continuing_subword_prefix="@@"),
        bpe("words", normalizer=normalizers.NFKC(), pre=pre_tokenizers.Whitespace(), unk_token="<unk>", added=flags),
        wordpiece("bert_uncased", normalizers.BertNormalizer()),
        wordpiece("bert_cased", normalizers.BertNormalizer(lowercase=False), added=flags),
    ]
    for seed, (name, tokenizer) in enumerate(tests):
        write(name, {"tokenizer": json.loads(tokenizer.to_str()), "cases": cases_of(tokenizer, seed, 40)})
    real = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT.parents[2].parent / "shared/models"
    for name, path in {"real_minilm": "text_classification/tokenizer.json", "real_smollm2": "llm/smollm2_tokenizer.json",
                       "real_stories260k": "llm/stories260K/tokenizer.json"}.items():
        if (real / path).exists():
            write(name, {"file": path, "cases": cases_of(Tokenizer.from_file(str(real / path)), 99, 60)})


if __name__ == "__main__":
    main()
