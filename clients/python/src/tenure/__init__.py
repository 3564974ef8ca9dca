"""Client library and command line of Tenure."""
