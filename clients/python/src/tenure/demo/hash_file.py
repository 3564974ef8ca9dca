"""The task of the demo: SHA-256 and gzip -9 size of one file, as one line of JSON.

Runs alone (`python -I -S hash_file.py FILE`), so it imports as little as it can: that is most of what it
costs.
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
with open(path, "rb") as file:  # noqa: PTH123  (pathlib takes 10 ms to import)
    data = file.read()
squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
size = len(squeeze.compress(data)) + len(squeeze.flush())
digest = sha256(data).hexdigest()
print(f'{{"path": {quoted(path)}, "bytes": {len(data)}, "sha256": "{digest}", "gzip": {size}}}')
