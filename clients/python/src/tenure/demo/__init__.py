"""`tenure demo`: real work on a local fleet, and the death of a node half way."""

from tenure.demo.run import run_demo

__all__ = ["run_demo"]
