"""The scheduler without I/O: events in, commands out, one writer."""
