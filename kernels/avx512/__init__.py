"""Kernels of AVX-512 with VNNI: routines over addresses, which the planner keeps in bounds."""
