"""Importing the operators of QONNX."""
