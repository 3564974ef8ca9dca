"""What do all services share: etcd, RPC, configuration, telemetry, supervision?"""
