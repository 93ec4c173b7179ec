"""The files a tokenizer.json is made from: SentencePiece models, vocab.json with merges.txt, and what stands beside them. Also Unigram models and character maps."""
from good import TOKENIZE, both, json_set, put, tokenizer, write

import json
import os
import struct

MODEL, VOCAB, MERGES, CONFIG = "base/tokenizer.model", "base/vocab.json", "base/merges.txt", "base/tokenizer_config.json"
REPAIR = "repair the file, or fetch it again"
FETCH = "is this a SentencePiece model? The download may be incomplete: fetch the file again"
CONVERT = "make a tokenizer.json of it with transformers, in the same folder"


def number(value):
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + number(value >> 7)


def field(key, value):
    if isinstance(value, int):
        return number(key << 3) + number(value)
    if isinstance(value, float):
        return number(key << 3 | 5) + struct.pack("<f", value)
    value = value.encode() if isinstance(value, str) else value
    return number(key << 3 | 2) + number(len(value)) + value


def piece(text, score=0.0, kind=1):
    return field(1, field(1, text) + field(2, score) + field(3, kind))


SPECIAL = piece("<unk>", 0.0, 2) + piece("<s>", 0.0, 3) + piece("</s>", 0.0, 3)
BPE = field(2, field(3, 2))


def old(path, content, config, more=lambda folder: None):
    """The folder without its tokenizer.json, and another file for it."""
    def change(folder):
        os.remove(os.path.join(folder, "base/tokenizer.json"))
        put(folder, path, content)
        put(folder, CONFIG, json.dumps(config))
        more(folder)
    return change


def pieces(content, **config):
    return old(MODEL, content, {"tokenizer_class": "LlamaTokenizer", **config})


def pairs(vocab, merges, **config):
    content = vocab if isinstance(vocab, str) else json.dumps(vocab)
    return old(VOCAB, content, {"tokenizer_class": "GPT2Tokenizer", **config}, write(MERGES, merges) if merges is not None else lambda folder: None)


def unigram(**values):
    vocab = [["<unk>", 0], ["a", -1.5], ["b", -2]]
    return tokenizer({"added_tokens": [], "post_processor": None, "model": {"type": "Unigram", "unk_id": 0, "vocab": vocab, **values}})


