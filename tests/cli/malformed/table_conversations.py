"""Conversations: messages, ShareGPT, trees of Open-Assistant, dialogues with marks, packed files, and records of the smaller formats."""
import gzip
import json

from good import CHATS, DIALOGUES, PACKED, PAIRS, PARALLEL, PLOTS, SHARED, TALKS, TRAIN, TREES, WORDS, remove, run, write

CHAT = '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]}\n'


def chats(*messages, line=1):
    """A file whose record on `line` has these messages; the ones before it are sound."""
    return write("chats.jsonl", CHAT * (line - 1) + json.dumps({"messages": list(messages)}) + "\n")


def chat(content):
    return write("chats.jsonl", content)


def says(role, content, **more):
    return {"role": role, "content": content, **more}


def shared(*turns):
    return write("shared.json", json.dumps([{"id": "1", "conversations": list(turns)}], indent=1))


def turn(speaker, value):
    return {"from": speaker, "value": value}


def message(id, parent, role="assistant", **more):
    return {"message_id": id, "parent_id": parent, "text": "x", "role": role, **more}


def trees(*values):
    return write("trees.jsonl", "".join(json.dumps(value) + "\n" for value in values))


def packed(content):
    return write("packed.jsonl.gz", content)


def zipped(text):
    return gzip.compress(text.encode(), mtime=0)


def pairs(**fields):
    return write("pairs.jsonl", json.dumps({"premise": "a", "hypothesis": "b", "label": 0, "explanation_1": "c", **fields}))


def plots(**fields):
    return write("plots.jsonl", json.dumps({"plot": "a", "title": "b", **fields}))


def source(settings):
    return run("format: dolly", settings)


SUM = '{"question": "1 + 1?", "answer": "2"}\n'
ROOT = message("a", None, "prompter")


