"""How the agent reaches schedulers, relays, its warden and its disk."""
