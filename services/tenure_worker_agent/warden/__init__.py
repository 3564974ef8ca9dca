"""Who keeps a node's task processes alive, watched and bounded, whatever happens to the agent?

The warden: standard library only, one thread, the main process of the node's service. It starts the agent and
restarts it, starts attempts in process groups and control groups of their own, writes their output to spool
files and their ends to a journal, and kills exclusive attempts by their deadline. It never uses the network.
"""
