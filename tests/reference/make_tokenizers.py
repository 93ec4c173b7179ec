"""Small tokenizers of every component graft reads, and what the Python package `tokenizers` makes of difficult strings with them.

    python3 make_tokenizers.py ../tokenizer/records/synthetic.jsonl.gz [strings per tokenizer] [seed]
    python3 make_tokenizers.py old ../tokenizer/records/old.jsonl.gz       SentencePiece models instead (in "model", hexadecimal, with their "config")

A line is {"name", "file": a whole tokenizer.json, "cases": [{text, ids, ids_special, decoded, decoded_skip}]}. Each tokenizer's merges are
learned across the cuts of its own pre-tokenizer, so that a wrong cut shows in the ids. Made with tokenizers 0.23.3.
"""

import base64
import gzip
import json
import random
import struct
import sys

from tokenizers import Tokenizer, models, trainers

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
          r"\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
BLOOM = " ?[^(\\s|[.,!?…。，、।۔،])]+"
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BEHAVIOURS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]

TEXTS = [
    "", " ", "  ", "   ", "\n", "\r\n", "\t\t", "a", " a", "a ", " a ", "Hello world", "  Hello   world  ",
    "don't DON'T we'll they'Re I'm x's", "123 4567 ٣٤٥ ½ Ⅷ ² x2y33", "foo_bar-baz.qux", "a--b---c, d... e!?", "(x|y) [z] {w} <v>",
    "naïve café ñandú", "nai\u0308ve cafe\u0301", "ﬁ ﬀ ① ㌔ ｶﾞ Ａ", "İstanbul ΣΑΣ ẞß ǅ", "日本語のテキスト、です。", "한국어 각 각",
    "हिन्दी में।", "عربي، نص؟", "👩‍👩‍👧 🇩🇪 👍🏽", "a\u00a0b\u2003c\u200bd\u0085e\u001cf\u180eg", "x\u0301\u0323\u0301y", "<s>Hello</s>",
    "a<s>b </s> c", " [M]  x", "x [M]  [M] y", "x[M]y", "word tokword tok word", "tok", "TOK tok. _tok tok_", "  [L] [R]  [L][R]  ", "ab" * 30,
    "aaaa bbbb aaaab", "\n\n  \n x", "line one\nline two\r\n\r\nline three\n", "price: $3.50 + 20% = €4,20", "x\t\ty  \u3000z", "▁▁a▁b",
    "Ġx Ċ", "<0x41><0xE4>", "\u00e9\u00e9é", "ЖжЪъ Ёё", "\ufeffbom", "tail space ", "a  b   c    d", "1234567890", "Zz９９９a１", "###", "a##b", "x</w>y",
    "UPPER lower Title", "e\u0327\u0301", "\u1100\u1161\u11a8", "\U0001f600\U00020000", "``quoted'' \"text\"", "¿Qué? ¡No!", "no\u200djoin\u200cer",
    "\u200bfront", "\ufeff\u200b front", "a<s>   b  <s>    </s> c",
]


def base(**parts):
    file = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None,
            "post_processor": None, "decoder": None,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": {}, "merges": []}}
    file["model"].update(parts.pop("model", {}))
    file.update(parts)
    return file


def added(content, **flags):
    token = {"id": 0, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    token.update(flags)
    return token


def byte_level(space=False, regex=True):
    return {"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": True, "use_regex": regex}


def metaspace(scheme="always", split=True):
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}


def split(behaviour, invert=False, **pattern):
    return {"type": "Split", "pattern": pattern, "behavior": behaviour, "invert": invert}


def sequence(key, *parts):
    return {"type": "Sequence", key: list(parts)}


def replace(content, **pattern):
    return {"type": "Replace", "pattern": pattern, "content": content}


def strip(left, right):
    return {"type": "Strip", "strip_left": left, "strip_right": right}


