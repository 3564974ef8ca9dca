"""Which methods does the client call?

Each of them is safe to repeat: reads change nothing, submissions carry a request id, and cancelling,
releasing and cordoning twice is the same as once. A method that is not must not be added here, since every
call is retried.
"""

from __future__ import annotations

from typing import Final

from tenure.channels import Rpc
from tenure.v1 import cluster_service_pb2 as c
from tenure.v1 import log_service_pb2 as l
from tenure.v1 import task_service_pb2 as t
from tenure.v1 import worker_admin_service_pb2 as w

_T: Final = "/tenure.v1.TaskService/"
SUBMIT: Final = Rpc(_T + "SubmitTasks", t.SubmitTasksRequest, t.SubmitTasksResponse)
GET: Final = Rpc(_T + "GetTask", t.GetTaskRequest, t.GetTaskResponse)
LIST: Final = Rpc(_T + "ListTasks", t.ListTasksRequest, t.ListTasksResponse)
COUNT: Final = Rpc(_T + "CountTasks", t.CountTasksRequest, t.CountTasksResponse)
WATCH: Final = Rpc(_T + "WatchTasks", t.WatchTasksRequest, t.WatchTasksResponse, streams=True)
WAIT: Final = Rpc(_T + "WaitTasks", t.WaitTasksRequest, t.WaitTasksResponse)
CANCEL: Final = Rpc(_T + "CancelTasks", t.CancelTasksRequest, t.CancelTasksResponse)
RETRY: Final = Rpc(_T + "RetryTask", t.RetryTaskRequest, t.RetryTaskResponse)
RELEASE: Final = Rpc(_T + "ReleaseTasks", t.ReleaseTasksRequest, t.ReleaseTasksResponse)
EXPLAIN: Final = Rpc(_T + "ExplainTask", t.ExplainTaskRequest, t.ExplainTaskResponse)
HISTORY: Final = Rpc(_T + "GetTaskHistory", t.GetTaskHistoryRequest, t.GetTaskHistoryResponse)

_W: Final = "/tenure.v1.WorkerAdminService/"
LIST_WORKERS: Final = Rpc(_W + "ListWorkers", w.ListWorkersRequest, w.ListWorkersResponse)
GET_WORKER: Final = Rpc(_W + "GetWorker", w.GetWorkerRequest, w.GetWorkerResponse)
CORDON: Final = Rpc(_W + "CordonWorkers", w.CordonWorkersRequest, w.CordonWorkersResponse)
UNCORDON: Final = Rpc(_W + "UncordonWorkers", w.UncordonWorkersRequest, w.UncordonWorkersResponse)
DRAIN: Final = Rpc(_W + "DrainWorkers", w.DrainWorkersRequest, w.DrainWorkersResponse, streams=True)
CANCEL_DRAIN: Final = Rpc(_W + "CancelDrain", w.CancelDrainRequest, w.CancelDrainResponse)
DECLARE_DEAD: Final = Rpc(
    _W + "DeclareWorkersDead", w.DeclareWorkersDeadRequest, w.DeclareWorkersDeadResponse
)

_C: Final = "/tenure.v1.ClusterService/"
SERVER_INFO: Final = Rpc(_C + "GetServerInfo", c.GetServerInfoRequest, c.GetServerInfoResponse)
VERIFY_FENCE: Final = Rpc(_C + "VerifyFence", c.VerifyFenceRequest, c.VerifyFenceResponse)

_L: Final = "/tenure.v1.LogService/"
TAIL: Final = Rpc(_L + "TailLogs", l.TailLogsRequest, l.TailLogsResponse, streams=True)
