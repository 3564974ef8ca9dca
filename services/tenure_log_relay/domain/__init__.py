"""What does the relay decide, free of I/O, clocks and sockets?"""