def charsmap(rules):
    """A Darts-clone double array over `rules` (text: replacement) as SentencePiece's trainer packs it, base64."""
    children, texts, units = {}, b"", {}
    for text, becomes in sorted(rules.items()):
        key = text.encode()
        for depth, byte in enumerate(key):
            children.setdefault(key[:depth], set()).add(byte)
        children.setdefault(key, set()).add(0)
        rules = dict(rules, **{text: len(texts)})
        texts += becomes.encode() + b"\0"
    units[0] = 0
    waiting = [(b"", 0)]
    while waiting:
        key, place = waiting.pop()
        start = next(start for start in range(1, 1 << 20) if all(start ^ byte not in units for byte in children[key]))
        units[place] |= (place ^ start) << 10 | (1 << 8 if 0 in children[key] else 0)
        for byte in children[key]:
            units[start ^ byte] = byte if byte else 1 << 31 | rules[key.decode()]
            waiting += [(key + bytes([byte]), start ^ byte)] if byte else []
    packed = struct.pack("<%dI" % (max(units) + 1), *(units.get(place, 0) for place in range(max(units) + 1)))
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(struct.pack("<I", len(packed)) + packed + texts).decode()}


RULES = {"\n": " ", "\r": " ", "\t": " ", "\u00a0": " ", "\u2003": " ", "\u3000": " ", "\u200b": "", "\ufeff": "", "ﬁ": "fi", "①": "1", "㌔": "キロ",
         "Ａ": "A", "a\u0301": "á", "e\u0301": "é", "i\u0308": "ï", "\u0301": "'", "½": "1/2", "é": "e\u0301", "\x1c": "", "ΣΑ": "σα", "👍": "+"}
PRECOMPILED = charsmap(RULES)

LLAMA_NORMALIZER = sequence("normalizers", {"type": "Prepend", "prepend": "▁"}, replace("▁", String=" "))
LLAMA_DECODER = sequence("decoders", replace(" ", String="▁"), {"type": "ByteFallback"}, {"type": "Fuse"},
                         {"type": "Strip", "content": " ", "start": 1, "stop": 0})
TOKENS = [added("<s>"), added("</s>"), added("[M]", lstrip=True), added("[L]", lstrip=True, rstrip=True), added("[R]", rstrip=True, special=False),
          added("tok", single_word=True, special=False), added("  ", special=False, normalized=True), added("Hello", special=False, normalized=True)]


def template(front, behind):
    def piece(name):
        return {"Sequence": {"id": name, "type_id": 0}} if name in "AB" else {"SpecialToken": {"id": name, "type_id": 0}}
    single = [piece(n) for n in front + ["A"] + behind]
    return {"type": "TemplateProcessing", "single": single, "pair": single + [piece("B")], "special_tokens": {}}


