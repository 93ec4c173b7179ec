"""Pickles in place of safetensors: adapter_model.bin that runs code, lies about sizes, or is not what torch.save writes. None may be run, all are named."""
import struct
import zipfile

import good
import torch_file as t
from good import ADAPTED, adapter_tensors, put, remove_now

WEIGHTS = "adapter/adapter_model.bin"
INSPECT = "inspect adapter"
NO_CODE = "graft runs no code of files: if you trust its origin, write…"
DAMAGED = "the file is damaged or was not written by torch.save:…"
PLAIN = "save the plain dict of tensors, as model.state_dict()…"
FOUR = bytes(16)


def binary(content):
    def change(folder):
        remove_now(folder + "/adapter/adapter_model.safetensors")
        put(folder, WEIGHTS, content)
    return change


def pickled(pickle, storages=None, **changes):
    """An archive around a program."""
    return binary(t.archive(t.entries(pickle, {"0": FOUR} if storages is None else storages, **changes)))


def valued(value, storages=None):
    return pickled(t.program([("w", value)]), storages)


def stored(change=lambda content: content, files=None):
    """A sound archive with its bytes changed."""
    content = t.archive(t.entries(t.program([("w", t.tensor("0", [4]))]), {"0": FOUR}) if files is None else files)
    spoilt = change(content)
    assert spoilt != content or files is not None
    return binary(spoilt)


def central(at, new, entry=b"archive/data/0"):
    """Replaces bytes of an entry's record in the directory."""
    def change(content):
        place = content.rindex(entry) - 46 + at
        return content[:place] + new + content[place + len(new):]
    return change


def local(at, new, entry=b"archive/data/0"):
    def change(content):
        place = content.index(entry) - 30 + at
        return content[:place] + new + content[place + len(new):]
    return change


def end(at, new):
    def change(content):
        place = len(content) - 22 + at
        return content[:place] + new + content[place + len(new):]
    return change


def call(module, word, argument=t.text("touch taken")):
    return t.name(module, word) + argument + b"\x85R"


def row(title, change, what, cure=NO_CODE, command=INSPECT):
    return (f"adapter_model.bin: {title}", command, change, f"{WEIGHTS} | {what} | {cure}")


def asks(module, word):
    return row(f"asks for {module}.{word}", valued(call(module, word)), f"…asks for '{module}.{word}', which no dict of tensors needs")


def legacy(storages=None, little=b"\x88", keys=None, more=b"N", behind=b"", elements=4):
    pickle = t.program([("w", t.tensor("0", [4], more=more, elements=elements))])
    return binary(t.legacy(pickle, {"0": (4, FOUR)} if storages is None else storages, little, keys) + behind)


def deep(opcode, times):
    return pickled(t.PROTO + opcode * times)


