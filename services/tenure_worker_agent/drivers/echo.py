"""Run an echo script: the process of a task of type `echo`.

Started by path with `-I -S` on the agent's interpreter: nothing but the standard library is looked for, so that it
starts fast. The script is standard input; LOG entries go to the records descriptor as JSON lines, the rest to
standard output and standard error.
"""

import os
import sys
import time

ROOT = __file__.rsplit("/", 3)[0]
RAISED = 1


def main() -> int:
    """Run the script on standard input; returns its exit code."""
    sys.path.insert(0, ROOT)
    from tenure_core.echo import EchoSyntaxError, parse

    script = os.read(0, 1 << 20).decode("utf-8", "replace")
    try:
        instructions = parse(script)
    except EchoSyntaxError as error:
        os.write(2, f"{error}\n".encode())
        return RAISED
    for each in instructions:
        if each.verb == "ECHO":
            os.write(1, f"{each.text}\n".encode())
        elif each.verb == "SLEEP":
            time.sleep(each.number)
        elif each.verb == "LOG":
            _log(each.level, each.text)
        elif each.verb == "RETURN":
            return int(each.number)
        else:
            os.write(2, f"line {each.line}: {each.text or 'raised'}\n".encode())
            return RAISED
    return 0


def _log(level: str, text: str) -> None:
    number = os.environ.get("TENURE_RECORDS_FD")
    if not number:
        os.write(2, f"{level}: {text}\n".encode())
        return
    import json

    entry = {"time_ns": time.time_ns(), "level": level, "message": text}
    os.write(int(number), json.dumps(entry).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
