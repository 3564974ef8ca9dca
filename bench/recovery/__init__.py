"""How long does each kind of loss last, and what does it cost? `python -m bench.recovery --help`."""
