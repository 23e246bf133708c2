"""The nearest point of each set that weights may be constrained to, and how many each layer keeps.

Plain arrays in and out, no graph and no training: ``sparse``, ``grid`` and ``patterns`` say which
weights stay, ``levels`` which values they take, ``allocate`` how many each layer keeps.
"""