def configurations():
    byte_decoder = byte_level()
    for form in ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"]:
        yield form, base(normalizer={"type": form}, pre_tokenizer=byte_level(), decoder=byte_decoder)
    yield "accents", base(normalizer=sequence("normalizers", {"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}), pre_tokenizer=byte_level(),
                          decoder=byte_decoder)
    for left in (False, True):
        for right in (False, True):
            yield f"strip {left} {right}", base(normalizer=strip(left, right), pre_tokenizer=byte_level(True), decoder=byte_decoder, added_tokens=TOKENS[:3])
    yield "replace", base(normalizer=sequence("normalizers", replace(" ", Regex=r" {2,}"), replace("'", String="''"), replace("", Regex=r"[\u0300-\u036f]"),
                                              replace("<>", Regex="x*")), pre_tokenizer=metaspace(), decoder=metaspace())
    yield "nested", base(normalizer=sequence("normalizers", sequence("normalizers", {"type": "NFKC"}, strip(True, True)), LLAMA_NORMALIZER), decoder=LLAMA_DECODER,
                         added_tokens=TOKENS[:6])
    yield "none", base(model={"unk_token": "<unk>"})
    for space in (False, True):
        for regex in (False, True):
            yield f"bytes {space} {regex}", base(pre_tokenizer=byte_level(space, regex), decoder=byte_decoder, added_tokens=TOKENS,
                                                 post_processor=byte_level())
    for scheme in ("always", "first", "never"):
        for cut in (False, True):
            yield f"metaspace {scheme} {cut}", base(pre_tokenizer=metaspace(scheme, cut), decoder=metaspace(scheme, cut), added_tokens=TOKENS,
                                                    model={"byte_fallback": True, "fuse_unk": cut, "unk_token": "<unk>"})
    yield "metaspace old", base(pre_tokenizer={"type": "Metaspace", "replacement": "_", "add_prefix_space": True, "str_rep": "_"},
                                decoder={"type": "Metaspace", "replacement": "_", "add_prefix_space": True})
    for behaviour in BEHAVIOURS:
        for invert in (False, True):
            yield f"split {behaviour} {invert}", base(pre_tokenizer=split(behaviour, invert, String="a"), model={"unk_token": "<unk>"})
            yield f"regex {behaviour} {invert}", base(pre_tokenizer=split(behaviour, invert, Regex=r"\s|\d+|[^\w\s]"), model={"unk_token": "<unk>", "fuse_unk": True})
        yield f"punctuation {behaviour}", base(pre_tokenizer=sequence("pretokenizers", {"type": "Punctuation", "behavior": behaviour}, byte_level()),
                                               decoder=byte_decoder)
    patterns = {"gpt2": GPT2, "llama3": LLAMA3, "qwen2": QWEN2, "bloom": BLOOM, "gpt4o": GPT4O, "and": r"[\w&&[^aeiou\d]]+|[\p{L}&&[^\p{Han}]]+",
                "words": r"\bx?\w+\b|[[:punct:]]+|\h+", "nested": r"[a-c[x-z]\p{Nd}]{2}+|[^\W\d[e-g]]+", "lazy": r"a{,2}b|\p{^L}{2}?|\p{Letter}+?",
                "lines": r"^\s*|.$", "empty": r"x*", "look": r"(?<=\w)(?=\W)", "posix": r"[[:alpha:]]+|[[:^space:]]|\v", "caseless": r"(?i)TOK|straẞe"}
    for name, pattern in patterns.items():
        yield f"pattern {name}", base(pre_tokenizer=sequence("pretokenizers", split("Isolated", Regex=pattern), byte_level(regex=False)), decoder=byte_decoder)
    for individual in (False, True):
        yield f"digits {individual}", base(pre_tokenizer=sequence("pretokenizers", {"type": "Digits", "individual_digits": individual}, byte_level()),
                                           decoder=byte_decoder)
        yield f"digits after {individual}", base(pre_tokenizer=sequence("pretokenizers", byte_level(), {"type": "Digits", "individual_digits": individual}),
                                                 decoder=byte_decoder)
    for kind in ("Whitespace", "WhitespaceSplit", "BertPreTokenizer"):
        yield kind, base(pre_tokenizer={"type": kind}, model={"unk_token": "<unk>"}, added_tokens=TOKENS)
    yield "t5 cuts", base(pre_tokenizer=sequence("pretokenizers", {"type": "WhitespaceSplit"}, metaspace("first")), decoder=metaspace(), added_tokens=TOKENS[:2])
    yield "falcon", base(pre_tokenizer=sequence("pretokenizers", {"type": "Punctuation", "behavior": "Contiguous"}, byte_level(),
                                                {"type": "Digits", "individual_digits": False}, split("Isolated", Regex="[0-9][0-9][0-9]")), decoder=byte_decoder)
    for prefix, suffix in (("##", None), (None, "</w>"), ("##", "</w>")):
        yield f"affixes {prefix} {suffix}", base(pre_tokenizer={"type": "WhitespaceSplit"}, decoder={"type": "BPEDecoder", "suffix": suffix or "##"},
                                                 model={"continuing_subword_prefix": prefix, "end_of_word_suffix": suffix, "unk_token": "<unk>"})
    for fallback in (False, True):
        for fuse in (False, True):
            for unknown in (None, "<unk>"):
                yield f"llama {fallback} {fuse} {unknown}", base(normalizer=LLAMA_NORMALIZER, decoder=LLAMA_DECODER, post_processor=template(["<s>"], []),
                                                                 added_tokens=TOKENS[:2],
                                                                 model={"byte_fallback": fallback, "fuse_unk": fuse, "unk_token": unknown})
    yield "ignore merges", base(pre_tokenizer=byte_level(), decoder=byte_decoder, model={"ignore_merges": True})
    yield "template", base(pre_tokenizer=byte_level(), decoder=byte_decoder, added_tokens=TOKENS, post_processor=template(["<s>", "[L]"], ["</s>", "</s>"]))
    yield "template twice", base(pre_tokenizer=byte_level(), decoder=byte_decoder, added_tokens=TOKENS, post_processor=template(["<s>", "A"], ["</s>"]))
    for kind in ("RobertaProcessing", "BertProcessing"):
        yield kind, base(pre_tokenizer=byte_level(True), decoder=byte_decoder, added_tokens=TOKENS, post_processor={"type": kind, "sep": ["</s>", 0], "cls": ["<s>", 0]})
    yield "processors", base(pre_tokenizer=byte_level(), decoder=byte_decoder, added_tokens=TOKENS,
                             post_processor=sequence("processors", byte_level(), template(["<s>"], ["</s>"])))
    yield "normalized tokens", base(normalizer={"type": "Lowercase"}, pre_tokenizer=byte_level(), decoder=byte_decoder,
                                    added_tokens=[added("Hello", normalized=True), added("TOK", normalized=True, special=False, single_word=True),
                                                  added("<s>", normalized=True, lstrip=True), added("[M]", normalized=True, rstrip=True, special=False)])
    yield "strip decoder", base(decoder=sequence("decoders", {"type": "Strip", "content": "a", "start": 2, "stop": 1}, replace("-", Regex="[bc]+")),
                                model={"unk_token": "<unk>"})
    yield "fused strip", base(decoder=sequence("decoders", {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 2}, replace("_", String="a")),
                              model={"unk_token": "<unk>"})


    cuts = sequence("pretokenizers", {"type": "WhitespaceSplit"}, metaspace())
    for scores in ("ties", "positive", "digits"):
        for fallback in (False, True):
            yield f"unigram {scores} {fallback}", base(model={"type": "Unigram", "scores": scores, "byte_fallback": fallback}, decoder=LLAMA_DECODER, added_tokens=TOKENS[:2])
    yield "unigram t5", base(normalizer=PRECOMPILED, pre_tokenizer=cuts, decoder=metaspace(), added_tokens=TOKENS, post_processor=template([], ["</s>"]),
                             model={"type": "Unigram", "scores": "digits"})
    yield "unigram spaces", base(normalizer=sequence("normalizers", {"type": "Nmt"}, {"type": "NFKC"}, replace(" ", Regex=" {2,}")), pre_tokenizer=metaspace(),
                                 decoder=metaspace(), model={"type": "Unigram", "scores": "ties"})
    for kind in ("Nmt", "ByteLevel"):
        yield f"normalizer {kind}", base(normalizer={"type": kind}, pre_tokenizer=metaspace("first"), decoder=metaspace("first"), added_tokens=TOKENS)
    yield "charsmap", base(normalizer=PRECOMPILED, model={"unk_token": "<unk>"}, added_tokens=TOKENS)
    yield "charsmap in front", base(normalizer=PRECOMPILED, pre_tokenizer=metaspace("first"), decoder=metaspace("first"), added_tokens=TOKENS[:2])
    yield "stripped tokens", base(model={"unk_token": "<unk>"}, added_tokens=[added("<s>", rstrip=True), added("</s>", lstrip=True), added("  ", special=False)])
    yield "delimiter", base(pre_tokenizer={"type": "CharDelimiterSplit", "delimiter": "a"}, model={"unk_token": "<unk>"})


def process(tokenizer, text):
    """The text as the model would see it, its cuts forgotten."""
    if tokenizer.normalizer:
        text = tokenizer.normalizer.normalize_str(text)
    return "".join(piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)) if tokenizer.pre_tokenizer else text


def complete(file):
    """Learns a vocabulary, numbers the added tokens, fills in ids of the post-processor."""
    model = file["model"]
    scores = model.pop("scores", None)
    bare = dict(file, added_tokens=[], post_processor=None, model=dict(model, type="BPE", unk_token=None))
    corpus = [text for text in (process(Tokenizer.from_str(json.dumps(bare)), text) for text in TEXTS) if text] * 2
    affixes = {key: model[key] for key in ("continuing_subword_prefix", "end_of_word_suffix") if model[key]}
    learner = Tokenizer(models.BPE(**affixes))
    if affixes:
        corpus = [word for text in TEXTS for word in text.split()] * 2
    learner.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=330 if affixes else 300, min_frequency=2, show_progress=False, limit_alphabet=110, **affixes))
    learned = json.loads(learner.to_str())["model"]
    vocab = list(sorted(learned["vocab"], key=learned["vocab"].get))
    if model["unk_token"]:
        vocab.insert(0, model["unk_token"])
    if model["byte_fallback"]:
        vocab += [f"<0x{byte:02X}>" for byte in range(256) if byte not in (0xC3, 0xE2)]
    model["vocab"] = {token: i for i, token in enumerate(vocab)}
    model["merges"] = learned["merges"] if len(vocab) % 2 else [" ".join(pair) for pair in learned["merges"] if " " not in "".join(pair)]
    if isinstance(model["merges"][0], str):
        model["merges"] = [pair for pair in model["merges"] if pair.count(" ") == 1]
    if scores:
        vocab = list(model["vocab"])
        file["model"] = {"type": "Unigram", "unk_id": 3, "vocab": list(zip(vocab, scored(vocab, scores))), "byte_fallback": model["byte_fallback"]}
    ids = {}
    for token in file["added_tokens"]:
        token["id"] = ids[token["content"]] = model["vocab"].get(token["content"], len(vocab) + len(ids))
    fill(file["post_processor"], ids)
    return file


