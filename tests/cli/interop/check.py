"""Checks a log with tools that know nothing of the server: tlog-scales reads the tiles, pymerkle grows the tree anew.

Arguments: where the log is (an address, or the absolute path of a folder in the same layout), and the verifier key, as one
line. What is asked over HTTP carries the header of TENURE_AUTHORIZATION, and receipts and consistency proofs are asked for
too. With `--copy OUT`, all that was read is left in a folder. Exits with 1, and says why, at the first thing that is wrong.
"""

import argparse
import base64
import json
import os
import sys
from pathlib import Path

import pymerkle
from pymerkle.hasher import MerkleHasher
from tlog_scales import backend, tiles, tlog
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey


class Copying:
    """Gives what another backend gives, and keeps a copy."""

    def __init__(self, source, out):
        self.source, self.out = source, out

    def get(self, *path):
        data = self.source.get(*path)
        if data is not None and self.out is not None:
            file = self.out.joinpath(*path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        return data


def check(holds, what):
    if not holds:
        raise AssertionError(what)


def read(source, key):
    """The checkpoint, the entries, and a tree that grew from these alone."""
    reader = TilesReader(source)
    checkpoint = reader.get_checkpoint()
    checkpoint.verify(key)
    check(checkpoint.origin == key.name, f"it is the log {checkpoint.origin}")
    check(reader.calculate_root_hash() == checkpoint.root_hash, "the tiles have another root than the checkpoint")
    entries = [reader.get_entry(index) for index in range(checkpoint.size)]
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for index, entry in enumerate(entries):
        tree.append_entry(entry)
        check(reader.mth(index, index + 1) == tiles.leaf_hash(entry), f"entry {index} is not the one of its tile")
        event = json.loads(entry)
        check(event["revision"] == index + 1, f"entry {index} is the event {event['revision']}")
    check(tree.get_root() == checkpoint.root_hash, "the entries have another root than the checkpoint")
    for level in range(8):
        full, partial = tiles.level_tiles(checkpoint.size, level)
        widths = [(index, 0) for index in range(full)] + ([(full, partial)] if partial else [])
        for index, width in widths:
            data = source.get(*tiles.tile_path(level, index, width))
            spans = range(index * 256, index * 256 + (width or 256))
            expected = b"".join(reader.mth(span * 256**level, (span + 1) * 256**level) for span in spans)
            check(data == expected, f"tile {index} of level {level} has other hashes")
    return checkpoint, entries, tree, reader


def check_receipts(source, checkpoint, entries, tree, reader, key):
    for index in sorted({0, 1, 255, 256, len(entries) // 2, len(entries) - 1} & set(range(len(entries)))):
        text = source.get("proof", str(index + 1)).decode()
        proof, note = text.split("\n\n", 1)
        first, where, *hashes = proof.splitlines()
        check(first == "c2sp.org/tlog-proof@v1" and where == f"index {index}", f"the receipt of {index}: {text}")
        head = tlog.Checkpoint.from_text(note)
        head.verify(key)
        check((head.size, head.root_hash) == (checkpoint.size, checkpoint.root_hash), "a receipt of another tree")
        hashes = [base64.b64decode(line) for line in hashes]
        leaf = tiles.leaf_hash(entries[index])
        tlog.InclusionProof(index, head.size, hashes).check(leaf, head.root_hash)
        check(hashes == reader.get_inclusion_proof(index, head.size).node_hashes, "tlog-scales has another path")
        own = tree.prove_inclusion(index + 1, head.size)
        check(own.path == [leaf, *hashes], "pymerkle has another path")
        served = pymerkle.InclusionProof("sha256", True, head.size, index + 1, own.rule, [leaf, *hashes])
        pymerkle.verify_inclusion(leaf, head.root_hash, served, index=index + 1, size=head.size)


def check_growth(source, checkpoint, tree, reader):
    size = checkpoint.size
    for older in sorted({1, 2, 255, 256, 257, size // 2, size - 1, size} & set(range(1, size + 1))):
        answer = json.loads(source.get(f"consistency?from={older}&to={size}"))
        hashes = [base64.b64decode(text) for text in answer["proof"]]
        roots = [base64.b64decode(answer[name]) for name in ("from_root", "to_root")]
        check(roots == [tree.get_root(older), tree.get_root(size)], f"pymerkle has other roots at {older} and {size}")
        proof = tlog.ConsistencyProof(older, size, hashes)
        proof.check(*roots)
        check(proof == reader.get_consistency_proof(older, size), "tlog-scales has another proof")
        pymerkle.verify_consistency(*roots, tree.prove_consistency(older, size))


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("log")
    arguments.add_argument("key")
    arguments.add_argument("--copy", type=Path)
    asked = arguments.parse_args()
    source, key = backend.make_backend(asked.log), Vkey.from_string(asked.key)
    served = isinstance(source, backend.HttpBackend)
    if served:
        source.session.headers["Authorization"] = os.environ["TENURE_AUTHORIZATION"]
    copying = Copying(source, asked.copy)
    try:
        checkpoint, entries, tree, reader = read(copying, key)
        if served:
            check_receipts(source, checkpoint, entries, tree, reader, key)
            check_growth(source, checkpoint, tree, reader)
    except Exception as error:
        sys.exit(f"WRONG: {type(error).__name__}: {error}")
    check(MerkleHasher("sha256").hash_empty() == tiles.sha256(b""), "the tools differ")
    proofs = ", receipts and consistency proofs too" if served else ""
    root = base64.b64encode(checkpoint.root_hash).decode()
    print(f"tlog-scales and pymerkle agree: {len(entries)} entries, root {root}, signed by {key.name}{proofs}")


if __name__ == "__main__":
    main()
