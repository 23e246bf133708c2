"""Importing torch modules through torch.export."""
