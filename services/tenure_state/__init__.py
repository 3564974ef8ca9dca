"""Records in etcd and on disk; generated from protos/tenure_state."""
