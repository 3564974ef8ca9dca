"""Which tasks does a spec file describe?

YAML, TOML and JSON become the same tree of nodes that know where they stand (`read_yaml`, `read_json`,
`read_toml`), and one table of fields turns that tree into `TaskSpec` messages (`fields`, `convert`).
"""

from tenure.specfile.loading import LoadedTask, load

__all__ = ["LoadedTask", "load"]
