"""Importing ONNX: float, QDQ and QOperator."""
