#!/usr/bin/env python3
"""Verifies an audit export (JSON Lines) without the program that wrote it. Usage: verify_export.py FILE [ANCHOR_HASH]"""
import hashlib
import json
import sys


def main(path, anchor=None):
    prev, number, head, anchored = None, None, None, False
    with open(path, encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            if head is not None:
                return "a line stands behind the head"
            if "head" in line:
                head = line["head"]
                continue
            expected = line["sequence"] if number is None else number + 1
            if line["sequence"] != expected:
                return f"entry {line['sequence']} stands where {expected} belongs"
            if prev is None:
                prev = "0" * 64 if expected == 1 else line["prev"]
            if line["prev"] != prev:
                return f"entry {expected} does not follow the one before"
            canonical = json.dumps(line["entry"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            data = b"factotum-audit/1\n" + expected.to_bytes(8, "big") + bytes.fromhex(prev) + canonical.encode()
            if hashlib.sha256(data).hexdigest() != line["hash"]:
                return f"entry {expected} was changed"
            prev, number = line["hash"], expected
            anchored |= prev == anchor
    if head is None or (head["sequence"], head["hash"]) != (number, prev):
        return "the head is missing or speaks of another end: entries were cut off or added"
    return None if anchor is None or anchored else "the anchor's entry is not in the export"


if __name__ == "__main__":
    fault = main(*sys.argv[1:])
    print(fault or "intact")
    sys.exit(1 if fault else 0)
