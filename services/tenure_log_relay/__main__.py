"""`python -m tenure_log_relay` is `tenure-log-relay`."""

from tenure_log_relay.main import main

main()
