"""Low-bit kernels for the CPU: LLVM IR that numba compiles for the processor at hand. No C compiler is needed.

`isa` says what the processor offers, `_emit` is a small vocabulary of IR, `_popcount` and `_dot` hold the two inner
loops, `_epilogue` what follows the sums, `_drivers` the loops around them, and `linear` what others call.
"""
