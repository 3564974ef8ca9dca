"""How does a real log relay run in the simulation?

Its segments, on a real file system in memory, its ingest, its tails and its watch of tasks are the real ones.
Killed, it loses what it had in memory; the files stay.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tenure_log_relay.adapters.ingest_service import LogIngest
from tenure_log_relay.adapters.log_service import Logs
from tenure_log_relay.adapters.log_states import LogStates
from tenure_log_relay.adapters.scheduler import SchedulerTasks
from tenure_log_relay.adapters.storage.log import SegmentLog, StorageLimits
from tenure_log_relay.adapters.storage.restore import restore
from tenure_runtime.etcd.keys import Keys
from tenure_runtime.etcd.registration import Registration
from tenure_runtime.rpc.several import Several
from tenure_state.v1.cluster_pb2 import Registration as RegistrationRecord
from tests.simulation.calls import Channel
from tests.simulation.etcd_cluster import Cluster
from tests.simulation.network import Network
from tests.simulation.schedulers import Server
from tests.simulation.world import Process


class SimulatedSeveral(Several):
    """Channels to schedulers over the simulated network."""

    def __init__(self, network: Network, process: Process, addresses: list[str]) -> None:
        super().__init__(addresses)
        self._network = network
        self._process = process

    def _channel(self, at: int) -> Any:
        return Channel(self._network, self._process, self._addresses[at])


class Relay(Server):
    """One relay's process."""

    def __init__(
        self, process: Process, network: Network, etcd: Cluster, folder: Path, schedulers: list[str]
    ) -> None:
        self.name = process.name
        self.address = f"{process.name}:7430"
        with process.entered():
            self.log = SegmentLog(folder, StorageLimits(segment_bytes=1 << 16))
            channel = SimulatedSeveral(network, process, schedulers).channel
            tasks = SchedulerTasks(channel)
            states = LogStates(self.log, channel, self.name)
            restore(self.log)
            states.resume()
            record = RegistrationRecord(id=self.name, address=self.address, version="simulated")
            key = Keys("default").relay(self.name)
            self._registration = Registration(etcd.client(process), key, record.SerializeToString())
            self._registration.start()
        super().__init__(process, network, self.address, LogIngest(self.log, states), Logs(self.log, tasks))
        for work in (self.log.run(), states.run(), tasks.run()):
            process.start(work)
        process.on_death.append(self.log.close)