def scored(vocab, kind):
    """ties: many paths are equally good; positive: unknown characters are worth something, so several may spell a token; digits: more than a double holds."""
    chooser = random.Random(7)
    if kind == "digits":
        return [-chooser.random() * 12 - 0.1 for _ in vocab]
    return [float(-len(token)) if kind == "ties" else 200.0 + chooser.randrange(3) - (99 if len(token) > 1 else 0) for token in vocab]


def fill(processor, ids):
    for inner in (processor or {}).get("processors", []):
        fill(inner, ids)
    if processor and "special_tokens" in processor:
        names = {piece["SpecialToken"]["id"] for piece in processor["single"] if "SpecialToken" in piece}
        processor["special_tokens"] = {name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in sorted(names)}
    if processor and "cls" in processor:
        processor["cls"][1], processor["sep"][1] = ids["<s>"], ids["</s>"]
        if processor["type"] == "RobertaProcessing":
            processor.update(trim_offsets=True, add_prefix_space=True)


def mixed(chooser):
    """Two to five pieces of the texts, run together."""
    pieces = []
    for _ in range(chooser.randint(2, 5)):
        text = chooser.choice(TEXTS)
        begin = chooser.randrange(len(text) + 1)
        pieces.append(text[begin:begin + chooser.randint(1, 12)])
    return "".join(pieces)


