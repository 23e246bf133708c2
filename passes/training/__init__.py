"""Passes that train: graphs as differentiable torch modules. Only here do passes import torch."""
