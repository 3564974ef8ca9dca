"""How do disk, gRPC and etcd reach the relay's decisions?"""
