"""How do the services of Tenure speak gRPC: transport, serving, errors, validation?"""
