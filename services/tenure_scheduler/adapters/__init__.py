"""What stands between the scheduler's core and the world: etcd, gRPC, clocks."""
