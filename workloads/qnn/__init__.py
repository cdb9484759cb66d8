"""Quantized neural networks: trained once, then run on arithmetic of their own bit-width."""