ROWS = (
    ("unigram: unk_id is no token's", TOKENIZE, unigram(unk_id=3), "base/tokenizer.json | model Unigram: unk_id 3, but vocab has 3 tokens | " + REPAIR),
    ("unigram: unk_id is negative", TOKENIZE, unigram(unk_id=-1), "base/tokenizer.json | model Unigram: 'unk_id' is -1 | it must be an integer from 0 to 16777215"),
    ("unigram: no unknown token, and a text that needs it", TOKENIZE, unigram(unk_id=None),
     "… | the text needs an unknown token, and the tokenizer's model has no unk_id | set model.unk_id to the id of its unknown token"),
    ("unigram: a token twice", TOKENIZE, unigram(vocab=[["a", 0], ["a", 0]]), "base/tokenizer.json | vocab has 'a' twice | " + REPAIR),
    ("unigram: a score that is a text", TOKENIZE, unigram(vocab=[["a", "0"]]), "base/tokenizer.json:… | malformed JSON: a finite number expected | …"),
    ("unigram: a score beyond all numbers", TOKENIZE, unigram(vocab=[["a", 10**400]]), "base/tokenizer.json:… | malformed JSON: a finite number expected | …"),
    ("unigram: a token without score", TOKENIZE, unigram(vocab=[["a"]]), "base/tokenizer.json:… | malformed JSON: ',' expected | …"),
    ("unigram: a vocabulary of ids", TOKENIZE, unigram(vocab={"a": 0}), "base/tokenizer.json:… | malformed JSON: '[' expected | …"),
    ("unigram: merges", TOKENIZE, unigram(merges=[]), "base/tokenizer.json | model Unigram: unknown key 'merges' | graft cannot know what it changes, so it does not guess"),
    ("charsmap: no base64", TOKENIZE, tokenizer({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "a?=="}}),
     "base/tokenizer.json | normalizer Precompiled: precompiled_charsmap is not base64 | " + REPAIR),
    ("charsmap: a trie larger than the map", TOKENIZE, tokenizer({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "/////wAAAAA="}}),
     "base/tokenizer.json | normalizer Precompiled: precompiled_charsmap of 8 bytes has a trie of 4294967295 | " + REPAIR),
    ("charsmap: texts without an end", TOKENIZE, tokenizer({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "BAAAAAAAAABhYWE="}}),
     "base/tokenizer.json | normalizer Precompiled: the texts of precompiled_charsmap are not UTF-8 with a NUL behind | " + REPAIR),
    ("delimiter: two characters", TOKENIZE, tokenizer({"pre_tokenizer": {"type": "CharDelimiterSplit", "delimiter": "ab"}}),
     "base/tokenizer.json | pre_tokenizer CharDelimiterSplit: delimiter 'ab' is not one character | " + REPAIR),
    ("model: cut inside a piece", TOKENIZE, pieces(SPECIAL[:-3]), "base/tokenizer.model | a field longer than its message at byte … | " + FETCH),
    ("model: a number without end", TOKENIZE, pieces(SPECIAL + b"\xff" * 12), "base/tokenizer.model | a broken field at byte … | " + FETCH),
    ("model: a length of 2^63", TOKENIZE, pieces(SPECIAL + b"\x0a" + b"\xff" * 8 + b"\x7f"), "base/tokenizer.model | a field longer than its message at byte … | " + FETCH),
    ("model: a field of unknown kind", TOKENIZE, pieces(SPECIAL + b"\x0b"), "base/tokenizer.model | a field of unknown kind at byte … | " + FETCH),
    ("model: a piece that is a number", TOKENIZE, pieces(SPECIAL + field(1, 7)), "base/tokenizer.model | a field of another kind than its number has at byte … | " + FETCH),
    ("model: an empty piece", TOKENIZE, pieces(SPECIAL + piece("")), "base/tokenizer.model | behind a piece that is not 1 to 1024 bytes of UTF-8 at byte … | " + FETCH),
    ("model: a piece that is not UTF-8", TOKENIZE, pieces(SPECIAL + piece(b"\xff")),
     "base/tokenizer.model | behind a piece that is not 1 to 1024 bytes of UTF-8 at byte … | " + FETCH),
    ("model: a piece of a megabyte", TOKENIZE, pieces(SPECIAL + piece("a" * (1 << 20))),
     "base/tokenizer.model | behind a piece that is not 1 to 1024 bytes of UTF-8 at byte … | " + FETCH),
    ("model: a score without end", TOKENIZE, pieces(SPECIAL + piece("a", float("inf"))), "base/tokenizer.model | behind a score that is not finite at byte … | " + FETCH),
    ("model: a piece of a kind to come", TOKENIZE, pieces(SPECIAL + piece("a", 0.0, 7)), "base/tokenizer.model | behind a piece of unknown kind at byte … | " + FETCH),
    ("model: an unused piece", TOKENIZE, pieces(SPECIAL + piece("a", 0.0, 5)), "base/tokenizer.model | piece 3 'a' is marked unused | " + CONVERT),
    ("model: a piece twice", TOKENIZE, pieces(SPECIAL + piece("a") + piece("a")), "base/tokenizer.model | piece 4 'a' is there twice | fetch the file again"),
    ("model: two unknown pieces", TOKENIZE, pieces(SPECIAL + piece("a", 0.0, 2)), "base/tokenizer.model | pieces 0 and 3 both stand for the unknown | fetch the file again"),
    ("model: no unknown piece", TOKENIZE, pieces(piece("a")), "base/tokenizer.model | 1 pieces, and none for the unknown | " + FETCH),
    ("model: empty", TOKENIZE, pieces(b""), "base/tokenizer.model | 0 pieces, and none for the unknown | " + FETCH),
    ("model: an algorithm to come", TOKENIZE, pieces(SPECIAL + field(2, field(3, 9))), "base/tokenizer.model | an algorithm that is none at byte … | " + FETCH),
    ("model: of words", TOKENIZE, pieces(SPECIAL + field(2, field(3, 3))),
     "base/tokenizer.model | a model of words or characters | graft reads SentencePiece models of type unigram and BPE"),
    ("model: spaces as suffixes", TOKENIZE, pieces(SPECIAL + field(2, field(24, 1))), "base/tokenizer.model | treat_whitespace_as_suffix is set | " + CONVERT),
    ("model: spaces as they are", TOKENIZE, pieces(SPECIAL + field(3, field(5, 0))), "base/tokenizer.model | escape_whitespaces is off | " + CONVERT),
    ("model: a character map for Llama", TOKENIZE, pieces(SPECIAL + BPE + field(3, field(2, b"abcd"))),
     "base/tokenizer.model | a character map, which the conversion of LlamaTokenizer leaves out | " + CONVERT),
    ("model: a broken character map for T5", TOKENIZE, pieces(SPECIAL + field(3, field(2, b"abcd")), tokenizer_class="T5Tokenizer"),
     "base/tokenizer.model | normalizer Precompiled: precompiled_charsmap of 4 bytes has a trie of 1684234849 | " + REPAIR),
    ("model: of a class that is not known", TOKENIZE, pieces(SPECIAL, tokenizer_class="XLNetTokenizer"),
     "base/tokenizer.model | tokenizer_class 'XLNetTokenizer', whose rules are not known | " + CONVERT),
    ("model: a class of the other files", TOKENIZE, pieces(SPECIAL, tokenizer_class="GPT2Tokenizer"),
     "base/tokenizer.model | tokenizer_class 'GPT2Tokenizer', whose rules are not known | " + CONVERT),
    ("model: bos_token is no piece", TOKENIZE, pieces(SPECIAL + BPE, bos_token="<b>"), "base/tokenizer.model | add_bos_token is on, and the vocabulary lacks '<b>' | " + REPAIR),
    ("model: extra_ids is negative", TOKENIZE, pieces(SPECIAL, tokenizer_class="T5Tokenizer", extra_ids=-1), "base/tokenizer_config.json | 'extra_ids' is -1 | it must be an integer from 0 to 10000"),
    ("model: extra_ids that are pieces", TOKENIZE, pieces(SPECIAL + piece("<extra_id_0>"), tokenizer_class="T5Tokenizer"),
     "base/tokenizer.model | a piece '<extra_id_0>', and extra_ids is 100 | set extra_ids to 0 in tokenizer_config.json"),
    ("model: legacy is a text", TOKENIZE, pieces(SPECIAL + BPE, legacy="yes"), "base/tokenizer_config.json | 'legacy' is \"yes\" | it must be true or false"),
    ("model: an added token with a gap before its id", TOKENIZE, pieces(SPECIAL + BPE, added_tokens_decoder={"9": {"content": "<x>"}}),
     "base/tokenizer.model | the files beside it give id 9 to '<x>', which would get 3 | the ids of added tokens must go on where the vocabulary ends, without gaps"),
    ("model: added_tokens_decoder whose key is no id", TOKENIZE, pieces(SPECIAL + BPE, added_tokens_decoder={"x": {"content": "<x>"}}),
     "base/tokenizer_config.json | added_tokens_decoder: 'x' has no id from 0 to 2^24 - 1 | " + REPAIR),
    ("model: added_tokens_decoder without content", TOKENIZE, pieces(SPECIAL + BPE, added_tokens_decoder={"3": {}}),
     "base/tokenizer_config.json | added_tokens_decoder: 3: neither a string nor an object with 'content' | " + REPAIR),
    ("model: added_tokens_decoder is a list", TOKENIZE, pieces(SPECIAL + BPE, added_tokens_decoder=[1]),
     "base/tokenizer_config.json | added_tokens_decoder: not an object | " + REPAIR),
    ("model: additional_special_tokens is a text", TOKENIZE, pieces(SPECIAL + BPE, additional_special_tokens="<x>"),
     "base/tokenizer_config.json | additional_special_tokens is not a list | " + REPAIR),
    ("pairs: no merges.txt", TOKENIZE, pairs({"a": 0}, None), "base/merges.txt | … | …"),
    ("pairs: a merge of unknown tokens", TOKENIZE, pairs({"a": 0}, "a b\n"), "base/vocab.json | merge 0 needs the token 'b', which vocab lacks | " + REPAIR),
    ("pairs: a merge of three", TOKENIZE, pairs({"a": 0}, "a b c\n"), "base/vocab.json | merge 0 'a b c' is not two tokens with one space between | " + REPAIR),
    ("pairs: merges that are not UTF-8", TOKENIZE, pairs({"a": 0}, b"\xff a\n"), "base/merges.txt | invalid UTF-8 at byte 0 | fetch the file again"),
    ("pairs: a vocabulary that is a list", TOKENIZE, pairs(["a"], ""), "base/vocab.json | not an object | " + REPAIR),
    ("pairs: an id that is a text", TOKENIZE, pairs({"a": "0"}, ""), "base/vocab.json | 'a' is \"0\" | it must be an integer from 0 to 16777215"),
    ("pairs: an id twice", TOKENIZE, pairs({"a": 0, "b": 0}, ""), "base/vocab.json | vocab gives id 0 to 'a' and to 'b' | " + REPAIR),
    ("pairs: a vocabulary that is cut", TOKENIZE, pairs('{"a": 0,', ""), "base/vocab.json:1:… | … | …"),
    ("pairs: no class", TOKENIZE, both(pairs({"a": 0}, "", tokenizer_class=None), json_set("base/config.json", {"model_type": "bert"})),
     "base/vocab.json | neither tokenizer_config.json nor config.json say by which rules it is read (tokenizer_class, model_type) | " + CONVERT),
    ("pairs: added_tokens.json with a text for an id", TOKENIZE, both(pairs({"a": 0}, ""), write("base/added_tokens.json", '{"<x>": "1"}')),
     "base/added_tokens.json | '<x>' has no id from 0 to 2^24 - 1 | " + REPAIR),
    ("pairs: added_tokens.json is a list", TOKENIZE, both(pairs({"a": 0}, ""), write("base/added_tokens.json", "[]")), "base/added_tokens.json | not an object | " + REPAIR),
)