def case(tokenizer, text):
    """None where the package itself panics (some overlapping added tokens, some decoders): there is nothing to compare with."""
    try:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        special = tokenizer.encode(text, add_special_tokens=True).ids
        decoded, skipped = tokenizer.decode(ids, skip_special_tokens=False), tokenizer.decode(special, skip_special_tokens=True)
    except BaseException as panic:
        if isinstance(panic, KeyboardInterrupt):
            raise
        return None
    return {"text": text, "ids": ids, "ids_special": special, "decoded": decoded, "decoded_skip": skipped}


def field(key, value):
    """A field of a protocol buffer; SentencePiece's models are made of these."""
    def number(n):
        return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + number(n >> 7)
    if isinstance(value, int):
        return number(key << 3) + number(value)
    if isinstance(value, float):
        return number(key << 3 | 5) + struct.pack("<f", value)
    value = value.encode() if isinstance(value, str) else value
    return number(key << 3 | 2) + number(len(value)) + value


def old_folders():
    """Folders without tokenizer.json: their files, and the tokenizer that transformers' conversion makes of them."""
    chooser = random.Random(3)
    learner = Tokenizer(models.BPE())
    learner.train_from_iterator(["▁" + text.replace(" ", "▁") for text in TEXTS if text] * 2,
                                trainers.BpeTrainer(vocab_size=320, min_frequency=2, show_progress=False, limit_alphabet=110))
    learned = [token for token in sorted(learner.get_vocab(), key=learner.get_vocab().get) if token not in ("[M]", "<s>", "</s>", "<unk>")]
    byte_pieces = [(f"<0x{byte:02X}>", 0.0, 6) for byte in range(256)]
    control = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)]
    for name, legacy in (("llama legacy", True), ("llama newer", False)):
        pieces = control + byte_pieces + [("[M]", 0.0, 4)] + [(token, -float(len(learned) - i if len(token) > 1 else i + 500), 1) for i, token in enumerate(learned)]
        vocab = {token: i for i, (token, _, _) in enumerate(pieces)}
        cuts = [(-score, -cut, cut - len(token), vocab[token], token[:cut], token[cut:]) for token, score, kind in pieces if kind == 1
                for cut in range(1, len(token)) if token[:cut] in vocab and token[cut:] in vocab]
        file = base(model={"vocab": vocab, "merges": [list(cut[4:]) for cut in sorted(cuts)], "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True},
                    normalizer=LLAMA_NORMALIZER if legacy else None, pre_tokenizer=None if legacy else metaspace("first", False), decoder=LLAMA_DECODER,
                    added_tokens=[added("<unk>"), added("<s>"), added("</s>"), added("[M]", special=False)], post_processor=template(["<s>"], []))
        yield name, file, pieces, {"tokenizer_class": "LlamaTokenizer", "legacy": legacy}, field(2, field(3, 2) + field(35, 1)) + field(3, field(4, 0))
    pieces = [("<pad>", 0.0, 3), ("</s>", 0.0, 3), ("<unk>", 0.0, 2)] + [(token, struct.unpack("<f", struct.pack("<f", -12 * chooser.random()))[0], 1) for token in learned]
    extra = [f"<extra_id_{i}>" for i in (2, 1, 0)]
    file = base(model={"type": "Unigram", "unk_id": 2, "vocab": [[token, score] for token, score, _ in pieces] + [[token, 0.0] for token in extra]},
                normalizer=PRECOMPILED, pre_tokenizer=sequence("pretokenizers", {"type": "WhitespaceSplit"}, metaspace()), decoder=metaspace(),
                added_tokens=[added(token) for token in ["<pad>", "</s>", "<unk>"] + extra], post_processor=template([], ["</s>"]))
    for key in ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "ignore_merges", "merges"):
        del file["model"][key]
    packed = base64.b64decode(PRECOMPILED["precompiled_charsmap"])
    yield "t5", file, pieces, {"tokenizer_class": "T5Tokenizer", "extra_ids": 3}, field(2, field(3, 1)) + field(3, field(2, packed))


