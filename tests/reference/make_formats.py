"""Small records and what public implementations make of them: the text that is trained on, and which part of it has labels where they say so.

    python3 make_formats.py ../datasets/records/formats.jsonl

A line is {"source", "format", "template", "record"} and "spelled", the text with what has labels in [[ ]], or "text" where the implementation renders
only. Made in the environment of run_scripts/setup_reference.sh (torch 2.x, jinja2, yaml) with, from PyPI and without what they depend on
(pip install --no-deps): fschat 0.2.36 (FastChat), litgpt 0.5.13, lm-eval 0.4.13. Of modules that import a whole trainer only the functions and classes
that are asked are compiled (borrow). BOS is <s> and EOS </s> in all of them; both implementations that mask are asked with one token a character, for
which FastChat's offsets, counted for Llama's tokenizer, hold too: of "ASSISTANT: " it leaves the blank to the answer.

Not here, for no package of theirs was found to install: tatsu-lab/stanford_alpaca (its two prompts are those of litgpt), databrickslabs/dolly (FastChat's dolly_v2),
Open-Assistant's model_training (FastChat's oasst_llama), project-baize and QLoRA's guanaco; FastChat's "baize" is what that model is asked with, not what it was
trained on. The models' own chat templates are make_jinja.py's, as transformers renders them.
"""

import ast
import importlib.metadata
import importlib.util
import json
import pathlib
import sys
import types

import jinja2
import torch
import yaml

BOS, EOS, PAD, FIRST, IGNORED = 1, 2, 0, 3, -100
TALK = ["Hi", "Ho", "And? Is it\nso?", "No, über 3."]
SYSTEM = "Be brief."


def package(name, version):
    assert importlib.metadata.version(name) == version, f"{name}: {importlib.metadata.version(name)} is installed, the records are of {version}"


def folder(module):
    return pathlib.Path(importlib.util.find_spec(module).origin).parent


def borrow(path, names, given):
    """The definitions of those names in a Python file, with the names that they use."""
    space = {"__name__": "borrowed", **given}
    kept = [node for node in ast.parse(path.read_text()).body if getattr(node, "name", None) in names]
    assert len(kept) == len(names), f"{path}: not all of {names} are there"
    future = ast.parse("from __future__ import annotations").body
    exec(compile(ast.Module(body=future + kept, type_ignores=[]), str(path), "exec"), space)
    return space


class Characters:
    """A tokenizer with one token a character, BOS in front, and </s> as one token, as FastChat and litgpt call theirs."""
    legacy, model_max_length, pad_token_id = True, 2000, PAD

    def ids(self, text):
        parts = [[FIRST + ord(c) for c in part] for part in text.split("</s>")]
        return [i for at, part in enumerate(parts) for i in ([EOS] if at else []) + part]

    def __call__(self, text, **_):
        if isinstance(text, str):
            return types.SimpleNamespace(input_ids=[BOS] + self.ids(text))
        rows = [[BOS] + self.ids(one) for one in text]
        return types.SimpleNamespace(input_ids=torch.tensor([row + [PAD] * (self.model_max_length - len(row)) for row in rows]))

    def encode(self, text, bos=True, eos=False, max_length=-1):
        return torch.tensor(bos * [BOS] + self.ids(text) + eos * [EOS])


def spell(ids, labels):
    text, inside = "", False
    for i, label in list(zip(ids.tolist(), labels.tolist())) + [(PAD, IGNORED)]:
        trained = label != IGNORED
        text += "[[" if trained and not inside else "]]" if inside and not trained else ""
        inside = trained
        text += {BOS: "<s>", EOS: "</s>", PAD: ""}.get(i) if i < FIRST else chr(i - FIRST)
    return text


def messages(texts, system=None):
    said = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]
    return {"messages": ([{"role": "system", "content": system}] if system else []) + said}


