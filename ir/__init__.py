"""The representations every other folder speaks: numbers, tensors, ops, graphs, programs."""
