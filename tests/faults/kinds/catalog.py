"""Which kinds of faults are there?"""

# Imported for what they register.
from tests.faults.kinds import etcd, identity, network, packets, processes, restore, storage
from tests.faults.kinds.base import KINDS

__all__ = ["KINDS", "etcd", "identity", "network", "packets", "processes", "restore", "storage"]