ROWS = (
    asks("os", "system"), asks("posix", "system"), asks("builtins", "eval"), asks("builtins", "exec"), asks("builtins", "getattr"), asks("subprocess", "Popen"),
    asks("torch", "load"), asks("torch.hub", "load"), asks("torch._utils", "_rebuild_sparse_tensor"), asks("numpy.core.multiarray", "_reconstruct"),
    asks("torch.serialization", "_get_layout"), asks("torch.storage", "UntypedStorage"), asks("collections", "OrderedDict.__init__"),
    row("asks for a name of 100000 letters", valued(call("os", "s" * 100000)), "…a name that does not end within 256 bytes"),
    row("asks for a name that commands the terminal", valued(call("os", "\x1b[2J")), "…asks for 'os.?[2J', which no dict of tensors needs"),
    row("REDUCE of a text", valued(t.text("os.system") + t.text("id") + b"\x85R"), "…REDUCE calls a text"),
    row("REDUCE of a type of storage", valued(t.name("torch", "FloatStorage") + b")R"), "…REDUCE calls FloatStorage"),
    row("REDUCE without a tuple", valued(t.name("collections", "OrderedDict") + t.text("x") + b"R"), "…REDUCE calls OrderedDict with a text, not a tuple"),
    row("an ordered dict from a list", valued(t.name("collections", "OrderedDict") + b"]\x85R"), "…OrderedDict is called with 1 arguments, where torch gives none"),
    row("BUILD of a tensor", valued(t.tensor("0", [4]) + b"}b"), "…BUILD gives a dict to an object"),
    row("BUILD with a text", valued(b"}" + t.text("state") + b"b"), "…BUILD gives a text to a dict"),
    row("INST", valued(b"(" + t.text("id") + b"ios\nsystem\n"), "…opcode INST, which no dict of tensors needs"),
    row("OBJ", valued(b"(" + t.name("collections", "OrderedDict") + b"o"), "…opcode OBJ, which no dict of tensors needs"),
    row("NEWOBJ", valued(t.name("collections", "OrderedDict") + b")\x81"), "…opcode NEWOBJ, which no dict of tensors needs"),
    row("STACK_GLOBAL", valued(t.text("os") + t.text("system") + b"\x93"), "…opcode STACK_GLOBAL, which no dict of tensors needs"),
    row("EXT1", valued(b"\x82\x01"), "…opcode EXT1, which no dict of tensors needs"),
    row("a byte that is no opcode", valued(b"\xff"), "…0xff is no opcode"),
    row("DUP", valued(b"K\x012"), "…opcode DUP, which no dict of tensors needs"),
    row("protocol 0", pickled(b"(dp0\n."), "…begins with byte 0x28: no pickle, or one of a protocol before 2"),
    row("protocol 5", pickled(b"\x80\x05\x95" + bytes(8) + b"}."), "…protocol 5, where torch writes 2"),
    row("a second PROTO", pickled(t.PROTO + t.PROTO + b"}."), "…opcode PROTO, which no dict of tensors needs"),
    row("an empty program", pickled(b""), "…an opcode needs 2 more bytes, and 0 are left"),
    row("no STOP", pickled(t.PROTO + b"}"), "…an opcode needs 1 more bytes, and 0 are left"),
    row("bytes behind STOP", pickled(t.PROTO + b"}." + b"}"), "…1 bytes behind its end"),
    row("two values at the end", pickled(t.PROTO + b"}}."), "…ends with 2 values on the stack"),
    row("nothing at the end", pickled(t.PROTO + b"."), "…ends with 0 values on the stack"),
    row("a mark at the end", pickled(t.PROTO + b"(."), "…an opcode finds no value on the stack"),
    row("100000 marks", deep(b"(", 100000), "…more than 8192 values on the stack"),
    row("a list in lists, 100000 deep", deep(b"](", 100000), "…more than 8192 values on the stack"),
    row("a tuple in tuples, a million deep", pickled(t.PROTO + b")" + b"\x85" * 1000000 + b"."), "holds a tuple, not a dict of tensors", PLAIN),
    row("six million values", pickled(t.PROTO + b")" + b"\x85" * 3000000 + b"."), "…more than 4194304 values"),
    row("a text of four GiB", pickled(t.PROTO + b"X\xff\xff\xff\xff"), "…a text of 4294967295 bytes, where 4096 are allowed"),
    row("a text beyond the end", pickled(t.PROTO + b"X\x10\0\0\0abc"), "…an opcode needs 16 more bytes, and 3 are left"),
    row("a text with NUL", valued(b"X\x01\0\0\0\0"), "…a text that holds NUL or is no UTF-8"),
    row("a text that is no UTF-8", valued(b"X\x01\0\0\0\xff"), "…a text that holds NUL or is no UTF-8"),
    row("a number of 200 bytes", valued(b"\x8a\xc8" + bytes(200)), "…a whole number of 200 bytes"),
    row("remembers at four billion", valued(b"Nr\xff\xff\xff\xff"), "…remembers a value as number 4294967295, where 0 would be next"),
    row("remembers twice at one place", valued(b"Nq\x00q\x00"), "…remembers a value as number 0, where 1 would be next"),
    row("remembers a mark", pickled(t.PROTO + b"(q\x00"), "…an opcode finds no value on the stack"),
    row("recalls what was not remembered", valued(b"h\x07"), "…recalls value number 7 of 0"),
    row("TUPLE without a mark", pickled(t.PROTO + b"Nt."), "…an opcode finds no mark on the stack"),
    row("items for a text", pickled(t.PROTO + t.text("x") + b"NNs."), "…items for a dict, but a text is there"),
    row("a key without a value", pickled(t.PROTO + b"}(" + t.text("w") + b"u."), "…a key without a value"),
    row("a key that is a number", pickled(t.PROTO + b"}K\x01Ns."), "…a whole number as a key of a dict, where only texts are expected"),
    row("a dict in itself", pickled(t.PROTO + b"}q\x00" + t.text("w") + b"h\x00s."), "'w' is a dict, not a tensor", PLAIN),
    row("a checkpoint around the dict", pickled(t.PROTO + b"}" + t.text("state_dict") + b"}s."), "'state_dict' is a dict, not a tensor", PLAIN),
    row("a number among the tensors", valued(b"K\x01"), "'w' is a whole number, not a tensor", PLAIN),
    row("a storage among the tensors", valued(t.storage("0", 4)), "'w' is a storage, not a tensor", PLAIN),
    row("a list of tensors", pickled(t.PROTO + b"]" + t.tensor("0", [4]) + b"a."), "holds a list, not a dict of tensors", PLAIN),
    row("a tensor alone", pickled(t.PROTO + t.tensor("0", [4]) + b"."), "holds a tensor, not a dict of tensors", PLAIN),
    row("a name twice", pickled(t.program([("w", t.tensor("0", [4])), ("w", t.tensor("0", [4]))])), "tensor 'w' is there twice", PLAIN),
    row("a persistent id that is a text", valued(t.text("0") + b"Q"), "…a persistent id that is not ('storage', type, key, device, elements)"),
    row("a storage of another module", valued(t.MARK + t.text("module") + t.name("torch", "FloatStorage") + t.text("0") + t.text("cpu") + b"K\x04tQ"),
        "…a persistent id that is not ('storage', type, key, device, elements)"),
    row("a storage of type OrderedDict", valued(t.MARK + t.text("storage") + t.name("collections", "OrderedDict") + t.text("0") + t.text("cpu") + b"K\x04tQ"),
        "…a storage of type 'OrderedDict'"),
    row("a storage below nothing", valued(t.tensor("0", [4], elements=-1)), "…storage '0' of -1 elements"),
    row("a storage of 2^62 elements", valued(t.tensor("0", [4], elements=2**62)), "…storage '0' of 4611686018427387904 elements"),
    row("a storage larger than its entry", valued(t.tensor("0", [4], elements=5)), "entry 'archive/data/0' of 16 bytes for 5 elements of F32",
        "the file is damaged: copy or download it again"),
    row("a storage without an entry", valued(t.tensor("7", [4])), "entry 'archive/data/7' is missing", "the file is damaged: copy or download it again"),
    row("a storage that leaves the archive", valued(t.tensor("../version", [4])), "entry 'archive/data/../version' is missing",
        "the file is damaged: copy or download it again"),
    row("a tensor beyond its storage", valued(t.tensor("0", [8], elements=4)), "…a tensor of 8 elements from element 0 of storage '0', which has 4"),
    row("a tensor behind its storage", valued(t.tensor("0", [1], offset=4, elements=4)), "…a tensor of 1 elements from element 4 of storage '0', which has 4"),
    row("a tensor before its storage", valued(t.tensor("0", [1], offset=-1, elements=4)), "…a tensor of 1 elements from element -1 of storage '0', which has 4"),
    row("an offset of 2^63 - 1", valued(t.tensor("0", [1], offset=2**63 - 1, elements=4)), "…from element 9223372036854775807 of storage '0', which has 4"),
    row("sizes that overflow", valued(t.tensor("0", [2**40, 2**40], elements=4)), "…a tensor whose sizes overflow 64 bits"),
    row("a size below nothing", valued(t.tensor("0", [-4], elements=4)), "…a tensor with a size or stride that is no whole number, or a size below 0"),
    row("a size with a fraction", valued(t.name("torch._utils", "_rebuild_tensor_v2") + t.MARK + t.storage("0", 4) + b"K\x00G" + bytes(8) + b"\x85K\x01\x85\x89}tR"),
        "…a tensor with a size or stride that is no whole number, or a size below 0"),
    row("nine dimensions", valued(t.tensor("0", [1] * 9, elements=4)), "…a tensor whose sizes and strides are not two tuples of one length, at most 8"),
    row("fewer strides than sizes", valued(t.tensor("0", [2, 2], [1], elements=4)), "…a tensor whose sizes and strides are not two tuples of one length, at most 8"),
    row("a stride below nothing", valued(t.tensor("0", [4], [-1], offset=3)), "…stride -1 in dimension 0, where 1 is contiguous: save tensor.contiguous()"),
    row("a stride of nothing", valued(t.tensor("0", [4], [0])), "…stride 0 in dimension 0, where 1 is contiguous: save tensor.contiguous()"),
    row("transposed", valued(t.tensor("0", [2, 2], [1, 2])), "…stride 2 in dimension 1, where 1 is contiguous: save tensor.contiguous()"),
    row("a tensor of a text", valued(t.name("torch._utils", "_rebuild_tensor_v2") + t.MARK + t.text("0") + b"K\x00))tR"),
        "…a tensor that is not made of (storage, offset, sizes, strides)"),
    row("a tensor with hooks", valued(t.tensor("0", [4], hooks=b"}" + t.text("hook") + b"Ns")), "…a tensor of storage '0' with hooks or metadata"),
    row("a parameter of a number", valued(t.name("torch._utils", "_rebuild_parameter") + b"K\x01\x88}\x87R"),
        "…a parameter that is not made of (tensor, truth value, empty dict)"),
    row("the archive: cut in half", stored(lambda content: content[:len(content) // 2]), "does not end as a zip archive", "the file may be cut off: compare its size…"),
    row("the archive: bytes behind its end", stored(lambda content: content + b"\0"), "does not end as a zip archive", "the file may be cut off: compare its size…"),
    row("the archive: of two disks", stored(end(4, b"\1\0")), "an archive of several disks", DAMAGED),
    row("the archive: more entries than there are", stored(end(8, b"\xff\0\xff\0")), "its directory has no room for the entries it counts", DAMAGED),
    row("the archive: fewer entries than there are", stored(end(8, b"\2\0\2\0")), "its directory holds more than the entries it counts", DAMAGED),
    row("the archive: a directory beyond the end", stored(end(16, b"\xf0\xff\xff\x7f")), "its directory does not lie before its end record", DAMAGED),
    row("the archive: a damaged directory", stored(central(0, b"XX")), "its directory is cut or damaged", DAMAGED),
    row("the archive: a header elsewhere", stored(central(42, struct.pack("<I", 3))), "entry 'archive/data/0' has no header where the directory says", DAMAGED),
    row("the archive: a header beyond the end", stored(central(42, b"\xff\xff\xff\x7f")), "entry 'archive/data/0' has no header where the directory says", DAMAGED),
    row("the archive: a zip64 size that is not there", stored(central(20, b"\xff" * 8)), "entry 'archive/data/0' has a damaged extra field", DAMAGED),
    row("the archive: a size larger than the file", stored(lambda c: local(18, b"\xff\xff\xff\x7f" * 2)(central(20, b"\xff\xff\xff\x7f" * 2)(c))),
        "entry 'archive/data/0' of 2147483647 bytes reaches into the directory", DAMAGED),
    row("the archive: two sizes", stored(central(24, b"\x08")), "entry 'archive/data/0' is stored in another size than its own", DAMAGED),
    row("the archive: another size in the header", stored(local(18, b"\x08")), "entry 'archive/data/0' has another size or checksum in its own header", DAMAGED),
    row("the archive: another name in the header", stored(local(30, b"b")), "entry 'archive/data/0' has another name or method in its own header", DAMAGED),
    row("the archive: a checksum that is wrong", stored(lambda c: local(14, b"ABCD")(central(16, b"ABCD")(c))),
        "entry 'archive/data/0' does not have the checksum that the directory says", DAMAGED),
    row("the archive: a program with a wrong checksum", stored(lambda c: c.replace(b"FloatStorage", b"LongStorageX", 1)),
        "entry 'archive/data.pkl' does not have the checksum that the directory says", DAMAGED),
    row("the archive: encrypted", stored(central(8, b"\1")), "entry 'archive/data/0' is encrypted", DAMAGED),
    row("the archive: compressed", binary(t.archive(t.entries(t.program([]), {}), zipfile.ZIP_DEFLATED)), "entry 'archive/data.pkl' is compressed (method 8)",
        "torch.save stores: write the file again with it"),
    row("the archive: a path upwards", stored(files=t.entries(t.program([]), {}) + [("archive/../../.profile", b"")]),
        "entry 'archive/../../.profile' leads out of the archive", "torch.save writes no such name: do not use this file"),
    row("the archive: a path from the root", stored(files=t.entries(t.program([]), {}) + [("/etc/passwd", b"")]), "entry '/etc/passwd' leads out of the archive",
        "torch.save writes no such name: do not use this file"),
    row("the archive: an entry twice", stored(lambda c: c.replace(b"archive/data/1", b"archive/data/0"),
                                             t.entries(t.program([]), {"0": FOUR, "1": FOUR})), "entry 'archive/data/0' is there twice", DAMAGED),
    row("the archive: two entries in one place", stored(lambda c: central(42, struct.pack("<I", c.index(b"archive/data/0") - 30), b"archive/data/1")(c).replace(
        b"archive/data/1", b"archive/data/0"), t.entries(t.program([]), {"0": FOUR, "1": FOUR})), "entry 'archive/data/0' lies in the place of another", DAMAGED),
    row("the archive: no program", stored(files=[("archive/version", b"3\n")]), "a zip archive without data.pkl", "give a file that torch.save wrote"),
    row("the archive: two programs", stored(files=t.entries(t.program([]), {}) + t.entries(t.program([]), {}, "other")),
        "both 'archive/data.pkl' and 'other/data.pkl' are there", "torch.save writes one: save the dict of tensors again"),
    row("the archive: big-endian", stored(files=[("archive/data.pkl", t.program([])), ("archive/byteorder", b"big")]),
        "entry 'archive/byteorder' does not say 'little'", "save the file on a machine with little-endian numbers"),
    row("before zip: big-endian", legacy(little=b"\x89"), "…the writing machine does not say that its numbers are little-endian"),
    row("before zip: a view of a storage", legacy(more=t.text("view") + b"K\x00K\x04\x87"), "…storage '0' is a view of another"),
    row("before zip: a storage twice", legacy(keys=["0", "0"], behind=struct.pack("<q", 4) + FOUR), "…storage '0' is there twice"),
    row("before zip: a storage of nobody", legacy({"0": (4, FOUR), "9": (4, FOUR)}), "…no tensor is of storage '9'"),
    row("before zip: a storage is missing", legacy({}), "…storage '0' is missing"),
    row("before zip: cut", legacy({"0": (4, FOUR[:-1])}), "…storage '0' of 16 bytes reaches beyond the end of the file"),
    row("before zip: another count of elements", legacy({"0": (3, FOUR)}), "…storage '0' has 3 elements here and 4 in the dict"),
    row("before zip: bytes behind the storages", legacy(behind=b"\0"), "…1 bytes behind the last storage belong to none"),
    row("before zip: code", binary(t.legacy(t.program([("w", call("os", "system"))]), {})), "…asks for 'os.system', which no dict of tensors needs"),
    row("a Git LFS pointer", binary("version https://git-lfs.github.com/spec/v1\n"), "43 bytes that begin neither as torch.save's zip archives nor as its older files",
        "the file is cut off, or is no torch file (a Git LFS…"),
    row("empty", binary(""), "0 bytes that begin neither as torch.save's zip archives nor as its older files", "the file is cut off, or is no torch file (a Git LFS…"),
    ("adapter_model.bin: DeepSpeed's empty tensor", ADAPTED, binary(t.saved({key: (dtype, [0], b"") for key, (dtype, _, _) in adapter_tensors().items()})),
     "adapter | tensor 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight' has shape [0] and holds nothing | DeepSpeed and FSDP leave such tensors…"),
)


def respelled(write, change):
    return binary(write({change(key): value for key, value in adapter_tensors().items()}))


# The same adapter in other files and spellings gives the same results.
HARMLESS = tuple(
    (f"adapter_model.bin, {form}: {title}", ADAPTED, respelled(write, change))
    for form, write in (("zip", t.saved), ("before zip", t.saved_before_zip))
    for title, change in (
        ("PEFT's spelling", lambda key: key),
        ("the adapter's name in the keys", lambda key: key.replace("lora_A.", "lora_A.default.").replace("lora_B.", "lora_B.default.")),
        ("another name in the keys", lambda key: key.replace("lora_A.", "lora_A.my_adapter.").replace("lora_B.", "lora_B.my_adapter.")),
        ("no prefix", lambda key: key.removeprefix("base_model.model.")),
    )
)
