"""A whole fleet on one machine: for the demo, for trying things, for tests."""
