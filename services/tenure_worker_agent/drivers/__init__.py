"""How is each kind of task body run on a node?"""
