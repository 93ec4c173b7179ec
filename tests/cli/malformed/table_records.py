"""JSON lines: as JSON, as records of a format, and as what is scored, generated, tokenized."""
from good import CSV, DETOKENIZE, EVALUATE, GENERATE, SCORE, TEXTS, TOKENS, TRAIN, TSV, nothing, write

GOOD = '{"instruction": "a", "context": "", "response": "b"}'


def records(content):
    return write("records.jsonl", content)


def tokens(content):
    return write("tokens.jsonl", content)


def ids(content):
    return write("ids.jsonl", content)


def texts(content):
    return write("texts.jsonl", content)


def prompts(content):
    return write("prompts.jsonl", content)


CHAT = '{"messages": [{"role": "user", "content": "a"}]}'


def chats(template, content):
    """A chat template in the model folder, and messages for it."""
    def spoil(folder):
        write("base/chat_template.jinja", template)(folder)
        prompts(content)(folder)
    return spoil


ROWS = (
    # JSON
    ("records in an empty file", TRAIN, records(""), "./records.jsonl | no records | the file is empty, or an empty array: check the path"),
    ("records of blanks", TRAIN, records(" \r\n\t\n \n"), "./records.jsonl | no records | the file is empty, or an empty array: check the path"),
    ("an empty array of records", TRAIN, records("[]"), "./records.jsonl | no records | the file is empty, or an empty array: check the path"),
    ("records in UTF-16", TRAIN, records(GOOD.encode("utf-16-le")),
     "./records.jsonl:1:2 | a NUL byte | the file must be text in UTF-8, not UTF-16 or binary"),
    ("records with two byte order marks", TRAIN, records(b"\xef\xbb\xbf\xef\xbb\xbf" + GOOD.encode()),
     "./records.jsonl:1:1 | invalid token near '﻿' | the text must be JSON: strings in double quotes, no…"),
    ("a NUL byte behind a record", TRAIN, records(GOOD + "\0\n"), "./records.jsonl:1:53 | a NUL byte | the file must be text in UTF-8, not UTF-16 or binary"),
    ("a NUL escape in a response", TRAIN, records(GOOD.replace('"b"', '"b\\u0000c"')),
     "./records.jsonl:1:58 | \\u0000 is not allowed without JSON_ALLOW_NUL near '\"b\\u0000c\"' | remove \\u0000 from the text"),
    ("a lone surrogate in a response", TRAIN, records(GOOD.replace('"b"', '"\\ud83d"')),
     "./records.jsonl:1:56 | invalid Unicode '\\uD83D' near '\"\\ud83d\"' | \\ud800 to \\udfff are halves of a character: write…"),
    ("a Latin-1 letter in a response", TRAIN, records(GOOD.encode().replace(b'"b"', b'"\xe9"')),
     "./records.jsonl:1:49 | unable to decode byte 0xe9 near '\"' | save the file as UTF-8"),
    ("an overlong NUL in a response", TRAIN, records(GOOD.encode().replace(b'"b"', b'"\xc0\x80"')),
     "./records.jsonl:1:49 | unable to decode byte 0xc0 near '\"' | save the file as UTF-8"),
    ("a code point beyond Unicode", TRAIN, records(GOOD.encode().replace(b'"b"', b'"\xf4\x90\x80\x80"')),
     "./records.jsonl:1:49 | unable to decode byte 0xf4 near '\"' | save the file as UTF-8"),
    ("a raw line break in a response", TRAIN, records(GOOD.replace('"b"', '"b\n"')),
     "./records.jsonl:1:50 | premature end of input near '\"b' | the text ends too early: the file may be cut off, or a…"),
    ("a raw tab in a response", TRAIN, records(GOOD.replace('"b"', '"b\t"')),
     "./records.jsonl:1:50 | control character 0x9 near '\"b' | write it as an escape: \\t, \\n, \\u0001"),
    ("an escape that JSON does not have", TRAIN, records(GOOD.replace('"b"', '"\\x41"')),
     "./records.jsonl:1:51 | invalid escape near '\"\\x' | the text must be JSON: strings in double quotes, no…"),
    ("quotes of Python", TRAIN, records(GOOD.replace('"', "'")),
     "./records.jsonl:1:2 | string or '}' expected near ''' | the text must be JSON: strings in double quotes, no…"),
    ("a comma before the closing brace", TRAIN, records(GOOD.replace('"b"', '"b",')),
     "./records.jsonl:1:53 | string or '}' expected near '}' | the text must be JSON: strings in double quotes, no…"),
    ("a comment in JSON", TRAIN, records(GOOD + " // good\n"),
     "./records.jsonl:1:54 | end of file expected near '/' | nothing may stand behind a value: JSON has no comments;…"),
    ("two records on a line", TRAIN, records(GOOD + " " + GOOD + "\n"),
     "./records.jsonl:1:54 | end of file expected near '{' | nothing may stand behind a value: JSON has no comments;…"),
    ("a comma between lines", TRAIN, records(GOOD + ",\n" + GOOD + "\n"),
     "./records.jsonl:1:53 | end of file expected near ',' | nothing may stand behind a value: JSON has no comments;…"),
    ("a record over several lines", TRAIN, records('{\n"instruction": "a",\n"context": "",\n"response": "b"\n}\n'),
     "./records.jsonl:1:1 | string or '}' expected near end of file | each line must be one whole JSON value (JSONL), or the…"),
    ("records cut in the middle of a letter", TRAIN, records(GOOD.encode() + b'\n{"instruction": "\xc3'),
     "./records.jsonl:2:17 | unable to decode byte 0xc3 near '\"' | save the file as UTF-8"),
    ("an array that does not end", TRAIN, records("[" + GOOD + ","),
     "./records.jsonl:1:55 | the file ends inside its top-level array | the elements of a top-level array are separated by single…"),
    ("an array without a comma", TRAIN, records("[" + GOOD + GOOD + "]"),
     "./records.jsonl:1:54 | end of file expected near '{' | nothing may stand behind a value: JSON has no comments;…"),
    ("an array with two commas", TRAIN, records("[" + GOOD + ",," + GOOD + "]"),
     "./records.jsonl:1:55 | an element belongs here | the elements of a top-level array are separated by single…"),
    ("something behind the array", TRAIN, records("[" + GOOD + "] " + GOOD),
     "./records.jsonl:1:56 | something stands behind the top-level array | the elements of a top-level array are separated by single…"),
    ("a hundred thousand brackets", TRAIN, records('{"a":[' * 100000), "./records.jsonl:1:6145 | maximum parsing depth reached near '{' | nest less deeply"),
    ("an array with a deep element", TRAIN, records("[" * 3000 + "]" * 3000),
     "./records.jsonl:1:2 | an element is nested more than 512 deep | the elements of a top-level array are separated by single…"),
    ("a member twice", TRAIN, records('{"instruction": "a", "instruction": "c", "context": "", "response": "b"}'),
     "./records.jsonl:1:34 | duplicate object key near '\"instruction\"' | keep one of the two members"),
    ("a table of commas", TRAIN, records("instruction,context,response\na,,b\n"),
     "./records.jsonl:1:11 | invalid token near 'instruction' | the text must be JSON: strings in double quotes, no…"),
    ("the page of a download that failed", TRAIN, records("<!DOCTYPE html>\n<html><body>404</body></html>\n"),
     "./records.jsonl | a web page, not JSON | fetch the file itself, not the page that shows it"),
    ("a pointer of Git LFS", TRAIN, records("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n"),
     "./records.jsonl | a Git LFS pointer, not JSON | fetch the file itself: git lfs pull, in the folder it was cloned into"),
    ("a stream of Arrow", TRAIN, records(b"\xff\xff\xff\xff\x10\0\0\0"),
     "./records.jsonl | a stream of Arrow, not JSON | convert it: python3 -c 'import datasets, sys;…"),
    ("a file that zstd packed", TRAIN, records(b"\x28\xb5\x2f\xfd\0\0"),
     "./records.jsonl | packed by zstd, not JSON | unpack it: zstd -d FILE (of packed files graft reads those of gzip)"),
    ("a file that xz packed", TRAIN, records(b"\xfd7zXZ\0\0"),
     "./records.jsonl | packed by xz, not JSON | unpack it: xz -d FILE (of packed files graft reads those of gzip)"),
    ("a file that bzip2 packed", TRAIN, records(b"BZh91AY"),
     "./records.jsonl | packed by bzip2, not JSON | unpack it: bzip2 -d FILE (of packed files graft reads those of gzip)"),
    ("a zip archive", TRAIN, records(b"PK\x03\x04\0\0"),
     "./records.jsonl | a zip archive, not JSON | unpack it: unzip FILE"),
    ("a file of CSV by its name", CSV, write("records.csv", "instruction,response\na,b\n"),
     "records.csv | a file of CSV, not JSON | convert it: python3 -c 'import csv, json, sys;…delimiter=\",\")]' IN.csv > OUT.jsonl"),
    ("a file of tabs by its name", TSV, write("records.tsv", "instruction\tresponse\na\tb\n"),
     "records.tsv | a file of CSV, not JSON | convert it: python3 -c 'import csv, json, sys;…delimiter=\"\\t\")]' IN.tsv > OUT.jsonl"),
    ("records inside an object", TRAIN, records('{"version": 1, "data": [' + GOOD + "]}"),
     "./records.jsonl:1 | field 'instruction' of format dolly is missing; the record has 'version', 'data' | the records stand in 'data': write that list alone: python3…"),
    ("a compressed file", TRAIN, records(b"\x1f\x8b\x08\0\0\0\0\0\0\x03"),
     "./records.jsonl | cut short: it ends inside what gzip packed, after 0 bytes unpacked | the download may be incomplete: test it with gzip -t, and fetch it again"),
    ("a number as a record", TRAIN, records("5\n"),
     "./records.jsonl:1 | the record is a number, not an object | a data file is JSON lines, one object {\"field\": ...} a…"),
    ("null as a record", TRAIN, records(GOOD + "\nnull\n"),
     "./records.jsonl:2 | the record is null, not an object | a data file is JSON lines, one object {\"field\": ...} a…"),
    ("a record that is a list of records", TRAIN, records("[[" + GOOD + "]]"),
     "./records.jsonl:1 | the record is a list, not an object | a data file is JSON lines, one object {\"field\": ...} a…"),
    # fields
    ("a record without fields", TRAIN, records("{}\n"),
     "./records.jsonl:1 | field 'instruction' of format dolly is missing; the record has no fields | format dolly reads 'instruction', 'context', 'response',…"),
    ("a response of null", TRAIN, records('{"instruction": "a", "context": "", "response": null}'),
     "./records.jsonl:1 | field 'response' of format dolly is missing; the record has 'instruction', 'context', 'response' (null) | format dolly reads 'instruction', 'context', 'response',…"),
    ("a response that is a list", TRAIN, records('{"instruction": "a", "context": "", "response": ["b"]}'),
     "./records.jsonl:1 | field 'response' is a list | it must be a text in double quotes"),
    ("a field that only looks like one", TRAIN, records('{"instructi\u043en": "a", "context": "", "response": "b"}'),
     "./records.jsonl:1 | field 'instruction' of format dolly is missing; the record has 'instructiоn', 'context', 'response' | format dolly reads 'instruction', 'context', 'response',…"),
    ("records of another format", TRAIN, records('{"prompt": "a", "completion": "b"}'),
     "./records.jsonl:1 | field 'instruction' of format dolly is missing; the record has 'prompt', 'completion' | these are the fields of format prompt_completion: set…"),
    ("records of ids in a format of text", TRAIN, records('{"ids": [5, 6]}'),
     "./records.jsonl:1 | field 'instruction' of format dolly is missing; the record has 'ids' | these are the fields of format tokens: set format: tokens"),
    ("a response of blanks", TRAIN, records('{"instruction": "a", "context": "", "response": " \\n"}'),
     "findings in the data | 1 empty_response (./records.jsonl:1: the response is empty) | repair the records, or accept what was found with…"),
    ("a record longer than max_length", TRAIN, records('{"instruction": "%s", "context": "", "response": "b"}' % ("a " * 600)),
     "./records.jsonl:1 | 639 tokens, max_length is 512 | raise max_length, or choose over_length: drop (leave such…"),
    ("records that train nothing", TOKENS, tokens('{"ids": [5], "labels": [5]}\n'),
     "findings in the data | 1 nothing_trained (tokens.jsonl:1: 1 tokens, none of them trained) | repair the records, or accept what was found with…"),
    ("nothing that can be evaluated", EVALUATE, records('{"instruction": "%s", "context": "", "response": "b"}' % ("a " * 600)),
     "records.jsonl | no record can be evaluated | see that records have responses and fit --max-length"),
    # ids and labels
    ("ids that are a text", TOKENS, tokens('{"ids": "5 6"}'), "tokens.jsonl:1 | 'ids' is \"5 6\" | it must be an array of integers: ids lie in the model's…"),
    ("no ids in a record of ids", TOKENS, tokens('{"labels": [5]}'),
     "tokens.jsonl:1 | 'ids' is missing or empty | format tokens needs {\"ids\": [..]} with at least one id;…"),
    ("an id with a fraction", TOKENS, tokens('{"ids": [5, 6.0]}'),
     "tokens.jsonl:1 | 'ids[1]' is 6 | it must be an integer from 0 to 996: ids lie in the model's…"),
    ("an id beyond 64 bits", TOKENS, tokens('{"ids": [5, 18446744073709551621]}'),
     "tokens.jsonl:1 | 'ids[1]' is 1.84467441e+19 | it must be an integer from 0 to 996: ids lie in the model's…"),
    ("an id beyond 32 bits", TOKENS, tokens('{"ids": [5, 4294967301]}'),
     "tokens.jsonl:1 | 'ids[1]' is 4294967301 | it must be an integer from 0 to 996: ids lie in the model's…"),
    ("an id below zero", TOKENS, tokens('{"ids": [5, -1]}'),
     "tokens.jsonl:1 | 'ids[1]' is -1 | it must be an integer from 0 to 996: ids lie in the model's…"),
    ("an id that is the size of the vocabulary", TOKENS, tokens('{"ids": [5, 997]}'),
     "tokens.jsonl:1 | 'ids[1]' is 997 | it must be an integer from 0 to 996: ids lie in the model's…"),
    ("an id that is true", TOKENS, tokens('{"ids": [5, true]}'),
     "tokens.jsonl:1 | 'ids[1]' is true | it must be an integer from 0 to 996: ids lie in the model's…"),
    ("an id in a list in the list", TOKENS, tokens('{"ids": [5, [6]]}'),
     "tokens.jsonl:1 | 'ids[1]' is an array | it must be an integer from 0 to 996: ids lie in the model's…"),
    ("labels that are fewer than ids", TOKENS, tokens('{"ids": [5, 6, 7], "labels": [5, 6]}'),
     "tokens.jsonl:1 | 2 labels for 3 ids | labels[t] belongs to ids[t]: give one per id, or no labels…"),
    ("labels that are more than ids", TOKENS, tokens('{"ids": [5, 6], "labels": [5, 6, 7]}'),
     "tokens.jsonl:1 | 3 labels for 2 ids | labels[t] belongs to ids[t]: give one per id, or no labels…"),
    ("a label below zero", TOKENS, tokens('{"ids": [5, 6], "labels": [5, -1]}'),
     "tokens.jsonl:1 | labels[1] is -1 | a label is an id, or -100 for a token that is not trained"),
    ("a label below -100", TOKENS, tokens('{"ids": [5, 6], "labels": [5, -101]}'),
     "tokens.jsonl:1 | 'labels[1]' is -101 | it must be an integer from -100 to 996: ids lie in the…"),
    ("a label outside the vocabulary", TOKENS, tokens('{"ids": [5, 6], "labels": [5, 997]}'),
     "tokens.jsonl:1 | 'labels[1]' is 997 | it must be an integer from -100 to 996: ids lie in the…"),
    ("a misspelled field of labels", TOKENS, tokens('{"ids": [5, 6], "lables": [5, 6]}'),
     "findings in the data | 1 unknown_field (tokens.jsonl:1: 'lables' is no field of format tokens) | repair the records, or accept what was found with…"),
    # what is scored
    ("a list to score", SCORE, ids("[[5, 6]]"), "ids.jsonl:1 | not an object | each line is one JSON object"),
    ("an object of other fields to score", SCORE, ids('{"tokens": [5, 6]}'),
     "ids.jsonl:1 | unknown field 'tokens' | fields: adapter, ids, text, context, continuation,…"),
    ("a misspelled field to score", TEXTS, texts('{"text": "a"}\n{"context": "a", "continuaton": "b"}'),
     "texts.jsonl:2 | unknown field 'continuaton' | did you mean 'continuation'?"),
    ("an object of no fields to score", SCORE, ids('{}'), "ids.jsonl:1 | nothing to score | give ids, text, context and continuation, or context_ids…"),
    ("ids beside a text", SCORE, ids('{"ids": [5, 6], "text": "a"}'),
     "ids.jsonl:1 | both \"ids\" and \"text\" are given | keep one of them, or make two lines of it"),
    ("a text beside a context", SCORE, ids('{"text": "a", "context": "b", "continuation": "c"}'),
     "ids.jsonl:1 | both \"text\" and \"continuation\" are given | keep one of them, or make two lines of it"),
    ("a context without a continuation", TEXTS, texts('{"context": "a"}'),
     "texts.jsonl:1 | nothing to score | give ids, text, context and continuation, or context_ids…"),
    ("a continuation without a context", SCORE, ids('{"ids": [5, 6], "continuation": "a"}'),
     "ids.jsonl:1 | both \"ids\" and \"continuation\" are given | keep one of them, or make two lines of it"),
    ("ids of a context alone", SCORE, ids('{"context_ids": [5, 6]}'), "ids.jsonl:1 | context_ids and continuation_ids belong together | give both"),
    ("ids of an empty context", SCORE, ids('{"context_ids": [], "continuation_ids": [5]}'),
     "ids.jsonl:1 | the context has no tokens, so nothing predicts the continuation | give a context of at least one token"),
    ("ids to score below zero", SCORE, ids('{"ids": [5, 6]}\n{"ids": [5, -6]}\n'), "ids.jsonl:2 | 'ids[1]' is -6 | it must be an integer from 0 to 996"),
    ("a text to score that is a number", TEXTS, texts('{"text": 5}'), "texts.jsonl:1 | 'text' is 5 | it must be a string"),
    ("a text to score that is cut", TEXTS, texts('{"text": "a"}\n{"text": "b'),
     "texts.jsonl:2:11 | premature end of input near '\"b' | the text ends too early: the file may be cut off, or a…"),
    # what is continued
    ("no prompt", GENERATE, prompts('{}'), "prompts.jsonl:1 | nothing to continue | give \"prompt\", \"messages\" or \"ids\""),
    ("a prompt under another name", GENERATE, prompts('{"prompt": "a"}\n{"promt": "b"}'), "prompts.jsonl:2 | unknown field 'promt' | did you mean 'prompt'?"),
    ("a field of score", GENERATE, prompts('{"text": "a"}'), "prompts.jsonl:1 | unknown field 'text' | fields: adapter, prompt, messages, ids"),
    ("a prompt beside ids", GENERATE, prompts('{"prompt": "a", "ids": [5]}'),
     "prompts.jsonl:1 | both \"prompt\" and \"ids\" are given | keep one of them, or make two lines of it"),
    ("messages beside a prompt", GENERATE, prompts('{"prompt": "a", "messages": []}'),
     "prompts.jsonl:1 | both \"messages\" and \"prompt\" are given | keep one of them, or make two lines of it"),
    ("messages for a model without a chat template", GENERATE, prompts('{"messages": [{"role": "user", "content": "a"}]}'),
     "base | no chat template | a model tuned for conversations has one in…"),
    ("a chat with a model without a chat template", "generate --quiet --model base --prompt a --chat", nothing,
     "base | no chat template | a model tuned for conversations has one in…"),
    ("messages that are none", GENERATE, chats('{{ 1 }}', '{"messages": {"role": "user"}}'),
     "prompts.jsonl:1: messages | no list with at least one message | give [{\"role\": \"user\", \"content\": \"...\"}, ...]"),
    ("a message without a role", GENERATE, chats('{{ 1 }}', '{"messages": [{"role": "user"}, {"content": "a"}]}'),
     "prompts.jsonl:1: messages[1] | no object with a text 'role' | give {\"role\": \"user\", \"content\": \"...\"}"),
    ("messages that the template refuses", GENERATE, chats("{{ raise_exception('Only one.') }}", CHAT),
     "prompts.jsonl:1: base/chat_template.jinja:1:19 | the template refuses the conversation: Only one. | change the conversation, or use a template that takes it"),
    ("a chat template without end", GENERATE, chats("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", CHAT),
     "prompts.jsonl:1: base/chat_template.jinja:1:19 | blocks, macros and expressions inside each other, deeper than 400 | look for a macro that calls…"),
    ("a chat template of nothing", GENERATE, chats("", CHAT), "prompts.jsonl:1 | the chat template makes no text of it | give messages with content"),
    ("a chat template that is not UTF-8", GENERATE, chats(b"a\xff", CHAT), "base/chat_template.jinja | byte 1 of the template is not UTF-8 | save the file as UTF-8"),
    ("a chat template that is not Jinja", GENERATE, chats("{{ messages[0]\n}", CHAT),
     "base/chat_template.jinja:2:1 | '}' closes nothing | close the brackets that are open, in their order"),
    ("a chat template with a filter that graft does not know", GENERATE, chats("a\n  {{ messages | urlize }}", CHAT),
     "base/chat_template.jinja:2:17 | filter 'urlize' is not supported | graft knows those that published templates use"),
    ("a prompt of no ids", GENERATE, prompts('{"ids": []}'), "prompts.jsonl:1 | nothing to continue | give \"prompt\", \"messages\" or \"ids\""),
    ("a prompt of ids outside the vocabulary", GENERATE, prompts('{"ids": [997]}'),
     "prompts.jsonl:1 | 'ids[0]' is 997 | it must be an integer from 0 to 996"),
    # what is decoded
    ("no ids to decode", DETOKENIZE, ids('{"tokens": [5]}'), "ids.jsonl:1 | no \"ids\" | lines are {\"ids\": [..]}"),
    ("ids to decode that no token has", DETOKENIZE, ids('{"ids": [5, 99999]}'), "ids.jsonl:1 | 'ids[1]' is 99999 | it must be an integer from 0 to 996"),
    ("a text to encode that is a list", "tokenize --model base --input texts.jsonl", texts('{"text": ["a"]}'),
     "texts.jsonl:1 | 'text' is an array | it must be a string"),
)
