"""Where do a task's output bytes live once they have left their node?"""
