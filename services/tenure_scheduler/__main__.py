"""`python -m tenure_scheduler` is tenure-scheduler."""

from tenure_scheduler.main import main

main()