ROWS = (
    ("chats: broken JSON on line 7", CHATS, chat(CHAT * 6 + '{"messages": [{"role": "user"\n'),
     "chats.jsonl:7:29 | '}' expected near end of file | the text ends too early: the file may be cut off, or a…"),
    ("chats: no messages", CHATS, chat('{"conversation": []}'),
     "chats.jsonl:1 | field 'messages' of format messages is missing; the record has 'conversation' | format messages reads 'messages': rename the fields of…"),
    ("chats: ShareGPT's field in messages", CHATS, chat('{"conversations": []}'),
     "chats.jsonl:1 | field 'messages' of format messages is missing; the record has 'conversations' | these are the fields of format sharegpt: set format:…"),
    ("chats: messages that are an object", CHATS, chat('{"messages": {"role": "user"}}'),
     "chats.jsonl:1 | 'messages' is an object | it must be a list of {\"role\": .., \"content\": ..}"),
    ("chats: messages that are null", CHATS, chat('{"messages": null}'),
     "chats.jsonl:1 | field 'messages' of format messages is missing; the record has 'messages' (null) | format messages reads 'messages': rename the fields of…"),
    ("chats: no message", CHATS, chats(),
     "findings in the data | 1 nothing_trained (chats.jsonl:1: no answer in the conversation) | repair the records, or accept what was found with…"),
    ("chats: a message that is a text", CHATS, chats("Hi"),
     "chats.jsonl:1 | messages[0] is a text, not an object | a message is {\"role\": \"user\", \"content\": \"..\"}"),
    ("chats: a message without role", CHATS, chats({"content": "Hi"}, line=3),
     "chats.jsonl:3 | messages[0]: 'role' is missing | it must be there, a text in double quotes"),
    ("chats: a message without content", CHATS, chats({"role": "user"}),
     "chats.jsonl:1 | messages[0]: 'content' is missing | it must be there, a text in double quotes"),
    ("chats: content of null", CHATS, chats(says("user", "Hi"), says("assistant", None)),
     "chats.jsonl:1 | messages[1]: 'content' is null | it must be there, a text in double quotes"),
    ("chats: content in parts", CHATS, chats(says("user", [{"type": "text", "text": "Hi"}])),
     "chats.jsonl:1 | messages[0]: 'content' is a list | it must be a text in double quotes"),
    ("chats: a role that is a number", CHATS, chats(says(1, "Hi")),
     "chats.jsonl:1 | messages[0]: 'role' is a number | it must be a text in double quotes"),
    ("chats: a role of tools", CHATS, chats(says("user", "Hi"), says("tool", "5"), line=2),
     "chats.jsonl:2 | messages[1]: role 'tool' | roles are system, user and assistant"),
    ("chats: a role in capitals", CHATS, chats(says("User", "Hi")),
     "chats.jsonl:1 | messages[0]: role 'User' | roles are system, user and assistant"),
    ("chats: train that is a word", CHATS, chats(says("user", "Hi"), says("assistant", "Ho", train="no")),
     "chats.jsonl:1 | messages[1]: 'train' is \"no\" | it must be true or false"),
    ("chats: train that is a number", CHATS, chats(says("user", "Hi"), says("assistant", "Ho", train=0)),
     "chats.jsonl:1 | messages[1]: 'train' is 0 | it must be true or false"),
    ("chats: a call of tools", CHATS, chats(says("user", "Hi"), says("assistant", "Ho", tool_calls=[])),
     "findings in the data | 1 unknown_field (chats.jsonl:1: 'tool_calls' is no field of a message) | repair the records, or accept what was found with…"),
    ("chats: two users in a row", CHATS, chats(says("user", "Hi"), says("user", "Ho"), says("assistant", "!"), line=4),
     "findings in the data | 1 out_of_turn (chats.jsonl:4: turn 2 is the user's, where the assistant's belongs) | repair the records, or accept what was found with…"),
    ("chats: an assistant that begins", CHATS, chats(says("assistant", "Hi")),
     "findings in the data | 1 out_of_turn (chats.jsonl:1: turn 1 is the assistant's, where the user's belongs) | repair the records, or accept what was found with…"),
    ("chats: a system message in the middle", CHATS, chats(says("user", "Hi"), says("system", "Be brief."), says("assistant", "Ho")),
     "findings in the data | 1 out_of_turn (chats.jsonl:1: turn 2 is the system's, where the assistant's belongs) | repair the records, or accept what was found with…"),
    ("chats: only a question", CHATS, chats(says("user", "Hi")),
     "findings in the data | 1 nothing_trained (chats.jsonl:1: no answer in the conversation) | repair the records, or accept what was found with…"),
    ("chats: an empty answer", CHATS, chats(says("user", "Hi"), says("assistant", " "), line=2),
     "findings in the data | 1 empty_response (chats.jsonl:2: the response is empty) | repair the records, or accept what was found with…"),
    ("chats: nothing trained", CHATS, chats(says("user", "Hi"), says("assistant", "Ho", train=False)),
     "findings in the data | 1 nothing_trained (chats.jsonl:1: 109 tokens, none of them trained) | repair the records, or accept what was found with…"),
    ("chats: a lone surrogate", CHATS, chat(CHAT + CHAT.replace('Ho', '\\udc00')),
     "chats.jsonl:2:90 | invalid Unicode '\\uDC00' near '\"\\udc00\"' | \\ud800 to \\udfff are halves of a character: write…"),
    ("chats: a member twice", CHATS, chat(CHAT.replace('"role": "user"', '"role": "user", "role": "user"')),
     "chats.jsonl:1:37 | duplicate object key near '\"role\"' | keep one of the two members"),
    ("chats: CRLF and a broken line behind it", CHATS, chat((CHAT * 2).replace('\n', '\r\n') + '{\r\n'),
     "chats.jsonl:3:2 | string or '}' expected near end of file | each line must be one whole JSON value (JSONL), or the…"),
    ("chats: a BOM and a broken line behind it", CHATS, chat('\ufeff' + CHAT + '}'),
     "chats.jsonl:2:1 | unexpected token near '}' | each line must be one whole JSON value (JSONL), or the…"),
    ("chats: a BOM on the second line", CHATS, chat(CHAT + '\ufeff' + CHAT),
     "chats.jsonl:2:1 | invalid token near '﻿' | the text must be JSON: strings in double quotes, no…"),
    ("chats: UTF-16", CHATS, chat(CHAT.encode('utf-16-le')),
     "chats.jsonl:1:2 | a NUL byte | the file must be text in UTF-8, not UTF-16 or binary"),
    ("chats: a line of 100 MB that does not end", CHATS, chat(CHAT + '{"messages": "' + 'x' * 100_000_000),
     "chats.jsonl:2:100000014 | premature end of input | the text ends too early: the file may be cut off, or a…"),
    ("shared: an array that is cut", SHARED, write("shared.json", '[\n{"conversations": [\n'),
     "shared.json:3:1 | ']' expected near end of file | the text ends too early: the file may be cut off, or a…"),
    ("shared: a turn that is a text", SHARED, shared("Hi"),
     "shared.json:2 | conversations[0] is a text, not an object | a turn is {\"from\": \"human\", \"value\": \"..\"}"),
    ("shared: a turn from nobody", SHARED, shared({"value": "Hi"}),
     "shared.json:2 | conversations[0]: 'from' is missing | it must be there, a text in double quotes"),
    ("shared: a turn from somebody else", SHARED, shared(turn("human", "Hi"), turn("tool", "5")),
     "shared.json:2 | conversations[1] is from 'tool' | speakers are human (user), gpt (chatgpt, assistant,…"),
    ("shared: a turn without a value", SHARED, shared(turn("human", "Hi"), {"from": "gpt"}),
     "shared.json:2 | conversations[1]: 'value' is missing | it must be there, a text in double quotes"),
    ("shared: a value that is a number", SHARED, shared(turn("human", 5)),
     "shared.json:2 | conversations[0]: 'value' is a number | it must be a text in double quotes"),
    ("shared: conversations that are a text", SHARED, write("shared.json", '[{"conversations": "Hi"}]'),
     "shared.json:1 | 'conversations' is a text | it must be a list of {\"from\": .., \"value\": ..}"),
    ("shared: two answers in a row", SHARED, shared(turn("human", "Hi"), turn("gpt", "Ho"), turn("gpt", "Hm")),
     "findings in the data | 1 out_of_turn (shared.json:2: turn 3 is the assistant's, where the user's belongs) | repair the records, or accept what was found with…"),
    ("shared: an empty conversation", SHARED, shared(),
     "findings in the data | 1 nothing_trained (shared.json:2: no answer in the conversation) | repair the records, or accept what was found with…"),
    ("trees: a parent that is nowhere", TREES, trees(ROOT, message("b", "c")),
     "trees.jsonl:2 | message 'b' answers 'c', which is not in the file | the file may be cut or filtered: all messages of a tree…"),
    ("trees: an id twice", TREES, trees(ROOT, message("b", "a"), message("b", "a")),
     "trees.jsonl:3 | message 'b' is there already, at trees.jsonl:2 | each message has an id of its own: remove one of the two"),
    ("trees: a message that answers itself", TREES, trees(ROOT, message("b", "b")),
     "trees.jsonl:2 | message 'b' answers an answer to itself | follow its parent_id: the messages form a circle"),
    ("trees: a circle of three", TREES, trees(ROOT, message("b", "d"), message("c", "b", "prompter"), message("d", "c")),
     "trees.jsonl:2 | message 'b' answers an answer to itself | follow its parent_id: the messages form a circle"),
    ("trees: a message without id", TREES, trees(ROOT, {"text": "x", "role": "assistant"}),
     "trees.jsonl:2 | 'message_id' is missing | messages are objects {\"message_id\": .., \"text\": ..,…"),
    ("trees: an id that is a number", TREES, trees(ROOT, message(5, "a")),
     "trees.jsonl:2 | 'message_id' is a number | it must be a text in double quotes, and not an empty one"),
    ("trees: an empty id", TREES, trees(ROOT, message("", "a")),
     "trees.jsonl:2 | 'message_id' is empty | it must be a text in double quotes, and not an empty one"),
    ("trees: a parent that is a number", TREES, trees(ROOT, message("b", 1)),
     "trees.jsonl:2 | 'parent_id' is a number | it must be a text in double quotes, and not an empty one"),
    ("trees: a message without text", TREES, trees(ROOT, {"message_id": "b", "parent_id": "a", "role": "assistant"}),
     "trees.jsonl:2 | 'text' is missing | it must be there, a text in double quotes"),
    ("trees: a message without role", TREES, trees(ROOT, {"message_id": "b", "parent_id": "a", "text": "x"}),
     "trees.jsonl:2 | 'role' is missing | it must be there, a text in double quotes"),
    ("trees: a role of chats", TREES, trees(message("a", None, "user")),
     "trees.jsonl:1 | role 'user' | roles of Open-Assistant are prompter and assistant"),
    ("trees: a rank below zero", TREES, trees(ROOT, message("b", "a", rank=-1)),
     "trees.jsonl:2 | 'rank' is -1 | it must be an integer from 0 to 2147483647"),
    ("trees: a rank that is a text", TREES, trees(ROOT, message("b", "a", rank="1")),
     "trees.jsonl:2 | 'rank' is \"1\" | it must be an integer from 0 to 2147483647"),
    ("trees: deleted that is a number", TREES, trees(ROOT, message("b", "a", deleted=1)),
     "trees.jsonl:2 | 'deleted' is 1 | it must be true or false"),
    ("trees: a language that is a list", TREES, trees(message("a", None, "prompter", lang=["en"])),
     "trees.jsonl:1 | 'lang' is a list | it must be a text in double quotes, and not an empty one"),
    ("trees: replies that are an object", TREES, trees(message("a", None, "prompter", replies={})),
     "trees.jsonl:1 | 'replies' is an object | it must be a list of messages"),
    ("trees: a reply that is a text", TREES, trees(message("a", None, "prompter", replies=["Ho"])),
     "trees.jsonl:1 | a message is a text, not an object | messages are objects {\"message_id\": .., \"text\": ..,…"),
    ("trees: a reply that names another parent", TREES, trees(message("a", None, "prompter", replies=[message("b", "c")])),
     "trees.jsonl:1 | message 'b' stands among the replies to 'a' and names 'c' as its parent | nesting and parent_id must say the same"),
    ("trees: a tree whose root answers", TREES, trees({"message_tree_id": "t", "prompt": message("a", "z", "prompter")}),
     "trees.jsonl:1 | the first message of the tree answers 'z' | a tree begins with a message without parent_id"),
    ("trees: a prompt that is a text", TREES, trees({"message_tree_id": "t", "prompt": "Hi"}),
     "trees.jsonl:1 | a message is a text, not an object | messages are objects {\"message_id\": .., \"text\": ..,…"),
    ("trees: a list as a record", TREES, write("trees.jsonl", json.dumps([[ROOT]])),
     "trees.jsonl:1 | the record is a list, not an object | give trees {\"message_tree_id\": .., \"prompt\": ..} or messages"),
    ("trees: a chain too deep", TREES, trees(ROOT, *[message(f"m{i}", f"m{i - 1}" if i else "a") for i in range(1100)]),
     "trees.jsonl:1001 | message 'm999' has 1000 messages above it | a tree may be 1000 messages deep: check parent_id"),
    ("trees: messages by key, cut", TREES, write("trees.jsonl", '{\n"a": ' + json.dumps(ROOT) + ',\n'),
     "trees.jsonl:3:1 | the file ends inside its top-level object | the members of a top-level object are \"key\": value,…"),
    ("trees: messages by key without a colon", TREES, write("trees.jsonl", '{\n"a" ' + json.dumps(ROOT) + '\n}'),
     "trees.jsonl:2:5 | a ':' belongs here | the members of a top-level object are \"key\": value,…"),
    ("trees: messages by key, a key without quotes", TREES, write("trees.jsonl", '{\na: ' + json.dumps(ROOT) + '\n}'),
     "trees.jsonl:2:1 | a key in double quotes belongs here | the members of a top-level object are \"key\": value,…"),
    ("trees: two questions in a row", TREES, trees(ROOT, message("b", "a", "prompter"), message("c", "b")),
     "findings in the data | 1 out_of_turn (trees.jsonl:3: turn 2 is the user's, where the assistant's belongs) | repair the records, or accept what was found with…"),
    ("trees: nothing but questions", TREES, trees(ROOT),
     "none of 1 records | can be trained on | see graft data check for what became of them"),
    ("packed: cut short", PACKED, packed(zipped(SUM * 50)[:-12]),
     "packed.jsonl.gz | cut short: it ends inside what gzip packed, after 1587 bytes unpacked | the download may be incomplete: test it with gzip -t,…"),
    ("packed: only the magic", PACKED, packed(b"\x1f\x8b"),
     "packed.jsonl.gz | cut short: it ends inside what gzip packed, after 0 bytes unpacked | the download may be incomplete: test it with gzip -t,…"),
    ("packed: a damaged byte", PACKED, packed(zipped(SUM)[:12] + b"\xff\xff\xff\xff" + zipped(SUM)[16:]),
     "packed.jsonl.gz | damaged, 12 bytes in (invalid distance too far back) | the download may be broken: test it with gzip -t, and…"),
    ("packed: something behind", PACKED, packed(zipped(SUM) + b"more"),
     "packed.jsonl.gz | something else follows what gzip packed | the file may be damaged: test it with gzip -t, and…"),
    ("packed: nothing inside", PACKED, packed(zipped("")),
     "packed.jsonl.gz | no records | the file is empty, or an empty array: check the path"),
    ("packed: a broken line 2 inside", PACKED, packed(zipped(SUM + '{"question": 5')),
     "packed.jsonl.gz:2:14 | '}' expected near end of file | the text ends too early: the file may be cut off, or a…"),
    ("packed: a broken line in the second member", PACKED, packed(zipped(SUM) + zipped('{"question": "a"}')),
     "packed.jsonl.gz:2 | field 'answer' of format gsm8k is missing; the record has 'question' | format gsm8k reads 'question', 'answer': rename the…"),
    ("a file of Parquet", PACKED, packed(b"PAR1" + bytes(40) + b"PAR1"),
     "packed.jsonl.gz | a file of Parquet, not JSON | convert it: python3 -c 'import pandas, sys;…"),
    ("a file of Arrow", PACKED, packed(b"ARROW1" + bytes(40)),
     "packed.jsonl.gz | a file of Arrow, not JSON | convert it: python3 -c 'import pandas, sys;…"),
    ("pairs: a relation beyond the three", PAIRS, pairs(label=3),
     "pairs.jsonl:1 | field 'label' is 3 | give the word itself, or its number from 0"),
    ("pairs: a relation below zero", PAIRS, pairs(label=-1),
     "pairs.jsonl:1 | field 'label' is -1 | give the word itself, or its number from 0"),
    ("pairs: a relation that is a list", PAIRS, pairs(label=[0]),
     "pairs.jsonl:1 | field 'label' is a list | it must be a text in double quotes"),
    ("pairs: a premise that is a number", PAIRS, pairs(premise=0),
     "pairs.jsonl:1 | field 'premise' is a number | it must be a text in double quotes"),
    ("parallel: a file that ends early", PARALLEL, write("s2.dev", "It is wet .\n"),
     "s2.dev:2 | the file ends here, and the files beside it go on | parallel files have a line each for the same pair"),
    ("parallel: a file that goes on", PARALLEL, write("labels.dev", "neutral\n" * 3),
     "labels.dev:3 | the file goes on, and that of the premises ends | parallel files have a line each for the same pair"),
    ("parallel: a relation that is none", PARALLEL, write("labels.dev", "neutral\nmaybe\n"),
     "labels.dev:2 | 'maybe' is no relation | lines are entailment, neutral or contradiction"),
    ("parallel: a file that is not there", PARALLEL, remove("s2.dev"),
     "s2.dev | No such file or directory | check the path; a relative path in a YAML file starts…"),
    ("parallel: Latin-1 on line 2", PARALLEL, write("s1.dev", b"a\ncaf\xe9\n"),
     "s1.dev:2:4 | a byte that is no UTF-8 | save the file as UTF-8"),
    ("plots: no answers", PLOTS, plots(question="c"),
     "plots.jsonl:1 | 'answers' is missing | it must be a list of texts"),
    ("plots: an empty list of answers", PLOTS, plots(question="c", answers=[]),
     "plots.jsonl:1 | 'answers' is empty, and 'no_answer' is not true | give an answer, or say that there is none"),
    ("plots: an answer that is a number", PLOTS, plots(question="c", answers=[1]),
     "plots.jsonl:1 | 'answers[0]' is a number | it must be a text in double quotes"),
    ("plots: questions that are a text", PLOTS, plots(qa="c"),
     "plots.jsonl:1 | 'qa' is a text | it must be a list of questions"),
    ("plots: a question that is a text", PLOTS, plots(qa=["c"]),
     "plots.jsonl:1 | 'qa[0]' is a text | a question is {\"question\": .., \"answers\": [..]}"),
    ("plots: a question without an answer, said so", PLOTS, plots(question="c", answers=[], no_answer=True),
     "findings in the data | 1 empty_response (plots.jsonl:1: the response is empty) | repair the records, or accept what was found with…"),
    ("words: one word", WORDS, write("words.jsonl", '{"text": "Ann"}'),
     "words.jsonl:1 | the text is one word, or ends with a blank | its last word must stand behind a blank and others"),
    ("words: a blank at the end", WORDS, write("words.jsonl", '{"text": "Ann went "}'),
     "words.jsonl:1 | the text is one word, or ends with a blank | its last word must stand behind a blank and others"),
    ("dialogues: no marks", DIALOGUES, write("dialogues.jsonl", '{"text": "Hi"}'),
     "findings in the data | 1 nothing_trained (dialogues.jsonl:1: no answer in the conversation) | repair the records, or accept what was found with…"),
    ("dialogues: an answer first", DIALOGUES, write("dialogues.jsonl", '{"text": "### Assistant: Hi### Human: Ho### Assistant: !"}'),
     "findings in the data | 1 out_of_turn (dialogues.jsonl:1: turn 1 is the assistant's, where the user's belongs) | repair the records, or accept what was found with…"),
    ("a template whose markers are split", TRAIN, source("format: dolly, template: chatml"),
     "findings in the data | 1 no_eos (./records.jsonl:1: nothing that is trained ends with </s>); 2 split_marker (run.yaml:8:7: '<|im_start|>' of template chatml is 10 tokens here; run.yaml:8:7: '<|im_end|>' of template chatml is 8 tokens here) | repair the records, or accept what was found with…"),
    ("a format of turns with a wording", TRAIN, source("format: messages, template: alpaca"),
     "run.yaml:8:7 | template alpaca fills fields of a record, and format messages has turns of a conversation | choose a template for conversations: chat_template…"),
    ("a model that has no chat template", TRAIN, source("format: messages"),
     "run.yaml:8:7 | template chat_template is the model's own, and ./base has none | name the one that the model was trained with: vicuna,…"),
    ("talks: a role that the chat template refuses", TALKS, chats(says("system", "So."), says("user", "Hi"), says("assistant", "Ho"), line=3),
     "chats.jsonl:3 | talks/chat_template.jinja:1:69: the template refuses the conversation: no system here | change the conversation, or use a template that takes it"),
    ("talks: a question that is trained", TALKS, chats(says("user", "Hi", train=True), says("assistant", "Ho")),
     "chats.jsonl:1 | turn 1 is no answer and has \"train\": true, and the chat template tells answers apart only | remove \"train\" there, or name a template: chatml, llama3, ..."),
    ("talks: a chat template that does not end", TALKS, write("talks/chat_template.jinja", "{% for m in messages %}"),
     "talks/chat_template.jinja:1:24 | {% endfor %} is wanted here, not the end of the template | the template must be Jinja as jinja2 reads it"),
    ("talks: a chat template that runs on", TALKS, write("talks/chat_template.jinja", "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}"),
     "chats.jsonl:1 | talks/chat_template.jinja:1:32: the rendering takes more than 128 MiB of memory | the template does more than a conversation needs:…"),
    ("talks: a chat template that prints nothing", TALKS, write("talks/chat_template.jinja", "{% generation %}{% endgeneration %}"),
     "findings in the data | 1 nothing_trained (chats.jsonl:1: 0 tokens, none of them trained) | repair the records, or accept what was found with…"),
    ("settings of trees for another format", TRAIN, source("format: dolly, oasst: {mode: best_path}"),
     "run.yaml:8:7 | 'oasst' holds settings of format oasst, and the format is dolly | remove them, or set format: oasst"),
    ("a mode of trees that does not exist", TRAIN, source("format: oasst, oasst: {mode: best}"),
     "run.yaml:8:58 | oasst.mode: 'best' is none of the choices | choose one of: all_paths, top_k, best_path"),
    ("top_k without a number", TRAIN, source("format: oasst, oasst: {mode: top_k}"),
     "run.yaml:8:51 | oasst.mode is top_k and oasst.top_k is 0 | mode: top_k needs top_k: N of at least 1, and only that…"),
    ("a number for a mode without", TRAIN, source("format: oasst, oasst: {top_k: 2}"),
     "run.yaml:8:51 | oasst.mode is all_paths and oasst.top_k is 2 | mode: top_k needs top_k: N of at least 1, and only that…"),
    ("languages that are a map", TRAIN, source("format: oasst, oasst: {lang: {en: true}}"),
     "run.yaml:8:63 | oasst.lang: expected languages | give a list as the data spell them: [en, pt-BR]"),
    ("a quality above one", TRAIN, source("format: oasst, oasst: {min_quality: 2}"),
     "run.yaml:8:65 | oasst.min_quality: '2' is out of range | min_quality must lie between 0 and 1"),
    ("a weight of zero", TRAIN, source("format: dolly, weight: 0"),
     "run.yaml:8:52 | data.train.0.weight: '0' is out of range | weight must lie between 1e-06 and 10000"),
    ("a weight below zero", TRAIN, source("format: dolly, weight: -1"),
     "run.yaml:8:52 | data.train.0.weight: '-1' is out of range | weight must lie between 1e-06 and 10000"),
    ("turns to train on that do not exist", TRAIN, source("format: dolly, train_on: assistant"),
     "run.yaml:8:54 | data.train.0.train_on: 'assistant' is none of the choices | choose one of: all_assistant, last_assistant, all"),
    ("the same file for training and evaluation", TRAIN, run("  max_length: 512", "  eval:\n    - {path: records.jsonl, format: dolly}\n  max_length: 512"),
     "findings in the data | 1 eval_in_train (./records.jsonl:1: also in train, as ./records.jsonl:1) | repair the records, or accept what was found with…"),
)
