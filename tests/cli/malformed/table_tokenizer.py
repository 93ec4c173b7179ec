"""tokenizer.json, tokenizer_config.json and special_tokens_map.json."""
from good import ABSENT, DETOKENIZE, GENERATE, TEXTS, TOKENIZE, TRAIN, both, edit, json_set, put, get, tokenizer, write

import json

FILE = "base/tokenizer.json"


def model(change_model):
    """Changes the model of tokenizer.json in place."""
    def change(folder):
        root = json.loads(get(folder, FILE))
        change_model(root["model"])
        put(folder, FILE, json.dumps(root))
    return change


def vocab(**entries):
    return model(lambda m: m["vocab"].update(entries))


def merges(value):
    return model(lambda m: m.update(merges=value))


def split(pattern):
    return tokenizer({"pre_tokenizer": {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}})


def regex(text):
    return split({"Regex": text})


def replace(pattern, content):
    return {"type": "Replace", "pattern": {"String": pattern}, "content": content}


def nested(kind, depth):
    value = {"type": "NFC"} if kind == "normalizers" else {"type": "Fuse"}
    for _ in range(depth):
        value = {"type": "Sequence", kind: [value]}
    return value


def template(**values):
    return tokenizer({"post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}], "pair": [], "special_tokens": {}, **values}})


ROWS = (
    ("tokenizer.json: empty", TOKENIZE, write(FILE, ""),
     "base/tokenizer.json:1:1 | unexpected token near end of file | the text ends too early: the file may be cut off, or a…"),
    ("tokenizer.json: a list", TOKENIZE, write(FILE, "[]"), "base/tokenizer.json | not an object | is this a tokenizer.json?"),
    ("tokenizer.json: cut", TOKENIZE, lambda folder: put(folder, FILE, get(folder, FILE)[:20000]),
     "base/tokenizer.json:1076:1 | '}' expected near end of file | the text ends too early: the file may be cut off, or a…"),
    ("tokenizer.json: not UTF-8", TOKENIZE, edit(FILE, b'"1.0"', b'"1.0\xff"'), "base/tokenizer.json | invalid UTF-8 at byte 19 | fetch the file again"),
    ("tokenizer.json: of version 2", TOKENIZE, tokenizer({"version": "2.0"}), "base/tokenizer.json | version '2.0' | graft reads version 1.0"),
    ("tokenizer.json: a key of the future", TOKENIZE, tokenizer({"post_normalizer": {"type": "NFC"}}),
     "base/tokenizer.json | unknown key 'post_normalizer' | graft cannot know what it changes, so it does not guess"),
    ("tokenizer.json: two models", TOKENIZE, edit(FILE, '"version"', '"model": {"type": "BPE", "vocab": {}, "merges": []}, "version"'),
     "base/tokenizer.json:101:9 | duplicate object key near '\"model\"' | keep one of the two members"),
    ("tokenizer.json: no model", TOKENIZE, tokenizer({"model": ABSENT}),
     "base/tokenizer.json | model is missing or not an object | is this a tokenizer.json?"),
    ("tokenizer.json: a model that is a text", TOKENIZE, tokenizer({"model": "BPE"}),
     "base/tokenizer.json | model is missing or not an object | is this a tokenizer.json?"),
    ("tokenizer.json: a model of another kind", TOKENIZE, tokenizer({"model.type": "WordPiece"}),
     "base/tokenizer.json | model: type 'WordPiece' is not supported | graft reads models of type BPE and Unigram"),
    ("tokenizer.json: no vocabulary", TOKENIZE, model(lambda m: m.pop("vocab")),
     "base/tokenizer.json | model BPE: 'vocab' is missing | repair the file, or fetch it again"),
    ("tokenizer.json: a vocabulary that is a list", TOKENIZE, model(lambda m: m.update(vocab=["a"])),
     "base/tokenizer.json:1 | malformed JSON: '{' expected | the download may be incomplete: fetch the file again"),
    ("tokenizer.json: a vocabulary spelled with escapes", TOKENIZE, edit(FILE, '"vocab"', '"voc\\u0061b"'),
     "base/tokenizer.json | model BPE: 'vocab' is missing | repair the file, or fetch it again"),
    ("tokenizer.json: two vocabularies", TOKENIZE, edit(FILE, '"merges"', '"vocab": {"a": 0}, "merges"'),
     "base/tokenizer.json:1109:11 | duplicate object key near '\"vocab\"' | keep one of the two members"),
    ("tokenizer.json: a token twice", TOKENIZE, edit(FILE, '"vocab": {', '"vocab": {"zz": 900001, "zz": 900002,'),
     "base/tokenizer.json | vocab has 'zz' twice | repair the file, or fetch it again"),
    ("tokenizer.json: a token twice, once with escapes", TOKENIZE, edit(FILE, '"vocab": {', '"vocab": {"zz": 900001, "\\u007az": 900002,'),
     "base/tokenizer.json | vocab has 'zz' twice | repair the file, or fetch it again"),
    ("tokenizer.json: an id twice", TOKENIZE, vocab(zzz=5),
     "base/tokenizer.json | vocab gives id 5 to '#' and to 'zzz' | repair the file, or fetch it again"),
    ("tokenizer.json: an id below zero", TOKENIZE, vocab(zzz=-1),
     "base/tokenizer.json:1 | a token id is not a whole number from 0 to 16777215 | ids are row numbers of the model, below 2^24"),
    ("tokenizer.json: an id of 2^31", TOKENIZE, vocab(zzz=2**31),
     "base/tokenizer.json:1 | a token id is not a whole number from 0 to 16777215 | ids are row numbers of the model, below 2^24"),
    ("tokenizer.json: an id beyond 64 bits", TOKENIZE, vocab(zzz=2**64 + 5),
     "base/tokenizer.json:1 | a token id is not a whole number from 0 to 16777215 | ids are row numbers of the model, below 2^24"),
    ("tokenizer.json: an id with a fraction", TOKENIZE, vocab(zzz=5.5),
     "base/tokenizer.json:1 | a token id is not a whole number from 0 to 16777215 | ids are row numbers of the model, below 2^24"),
    ("tokenizer.json: an id in quotes", TOKENIZE, vocab(zzz="5"),
     "base/tokenizer.json:1 | a token id is not a whole number from 0 to 16777215 | ids are row numbers of the model, below 2^24"),
    ("tokenizer.json: an id with a zero in front", TOKENIZE, edit(FILE, '"vocab": {', '"vocab": {"zz": 01,'),
     "base/tokenizer.json:110 | a token id is not a whole number from 0 to 16777215 | ids are row numbers of the model, below 2^24"),
    ("tokenizer.json: a half surrogate as a token", TOKENIZE, edit(FILE, '"vocab": {', '"vocab": {"\\ud800": 5000,'),
     "base/tokenizer.json:110 | malformed JSON: a valid escape expected | the download may be incomplete: fetch the file again"),
    ("tokenizer.json: a raw line break in a token", TOKENIZE, edit(FILE, '"vocab": {', '"vocab": {"z\n": 5000,'),
     "base/tokenizer.json:110 | malformed JSON: a control character's escape expected | the download may be incomplete: fetch the file again"),
    ("tokenizer.json: ids that the model has no row for", TEXTS, tokenizer({"added_tokens.0.content": "Lily", "model.vocab.Lily": 5000}),
     "texts.jsonl:1 | token 1 has id 5000, the model's vocabulary has 997 rows | tokenizer and model do not belong together"),
    ("tokenizer.json: prompts of ids that the model has no row for", GENERATE, tokenizer({"added_tokens.0.content": "Lily", "model.vocab.Lily": 5000}),
     "prompt 1 | id 5000 at 1 is outside the vocabulary of 997 | use ids of this model's tokenizer"),
    ("tokenizer.json: records of ids that the model has no row for", TRAIN, tokenizer({"added_tokens.0.content": "hello", "model.vocab.hello": 5000}),
     "./records.jsonl:1 | token 28 has id 5000, the model's vocabulary has 997 rows | tokenizer and model do not belong together"),
    ("tokenizer.json: merges that are an object", TOKENIZE, merges({}),
     "base/tokenizer.json:1 | malformed JSON: '[' expected | the download may be incomplete: fetch the file again"),
    ("tokenizer.json: merges that are null", TOKENIZE, merges(None),
     "base/tokenizer.json:1 | malformed JSON: '[' expected | the download may be incomplete: fetch the file again"),
    ("tokenizer.json: no merges", TOKENIZE, model(lambda m: m.pop("merges")),
     "base/tokenizer.json | model BPE: 'merges' is missing | repair the file, or fetch it again"),
    ("tokenizer.json: a merge of a token that is unknown", TOKENIZE, merges([["zzz", "a"]]),
     "base/tokenizer.json | merge 0 needs the token 'zzz', which vocab lacks | repair the file, or fetch it again"),
    ("tokenizer.json: a merge into a token that is unknown", TOKENIZE, merges([["L", "Z"]]),
     "base/tokenizer.json | merge 0 needs the token 'LZ', which vocab lacks | repair the file, or fetch it again"),
    ("tokenizer.json: a merge of one token", TOKENIZE, merges(["La"]),
     "base/tokenizer.json | merge 0 'La' is not two tokens with one space between | repair the file, or fetch it again"),
    ("tokenizer.json: a merge of three tokens", TOKENIZE, merges([["L", "i", "l"]]),
     "base/tokenizer.json:1 | malformed JSON: ']' expected | the download may be incomplete: fetch the file again"),
    ("tokenizer.json: a merge of numbers", TOKENIZE, merges([[1, 2]]),
     "base/tokenizer.json:1 | malformed JSON: '\"' expected | the download may be incomplete: fetch the file again"),
    ("tokenizer.json: merges with dropout", TOKENIZE, tokenizer({"model.dropout": 0.1}),
     "base/tokenizer.json | model BPE: dropout 0.1 is not supported | set it to null: ids must not depend on chance"),
    ("tokenizer.json: a switch that is a text", TOKENIZE, tokenizer({"model.byte_fallback": "true"}),
     "base/tokenizer.json | model BPE: 'byte_fallback' is \"true\" | it must be true or false"),
    ("tokenizer.json: a prefix of 5000 letters", TOKENIZE, tokenizer({"model.continuing_subword_prefix": "#" * 5000}),
     "base/tokenizer.json | model BPE: a prefix or suffix of more than 1024 bytes | repair the file, or fetch it again"),
    ("tokenizer.json: a key of the model that is unknown", TOKENIZE, tokenizer({"model.max_input_chars": 5}),
     "base/tokenizer.json | model BPE: unknown key 'max_input_chars' | graft cannot know what it changes, so it does not guess"),
    ("tokenizer.json: added tokens that are an object", TOKENIZE, tokenizer({"added_tokens": {}}),
     "base/tokenizer.json | added_tokens is not a list | repair the file, or fetch it again"),
    ("tokenizer.json: an added token that is a text", TOKENIZE, tokenizer({"added_tokens": ["<s>"]}),
     "base/tokenizer.json | added_tokens[0]: not an object | repair the file, or fetch it again"),
    ("tokenizer.json: an added token without content", TOKENIZE, tokenizer({"added_tokens.0.content": ABSENT}),
     "base/tokenizer.json | added_tokens[0]: 'content' is missing | repair the file, or fetch it again"),
    ("tokenizer.json: an added token with an id below zero", TOKENIZE, tokenizer({"added_tokens.0.id": -1}),
     "base/tokenizer.json | added_tokens[0]: 'id' is -1 | it must be an integer from 0 to 16777215"),
    ("tokenizer.json: an added token twice, special once", TOKENIZE,
     tokenizer({"added_tokens": [{"id": 0, "content": "<s>", "special": True}, {"id": 0, "content": "<s>", "special": False}]}),
     "base/tokenizer.json | added_tokens[1]: '<s>' is there twice, with different options | remove one of the two"),
    ("tokenizer.json: an added token that is special by a number", TOKENIZE, tokenizer({"added_tokens.0.special": 1}),
     "base/tokenizer.json | added_tokens[0]: 'special' is 1 | it must be true or false"),
    ("tokenizer.json: a normalizer without a type", TOKENIZE, tokenizer({"normalizer": {}}),
     "base/tokenizer.json | normalizer: 'type' is missing | repair the file, or fetch it again"),
    ("tokenizer.json: a normalizer that is a text", TOKENIZE, tokenizer({"normalizer": "NFC"}),
     "base/tokenizer.json | normalizer: not an object | a component of tokenizer.json is {\"type\": ...} or null"),
    ("tokenizer.json: a normalizer with a key that is unknown", TOKENIZE, tokenizer({"normalizer": {"type": "NFC", "fast": True}}),
     "base/tokenizer.json | normalizer NFC: unknown key 'fast' | graft cannot know what it changes, so it does not guess"),
    ("tokenizer.json: normalizers nested 100 deep", TOKENIZE, tokenizer({"normalizer": nested("normalizers", 100)}),
     "base/tokenizer.json | normalizer Sequence[0] Sequence[0] Sequence[0] Sequence[0] Sequence[0] Se…nce: sequences nested deeper than 16 | repair the file, or fetch it again"),
    ("tokenizer.json: a thousand normalizers", TOKENIZE, tokenizer({"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}] * 1000}}),
     "base/tokenizer.json | normalizer Sequence[256] NFC: more than 256 steps | repair the file, or fetch it again"),
    ("tokenizer.json: a text that grows to 2^96 letters", TOKENIZE,
     tokenizer({"normalizer": {"type": "Sequence", "normalizers": [replace("a", "a" * 4096)] * 8}}),
     "--text | the tokenizer's normalizer makes more than 16777696 bytes of this text | cut the text into shorter records, or look at the…"),
    ("tokenizer.json: a replacement without a pattern", TOKENIZE, tokenizer({"normalizer": {"type": "Replace", "content": "a"}}),
     "base/tokenizer.json | normalizer Replace: 'pattern' is neither {\"String\": ...} nor {\"Regex\": ...} | repair the file, or fetch it again"),
    ("tokenizer.json: a pre-tokenizer of the future", TOKENIZE, tokenizer({"pre_tokenizer": {"type": "RandomChunkSplit"}}),
     "base/tokenizer.json | pre_tokenizer: type 'RandomChunkSplit' is not supported | graft reads the tokenizers of the families it trains; this…"),
    ("tokenizer.json: a list that is no list", TOKENIZE, tokenizer({"pre_tokenizer": {"type": "Sequence", "pretokenizers": {}}}),
     "base/tokenizer.json | pre_tokenizer Sequence: 'pretokenizers' is not a list | repair the file, or fetch it again"),
    ("tokenizer.json: a replacement of two letters", TOKENIZE, tokenizer({"pre_tokenizer": {"type": "Metaspace", "replacement": "ab"}}),
     "base/tokenizer.json | pre_tokenizer Metaspace: replacement 'ab' is not one character | repair the file, or fetch it again"),
    ("tokenizer.json: a scheme that does not exist", TOKENIZE, tokenizer({"pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"}}),
     "base/tokenizer.json | pre_tokenizer Metaspace: prepend_scheme 'last' is not one of always, first, never | repair the file, or fetch it again"),
    ("tokenizer.json: a scheme that contradicts itself", TOKENIZE,
     tokenizer({"pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "always", "add_prefix_space": False}}),
     "base/tokenizer.json | pre_tokenizer Metaspace: add_prefix_space is false, but prepend_scheme is 'always' | repair the file, or fetch it again"),
    ("tokenizer.json: a pattern of two kinds", TOKENIZE, split({"String": "a", "Regex": "b"}),
     "base/tokenizer.json | pre_tokenizer Split: 'pattern' is neither {\"String\": ...} nor {\"Regex\": ...} | repair the file, or fetch it again"),
    ("tokenizer.json: a pattern that is a list", TOKENIZE, split(["a"]),
     "base/tokenizer.json | pre_tokenizer Split: 'pattern' is neither {\"String\": ...} nor {\"Regex\": ...} | repair the file, or fetch it again"),
    ("tokenizer.json: a behaviour that does not exist", TOKENIZE,
     tokenizer({"pre_tokenizer": {"type": "Split", "pattern": {"String": "a"}, "behavior": "Dropped", "invert": False}}),
     "base/tokenizer.json | pre_tokenizer Split: unknown behavior 'Dropped' | repair the file, or fetch it again"),
    ("tokenizer.json: an expression that does not end", TOKENIZE, regex("(a"),
     "base/tokenizer.json | pre_tokenizer Split: pattern '(a' does not compile: missing closing parenthesis | the pattern is written in Oniguruma's syntax"),
    ("tokenizer.json: an expression that ends in a backslash", TOKENIZE, regex("a\\"),
     "base/tokenizer.json | pre_tokenizer Split: pattern 'a\\': a backslash at the end, at byte 1 | graft has no equivalent of this in its regular expressions"),
    ("tokenizer.json: an expression that repeats nothing", TOKENIZE, regex("+a"),
     "base/tokenizer.json | pre_tokenizer Split: pattern '+a' does not compile: quantifier does not follow a repeatable item | the pattern is written in Oniguruma's syntax"),
    ("tokenizer.json: a class that does not end", TOKENIZE, regex("[a-"),
     "base/tokenizer.json | pre_tokenizer Split: pattern '[a-': a class is not closed, at byte 0 | graft has no equivalent of this in its regular expressions"),
    ("tokenizer.json: a class that runs backwards", TOKENIZE, regex("[z-a]"),
     "base/tokenizer.json | pre_tokenizer Split: pattern '[z-a]' does not compile: range out of order in character class | the pattern is written in Oniguruma's syntax"),
    ("tokenizer.json: a property that does not exist", TOKENIZE, regex("\\p{Klingon}"),
     "base/tokenizer.json | pre_tokenizer Split: pattern '\\p{Klingon}' does not compile: unknown property after \\P or \\p | the pattern is written in Oniguruma's syntax"),
    ("tokenizer.json: an expression of 300 groups in groups", TOKENIZE, regex("(" * 300 + "a" + ")" * 300),
     "base/tokenizer.json | pre_tokenizer Split: pattern '(((((((((((((((((((((((((((((((((((((((((((…: groups nested too deep, at byte 64 | graft has no equivalent of this in its regular expressions"),
    ("tokenizer.json: an expression of 20,000 letters", TOKENIZE, regex("a" * 20000),
     "base/tokenizer.json | pre_tokenizer Split: a pattern of 20000 bytes | graft takes patterns of up to 16,384 bytes"),
    ("tokenizer.json: an expression that counts to a billion", TOKENIZE, regex("(?:(?:a{1,60000}){1,60000})"),
     "base/tokenizer.json | pre_tokenizer Split: pattern '(?:(?:a{1,60000}){1,60000})' does not compile: regular expression is too large | the pattern is written in Oniguruma's syntax"),
    ("tokenizer.json: an expression that takes forever", "tokenize --model base --text " + "a" * 60, regex("(?:a|a)*(?:a|a)*(?:a|a)*(?:a|a)*[bc]"),
     "--text | the tokenizer's pattern gave up 0 bytes into a piece of text: match limit exceeded | the pattern backtracks too much on this text: shorten the…"),
    ("tokenizer.json: an expression that takes forever, on a record", TEXTS,
     both(regex("(?:a|a)*(?:a|a)*(?:a|a)*(?:a|a)*[bc]"), write("texts.jsonl", '{"text": "b"}\n{"text": "%s"}\n' % ("a" * 60))),
     "texts.jsonl:2 | the tokenizer's pattern gave up 0 bytes into a piece of text: match limit exceeded | the pattern backtracks too much on this text: shorten the…"),
    ("tokenizer.json: an expression that calls itself", TOKENIZE, regex("(?R)?a"),
     "base/tokenizer.json | pre_tokenizer Split: pattern '(?R)?a': this kind of group is not supported, at byte 0 | graft has no equivalent of this in its regular expressions"),
    ("tokenizer.json: an expression with verbs of PCRE", TOKENIZE, regex("(*UTF)a"),
     "base/tokenizer.json | pre_tokenizer Split: pattern '(*UTF)a': callouts are not supported, at byte 0 | graft has no equivalent of this in its regular expressions"),
    ("tokenizer.json: a post-processor that is a number", TOKENIZE, tokenizer({"post_processor": 5}),
     "base/tokenizer.json | post_processor: not an object | a component of tokenizer.json is {\"type\": ...} or null"),
    ("tokenizer.json: a template without a list", TOKENIZE, template(single="$A"),
     "base/tokenizer.json | post_processor: 'single' is not a list | repair the file, or fetch it again"),
    ("tokenizer.json: a template with the second text", TOKENIZE, template(single=[{"Sequence": {"id": "B", "type_id": 0}}]),
     "base/tokenizer.json | post_processor: single[0] is neither a SpecialToken nor a Sequence that exists | repair the file, or fetch it again"),
    ("tokenizer.json: a template with a token that it lacks", TOKENIZE, template(single=[{"SpecialToken": {"id": "<x>", "type_id": 0}}]),
     "base/tokenizer.json | post_processor: special_tokens lacks the ids of '<x>' | repair the file, or fetch it again"),
    ("tokenizer.json: a template with an id that no token has", TOKENIZE,
     template(single=[{"SpecialToken": {"id": "<x>", "type_id": 0}}], special_tokens={"<x>": {"id": "<x>", "ids": [70000], "tokens": ["<x>"]}}),
     "base/tokenizer.json | post_processor: id 70000 is no token's | repair the file, or fetch it again"),
    ("tokenizer.json: a template with an id that is a text", TOKENIZE,
     template(single=[{"SpecialToken": {"id": "<x>", "type_id": 0}}], special_tokens={"<x>": {"id": "<x>", "ids": ["0"], "tokens": ["<x>"]}}),
     "base/tokenizer.json | post_processor: the ids of '<x>' are not whole numbers | repair the file, or fetch it again"),
    ("tokenizer.json: a template of 5000 texts", TOKENIZE, template(single=[{"Sequence": {"id": "A", "type_id": 0}}] * 5000),
     "base/tokenizer.json | post_processor: more than 4096 tokens | repair the file, or fetch it again"),
    ("tokenizer.json: a decoder of another kind", DETOKENIZE, tokenizer({"decoder": {"type": "CTC"}}),
     "base/tokenizer.json | decoder: type 'CTC' is not supported | graft reads the tokenizers of the families it trains; this…"),
    ("tokenizer.json: decoders nested 100 deep", DETOKENIZE, tokenizer({"decoder": nested("decoders", 100)}),
     "base/tokenizer.json | decoder Sequence[0] Sequence[0] Sequence[0] Sequence[0] Sequence[0] Seque…nce: sequences nested deeper than 16 | repair the file, or fetch it again"),
    ("tokenizer.json: a decoder that strips below zero", DETOKENIZE, tokenizer({"decoder": {"type": "Strip", "content": " ", "start": -1, "stop": 0}}),
     "base/tokenizer.json | decoder Strip: 'start' is -1 | it must be an integer from 0 to 1048576"),
    ("tokenizer.json: a decoder that strips a word", DETOKENIZE, tokenizer({"decoder": {"type": "Strip", "content": "ab", "start": 1, "stop": 0}}),
     "base/tokenizer.json | decoder Strip: content 'ab' is not one character | repair the file, or fetch it again"),
    ("tokenizer.json: a decoder without its suffix", DETOKENIZE, tokenizer({"decoder": {"type": "BPEDecoder", "suffix": ""}}),
     "base/tokenizer.json | decoder BPEDecoder: an empty suffix | repair the file, or fetch it again"),
    ("tokenizer.json: decoded text that grows to 2^96 letters", DETOKENIZE,
     both(tokenizer({"decoder": {"type": "Sequence", "decoders": [replace("a", "a" * 4096)] * 8}, "model.vocab.a": 4001}), write("ids.jsonl", '{"ids": [4001]}')),
     "ids.jsonl:1 | tokenizer.json: decoder Replace makes more than 1 MiB of one token | look at the decoder in tokenizer.json"),
    ("tokenizer.json: ids to decode that fall into a hole", DETOKENIZE, both(vocab(zzz=4001), write("ids.jsonl", '{"ids": [5]}\n{"ids": [4000]}\n')),
     "ids.jsonl:2 | id 4000 is no token of this tokenizer, whose ids go up to 4001 | the ids come from another tokenizer, or the model has more…"),
    # the files beside it
    ("tokenizer_config.json: empty", TOKENIZE, write("base/tokenizer_config.json", ""),
     "base/tokenizer_config.json | the file is empty | copy or download it again"),
    ("tokenizer_config.json: a list", TOKENIZE, write("base/tokenizer_config.json", "[]"),
     "base/tokenizer_config.json | not an object | repair the file, or fetch it again"),
    ("tokenizer_config.json: cut", TOKENIZE, write("base/tokenizer_config.json", '{"bos_token": "<s>",'),
     "base/tokenizer_config.json:1:20 | string or '}' expected near end of file | the text ends too early: the file may be cut off, or a…"),
    ("tokenizer_config.json: a key twice", TOKENIZE, write("base/tokenizer_config.json", '{"bos_token": "<s>", "bos_token": "</s>"}'),
     "base/tokenizer_config.json:1:32 | duplicate object key near '\"bos_token\"' | keep one of the two members"),
    ("tokenizer_config.json: in UTF-16", TOKENIZE, write("base/tokenizer_config.json", '{"bos_token": "<s>"}'.encode("utf-16-le")),
     "base/tokenizer_config.json:1:2 | a NUL byte | the file must be text in UTF-8, not UTF-16 or binary"),
    ("tokenizer_config.json: a token that is a number", TOKENIZE, json_set("base/tokenizer_config.json", {"eos_token": 1}),
     "base/tokenizer_config.json | eos_token is neither a string nor an object with 'content' | repair the file, or fetch it again"),
    ("tokenizer_config.json: a token that is an object without content", TOKENIZE, json_set("base/tokenizer_config.json", {"eos_token": {"lstrip": False}}),
     "base/tokenizer_config.json | eos_token is neither a string nor an object with 'content' | repair the file, or fetch it again"),
    ("tokenizer_config.json: a token whose content is a list", TOKENIZE, json_set("base/tokenizer_config.json", {"eos_token": {"content": ["</s>"]}}),
     "base/tokenizer_config.json | eos_token is neither a string nor an object with 'content' | repair the file, or fetch it again"),
    ("special_tokens_map.json: a list", TOKENIZE, write("base/special_tokens_map.json", "[]"),
     "base/special_tokens_map.json | not an object | repair the file, or fetch it again"),
    ("special_tokens_map.json: a token that is true", TOKENIZE, write("base/special_tokens_map.json", '{"pad_token": true}'),
     "base/special_tokens_map.json | pad_token is neither a string nor an object with 'content' | repair the file, or fetch it again"),
)
