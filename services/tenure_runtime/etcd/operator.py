"""Which cluster does an operator mean who has etcd's credentials?

The settings are those of the schedulers, whose file can be given: what else it holds is theirs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from tenure_runtime.config_sections import EtcdConfig, StoreConfig
from tenure_runtime.config_values import ClusterName

PREFIX: Final = "TENURE_SCHEDULER_"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorConfig:
    """What of a scheduler's configuration concerns the store."""

    cluster: ClusterName = "default"
    """Name of the cluster."""

    store: StoreConfig = field(default_factory=StoreConfig)
    etcd: EtcdConfig = field(default_factory=EtcdConfig)
