"""The task of the demo: SHA-256 and gzip -9 size of one file, as one line of JSON.

Runs alone (`python -I -S hash_file.py FILE`), so it imports as little as it can: that is most of what it
costs. A file whose name is not Unicode comes as `--hex BYTES`.
"""

import sys
import zlib

try:
    from _sha2 import sha256  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        from hashlib import sha256

from _json import encode_basestring_ascii as quoted

path = sys.argv[1]
if path == "--hex":
    path = bytes.fromhex(sys.argv[2]).decode("utf-8", "surrogateescape")
digest = sha256()
squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
read = packed = 0
with open(path.encode("utf-8", "surrogateescape"), "rb") as file:  # noqa: PTH123  (pathlib takes 10 ms to import)
    while data := file.read(1 << 20):
        digest.update(data)
        read += len(data)
        packed += len(squeeze.compress(data))
packed += len(squeeze.flush())
print(f'{{"path": {quoted(path)}, "bytes": {read}, "sha256": "{digest.hexdigest()}", "gzip": {packed}}}')
