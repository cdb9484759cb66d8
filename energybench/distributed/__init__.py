"""Work that runs in many processes: a leader that measures, and ranks that compute.

The leader is the process of `energybench run`. It starts the ranks under torchrun, or takes those that torchrun or
Slurm started, tells them what to run, and has them read what only they can: bytes of their own sockets, counters of
their host.
"""
