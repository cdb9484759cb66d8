"""A simulated analog crossbar: a device with mismatch, networks that run on it, how they learn, what it would cost."""
