"""The scheduler: keeps the tasks, places them on workers, and never loses one."""
