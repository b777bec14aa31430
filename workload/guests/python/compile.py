"""Compiles modules for the interpreter that runs this.

Reads {name: source} as JSON and writes {file name: content in base64}. The
files are hash-based and unchecked (PEP 552), for an image changes times.
"""

import base64
import importlib.util
import json
import marshal
import sys

files = {}
for name, source in json.load(sys.stdin).items():
    code = marshal.dumps(compile(source, name + ".py", "exec", dont_inherit=True))
    head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(source.encode())
    files[f"{name}.{sys.implementation.cache_tag}.pyc"] = base64.b64encode(head + code).decode()
json.dump(files, sys.stdout)