def fastchat():
    package("fschat", "0.2.36")
    from fastchat.conversation import SeparatorStyle, get_conv_template
    train = borrow(folder("fastchat") / "train" / "train.py", ["preprocess"],
                   {"transformers": types.SimpleNamespace(PreTrainedTokenizer=None), "Dict": dict, "SeparatorStyle": SeparatorStyle, "IGNORE_TOKEN_ID": IGNORED,
                    "get_conversation_template": lambda _: get_conv_template("vicuna_v1.1"), "rank0_print": print})
    for texts, skipped in ((TALK[:2], []), (TALK, []), (TALK, ["Yes?"])):
        said = [{"from": "gpt", "value": text} for text in skipped] + [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(texts)]
        made = train["preprocess"]([said], Characters())
        yield "FastChat's train.py", "sharegpt", "vicuna", {"conversations": said}, "spelled", spell(made["input_ids"][0], made["labels"][0])

    def rendered(name, texts, system=None):
        conversation = get_conv_template(name)
        conversation.messages = []
        if system:
            conversation.set_system_message(system)
        for i, text in enumerate(texts):
            conversation.append_message(conversation.roles[i % 2], text)
        return "<s>" + conversation.get_prompt()

    for name, template, system in (("vicuna_v1.1", "vicuna", None), ("zephyr", "zephyr", SYSTEM), ("OpenHermes-2.5-Mistral-7B", "chatml", SYSTEM),
                                   ("starchat", "starchat", SYSTEM), ("mpt-7b-chat", "mpt-chat", None), ("mpt-7b-chat", "mpt-chat", SYSTEM),
                                   ("mpt-30b-chat", "mpt-30b-chat", None), ("llama-2", "llama2-chat", None), ("llama-2", "llama2-chat", SYSTEM),
                                   ("oasst_llama", "openassistant", None), ("falcon", "falcon-instruct", None)):
        yield f"FastChat's {name}", "messages", template, messages(TALK, system), "text", rendered(name, TALK, system)
    yield "FastChat's baize", "messages", "baize", messages(TALK, SYSTEM), "text", rendered("baize", TALK, SYSTEM + "\n")
    record = {"instruction": TALK[2], "context": "", "response": TALK[3], "category": "open_qa"}
    yield "FastChat's dolly_v2", "dolly", "dolly", record, "text", rendered("dolly_v2", [TALK[2], TALK[3]]) + "</s>"


def litgpt():
    package("litgpt", "0.5.13")
    styles = borrow(folder("litgpt") / "prompts.py", ["PromptStyle", "Alpaca", "Default", "Llama3"], {"abstractmethod": lambda f: f, "classmethod": classmethod})
    sets = borrow(folder("litgpt") / "data" / "base.py", ["SFTDataset"], {"Dataset": object, "torch": torch, "PromptStyle": styles["PromptStyle"]})

    def masked(style, example):
        made = sets["SFTDataset"]([example], Characters(), styles[style](), mask_prompt=True)[0]
        return spell(made["input_ids"], made["labels"])

    for given in ("", "1 2"):
        record = {"instruction": "Add\nthem.", "input": given, "output": "3, über."}
        yield "litgpt's Alpaca", "alpaca", "alpaca", record, "spelled", masked("Alpaca", record)
    yield ("litgpt's Default", "prompt_completion", None, {"prompt": "one {two}: ", "completion": "three"}, "spelled",
           masked("Default", {"instruction": "one {two}: ", "output": "three"}))
    head = "<|start_header_id|>assistant<|end_header_id|>\n\n"
    text = styles["Llama3"]().apply(messages(TALK, SYSTEM)["messages"])
    assert text.endswith(head)  # where an answer would be generated
    yield "litgpt's Llama3", "messages", "llama3", messages(TALK, SYSTEM), "text", text[:-len(head)].replace("<|begin_of_text|>", "<s>")


def harness():
    package("lm_eval", "0.4.13")
    tasks = folder("lm_eval") / "tasks"
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    # The harness puts a blank before the answer of an example; lambada, which has no examples, puts it there itself.
    for task, name, blank, record in (("gsm8k/gsm8k.yaml", "gsm8k", " ", {"question": "What is 1 + 1?", "answer": "It is <<1+1=2>>2.\n#### 2"}),
                                      ("lambada/lambada_openai.yaml", "lambada", "", {"text": "I do not care, for\nI see no signs"})):
        text, target = (environment.from_string(yaml.safe_load((tasks / task).read_text())[key]).render(**record) for key in ("doc_to_text", "doc_to_target"))
        yield f"lm-evaluation-harness' {name}", name, None, record, "spelled", f"<s>{text}[[{blank}{target}</s>]]"


def main():
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        for made in (fastchat, litgpt, harness):
            for source, name, template, record, kind, text in made():
                file.write(json.dumps({"source": source, "format": name, "template": template, "record": record, kind: text}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
