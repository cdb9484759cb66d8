"""Low bit-widths on an NVIDIA GPU: `engine` runs a deployed network, Triton and CUDA C hold the kernels."""
