"""`python -m tenure_worker_agent`."""

from tenure_worker_agent.main import main

main()
