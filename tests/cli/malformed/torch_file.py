"""Files as torch.save writes them, sound or spoilt, made without torch: pickles from opcodes, zip archives, and the form before torch 1.6."""
import io
import struct
import zipfile

STORAGES = {"F32": "FloatStorage", "F16": "HalfStorage", "BF16": "BFloat16Storage", "F64": "DoubleStorage", "I64": "LongStorage"}
PROTO, STOP, MARK = b"\x80\x02", b".", b"("
LEGACY_HEAD = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19." + b"\x80\x02M\xe9\x03."


def text(words):
    return b"X" + struct.pack("<I", len(words.encode())) + words.encode()


def number(value):
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if -2**31 <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    return b"\x8a\x08" + struct.pack("<q", value)


def name(module, word):
    return b"c" + f"{module}\n{word}\n".encode()


def numbers(values):
    return MARK + b"".join(number(value) for value in values) + b"t"


def storage(key, elements, kind="FloatStorage", more=b""):
    return MARK + text("storage") + name("torch", kind) + text(key) + text("cpu") + number(elements) + more + b"tQ"


HOOKS = name("collections", "OrderedDict") + b")R"


def tensor(key, sizes, strides=None, offset=0, elements=None, kind="FloatStorage", hooks=HOOKS, more=b""):
    """A tensor made by _rebuild_tensor_v2; `more` goes into the storage's id."""
    if strides is None:
        strides = [1] * len(sizes)
        for i in range(len(sizes) - 2, -1, -1):
            strides[i] = strides[i + 1] * sizes[i + 1]
    if elements is None:
        elements = 1
        for size in sizes:
            elements *= size
    return (name("torch._utils", "_rebuild_tensor_v2") + MARK + storage(key, elements, kind, more) + number(offset) + numbers(sizes) + numbers(strides)
            + b"\x89" + hooks + b"tR")


def program(items):
    """The pickle of a dict of {name: opcodes that make the value}."""
    return PROTO + b"}" + MARK + b"".join(text(key) + value for key, value in items) + b"u" + STOP


def entries(pickle, storages, folder="archive"):
    """The entries of an archive; storages: {key: bytes}."""
    return [(f"{folder}/data.pkl", pickle), (f"{folder}/byteorder", b"little")] + [(f"{folder}/data/{key}", data) for key, data in storages.items()] + [
        (f"{folder}/version", b"3\n")]


def archive(files, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for entry, content in files:
            file.writestr(zipfile.ZipInfo(entry), content, method)
    return out.getvalue()


def legacy(pickle, storages, little=b"\x88", keys=None):
    """storages: {key: (elements, bytes)}."""
    system = PROTO + b"}" + MARK + text("protocol_version") + b"M\xe9\x03" + text("little_endian") + little + b"u" + STOP
    listed = PROTO + b"]" + MARK + b"".join(text(key) for key in (storages if keys is None else keys)) + b"e" + STOP
    return LEGACY_HEAD + system + pickle + listed + b"".join(struct.pack("<q", elements) + data for elements, data in storages.values())


def parts_of(tensors):
    """(program, {key: (elements, bytes)}) of {name: (dtype, shape, bytes)}."""
    items, storages = [], {}
    for key, (tensor_name, (dtype, shape, data)) in enumerate(tensors.items()):
        elements = len(data) // {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I64": 8}[dtype]
        items.append((tensor_name, tensor(str(key), shape, kind=STORAGES[dtype], elements=elements)))
        storages[str(key)] = (elements, data)
    return program(items), storages


def saved(tensors):
    pickle, storages = parts_of(tensors)
    return archive(entries(pickle, {key: data for key, (_, data) in storages.items()}))


def saved_before_zip(tensors):
    items, storages = [], {}
    for key, (tensor_name, (dtype, shape, data)) in enumerate(tensors.items()):
        elements = len(data) // (4 if dtype == "F32" else 2)
        items.append((tensor_name, tensor(str(key), shape, kind=STORAGES[dtype], elements=elements, more=b"N")))
        storages[str(key)] = (elements, data)
    return legacy(program(items), storages)
