"""What runs on a node: the warden, which owns the task processes, and its agent, which talks to the fleet."""
