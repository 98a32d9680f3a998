"""Making damaged and forged input: bytes, JSON documents and ledgers, mutated under a generator's seed."""

import copy
import hashlib
import json

# What a forger would try, and what a slip of a disk or an editor leaves.
TOKENS = (
    b"\x00", b"\xff" * 8, b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"-1", b"99999999999999999999", b"1e999",
    b"NaN", b'"', b"'", b"\n", b"\r\n", b",", b"{", b"[" * 200, b"(" * 200, b"../", b"/etc/passwd",
    b"\x1b[2J", b"\\", b"=", b"[[", b"#", "é".encode(), b"\xed\xa0\x80", b"\xc3",
)  # fmt: skip
VALUES = (
    None, True, False, 0, -1, 1, 7, 2**31, 2**63, 10**30, 1e308, -0.5, "", "x", "../../etc/passwd",
    "/etc/passwd", "a\x00b", "\x1b[2J", "\u202e", "a" * 300, "é", "\ud800", "float32", "0" * 64, [], [[], []],
    [1, 2], {}, {"a": {}},
)  # fmt: skip


def mutated(rng, data):
    """Return bytes with one to four random changes."""
    data = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(data) + 1))
        n = int(rng.integers(1, 1 + max(1, min(64, len(data)))))
        kind = rng.integers(8)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[at : at + n] = rng.bytes(n)
        elif kind == 2:
            del data[at : at + n]
        elif kind == 3:
            data[at:at] = data[at : at + n]
        elif kind == 4:
            data[at:at] = TOKENS[rng.integers(len(TOKENS))]
        elif kind == 5:
            token = TOKENS[rng.integers(len(TOKENS))]
            data[at : at + len(token)] = token
        elif kind == 6:
            other = int(rng.integers(len(data) + 1))
            data[at : at + n] = data[other : other + n]
        else:
            del data[at:]
    return bytes(data)


def mutated_text(rng, text):
    """Return text with one to four random changes, as a person or a program may type it."""
    return mutated(rng, text.encode()).decode("utf-8", "surrogateescape" if rng.random() < 0.2 else "replace")


def mutated_document(rng, document):
    """Return a JSON or TOML document with one to three of its parts replaced, removed, renamed or doubled."""
    document = copy.deepcopy(document)
    for _ in range(int(rng.integers(1, 4))):
        places = list(_places(document))
        if not places:
            break
        parent, key = places[rng.integers(len(places))]
        value = VALUES[rng.integers(len(VALUES))]
        kind = rng.integers(6)
        if kind == 0:
            del parent[key]
        elif kind == 1 and isinstance(parent, dict):
            parent[str(VALUES[rng.integers(len(VALUES))])] = parent.pop(key)
        elif kind == 2 and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[key]))
        elif kind == 3 and type(parent[key]) is int:
            parent[key] += int(rng.choice([-1, 1, 1 << 20, 1 << 40]))
        else:
            parent[key] = copy.deepcopy(value)
    return document


def _places(value):
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield value, key
            yield from _places(part)


def json_line(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def chained(steps):
    """Return a ledger's bytes of these steps, its hashes computed anew, as a forger would."""
    lines, before = [], ""
    for step in steps:
        if isinstance(step, dict):
            step = {name: value for name, value in step.items() if name != "sha256"} | {"previous": before}
            step["sha256"] = before = hashlib.sha256(json_line(step).encode()).hexdigest()
        lines.append(json_line(step))
    return "".join(f"{line}\n" for line in lines).encode()


def steps_of(ledger):
    return [json.loads(line) for line in ledger.read_bytes().splitlines()]


def forge(memory, name, data):
    """Put other bytes into a memory's file, and a ledger that says so."""
    (memory / name).write_bytes(data)
    steps = steps_of(memory / "ledger.jsonl")
    for step in steps:
        if name in step["files"]:
            step["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    (memory / "ledger.jsonl").write_bytes(chained(steps))