def old_lines():
    for name, file, pieces, config, specs in old_folders():
        ids = {token[0]: i for i, token in enumerate(pieces)}
        fill(file["post_processor"], ids)
        tokenizer = Tokenizer.from_str(json.dumps(file))
        if file["model"]["type"] == "Unigram":  # not through JSON, where scores lose their last digit
            tokenizer.model = models.Unigram([tuple(pair) for pair in file["model"]["vocab"]], 2, False)
        model = b"".join(field(1, field(1, token) + field(2, score) + (field(3, kind) if kind > 1 else b"")) for token, score, kind in pieces) + specs
        cases = [record for record in (case(tokenizer, text) for text in TEXTS) if record]
        yield {"name": name, "model": model.hex(), "config": json.dumps(config), "cases": cases}


def main():
    if sys.argv[1] == "old":
        with gzip.GzipFile(sys.argv[2], "wb", 9, mtime=0) as out:
            for line in old_lines():
                out.write((json.dumps(line, ensure_ascii=False) + "\n").encode())
        return
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    chooser = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    with gzip.GzipFile(sys.argv[1], "wb", 9, mtime=0) as out:
        for name, file in configurations():
            text = json.dumps(complete(file), ensure_ascii=False)
            tokenizer = Tokenizer.from_str(text)
            texts = TEXTS + [mixed(chooser) for _ in range(count)]
            cases = [record for record in (case(tokenizer, text) for text in texts) if record]
            line = {"name": name, "file": text, "cases": cases}
            print(name, len(texts) - len(cases), "not recorded") if len(cases) < len(texts) else None
            out.write((json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass"))


main()
